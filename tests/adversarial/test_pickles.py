"""No file of picklescan's two malicious sets comes in: by its name, another, or converted."""

from __future__ import annotations

import json
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest
from malicious_pickles import SET_1, SET_2, both

from sovereign.errors import NotAdmitted
from sovereign.weights.admit import admit

EMPTY = b"\x02\0\0\0\0\0\0\0{}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    there = tmp_path / "model"
    there.mkdir()
    (there / "model.safetensors").write_bytes(EMPTY)
    assert admit(there) == ["model.safetensors"]
    return there


def test_the_sets_are_as_large_as_they_were_and_are_pickles() -> None:
    """Restated, they would be worth nothing if they had become empty words."""
    assert (len(SET_1), len(SET_2)) == (41, 62)
    calls = 0
    for _, data in both():
        try:
            calls += any(op.name in ("REDUCE", "INST") for op, _, _ in pickletools.genops(data))
        except (ValueError, UnicodeDecodeError):
            continue  # those that are broken on purpose, and archives
    assert calls > 80


def test_none_comes_in_under_its_own_name(folder: Path) -> None:
    """The name is enough, and it is in the message."""
    for name, data in both():
        (folder / name).write_bytes(data)
        with pytest.raises(NotAdmitted) as caught:
            admit(folder)
        assert caught.value.message.startswith(f"{name}: ")
        (folder / name).unlink()


@pytest.mark.parametrize(
    "disguise", ["weights.safetensors", "tokenizer.model", "config.json", "tokenizer.json"]
)
def test_none_comes_in_under_a_name_that_is_admitted(folder: Path, disguise: str) -> None:
    """Content is held against the name: nothing that a loader would open can be a pickle."""
    for name, data in both():
        (folder / disguise).write_bytes(data)
        with pytest.raises(NotAdmitted, match=disguise):
            admit(folder)
            pytest.fail(name)


CONVERT_ALL = """
import json, os, sys
from pathlib import Path
from sovereign.errors import WeightsError
from sovereign.weights import cage, unpickle
source, out = map(Path, sys.argv[1:])
os.environ["TMPDIR"] = str(out)
cage.close(read=[source], write=out)
taken = []
for file in sorted(source.iterdir()):
    try:
        unpickle._convert(file, out)
        taken.append(file.name)
    except WeightsError:
        pass
print(json.dumps([taken, [p.name for p in out.iterdir()]]))
"""


def test_none_is_converted(tmp_path: Path) -> None:
    """torch's weights_only loads none of them, in the process that could do nothing anyhow."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for name, data in both():
        (source / f"{name}.bin").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CONVERT_ALL, source, out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], []]
