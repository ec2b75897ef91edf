"""The lockfile is made for review, and is taken only as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import NotVerified
from sovereign.weights.lock import load
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
        ("another version", ("version",), 2),
        ("no models", ("models",), []),
        ("a licence that is no text", ("models", "tiny", "licence"), None),
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
