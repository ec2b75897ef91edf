"""The same training in other shapes: two processes, and weights in four bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.tune import find_recipe, load_recipe, run
from sovereign.weights.store import Store

pytestmark = pytest.mark.model

REPO = Path(__file__).resolve().parents[2]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SHORT = ["train.precision=fp32", "lora.r=4", "train.batch=2", "train.steps=2"]
SHORT += ["eval.before=false", "eval.limit=1"]


def _losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def _ranks(launcher: int) -> list[int]:
    """The processes that torchrun started."""
    found = Path(f"/proc/{launcher}/task/{launcher}/children").read_text()
    return [int(pid) for pid in found.split()]


def test_two_processes_of_which_one_is_killed_make_the_curve_of_one(
    model_store: Store, tmp_path: Path
) -> None:
    """torchrun on two, against one process that accumulates two passes: equal losses, because the
    mean is over the learnt tokens of the whole step, wherever they are. One rank is killed on the
    way, and torchrun ends; the same command then goes on from the last checkpoint."""
    steps = [*SHORT, "train.steps=4", "train.checkpoint_every=1", "eval.every=2"]
    env = os.environ | {
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--standalone", "--local-addr", "127.0.0.1"]
    command += [str(REPO / "scripts" / "finetune.py"), "scenarios/healthcare", *steps]
    command += ["--store", str(model_store.root), "--out", str(tmp_path / "two")]
    running = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "two" / "checkpoint.safetensors"
    deadline = time.monotonic() + 240
    while not checkpoint.exists():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(_ranks(running.pid)[-1], signal.SIGKILL)
    assert running.wait() != 0
    assert not (tmp_path / "two" / "adapter").exists()
    assert checkpoint.exists()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    recipe = load_recipe(find_recipe("scenarios/healthcare"), [*steps, "train.accumulate=2"])
    one = run(recipe, model_store, tmp_path / "one", key=KEY)
    two = json.loads((tmp_path / "two" / "run.json").read_bytes())
    assert two["world"] == 2
    assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-4)
    training = one.data["training"]
    assert two["training"]["eval_loss"] == pytest.approx(training["eval_loss"], rel=1e-4)
    assert two["training"]["tokens"] == training["tokens"]
    assert not checkpoint.exists()


def test_four_bit_weights_train_on_this_cpu(model_store: Store, tmp_path: Path) -> None:
    """bitsandbytes 0.50.2 repacks NF4 weights in the first forward pass on some CPUs, and from then
    on gradients are zero with only a warning. Here an evaluation comes first, then every step has
    a gradient, and the update moves the logits."""
    quick = [*SHORT, "train.quantize=nf4", "train.batch=1", "eval.before=true"]
    recipe = load_recipe(find_recipe("scenarios/healthcare"), quick)
    made = run(recipe, model_store, tmp_path / "out", key=KEY)
    metrics = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["grad_norm"] > 0 for line in metrics)
    assert made.data["checks"]["logits_moved"] > 1e-3
