"""A model that is cut over two processes (FSDP2), on a CPU, against one process that holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from families import make_base

from sovereign.errors import ConfigError, TuneError
from sovereign.tune.recipe import load_recipe
from sovereign.tune.run import run
from sovereign.weights import passport
from sovereign.weights.store import Store

torch = pytest.importorskip("torch")

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ROWS = [{"prompt": f"Where is ward {n}?", "completion": f"On level {n}."} for n in range(12)]
RECIPE = """
name = "r"
model = "tiny"
[data]
train = "rows.jsonl"
eval_share = 0.3
[eval]
every = 1
keep = "best"
batch = 1
[memorization]
canaries = 2
copies = [0, 2]
candidates = 10
samples = 1
[train]
steps = 3
batch = 1
precision = "fp32"
threads = 1
checkpoint_every = 2
"""
WAYS = {
    "full": 'lr = 1e-3\nmethod = "full"\n',
    "lora": "lr = 0.01\ngradient_checkpointing = true\n[lora]\nr = 3\n",
}


def test_a_model_cut_over_two_processes_learns_what_a_whole_one_does(tmp_path: Path) -> None:
    """An update, and a whole model: the same losses as one process that accumulates two passes, on
    training rows and held-out ones; killed after its second step and gone on with; the same answers
    and the same exposure; and what is saved is whole, with papers that are admitted."""
    store = Store(tmp_path / "store", tmp_path / "store.lock")
    store.add_folder(make_base("chatml", tmp_path / "base"), name="tiny")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for way, more in WAYS.items():
        (tmp_path / f"{way}.toml").write_text(RECIPE + more)
    env = os.environ | {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--standalone", "--local-addr", "127.0.0.1"]
    command += [str(Path(__file__).with_name("shards_worker.py")), str(tmp_path), *WAYS]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for way in WAYS:
        recipe = load_recipe(tmp_path / f"{way}.toml", ["train.accumulate=2"])
        whole = run(recipe, store, tmp_path / "whole" / way, key=KEY)
        cut = json.loads((tmp_path / "cut" / way / "run.json").read_bytes())
        assert cut["world"] == 2
        ones, twos = (_lines(tmp_path / kind / way) for kind in ("whole", "cut"))
        for name in ("loss", "eval_loss", "grad_norm"):
            assert [two[name] for two in twos] == pytest.approx(
                [one[name] for one in ones], rel=1e-4
            )
        assert cut["evaluation"] == whole.data["evaluation"]
        assert cut["memorization"] == whole.data["memorization"]
        name = "model" if way == "full" else "adapter"
        passport.read(tmp_path / "cut" / way / name, [KEY.public_key()])
        mine, theirs = (_weights(tmp_path / kind / way / name) for kind in ("whole", "cut"))
        assert mine.keys() == theirs.keys()
        for weight in mine:
            torch.testing.assert_close(theirs[weight], mine[weight], rtol=1e-3, atol=1e-4)


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def test_one_process_cuts_nothing() -> None:
    """It would hold all of it, and the memory that was counted would be another."""
    from sovereign.tune.shards import shard

    with pytest.raises(TuneError, match="there is one"):
        shard(torch.nn.Linear(2, 2), SimpleNamespace(num_processes=1))


@pytest.mark.parametrize(
    ("says", "overrides"),
    [
        ("cuts no quantized weights", ["train.shard=true", "train.quantize=nf4"]),
        ("cuts over several", ["train.shard=true", "privacy.epsilon=8"]),
    ],
)
def test_what_cannot_be_cut_is_refused_as_a_recipe(
    tmp_path: Path, says: str, overrides: list[str]
) -> None:
    """Before any process is started."""
    text = 'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 2\n'
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_recipe(tmp_path / "r.toml", overrides)
