"""``sovereign scan --engine ray``: the same findings, byte by byte.

Ray is never in our environment: `scripts/clients ray` gives it one of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from scan_everything import everything

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
PYTHON = CLIENTS / "clients-ray" / "bin" / "python"


@pytest.mark.skipif(
    not PYTHON.exists(),
    reason="Ray is not installed here: `scripts/clients ray` installs it",
)
def test_two_workers_of_ray_find_what_two_processes_find(tmp_path: Path) -> None:
    """Of every format, with the same key: findings.jsonl is the same file. Usage statistics, which
    Ray sends unless it is told not to, are off."""
    everything(tmp_path / "corpus", seed=3, size=80_000)
    local = [sys.executable, "-m", "sovereign", "scan", "corpus", "--policy", "direct"]
    run = subprocess.run(
        [*local, "--out", "local", "--jobs", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    (tmp_path / "ray").mkdir()
    shutil.copy(tmp_path / "local" / "scan.key", tmp_path / "ray")
    ours = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    on_ray = subprocess.run(
        [PYTHON, *local[1:], "--out", "ray", "--jobs", "2", "--engine", "ray"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ours},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert on_ray.stdout == run.stdout, on_ray.stderr
    found = [(tmp_path / out / "findings.jsonl").read_bytes() for out in ("local", "ray")]
    assert found[0] == found[1]


def test_without_ray_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line, before anything is read."""
    (tmp_path / "a.txt").write_text("nothing\n")
    run = subprocess.run(
        [sys.executable, "-m", "sovereign", "scan", "a.txt", "--policy=direct", "--engine=ray"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "pip install 'sovereign-toolkit[ray]'" in run.stderr
