"""Reads rows of conversations and texts, strictly, from JSONL, CSV, Parquet, datasets' folders and
folders of documents.

A row is ``{"messages": [...]}``, ``{"prompt": ..., "completion": ...}`` or ``{"text": ...}``,
optionally with an ``id`` and a ``group`` (a patient, an account). A document is a text, and its
name is its id. An error names file and line and never a word of the
row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, TuneError

__all__ = ["Message", "Row", "read_rows"]

Message = dict[str, str]
SHAPE = 'a row is {"messages": [{"role", "content"}, …]}, {"prompt", "completion"} or {"text"}'
TEXT = "text"
DOCUMENTS = {".md", ".txt"}
NAMES = {"id", "group"}


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation, or one text: a single message of the role "text". ``line`` counts from
    one; nothing else of it is ever shown."""

    line: int
    messages: tuple[Message, ...]
    id: str | None = None
    group: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is learnt whole, and no question can be asked of it."""
        return self.messages[0]["role"] == TEXT

    def __repr__(self) -> str:
        return f"Row(line={self.line}, messages={len(self.messages)})"


def read_rows(path: Path) -> tuple[list[Row], str]:
    """All rows of a file, of a datasets' folder, or of a folder of documents, and the SHA-256 of
    its bytes. Raises :class:`TuneError`."""
    read = _READERS.get(path.suffix.lower(), _jsonl) if not path.is_dir() else _folder
    try:
        files = sorted(path.glob("*.arrow")) if path.is_dir() else [path]
        if not files:
            files, read = _documents(path), _texts
        raw = [file.read_bytes() for file in files]
    except OSError as e:
        raise TuneError(f"{path}: {e.strerror}") from None
    rows = []
    for number, value in read(raw, path):
        rows.append(_row(number, value, f"{path}:{number}"))
    if not rows:
        raise TuneError(f"{path}: holds no row")
    digest = hashlib.sha256()
    for data in raw:
        digest.update(data)
    return rows, digest.hexdigest()


def _jsonl(raw: list[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    lines = raw[0].split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        try:
            yield number, json.loads(line.decode("utf-8"), object_pairs_hook=_pairs)
        except UnicodeDecodeError as e:
            raise _wrong(where, f"not UTF-8 at byte {e.start + 1}") from None
        except json.JSONDecodeError as e:
            said = f"not JSON at column {e.colno}" if line.strip() else "is empty"
            raise _wrong(where, said) from None
        except (ValueError, RecursionError):
            raise _wrong(where, "has the same key twice, or is too deep") from None


def _csv(raw: list[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = raw[0].decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise TuneError(f"{path}: not UTF-8 at byte {e.start + 1}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or []
    if len(set(names)) < len(names):
        raise TuneError(f"{path}: two columns have the same name")
    while True:
        try:
            value = next(reader, None)
        except csv.Error:
            raise _wrong(f"{path}:{reader.line_num + 1}", "is not CSV") from None
        if value is None:
            return
        if None in value or None in value.values():
            raise _wrong(f"{path}:{reader.line_num}", "has more or fewer cells than the header")
        yield reader.line_num, {k: v for k, v in value.items() if v or k not in NAMES}


def _parquet(raw: list[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("pyarrow", "tune") from None
    try:
        table = parquet.read_table(io.BytesIO(raw[0]))
    except Exception as e:  # noqa: BLE001 - its errors may quote what they read
        raise TuneError(f"{path}: no Parquet file ({type(e).__name__})") from None
    yield from enumerate(map(_unfilled, table.to_pylist()), 1)


def _folder(raw: list[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    """What ``datasets.Dataset.save_to_disk`` writes."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("pyarrow", "tune") from None
    number = 0
    for data in raw:
        try:
            table = pyarrow.ipc.open_stream(data).read_all()
        except Exception as e:  # noqa: BLE001 - as above
            raise TuneError(f"{path}: no Arrow stream ({type(e).__name__})") from None
        for value in table.to_pylist():
            number += 1
            yield number, _unfilled(value)


def _documents(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in DOCUMENTS and p.is_file())


def _texts(raw: list[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    for number, (file, data) in enumerate(zip(_documents(path), raw, strict=True), 1):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            raise TuneError(f"{file}: not UTF-8 at byte {e.start + 1}") from None
        yield number, {"text": text, "id": file.relative_to(path).as_posix()}


def _unfilled(value: dict[str, Any]) -> dict[str, Any]:
    """Columnar formats fill what a row does not have with null."""
    return {k: v for k, v in value.items() if v is not None or k not in NAMES}


_READERS: dict[str, Callable[[list[bytes], Path], Iterator[tuple[int, Any]]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
}


def _row(number: int, row: Any, where: str) -> Row:
    """``row`` as a :class:`Row`; the errors say what is wrong, and quote nothing."""
    if not isinstance(row, dict):
        raise _wrong(where, "has no list of messages")
    body = row.keys() - NAMES
    if body == {TEXT}:
        messages: Any = [{"role": TEXT, "content": row[TEXT]}]
    elif body == {"prompt", "completion"}:
        messages = [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["completion"]},
        ]
    else:
        messages = row.get("messages")
        if not isinstance(messages, list):
            raise _wrong(where, "has no list of messages")
        if body != {"messages"}:
            raise _wrong(where, "has a key other than messages, id and group")
    for name in NAMES & row.keys():
        if not isinstance(row[name], str) or not row[name]:
            raise _wrong(where, f"has a key other than messages and texts: {name} is none")
    _check(messages, where, ("text",) if body == {TEXT} else ("system", "user", "assistant"))
    if body != {TEXT}:
        _turns(messages, where)
    return Row(number, tuple(messages), row.get("id"), row.get("group"))


def _check(messages: list[Any], where: str, roles: tuple[str, ...]) -> None:
    for i, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            raise _wrong(where, f"message {i} is not a role and a content")
        if message["role"] not in roles:
            raise _wrong(where, f"message {i} has a role other than system, user and assistant")
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise _wrong(where, f"message {i} has no text")
        if any(0xD800 <= ord(c) <= 0xDFFF for c in message["content"]):
            raise _wrong(where, f"message {i} holds half a surrogate pair")


def _turns(messages: list[Any], where: str) -> None:
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    for i, message in enumerate(turns):
        if message["role"] != ("user", "assistant")[i % 2]:
            raise _wrong(where, "user and assistant do not take turns")
    if not turns or len(turns) % 2:
        raise _wrong(where, "does not end with the assistant's answer")


def _wrong(where: str, what: str) -> TuneError:
    return TuneError(f"{where}: {what}", hint=SHAPE)


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(items)
    if len(table) != len(items):
        raise ValueError
    return table
