"""Rows that are more than memory holds are read, looked through, split and turned into tokens."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.policy import load_policy
from sovereign.tune import spool
from sovereign.tune.data import Example, encode
from sovereign.tune.gate import Gate
from sovereign.tune.prepare import prepare
from sovereign.tune.recipe import load_recipe
from sovereign.tune.roll import Roll, content_of
from sovereign.tune.rows import Row, read_rows, spooled
from sovereign.turns import Tool

FEW, MANY = 50, 300
LONG = "A note about nothing in particular. " * 560  # 20 KB
BOUND = 100_000


def rows_of(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Note {n}?", "completion": f"{n}: {LONG}", "group": f"p{n % 7}"}
        for n in range(count)
    ]


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    file = tmp_path / "r.toml"
    said = 'name = "r"\nmodel = "m"\n[data]\ntrain = "rows.jsonl"\neval_share = 0.3\n'
    file.write_text(said + "[train]\nsteps = 1\n")
    return load_recipe(file)


def test_rows_of_six_megabytes_pass_in_one(
    tmp_path: Path, recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file through duplicates, groups, gate, roll and tokens: the peak of all that Python
    allocates stays far below what the rows are, and does not grow with their number. Nothing of
    them has a name on the disk."""
    monkeypatch.setattr(spool, "MEMORY", BOUND)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    gate = Gate.of(load_policy(preset="hipaa"), [], bytes(32))

    class Bytes:
        stops, controls = frozenset({1}), ("\1",)

        def render(self, messages: Any, *, prompt: bool, tools: Any = ()) -> str:
            return "".join(m["content"] + "\1" for m in messages)

        def tokens(self, text: str) -> list[int]:
            return list(text.encode()[:50])  # what a token takes is not what is measured

        document = tokens

    peaks = []
    sizes = []
    for count in (FEW, MANY):
        with (tmp_path / "rows.jsonl").open("w") as file:
            for row in [*rows_of(count), rows_of(1)[0]]:
                file.write(json.dumps(row) + "\n")
        sizes.append((tmp_path / "rows.jsonl").stat().st_size)
        gc.collect()
        tracemalloc.start()
        made = prepare(recipe, gate)
        roll = Roll.of(made.source, bytes(32))
        data = encode(_short(made.train), Bytes(), where="rows", max_length=200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert made.counts["duplicates"] == 1
        assert len(made.train) + len(made.held_out) == count
        assert not {r.group for r in made.train} & {r.group for r in made.held_out}
        assert all(roll.holds("row", content_of(made.train[i])) for i in range(3))
        assert len(data.examples) == len(made.train)
        assert list((tmp_path / "tmp").iterdir()) == []
    assert sizes[1] > 6_000_000
    assert max(peaks) < 1_000_000
    # What a row leaves is its digest and its place, hundreds of bytes of its twenty thousand. When
    # the collector runs is its own affair, hence a bound on the slope, not on the peaks' ratio.
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 10


def _short(rows: Any) -> Any:
    for row in rows:
        ask, said = row.messages
        yield Row(row.line, (ask, said | {"content": said["content"][:9]}))


@pytest.mark.parametrize("bound", [0, 10**9])
def test_what_comes_out_is_what_went_in(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory and on the disk, in any order, while more is added."""
    monkeypatch.setattr(spool, "MEMORY", bound)
    schema = {"type": "object", "properties": {"ä": {"default": None, "maximum": 1e30}}}
    rows = [
        Row(1, ({"role": "text", "content": "Grüße \x00 \u2028"},), id="a"),
        Row(2, ({"role": "user", "content": "x"},), None, "g", (Tool("f", "", schema),), True),
    ]
    kept = spooled(rows)
    assert kept[1] == rows[1]
    kept.append(rows[0])
    assert list(kept) == [*rows, rows[0]]
    assert kept[-1] == kept[0] == rows[0]
    assert kept[:2] == rows
    with pytest.raises(IndexError):
        kept[3]
    assert "Gr" not in repr(kept)


def test_tokens_come_out_as_they_went_in(letters: Any, jsonl: Any) -> None:
    """With the labels that are not learnt."""
    rows, _ = read_rows(jsonl({"prompt": "a", "completion": "b"}))
    made = encode(rows, letters, where="rows", max_length=99)
    assert made.examples[0] == Example(1, *zip(*_pairs(), strict=True))


def _pairs() -> list[tuple[int, int]]:
    return [(ord(c), ord(c) if c in "b" else -100) for c in "u:a\1\na:b"] + [(1, 1), (10, -100)]


def test_a_full_disk_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do about it."""
    kept = spooled()

    class Full:
        def seek(self, at: int) -> None: ...
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "_file", Full())
    with pytest.raises(TuneError, match="No space left") as caught:
        kept.append(Row(1, ({"role": "text", "content": "x"},)))
    assert "TMPDIR" in caught.value.hint
