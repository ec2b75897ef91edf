"""The lockfile is made for review, and is taken only as it was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import NotVerified
from sovereign.weights.lock import Base, Gate, Scan, dump, load, parse, seal_of
from sovereign.weights.store import Store


@pytest.fixture
def lock(store: Store, tiny: Path) -> Path:
    store.add_folder(tiny, name="tiny", licence="Apache-2.0")
    return store.lock


def test_it_is_sorted_indented_and_ends_with_a_newline(lock: Path) -> None:
    """One change is one line of a diff."""
    text = lock.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def edit(data: Any, *path: Any, to: Any) -> None:
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = to


FILE = ("models", "tiny", "files", 0)
SCAN = {"scanner": "picklescan", "version": "1", "verdict": "clean"}


@pytest.mark.parametrize(
    ("attack", "path", "to"),
    [
        ("another hash for a file", (*FILE, "sha256"), "0" * 64),
        ("another size", (*FILE, "size"), 1),
        ("a path out of the folder", (*FILE, "path"), "../x.json"),
        ("a size that is a float", (*FILE, "size"), 6.0),
        ("a file dropped", ("models", "tiny", "files"), []),
        ("another digest", ("models", "tiny", "digest"), "0" * 64),
        ("a digest that is no hash", ("models", "tiny", "digest"), "zz"),
        ("a kind nobody knows", ("models", "tiny", "kind"), "magic"),
        ("a short commit", ("models", "tiny", "commit"), "abc"),
        ("a key more", ("models", "tiny", "note"), "x"),
        ("another version", ("version",), 3),
        ("no models", ("models",), []),
        ("a licence that is no text", ("models", "tiny", "licence", "id"), None),
        ("another licence", ("models", "tiny", "licence", "id"), "MIT"),
        ("another licence text", ("models", "tiny", "licence", "sha256"), "0" * 64),
        ("another source", ("models", "tiny", "source"), "clinic/other"),
        ("another chat template", ("models", "tiny", "chat_template_sha256"), "0" * 64),
        ("a gate that nobody accepted", ("models", "tiny", "gate"), {"kind": "auto"}),
        (
            "a gate accepted afterwards",
            ("models", "tiny", "gate"),
            {"kind": "auto", "accepted_by": "x", "accepted_at": "2026-01-01T00:00:00Z"},
        ),
        ("a scan that was not done", ("models", "tiny", "scans"), [SCAN]),
        ("another seal", ("models", "tiny", "seal"), "0" * 64),
        ("no seal", ("models", "tiny", "seal"), None),
    ],
)
def test_a_lockfile_edited_by_hand_is_refused(
    lock: Path, attack: str, path: tuple[Any, ...], to: Any
) -> None:
    """Even where the JSON is fine and canonical: hashes, digest and shape must belong together."""
    data = json.loads(lock.read_text())
    edit(data, *path, to=to)
    lock.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
    with pytest.raises(NotVerified, match=r"sovereign\.lock"):
        load(lock)


@pytest.mark.parametrize(
    "change", [lambda t: t + "\n", lambda t: t.replace("  ", " "), lambda t: t[:9]]
)
def test_a_lockfile_that_is_not_canonical_is_refused(lock: Path, change: Any) -> None:
    """Two files that mean the same would be two answers to 'is this the same lock?'."""
    lock.write_text(change(lock.read_text()))
    with pytest.raises(NotVerified):
        load(lock)


def test_every_paper_survives_the_way_to_disk_and_back(lock: Path) -> None:
    """What is written is read again as it was, and each paper is under the seal."""
    (entry,) = load(lock).values()
    papers: dict[str, Any] = {
        "kind": "hub",
        "source": "clinic/Tiny",
        "commit": "c0ffee" + "0" * 34,
        "gate": Gate("manual", "A. Officer", "2026-11-26T10:00:00Z"),
        "base": Base("clinic/base", "main"),
        "scans": (Scan("picklescan", "1.0.5", "clean"),),
        "source_sha256": "a" * 64,
        "converter": {"torch": "2.13.0"},
    }
    full = dataclasses.replace(entry, **papers)
    assert parse(dump({"tiny": full}), "it") == {"tiny": full}
    assert full.purl == "pkg:huggingface/clinic/Tiny@c0ffee" + "0" * 34
    for name, value in papers.items():
        assert seal_of(dataclasses.replace(entry, **{name: value})) != seal_of(entry), name


def test_the_papers_are_read_off_the_files(lock: Path) -> None:
    """A reviewer can compute the licence's hash with sha256sum."""
    (entry,) = load(lock).values()
    assert entry.licence_sha256 == hashlib.sha256(b"Apache").hexdigest()
    told = json.dumps({"chat_template.jinja": "{{ messages }}"}, separators=(",", ":"))
    assert entry.chat_template == hashlib.sha256(told.encode()).hexdigest()
    assert entry.tokenizer
    assert entry.purl is None


def test_a_lockfile_of_the_first_version_says_what_to_do(lock: Path) -> None:
    """It had no papers, and none are invented for it."""
    lock.write_text(json.dumps({"version": 1, "models": {}}, indent=2, sort_keys=True) + "\n")
    with pytest.raises(NotVerified) as caught:
        load(lock)
    assert caught.value.hint is not None
    assert "pull again" in caught.value.hint
