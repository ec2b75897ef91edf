"""`sovereign tune`, as a person meets it. A real run is in tests/e2e/test_tune_run.py."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sovereign.cli.tune import tune_command


def sovereign(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sovereign", "tune", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_ls_names_what_cp_and_run_take(tmp_path: Path) -> None:
    """From any folder, also after a plain install."""
    rows = json.loads(sovereign("ls", "--json", cwd=tmp_path).stdout)
    names = [row["name"] for row in rows]
    assert "scenarios/healthcare" in names
    assert "tune/lora_llama31_8b" in names
    assert all(name in sovereign("ls", cwd=tmp_path).stdout for name in names)


@pytest.mark.parametrize("name", ["scenarios/finance", "tune/lora_smollm2_135m"])
def test_a_copied_recipe_is_complete_and_never_overwrites(tmp_path: Path, name: str) -> None:
    """The rows come along, so that it can be checked where it lies."""
    done = sovereign("cp", name, "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    copied = tmp_path / "mine" / f"{name.partition('/')[2]}.toml"
    assert sovereign("check", copied, "--memory", "24GB", cwd=tmp_path).returncode == 0
    again = sovereign("cp", name, "mine", cwd=tmp_path)
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_check_says_what_does_not_fit_and_which_knob_to_turn(tmp_path: Path) -> None:
    """On a laptop, for a model that is not there."""
    done = sovereign("check", "tune/lora_llama31_8b", "--memory", "16GB", cwd=tmp_path)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error == "error: lora_llama31_8b does not fit into 16.0 GB"
    knobs = hint.removeprefix("hint: ").partition(" needs ")[0].split()
    turned = sovereign("check", "tune/lora_llama31_8b", *knobs, "--memory", "16GB", cwd=tmp_path)
    assert turned.returncode == 0, turned.stderr


def test_check_counts_for_machines(tmp_path: Path) -> None:
    """The same numbers as JSON."""
    done = sovereign("check", "tune/qlora_mistral_7b", "--memory", "16GB", "--json", cwd=tmp_path)
    plan = json.loads(done.stdout)
    assert plan["parameters"] == 7_248_023_552
    assert plan["fits"] is True
    assert plan["total"] == pytest.approx(sum(plan["bytes"].values()), abs=10)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["check", "nothing"], "no recipe named 'nothing'"),
        (["check", "nothing.toml"], "no such recipe"),
        (["check", "scenarios/finance", "train.lrr=1"], "unknown key train.lrr"),
        (["check", "scenarios/finance", "lr"], "is not key=value"),
        (
            ["check", "scenarios/finance", "model=unknown"],
            "'unknown' is none of the models that ship",
        ),
        (["check", "scenarios/finance", "train.max_length=9999"], "over the model's 8192"),
        (["check", "scenarios/finance", "--memory", "lots"], "no amount of memory"),
        (["check", "scenarios/finance", "data.train=gone.jsonl"], "No such file"),
        (["run", "scenarios/finance"], "sovereign.toml: no such file"),
        (["run", "scenarios/finance", "--store", "empty"], "no weights named"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, args: list[str], says: str
) -> None:
    """No trace of Python, and no folder."""
    done = sovereign(*args, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2 if "hint: " in done.stderr else -1].startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_check_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read while the network is closed, whatever a recogniser's library may try: here a
    reader that calls home, to somebody who listens."""

    def homesick(recipe: object, gate: object) -> None:
        with socket.create_connection(server.getsockname()):
            pass

    monkeypatch.setattr("sovereign.tune.prepare.prepare", homesick)
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = CliRunner().invoke(tune_command, ["check", "scenarios/finance"])
    assert isinstance(done.exception, ConnectionRefusedError)
    assert "the network is closed" in str(done.exception)


def test_ls_cp_and_check_import_no_torch() -> None:
    """They are for laptops, and for impatient people."""
    body = "import sys\nfrom sovereign.cli import main\nmain(['tune', 'ls'])\n"
    body += "main(['tune', 'check', 'scenarios/finance', '--memory', '9GB'])\n"
    body += "assert not {'torch', 'transformers', 'peft'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", body], check=True, capture_output=True)
