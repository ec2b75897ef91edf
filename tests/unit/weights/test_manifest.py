"""A manifest is read before anybody knows who wrote it."""

from __future__ import annotations

import json

import pytest

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights.lock import File
from sovereign.weights.manifest import LEAST, MOST_PARTS, Manifest, dump, parse

HASH = "0" * 64


def test_no_manifest_names_more_parts_than_have_a_place() -> None:
    """Some hundred bytes could name more parts than memory holds, and "part-100000.tar" would sort
    before "part-99999.tar"."""
    most = Manifest(LEAST, (File("a/b.json", LEAST * MOST_PARTS - 2048, HASH),), ())
    assert parse(dump(most)) == most
    assert sorted(most.parts) == list(most.parts)
    more = Manifest(LEAST, (File("a/b.json", LEAST * MOST_PARTS, HASH),), ())
    with pytest.raises(WeightsError, match="more than 99999 parts"):
        dump(more)
    rows = json.loads(dump(most)) | {"parts": MOST_PARTS + 1}
    rows["files"][0]["size"] = LEAST * MOST_PARTS
    raw = json.dumps(rows, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with pytest.raises(NotVerified, match="not a manifest"):
        parse(raw.encode())


def test_a_name_stands_once() -> None:
    """In the parts or beside them."""
    file = File("a/b.json", 1, HASH)
    for twice in (Manifest(LEAST, (file, file), ()), Manifest(LEAST, (file,), (file,))):
        with pytest.raises(NotVerified, match="named twice"):
            parse(dump(twice))
