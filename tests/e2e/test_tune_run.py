"""A short, real fine-tune of the real small model, through every room that it walks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.audit import record as audit_record
from sovereign.errors import NotVerified, ServeError, TuneError
from sovereign.tune import Recipe, RunRecord, find_recipe, load_recipe, run
from sovereign.tune.checkpoint import FILE as CHECKPOINT
from sovereign.tune.roll import Roll, content_of
from sovereign.tune.rows import read_rows
from sovereign.types import Receipt
from sovereign.weights.passport import admit
from sovereign.weights.store import Store

pytestmark = pytest.mark.model

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SHORT = ["train.steps=3", "train.batch=2", "lora.r=4", "eval.limit=4", "eval.batch=4"]
SHORT += ["eval.every=2", "eval.keep=best"]


class Memory:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def submit(self, record: Mapping[str, Any]) -> Future[Receipt]:
        self.records.append(dict(record))
        done: Future[Receipt] = Future()
        done.set_result(Receipt(0, bytes(32)))
        return done


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(find_recipe("scenarios/healthcare"), SHORT)


@pytest.fixture(scope="module")
def done(
    model_store: Store, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunRecord, Path, list[Any], Memory]:
    """One run that the tests below look at."""
    out = tmp_path_factory.mktemp("run")
    seen: list[Any] = []
    sink = Memory()
    made = run(recipe, model_store, out, progress=seen.append, sink=sink, key=KEY)
    return made, out, seen, sink


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_engine_finds_the_effect_that_the_passport_tells(
    done: tuple[RunRecord, Path, list[Any], Memory],
    model_store: Store,
    recipe: Recipe,
    dtype: str,
    tmp_path: Path,
) -> None:
    """After three steps it is small, and in bfloat16 it is found as well; half of it is not it."""
    from safetensors.torch import load_file, save_file

    from sovereign.serve.engines.model import load

    _, out, _, _ = done
    told = {"": json.loads((out / "run.json").read_bytes())["effect"]}
    base = model_store.get(recipe.model)
    options: Any = {"dtype": dtype, "max_context": 64}
    assert load(base, {"": out / "adapter"}, told, **options).effects[""] > 0
    if dtype == "float32":
        shutil.copytree(out / "adapter", tmp_path / "half")
        file = tmp_path / "half" / "adapter_model.safetensors"
        save_file({k: v / 2 if "lora_B" in k else v for k, v in load_file(file).items()}, file)
        with pytest.raises(ServeError, match="otherwise than its passport says"):
            load(base, {"": tmp_path / "half"}, told, **options)


def test_the_record_says_what_went_in_and_is_canonical(
    done: tuple[RunRecord, Path, list[Any], Memory], model_store: Store, recipe: Recipe
) -> None:
    """Base digest, data hash, counts, versions, adapter digest; and the passport beside the adapter
    says the same, because serve and auditors read one or the other."""
    made, out, _, _ = done
    raw = (out / "run.json").read_bytes()
    base = model_store.entry(recipe.model).digest
    assert raw == made.encode()
    assert admit(out / "adapter", base, [KEY.public_key()]).predicate == json.loads(raw)
    data = json.loads(raw)
    assert rfc8785.dumps(data) == raw
    assert data["base"]["digest"] == model_store.entry(recipe.model).digest
    rows = recipe.train_file.read_bytes()
    assert data["data"]["train"]["sha256"] == hashlib.sha256(rows).hexdigest()
    assert data["data"]["train"]["read"] == data["data"]["train"]["used"] == rows.count(b"\n")
    assert data["private"]["action"] == "allow"
    assert data["environment"]["torch"]
    assert data["training"]["steps"] == 3
    assert data["checks"]["weight_delta"] > 0
    assert data["checks"]["logits_moved"] > 1e-4
    assert data["checks"]["connections_refused"] == 0
    assert data["evaluation"]["before"] == {"exact": 0, "rows": 4}
    for file in data["adapter"]["files"]:
        content = (out / "adapter" / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_no_path_and_no_row_is_left_in_what_was_written(
    done: tuple[RunRecord, Path, list[Any], Memory], model_store: Store, recipe: Recipe
) -> None:
    """Adapters are shared. PEFT's own card and configuration hold the local path of the base."""
    _, out, _, _ = done
    answers = {
        json.loads(line)["messages"][1]["content"].encode()
        for line in recipe.train_file.read_text().splitlines()
    }
    files = [p for p in out.rglob("*") if p.is_file()]
    assert {p.name for p in files} >= {"adapter_model.safetensors", "README.md", "metrics.jsonl"}
    for file in files:
        raw = file.read_bytes()
        for path in (model_store.root, out, recipe.path.parent):
            assert str(path).encode() not in raw, file.name
        assert not [a for a in answers if a in raw], file.name
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == recipe.model
    assert not list(out.glob(".adapter*"))


def test_the_roll_says_which_rows_were_trained_on_and_is_for_its_owner(
    done: tuple[RunRecord, Path, list[Any], Memory], recipe: Recipe
) -> None:
    """Each row of the file is on it, by its words; no held-out row is."""
    made, out, _, _ = done
    roll = Roll.load(out / "roll.json", made.data["roll"]["root"])
    assert (out / "roll.json").stat().st_mode & 0o777 == 0o600
    assert all(roll.holds("row", content_of(row)) for row in read_rows(recipe.train_file)[0])
    assert recipe.eval_file is not None
    assert not any(roll.holds("row", content_of(row)) for row in read_rows(recipe.eval_file)[0])


def test_progress_and_metrics_tell_loss_speed_and_time_left(
    done: tuple[RunRecord, Path, list[Any], Memory],
) -> None:
    """What the bar, the plain lines and the demo draw from."""
    _, out, seen, _ = done
    assert [u.phase for u in seen if u.done == u.total] == [
        "load",
        "evaluate before",
        "train",
        "evaluate after",
    ]
    steps = [u for u in seen if u.phase == "train"]
    assert [u.done for u in steps] == [1, 2, 3]
    assert all(u.loss > 0 and u.tokens_per_s > 0 and u.left_s >= 0 for u in steps)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [m["loss"] for m in metrics] == [u.loss for u in steps]
    looked = {m["step"]: m["eval_loss"] for m in metrics if "eval_loss" in m}
    assert sorted(looked) == [2, 3]
    training = done[0].data["training"]
    assert training["eval_loss"] == round(min(looked.values()), 6)
    assert looked[training["kept_step"]] == min(looked.values())


def test_the_event_fits_the_audit_log(done: tuple[RunRecord, Path, list[Any], Memory]) -> None:
    """Names, counts and digests, in the log's own schema."""
    made, _, _, sink = done
    (event,) = sink.records
    audit_record.event(**event)
    assert event["adapter_digest"] == made.digest
    assert event["run_sha256"] == made.sha256


def test_the_adapter_loads_and_answers_as_it_did_in_training(
    done: tuple[RunRecord, Path, list[Any], Memory], model_store: Store, recipe: Recipe
) -> None:
    """Loaded by plain PEFT, it moves the logits of the plain base."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    _, out, _, _ = done
    folder = model_store.folder(model_store.entry(recipe.model))
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([[1, 520, 9531, 198]])
    with torch.no_grad():
        before = base(ids).logits
        tuned = PeftModel.from_pretrained(base, str(out / "adapter"))(ids).logits
    assert float((tuned - before).abs().max()) > 1e-2


def test_a_second_run_does_not_overwrite_the_first(
    done: tuple[RunRecord, Path, list[Any], Memory], model_store: Store, recipe: Recipe
) -> None:
    """Somebody may be serving it."""
    _, out, _, _ = done
    with pytest.raises(TuneError, match="is there already"):
        run(recipe, model_store, out, key=KEY)


def test_changed_weights_are_not_trained_on(
    model_store: Store, recipe: Recipe, tmp_path: Path
) -> None:
    """The base is verified first; nothing is written."""
    entry = model_store.entry(recipe.model)
    there = tmp_path / "store" / entry.name / entry.digest[:12]
    there.mkdir(parents=True)
    for file in entry.files:
        (there / file.path).hardlink_to(model_store.folder(entry) / file.path)
    (there / "config.json").unlink()
    (there / "config.json").write_text("{}")
    with pytest.raises(NotVerified, match=r"config\.json"):
        run(recipe, Store(tmp_path / "store", model_store.lock), tmp_path / "out", key=KEY)
    assert not (tmp_path / "out").exists()


def test_a_killed_run_leaves_no_adapter_and_goes_on_when_it_is_started_again(
    model_store: Store, tmp_path: Path
) -> None:
    """SIGKILL in the middle of training: nothing that looks like a result. The same command then
    begins after the last checkpoint, and leaves none."""
    command = [sys.executable, "-m", "sovereign", "tune", "run", "scenarios/healthcare"]
    command += ["--store", str(model_store.root), "--out", str(tmp_path / "out")]
    command += ["train.batch=1", "train.steps=6", "train.checkpoint_every=1", "eval.limit=1"]
    command += ["eval.before=false"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
    metrics = tmp_path / "out" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / CHECKPOINT).exists():  # of the first step, or a later one
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "out" / "adapter").exists()
    assert not (tmp_path / "out" / "run.json").exists()
    before = metrics.read_text()
    subprocess.run(command, check=True, capture_output=True)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert metrics.read_text().startswith(before[: before.index("\n") + 1])
    assert not (tmp_path / "out" / "checkpoint.safetensors").exists()
    assert (tmp_path / "out" / "adapter" / "passport.json").exists()


def test_a_full_disk_leaves_no_adapter(
    model_store: Store, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file size limit of the process stands in for the disk: the kernel refuses the write."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(TuneError, match="cannot be written"):
            run(recipe, model_store, tmp_path / "out", key=KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert not (tmp_path / "out" / "adapter").exists()
    assert not list((tmp_path / "out").glob(".adapter*"))
