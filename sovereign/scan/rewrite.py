"""A cleaned copy of a file, in its own format: text and logs, JSON lines, JSON and notebooks, CSV,
SQLite, Parquet, and what of these is compressed.

A copy is whole, or it is not there: it is written beside its place, scanned as anybody would scan
it, cleaned again if that finds anything, and only then put in its place. What cannot be rewritten
is not copied.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import lzma
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sovereign.scan.clean import Cleaner, dumped
from sovereign.scan.readers import json_reader, json_values, reader_for
from sovereign.scan.readers.csv_reader import CsvReader, Table, delimiter_of, titled
from sovereign.scan.readers.json_reader import JsonReader
from sovereign.scan.readers.lines import Block, blocks, encoding_of, text_of
from sovereign.scan.readers.logs import telling
from sovereign.scan.readers.packed import PackedReader, inner_name, packing, unpacked
from sovereign.scan.readers.parquet_reader import ParquetReader
from sovereign.scan.readers.sqlite_reader import SqliteReader
from sovereign.scan.readers.text import TextReader
from sovereign.scan.readers.transcoded import in_utf8
from sovereign.scan.readers.values import DECODER
from sovereign.scan.record import Source
from sovereign.scan.rewrite_tables import parquet, sqlite
from sovereign.scan.source import HEAD, OVERLAP, FileSource, OpenedSource, Stream, head_of

__all__ = ["NotRewritten", "rewrite"]

DOCUMENT = 64_000_000
"""Bytes of a JSON document, which is held whole."""
LINES = 5_000
"""Lines or rows that are held at once."""
PASSES = 4


class NotRewritten(Exception):
    """Why a file is not copied, in words that quote nothing."""


def rewrite(
    file: Path, to: Path, make: Callable[[], Cleaner], clean: Callable[[Path, str], bool]
) -> int:
    """Write the cleaned copy of ``file`` to ``to``; how many values were replaced. ``make`` gives a
    cleaner that knows nothing yet; ``clean`` scans a file as if it had a name, and says whether
    nothing is left in it. Raises :class:`NotRewritten`, and OSError."""
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [to.with_name(f".{to.name}.{n}.new") for n in range(2)]
    source = FileSource.of(file)
    now: Source = source
    replaced = 0
    try:
        for number in range(PASSES):
            new, cleaner = made[number % 2], make()
            with os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600), "w+b") as out:
                _copied(now, out, cleaner)
                out.flush()
                os.fsync(out.fileno())
            replaced += cleaner.replaced
            if clean(new, str(file)):
                new.replace(to)
                return replaced
            now = OpenedSource(source.name, new.stat().st_size, lambda new=new: new.open("rb"))  # type: ignore[misc]
        raise NotRewritten("something stays in it that the policy does not let out")
    finally:
        for new in made:
            new.unlink(missing_ok=True)


def _copied(source: Source, out: IO[bytes], cleaner: Cleaner) -> None:
    head, failure = head_of(source)
    if failure:
        raise NotRewritten(failure)
    reader = reader_for(source.name, head)
    if isinstance(reader, PackedReader):
        _packed(source, head, out, cleaner)
    elif isinstance(reader, TextReader):
        with Stream(source) as stream:
            _text(stream, out, cleaner)
            _whole(stream)
    elif isinstance(reader, JsonReader):
        _json(in_utf8(source) or source, out, cleaner)
    elif isinstance(reader, CsvReader):
        _csv(in_utf8(source) or source, out, cleaner)
    elif isinstance(reader, (SqliteReader, ParquetReader)):
        table = sqlite if isinstance(reader, SqliteReader) else parquet
        if why := table(source, out, cleaner):
            raise NotRewritten(why)
    elif reader.name == "unknown":
        raise NotRewritten("a file that is not read is not copied")
    else:
        raise NotRewritten(f"files of this kind ({reader.name}) are not rewritten")


def _whole(stream: Stream) -> None:
    if stream.failure:
        raise NotRewritten(stream.failure)


# ---- what is compressed --------------------------------------------------------------------------


def _packed(source: Source, head: bytes, out: IO[bytes], cleaner: Cleaner) -> None:
    inner = OpenedSource(inner_name(source.name), None, lambda: unpacked(source))
    kind = packing(head)
    if kind == "zst":
        from pyarrow import CompressedOutputStream, PythonFile

        with CompressedOutputStream(PythonFile(_Kept(out), mode="w"), "zstd") as packed:
            _copied(inner, packed, cleaner)
        return
    make: dict[str, Callable[[], Any]] = {
        "gz": lambda: gzip.GzipFile("", "wb", 6, out, mtime=0),
        "bz2": lambda: bz2.BZ2File(out, "wb"),
        "xz": lambda: lzma.LZMAFile(out, "wb"),  # noqa: SIM115 - closed below
    }
    with make[kind]() as packed:
        _copied(inner, packed, cleaner)


class _Kept(io.RawIOBase):
    """A file that is not closed by whoever packs into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


# ---- text ----------------------------------------------------------------------------------------


def _text(stream: Stream, out: IO[bytes], cleaner: Cleaner) -> None:
    """Lines. One that is too long for a piece is cleaned in pieces that overlap: each is written up
    to the middle of the overlap, or to where something begins that stands across it."""
    held = stream.read(HEAD)
    out.write(held[: encoding_of(held)[1]])
    done = 0  # characters of the line that were written already
    for block, after in itertools.pairwise(itertools.chain(blocks(stream, held), [None])):
        assert block is not None
        cut = after is not None and after.start > block.start
        if block.start or cut:
            done = _piece(block, done if block.start else 0, cut, out, cleaner)
            continue
        told = telling(block.text)
        text = _telling(block.text, cleaner) if told else cleaner.text(block.text)
        out.write(text.encode(block.encoding, "replace"))


def _piece(block: Block, done: int, cut: bool, out: IO[bytes], cleaner: Cleaner) -> int:
    text, at = block.text, max(0, done - block.start)
    edits = [e for e in cleaner.edits(text) if e[1] > at]
    stop = len(text) - OVERLAP // 2 if cut else len(text)
    for start, end, _ in edits:
        if start < stop < end:
            stop = start
    for start, end, new in edits:
        if start >= stop:
            break
        out.write((text[at : max(at, start)] + new).encode(block.encoding, "replace"))
        at = end
    out.write(text[at:stop].encode(block.encoding, "replace"))
    return block.start + stop


def _telling(text: str, cleaner: Cleaner) -> str:
    """Lines of which some may hold the JSON of a call: that is cleaned as JSON."""
    return "".join(_line(line, cleaner) for line in text.splitlines(keepends=True))


def _line(line: str, cleaner: Cleaner) -> str:
    start = line.find('{"')
    try:
        value, end = DECODER.raw_decode(line, start) if start >= 0 else (None, 0)
        if value is None:
            return cleaner.text(line)
        (made,) = cleaner.values([value])
    except (ValueError, RecursionError):
        return cleaner.text(line)
    inside = line[start:end] if made == value else "".join(dumped(made))
    return cleaner.text(line[:start]) + inside + cleaner.text(line[end:])


# ---- JSON ----------------------------------------------------------------------------------------


def _json(source: Source, out: IO[bytes], cleaner: Cleaner) -> None:
    with Stream(source) as stream:
        held = stream.read(json_values.LARGEST)
        if json_reader.lined(source.name, held):
            _valued(_lines(stream, held), out, cleaner)
            _whole(stream)
            return
        held += stream.read(DOCUMENT - len(held) + 1)
        _whole(stream)
    if len(held) > DOCUMENT:
        raise NotRewritten(f"a JSON document of over {DOCUMENT} bytes")
    if not _values([held], out, cleaner):
        raise NotRewritten("it is not valid JSON")


def _lines(stream: Stream, held: bytes) -> Iterator[bytes]:
    while True:
        more = stream.read(json_reader.CHUNK)
        held += more
        cut = held.rfind(b"\n") + 1 if more else len(held)
        yield from io.BytesIO(held[:cut])
        held = held[cut:]
        if len(held) > DOCUMENT:
            raise NotRewritten(f"a line of over {DOCUMENT} bytes")
        if not more:
            return


def _valued(lines: Iterator[bytes], out: IO[bytes], cleaner: Cleaner) -> None:
    """Lines, some thousand at a time."""
    while many := list(itertools.islice(lines, LINES)):
        _values(many, out, cleaner)


_INDENT = re.compile(r"\s*[\[{]\r?\n( *)")


def _values(lines: Sequence[bytes], out: IO[bytes], cleaner: Cleaner) -> bool:
    """Write JSON values, cleaned; whether all were some. A line that is none is text."""
    texts = [raw.decode("utf-8", "replace") for raw in lines]
    bodies = [text.strip("\ufeff \t\r\n") for text in texts]
    found = [json_values.parsed(b.encode()) if b[:1] in ("{", "[") else None for b in bodies]
    try:
        made = iter(cleaner.values([one[0] for one in found if one]))
    except RecursionError:
        raise NotRewritten("it is nested too deep") from None
    for raw, text, body, one in zip(lines, texts, bodies, found, strict=True):
        new = next(made) if one else None
        if one is None:
            out.write(cleaner.text(text).encode())
        elif new == one[0]:
            out.write(raw)
        else:
            indent = _INDENT.match(body)
            start = text.index(body)
            said = "".join(dumped(new, len(indent[1]) if indent else None))
            said = text[:start] + said + text[start + len(body) :]
            out.write(said.encode("utf-8", "backslashreplace"))
    return all(found)


# ---- CSV -----------------------------------------------------------------------------------------


def _csv(source: Source, out: IO[bytes], cleaner: Cleaner) -> None:
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 20))
    with Stream(source) as stream:
        held = stream.read(HEAD)
        if held.startswith(b"\xef\xbb\xbf"):
            out.write(held[:3])
            held = held[3:]
        delimiter = delimiter_of(source.name, held)
        table = Table(stream, held, delimiter)
        names: list[str] = []
        rows: Iterator[tuple[list[str], bytes]] = table.rows()
        first = next(rows, None)
        if first is not None and titled(first[0]):
            names = first[0]
            out.write(first[1])
        elif first is not None:
            rows = itertools.chain([first], rows)
        while many := list(itertools.islice(rows, LINES)):
            most = max(len(cells) for cells, _ in many)
            shown = [*names, *(f"column {n}" for n in range(len(names) + 1, most + 1))]
            made = cleaner.rows(shown, [cells for cells, _ in many])
            for (cells, raw), new in zip(many, made, strict=True):
                _row(cells, new, raw, delimiter, out)
        _whole(stream)
    if table.broken:
        raise NotRewritten("a broken table: a quote that is never closed")


def _row(cells: list[str], new: list[str], raw: bytes, delimiter: str, out: IO[bytes]) -> None:
    if new == cells:
        out.write(raw)
        return
    line = io.StringIO()
    ending = "\r\n" if raw.endswith(b"\r\n") else "\n" if raw.endswith(b"\n") else ""
    csv.writer(line, delimiter=delimiter, lineterminator=ending).writerow(new)
    out.write(line.getvalue().encode(text_of(raw)[1], "replace"))
