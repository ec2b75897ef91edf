"""Compressed streams: what is inside is read as what it is; what is broken is kept up to there."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable

import pyarrow
import pytest
from scanned import misplaced, read, records, unread

from sovereign.scan.readers import bounds

LINES = b"".join(b"line %d of ada@example.org\n" % n for n in range(20_000))


def _zst(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": _zst}


@pytest.mark.parametrize(("ending", "pack"), PACKED.items())
def test_what_is_inside_is_read_with_its_own_places(
    ending: str, pack: Callable[[bytes], bytes]
) -> None:
    """Two streams that follow each other, as appending programs write them, are one text."""
    found = read(f"app.log.{ending}", pack(LINES) + pack(b"second\n"))
    assert "".join(r.fields[0].text for r in records(found)).encode() == LINES + b"second\n"
    assert not misplaced(LINES + b"second\n", found)
    assert not unread(found)


@pytest.mark.parametrize(("ending", "pack"), PACKED.items())
def test_what_was_read_before_the_end_is_kept_and_the_rest_reported(
    ending: str, pack: Callable[[bytes], bytes]
) -> None:
    """A log that was cut off while it was written still holds what leaked before."""
    noise = b"".join(b"%d %d\n" % (n, n * n * 7919 % 1_000_003) for n in range(150_000))
    packed = pack(noise)
    found = read(f"app.log.{ending}", packed[: len(packed) * 2 // 3])
    got = "".join(r.fields[0].text for r in records(found)).encode()
    assert len(got) > len(noise) // 4
    assert noise.startswith(got)
    assert len(unread(found)) == 1


def test_the_kind_of_what_is_inside_is_seen_by_its_bytes() -> None:
    found = read("export.gz", gzip.compress(b'{"a": "one"}\n{"a": "two"}\n'))
    assert [f.path for r in records(found) for f in r.fields] == ["a", "a"]


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded work: a small file may not cost an hour, however often it is packed."""
    monkeypatch.setattr(bounds, "UNPACKED", 100_000)
    data = b"ada@example.org\n" * 200_000
    assert not unread(read("a.log.gz", gzip.compress(data)))
    bomb = gzip.compress(gzip.compress(data))
    assert unread(read("a.log.gz.gz", bomb)) == [
        "it unpacks to suspiciously much, so the rest was not unpacked"
    ]
