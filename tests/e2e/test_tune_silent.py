"""A fine-tune speaks to nobody and leaves no words of a row: the whole road, as commands, watched
by the kernel's own trace of every process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from families import make_base

SUPPORT = Path(__file__).resolve().parents[1] / "support"
ROWS = 24
TRAINED = [f"Quevanwick{n:02d}" for n in range(ROWS)]
ASKED = [f"Ostrabourne{n:02d}" for n in range(12)]
BESIDES = [f"Lumefarth{n:02d}" for n in range(4)]
SECRETS = [f"{n + 11}7-60-{4400 + n * 7}" for n in range(ROWS)]
REACHES = re.compile(r"\b(connect|bind|sendto|sendmsg|sendmmsg)\(.*AF_INET")
PROBE = re.compile(r'\bbind\(.*sin6_port=htons\(0\).*"::1"')
"""urllib3 asks so, when it is imported, whether this machine has IPv6. Nothing leaves by it."""

SOVEREIGN = (sys.executable, "-m", "sovereign")
TRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=%network", "-o")

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None and not os.environ.get("CI"), reason="strace is not here"
)


class Road(NamedTuple):
    """What was left: the folder of everything, what was printed, and one trace a command."""

    folder: Path
    printed: dict[str, str]
    traces: dict[str, str]


def _rows(folder: Path) -> None:
    """Each row with a name and a number that stand nowhere else, and that the gate finds."""

    def write(name: str, rows: list[dict[str, str]]) -> None:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(
        "rows.jsonl",
        [
            {
                "prompt": f"What is the number of {name}?",
                "completion": f"SSN: {number}, ward of {name}.",
                "id": f"row-{name}",
                "group": f"patient-{name}",
            }
            for name, number in zip(TRAINED, SECRETS, strict=True)
        ],
    )
    write("eval.jsonl", [{"prompt": f"Where is {n}?", "completion": f"At {n}."} for n in ASKED])
    write("other.jsonl", [{"prompt": f"Who is {n}?", "completion": f"It is {n}."} for n in BESIDES])


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """`check`, `run` with its audit, and `export` to safetensors and GGUF, each in a process."""
    folder = tmp_path_factory.mktemp("silent")
    for name in ("home", "tmp", "work", "tool"):
        (folder / name).mkdir()
    work = folder / "work"
    _rows(work)
    base = make_base("chatml", folder / "base")
    (work / "r.toml").write_text(
        'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\neval = "eval.jsonl"\n'
        '[private]\naction = "allow"\nreason = "made up"\n'
        "[train]\nsteps = 6\nbatch = 4\ncheckpoint_every = 2\nmax_length = 200\n"
        'threads = 1\nlr = 0.01\nprecision = "fp32"\n'
        '[eval]\nevery = 3\n[general]\nrows = "other.jsonl"\n'
        "[memorization]\ncanaries = 2\nevery = 3\ncandidates = 10\nrows = 8\n"
    )
    shutil.copy(SUPPORT / "to_gguf.py", folder / "tool" / "convert_hf_to_gguf.py")
    made = work / "out" / "adapter"
    convert = ("--gguf", work / "m.gguf", "--converter", folder / "tool" / "convert_hf_to_gguf.py")
    begin = [("init",), ("weights", "import", base, "--name", "tiny", "--licence", "MIT")]
    key = ("--key", work / "us.pem")
    commands = {
        "check": ("check", "r.toml"),
        "run": ("run", "r.toml", "--out", "out"),
        "key": ("key",),
        "export": ("export", made, "merged", "--dtype", "float32", *convert, *key),
    }
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LANG")}
    env |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    common: dict[str, Any] = {"cwd": work, "env": env, "capture_output": True, "text": True}
    for words in begin:
        subprocess.run([*SOVEREIGN, *words], **common, check=True)
    printed, traces = {}, {}
    for name, command in commands.items():
        log = folder / f"{name}.trace"
        traced = [*TRACE, log, *SOVEREIGN, "tune", *command]
        done = subprocess.run(traced, **common, check=False)
        printed[name] = done.stdout + done.stderr
        assert done.returncode == 0, printed[name]
        traces[name] = log.read_text()
        if name == "key":
            (work / "us.pem").write_text(done.stdout)
    return Road(folder, printed, traces)


def test_no_process_of_check_run_audit_or_export_reaches_for_the_network(road: Road) -> None:
    """No address of the internet's is connected to, sent to, bound or asked for a name by any of
    them, llama.cpp's converter and whatever else they start among them."""
    for name, trace in road.traces.items():
        reached = [line for line in trace.splitlines() if REACHES.search(line)]
        assert not [line for line in reached if not PROBE.search(line)], name
    made = json.loads((road.folder / "work" / "out" / "run.json").read_bytes())
    assert made["checks"]["connections_refused"] == 0
    assert made["memorization"]["extraction"]["probed"] > 5, "the audit asked"
    assert (road.folder / "work" / "m.gguf").stat().st_size > 100_000


def test_the_trace_sees_a_connection(tmp_path: Path) -> None:
    """One that fails, in a process of a process, as a converter's would be."""
    code = "import socket; socket.socket(socket.AF_INET).connect_ex(('127.0.0.1', 9))"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    trace = tmp_path / "trace"
    subprocess.run([*TRACE, trace, sys.executable, "-c", start], check=True)
    assert REACHES.search(trace.read_text())


def test_no_words_of_a_row_are_left_in_any_file_or_line(road: Road) -> None:
    """Adapter, merged model, GGUF, card, passport, report, metrics, roll, audit log, what is
    printed, what lies in the folders for temporary files and in the home: no name, number, id or
    group. Only the three files of rows have them: the search finds what is there."""
    words = [w.encode() for w in (*TRAINED, *ASKED, *BESIDES, *SECRETS)]
    said = {path: path.read_bytes() for path in road.folder.rglob("*") if path.is_file()}
    said |= {Path("printed") / name: text.encode() for name, text in road.printed.items()}
    said |= {Path("traced") / name: text.encode() for name, text in road.traces.items()}
    tell = {path for path, data in said.items() if any(word in data for word in words)}
    work = road.folder / "work"
    assert tell == {work / name for name in ("rows.jsonl", "eval.jsonl", "other.jsonl")}
    names = {path.name for path in said}
    assert names >= {"README.md", "passport.json", "report.html", "roll.json", "m.gguf"}
    assert names >= {"metrics.jsonl", "merged.json", "run", "export"}
    assert (work / ".sovereign" / "audit").is_dir(), "the log was read"
    left = [path for path in (road.folder / "tmp").rglob("*") if path.is_file()]
    assert not left
