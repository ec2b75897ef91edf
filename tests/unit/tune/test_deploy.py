"""What launches a fine-tune on several GPUs, up to the launch: none of them is here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.launch import hold

DEPLOY = Path(__file__).resolve().parents[3] / "recipes" / "deploy"


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_a_launcher_that_cuts_the_model_into_parts_is_refused(kind: str) -> None:
    """Each process would save its part of the update, and call it the whole."""
    accelerator: Any = SimpleNamespace(distributed_type=SimpleNamespace(value=kind))
    with pytest.raises(TuneError, match=kind):
        hold(accelerator)


def test_copies_of_the_model_are_not_refused() -> None:
    """One process, or one for each GPU or CPU."""
    for kind in ("NO", "MULTI_GPU", "MULTI_CPU"):
        hold(SimpleNamespace(distributed_type=SimpleNamespace(value=kind)))


def test_accelerate_reads_its_configuration() -> None:
    """With its own reader, which refuses keys that it does not know."""
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    config: Any = load_config_from_file(str(DEPLOY / "ddp.yaml"))
    assert (config.num_machines, config.num_processes) == (1, 4)
    assert config.mixed_precision == "no"


def test_the_slurm_script_launches_our_script_on_every_node(tmp_path: Path) -> None:
    """Run with stand-ins for SLURM's programs, which say what they were asked."""
    for name, body in (("scontrol", "echo node7; echo node8"), ("srun", 'echo "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:{os.defpath}",
        "RECIPE": "mine.toml",
        "OUT": "runs/mine",
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "42",
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_CPUS_PER_TASK": "32",
    }
    command = ["bash", str(DEPLOY / "finetune.sbatch")]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    launched = "torchrun --nnodes 2 --nproc_per_node 4 --max-restarts 2"
    meeting = "--rdzv_id 42 --rdzv_backend c10d --rdzv_endpoint node7:29500"
    assert said.strip() == f"{launched} {meeting} scripts/finetune.py mine.toml --out runs/mine"
    del env["RECIPE"]
    failed = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert "name a recipe" in failed.stderr
