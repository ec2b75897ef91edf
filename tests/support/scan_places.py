"""What stands where the scan says that something does, in the files of ``scan_everything``: read by
the libraries that everybody uses, and not by the scan's own readers."""

from __future__ import annotations

import bz2
import email
import gzip
import html
import io
import json
import lzma
import re
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

__all__ = ["at_its_place"]

Place = Callable[[dict[str, Any]], str]
"""Of a finding, the text at its place."""


def at_its_place(finding: dict[str, Any]) -> str:
    """The text at the place of a finding of ``findings.jsonl``: by its bytes, where it has them,
    else by its row or value, its field and its characters; empty if nothing is known of there.
    Findings of one file should follow each other: one file is held."""
    return _of(Path(finding["file"]))(finding)


@lru_cache(1)
def _of(file: Path) -> Place:
    data = file.read_bytes()
    if file.name in _CELLS:
        return partial(_cell, _CELLS[file.name](data))
    return partial(_bytes, dict(_members(file.name, data)), _page(file.name, data))


def _bytes(members: dict[str, bytes], page: str, finding: dict[str, Any]) -> str:
    start, length = finding["offset"], finding["length"]
    if start is None:
        return page[finding["start"] : finding["end"]]
    wide = finding["file"].endswith("wide.txt")
    found = members[finding["member"]][start : start + length]
    return found.decode("utf-16-le" if wide else "utf-8", "replace")


def _cell(cells: dict[str, list[str]], finding: dict[str, Any]) -> str:
    texts = cells.get(finding["field"], [])
    number = finding["number"] - 1
    return texts[number][finding["start"] : finding["end"]] if number < len(texts) else ""


def _members(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Of an archive or a mailbox what is inside it, by its name; else what is compressed."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from ((one, archive.read(one)) for one in archive.namelist())
    elif name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for info in tar:
                held = tar.extractfile(info)
                assert held is not None
                yield info.name, held.read()
    elif name.endswith(".eml"):
        for number, raw in enumerate(re.split(rb"^From a .*\n", data, flags=re.MULTILINE)[1:], 1):
            yield from _attached(raw, number)
        yield from _attached(data, 1) if not data.startswith(b"From a ") else ()
    else:
        yield "", _UNPACK.get(name.rpartition(".")[2], bytes)(data)


def _attached(raw: bytes, number: int) -> Iterator[tuple[str, bytes]]:
    for part in email.message_from_bytes(raw).walk():
        content = part.get_payload(decode=True)
        if part.get_filename() and isinstance(content, bytes):
            yield f"message {number}!/{part.get_filename()}", content


def _page(name: str, data: bytes) -> str:
    """What a reader of a page sees: what is a block begins and ends with a line."""
    if not name.endswith(".html"):
        return ""
    lined = re.sub("</?(p|body|html)>", "\n", data.decode())
    return html.unescape(re.sub("<[^>]*>", "", lined))


def _parquet(data: bytes) -> dict[str, list[str]]:
    return {"note": pyarrow.parquet.read_table(io.BytesIO(data)).column("note").to_pylist()}


def _sqlite(data: bytes) -> dict[str, list[str]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data)
        return {"note": [note for (note,) in database.execute("SELECT note FROM bill ORDER BY id")]}


def _json(data: bytes) -> dict[str, list[str]]:
    return {"records[].note": [one["note"] for one in json.loads(data)["records"]]}


def _book(data: bytes) -> dict[str, list[str]]:
    """Values are counted, and before the cells stand the others."""
    book = json.loads(data)
    before = [""] * list(book).index("cells")
    return {"cells[].source": before + ["".join(cell["source"]) for cell in book["cells"]]}


def _zst(data: bytes) -> bytes:
    packed = pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd")
    return bytes(packed.read())


_CELLS: dict[str, Callable[[bytes], dict[str, list[str]]]] = {
    "rows.parquet": _parquet,
    "rows.sqlite": _sqlite,
    "call.json": _json,
    "book.ipynb": _book,
}
"""Files whose findings are told by their row or value, and their field."""
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.decompress,
    "bz2": bz2.decompress,
    "xz": lzma.decompress,
    "zst": _zst,
}
