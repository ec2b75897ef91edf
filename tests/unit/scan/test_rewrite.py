"""A cleaned copy is whole and clean, or it is not there."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nine_digits import NineDigits

from sovereign.guard.scan import Scanner
from sovereign.policy import load_policy
from sovereign.scan.clean import Cleaner, dumped
from sovereign.scan.look import Look
from sovereign.scan.readers.values import DECODER
from sovereign.scan.rewrite import NotRewritten, rewrite
from sovereign.scan.source import LONGEST, OVERLAP
from sovereign.types import Finding as Seen

TAG = re.compile(r"US_SSN_[A-Z2-7]{8}")


@pytest.fixture
def cleaner() -> Cleaner:
    look = Look(Scanner([NineDigits()], cache_key=b"k" * 32), load_policy(preset="hipaa"))
    return Cleaner(look, b"k" * 32, "team")


def _clean(copy: Path, name: str) -> bool:
    return re.search(rb"(?<!\d)\d{9}(?!\d)", copy.read_bytes()) is None


def _copied(cleaner: Cleaner, folder: Path, name: str, data: bytes) -> bytes:
    (folder / name).write_bytes(data)
    rewrite(folder / name, folder / "to" / name, lambda: cleaner, _clean)
    return (folder / "to" / name).read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_a_line_of_many_pieces_is_cleaned_wherever_it_is_cut(
    cleaner: Cleaner, tmp_path: Path, seed: int
) -> None:
    """Values at and across every edge of every piece; every other character stays."""
    rng = random.Random(seed)
    step = LONGEST - OVERLAP
    text = [rng.choice("xé ") for _ in range(4 * step)]
    last = -20
    places = [k * step + d for k in range(4) for d in (0, OVERLAP // 2, OVERLAP - 5, OVERLAP)]
    for at in sorted(max(1, p + rng.randrange(-9, 9)) for p in places):
        if at > last + 12 and at < len(text) - 11:
            text[at - 1 : at + 10] = f" {rng.randrange(10**8, 10**9)} "
            last = at
    whole = "".join(text)
    copy = _copied(cleaner, tmp_path, "a.txt", f"one\n{whole}\ntwo\n".encode()).decode()
    wanted = re.sub(r"\d{9}", "#", f"one\n{whole}\ntwo\n")
    assert TAG.sub("#", copy) == wanted


def test_json_stays_json_and_what_was_clean_stays_byte_by_byte(
    cleaner: Cleaner, tmp_path: Path
) -> None:
    """Names that stand twice, numbers as they were written, JSON in strings, lists of lines; a
    number that was somebody's becomes a string."""
    clean = b'{"a":1.50,  "a": 1e5, "c": "\\u00e9"}\n'
    inner = json.dumps({"id": 123456789, "x": [1]})
    lines = json.dumps({"n": 123456789, "s": inner, "l": ["a\n", "123456789\n", "b"]})
    copy = _copied(cleaner, tmp_path, "a.jsonl", clean + lines.encode() + b"\nno JSON 123456789\n")
    first, second, third = copy.splitlines(keepends=True)
    assert first == clean
    said: dict[str, Any] = json.loads(second)
    tag = said["n"]
    assert TAG.fullmatch(tag)
    assert json.loads(said["s"]) == {"id": tag, "x": [1]}
    assert said["l"] == ["a\n", f"{tag}\n", "b"]
    assert third.decode() == f"no JSON {tag}\n"


def test_a_document_keeps_its_indent(cleaner: Cleaner, tmp_path: Path) -> None:
    """As notebooks are kept, one value a line."""
    book = {"cells": [{"source": ["x = 123456789\n", "y"], "n": []}], "nbformat": 4}
    copy = _copied(cleaner, tmp_path, "a.ipynb", json.dumps(book, indent=1).encode() + b"\n")
    text = copy.decode()
    tag = TAG.search(text)
    assert tag is not None
    book["cells"][0]["source"][0] = f"x = {tag[0]}\n"  # type: ignore[index]
    assert text == json.dumps(book, indent=1) + "\n"


def test_a_table_keeps_its_rows_its_delimiter_and_its_line_ends(
    cleaner: Cleaner, tmp_path: Path
) -> None:
    """Rows without a finding byte by byte, quotes that were not needed too."""
    data = b'id;note\r\n"1";"it ""was"" so"\r\n2;"a; 123456789"\r\n'
    copy = _copied(cleaner, tmp_path, "a.csv", data).decode()
    assert TAG.sub("#", copy) == 'id;note\r\n"1";"it ""was"" so"\r\n2;"a; #"\r\n'


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.log.gz", gzip.compress(b"123456789\n" * 9_000)[:-20], "cut off"),
        ("a.json", b'{"a": 123456789, "b": ', "not valid JSON"),
        ("a.csv", b'id,note\n1,"never closed 123456789\n' + b"x\n" * 700_000, "never closed"),
        ("a.eml", b"From: a@b.example\nSubject: x\n\n123456789\n", "not rewritten"),
        ("a.bin", bytes(range(256)) * 9, "not read"),
    ],
)
def test_what_cannot_be_rewritten_is_not_copied(
    cleaner: Cleaner, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    """No half of it, and nothing beside it."""
    with pytest.raises(NotRewritten, match=why):
        _copied(cleaner, tmp_path, name, data)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_copy_in_which_something_stays_is_not_put_in_its_place(
    cleaner: Cleaner, tmp_path: Path
) -> None:
    """Cleaned again, and then given up."""
    (tmp_path / "a.txt").write_text("123456789\n")
    looked = []

    def never(copy: Path, name: str) -> bool:
        looked.append(name)
        return False

    with pytest.raises(NotRewritten, match="stays in it"):
        rewrite(tmp_path / "a.txt", tmp_path / "to" / "a.txt", lambda: cleaner, never)
    assert len(looked) == 4
    assert list((tmp_path / "to").iterdir()) == []


def test_a_surrogate_is_no_finding_and_what_only_looks_like_one_is(cleaner: Cleaner) -> None:
    """Else a cleaned log would be full of findings; and nothing may hide behind a first word that
    is no entity's."""

    class Anything(NineDigits):
        def recognize(self, text: str) -> Iterator[Seen]:
            for found in re.finditer(r"[A-Z2-7]{8}\b", text):
                yield Seen((), found.start(), found.end(), "US_SSN", 1.0, "numbers")

    look = Look(Scanner([Anything()], cache_key=b"k" * 32), load_policy(preset="hipaa"))
    of = Cleaner(look, b"k" * 32, "team")
    assert of.text("by US_SSN_ABCDEFGH and") == "by US_SSN_ABCDEFGH and"
    for other in ("ACCT_ABCDEFGH", "xUS_SSN_ABCDEFGH", "ABCDEFGH"):
        assert of.text(f"by {other} and") != f"by {other} and"


def test_what_is_dumped_is_what_was_read() -> None:
    """Also with an indent, and when it is empty."""
    text = '{"a": [1.50, {"b": null, "b": true}, [], {}], "é\\n": "\\"x\\""}'
    value = DECODER.decode(text)
    assert "".join(dumped(value)) == text
    assert DECODER.decode("".join(dumped(value, 2))) == value
