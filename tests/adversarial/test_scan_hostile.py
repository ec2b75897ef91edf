"""Files made to hurt a scan, or that only look so: bounded work and memory, a word for whatever was
not read, and never an exception."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from scan_samples import MAIL, TEXT, samples, zipped
from scanned import items, read, records, seen, unread

from sovereign.scan.readers import bounds, open_reader, reader_for
from sovereign.scan.record import Record, Unread
from sovereign.scan.source import FileSource, OpenedSource

BOMB = "it unpacks to suspiciously much, so the rest was not unpacked"


class Endless(io.RawIOBase):
    """``size`` bytes that are made while they are read: nothing lies on a disk."""

    def __init__(self, start: bytes, again: bytes, end: bytes, size: int) -> None:
        self._parts = [start, *[again] * ((size - len(start) - len(end)) // len(again)), end]
        self._parts.reverse()
        self._left = b""

    def read(self, count: int = -1) -> bytes:
        while len(self._left) < count and self._parts:
            self._left += self._parts.pop()
        got, self._left = self._left[:count], self._left[count:]
        return got


def _peak(name: str, start: bytes, again: bytes, end: bytes, size: int) -> tuple[int, str, int]:
    """Bytes held at most while it is read, the last text, and how many were not read."""

    def opener() -> BinaryIO:
        return cast(BinaryIO, Endless(start, again, end, size))

    last, missed = "", 0
    reader = reader_for(name, start + again[:8000])
    tracemalloc.start()
    for item in reader.read(OpenedSource(name, None, opener)):
        if isinstance(item, Unread):
            missed += 1
            continue
        for record in records([seen(item)]):
            last = record.fields[-1].text if record.fields else last
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, last, missed


LONG = b"all work and no play makes jack a dull boy " * 20_000


@pytest.mark.parametrize(
    ("name", "start", "again", "end", "size"),
    [
        ("one-line.log", b"start ", LONG, MAIL.encode(), 300_000_000),
        ("one-string.json", b'[{"a": "', LONG, MAIL.encode() + b'"}]', 40_000_000),
        ("one-line.jsonl", b'{"a": "', LONG, MAIL.encode() + b'"}', 40_000_000),
        ("one-array.json", b"[", b'{"a": "%s", "b": [1]}, ' % LONG[:20_000] * 10,
         b'"' + MAIL.encode() + b'"]', 30_000_000),
        ("quote.csv", b'a,b\n1,"', LONG, MAIL.encode(), 40_000_000),
    ],
)  # fmt: skip
def test_one_line_of_any_length_is_read_to_its_end_in_bounded_memory(
    name: str, start: bytes, again: bytes, end: bytes, size: int
) -> None:
    """Ten gigabytes in one line take no more memory than one megabyte."""
    peak, last, missed = _peak(name, start, again, end, size)
    assert MAIL in last
    assert missed == (1 if name.endswith(".csv") else 0)
    assert peak < 40_000_000


def test_a_large_message_takes_a_few_times_its_size() -> None:
    """One of the largest that is read, 48 MB, has to leave room in 500."""
    size = 8_000_000
    start = b"From: a@b\nSubject: c\nMIME-Version: 1.0\n\n"
    line = b"all work and no play makes jack a dull boy, and his mail a long one\n" * 1_000
    peak, last, missed = _peak("large.eml", start, line, MAIL.encode(), size)
    assert MAIL in last
    assert not missed
    assert peak < 8 * size


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b'{"a": "' + b"\\u12" * 10,
        b'["' + b"\\" * 100_001,
        b"{" + b'"a":1,' * 100_000,
        b"[" + b"1" * 5_000 + b"]",
        b'{"messages": {"a": [[[[[]]]]]}, "model": 7, "choices": {}, "attributes": [7, null]}',
        b'{"request": [], "response": {}, "custom_id": {}, "body": 3}',
    ],
)
def test_json_that_is_nested_without_end_or_broken_is_read_or_reported(raw: bytes) -> None:
    """No stack of ours is as deep as a file can be."""
    for name in ("a.json", "a.jsonl"):
        found = read(name, raw)
        assert found
        assert all(isinstance(item, (Record, Unread)) for item in found)


def test_archives_that_nest_too_deep_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TEXT
    for depth in range(bounds.DEPTH + 2):
        data = zipped({f"{depth}.zip" if depth else "a.txt": data})
    assert unread(read("deep.zip", data)) == [f"containers nested deeper than {bounds.DEPTH}"]
    monkeypatch.setattr(bounds, "UNPACKED", 100_000)
    bomb = zipped({"a.zip": zipped({"a.txt": bytes(2_000_000)}), "b.txt": TEXT})
    assert BOMB in unread(read("bomb.zip", bomb)) or unread(read("bomb.zip", bomb))


def test_what_is_encrypted_or_lies_about_itself_is_reported_by_member() -> None:
    """The other members are read."""
    data = bytearray(zipped({"a.txt": TEXT, "b.txt": TEXT}))
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    found = read("a.zip", bytes(data))
    assert unread(found) == ["an encrypted member of an archive"]
    assert {r.member for r in records(found)} == {"b.txt"}
    wrong = bytearray(zipped({"a.txt": TEXT}))
    struct.pack_into("<I", wrong, 14, 7)  # its checksum
    struct.pack_into("<I", wrong, wrong.find(b"PK\x01\x02") + 16, 7)
    assert len(unread(read("a.zip", bytes(wrong)))) == 1


class Trap:
    """A pickle of it would be code."""

    def __reduce__(self) -> tuple[type[Trap], tuple[()]]:
        raise AssertionError


def test_a_pickle_is_never_loaded() -> None:
    data = pickle.dumps({"mail": MAIL})
    assert unread(read("model.pkl", data)) == ["a Python pickle, which is never loaded"]


@pytest.mark.parametrize("name", sorted(samples()))
def test_an_empty_file_of_any_name_holds_nothing(name: str) -> None:
    assert not records(read(name, b""))


def test_a_file_that_shrinks_grows_vanishes_or_is_shut_is_reported(tmp_path: Path) -> None:
    """Files change under a scan; what could be read is."""
    path = tmp_path / "app.log"
    path.write_bytes(TEXT)
    source = FileSource.of(path)
    path.write_bytes(TEXT[: len(TEXT) // 2])
    found = items(source)
    assert "".join(r.fields[0].text for r in records(found)).encode() == TEXT[: len(TEXT) // 2]
    assert unread(found) == ["it became shorter while it was read"]
    path.write_bytes(TEXT * 3)
    assert "".join(r.fields[0].text for r in records(items(source))).encode() == TEXT
    path.unlink()
    gone = open_reader(source)
    assert isinstance(gone, Unread)
    assert gone.reason == "it was gone when it was to be read"

    def shut() -> BinaryIO:
        raise PermissionError(13, "secret path")

    refused = open_reader(OpenedSource("a.log", 5, shut))
    assert isinstance(refused, Unread)
    assert refused.reason == "no permission to read it"


def test_no_text_is_in_a_repr() -> None:
    """A traceback or a log line of a scan shows nothing that was read."""
    for name, data in samples().items():
        shown = repr(read(name, data)[:20])
        assert MAIL not in shown
        assert "Zorblatt" not in shown


def test_a_mail_without_an_end_to_its_parts_is_reported() -> None:
    mail = b"Subject: x\nMIME-Version: 1.0\n"
    for number in range(60):
        mail += b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (number, number)
    assert unread(read("a.eml", mail)) == ["a damaged message"]


def test_a_compressed_stream_of_many_empty_ones_ends() -> None:
    """Each costs a decompressor, none a recursion."""
    found = read("a.log.gz", gzip.compress(b"") * 5_000 + gzip.compress(TEXT))
    assert "".join(r.fields[0].text for r in records(found)).encode() == TEXT
