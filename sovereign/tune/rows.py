"""Reads rows of conversations and texts, strictly, from JSONL, CSV, Parquet, datasets' folders and
folders of documents, one after the other: no file is held in memory as a whole.

A row is ``{"messages": [...]}``, perhaps with ``tools``, ``{"prompt": ..., "completion": ...}`` or
``{"text": ...}``, optionally with an ``id`` and a ``group`` (a patient, an account). A document is
a text, and its name is its id. An error names file and line and never a word of the row.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sovereign.errors import MissingExtra, TuneError
from sovereign.tune import calls
from sovereign.tune.spool import Spool
from sovereign.turns import Tool

__all__ = ["Message", "Row", "iter_rows", "read_rows", "row_of", "spooled"]

Message = dict[str, Any]
"""A turn as the wire has it: ``role``, ``content``, and ``tool_calls`` or ``tool_call_id``."""

SHAPE = 'a row is {"messages": [{"role", "content"}, …]}, {"prompt", "completion"} or {"text"}'
TEXT = "text"
DOCUMENTS = {".md", ".txt"}
NAMES = {"id", "group"}
OPTIONAL = NAMES | {"tools"}
BATCH = 256  # rows of a columnar file at once
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation, or one text: a single message of the role "text". ``line`` counts from
    one; nothing else of it is ever shown. ``last`` says that only the last answer is learnt."""

    line: int
    messages: tuple[Message, ...]
    id: str | None = None
    group: str | None = None
    tools: tuple[Tool, ...] = ()
    last: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it is learnt whole, and no question can be asked of it."""
        return bool(self.messages[0]["role"] == TEXT)

    def __repr__(self) -> str:
        return f"Row(line={self.line}, messages={len(self.messages)})"


def read_rows(path: Path) -> tuple[list[Row], str]:
    """All rows of a file, of a datasets' folder, or of a folder of documents, and the SHA-256 of
    its bytes. Raises :class:`TuneError`."""
    digest = hashlib.sha256()
    return list(iter_rows(path, digest)), digest.hexdigest()


def iter_rows(path: Path, digest: Any) -> Iterator[Row]:
    """The same, one row at a time. ``digest`` is updated with all bytes once the rows are read to
    their end. Raises :class:`TuneError`."""
    read = _READERS.get(path.suffix.lower(), _jsonl) if not path.is_dir() else _folder
    found = False
    try:
        files = sorted(path.glob("*.arrow")) if path.is_dir() else [path]
        if not files:
            files, read = _documents(path), _texts
        for number, value in read(files, path, digest):
            found = True
            yield row_of(number, value, f"{path}:{number}")
    except OSError as e:
        raise TuneError(f"{path}: {e.strerror}") from None
    if not found:
        raise TuneError(f"{path}: holds no row")


def spooled(rows: Iterable[Row] = ()) -> Spool[Row]:
    """``rows``, however many they are."""
    return Spool(_write, _read).extend(rows)


def _write(row: Row) -> bytes:
    tools = [asdict(tool) for tool in row.tools]
    return json.dumps([row.line, row.messages, row.id, row.group, tools, row.last]).encode()


def _read(data: bytes) -> Row:
    line, messages, id_, group, tools, last = json.loads(data)
    return Row(line, tuple(messages), id_, group, tuple(Tool(**t) for t in tools), last)


def _jsonl(files: list[Path], path: Path, digest: Any) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            digest.update(line)
            where = f"{path}:{number}"
            line = line.removesuffix(b"\n")
            try:
                yield number, calls.loads(line.decode("utf-8"))
            except UnicodeDecodeError as e:
                raise _wrong(where, f"not UTF-8 at byte {e.start + 1}") from None
            except json.JSONDecodeError as e:
                said = f"not JSON at column {e.colno}" if line.strip() else "is empty"
                raise _wrong(where, said) from None
            except (ValueError, RecursionError):
                raise _wrong(where, "has the same key twice, or is too deep") from None


def _csv(files: list[Path], path: Path, digest: Any) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as opened:
        reader = csv.DictReader(_decoded(opened, path, digest), strict=True)
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


def _decoded(opened: IO[bytes], path: Path, digest: Any) -> Iterator[str]:
    """The lines of a CSV file with their ends: a cell may hold some."""
    at = 0
    for line in opened:
        digest.update(line)
        try:
            yield line.decode("utf-8" if at else "utf-8-sig")
        except UnicodeDecodeError as e:
            raise TuneError(f"{path}: not UTF-8 at byte {at + e.start + 1}") from None
        at += len(line)


def _parquet(files: list[Path], path: Path, digest: Any) -> Iterator[tuple[int, Any]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("pyarrow", "tune") from None
    with path.open("rb") as opened:
        _hash(opened, digest)
        try:
            batches = parquet.ParquetFile(opened).iter_batches(batch_size=BATCH)
            yield from _columns(batches, path, 0)
        except TuneError:
            raise
        except Exception as e:  # noqa: BLE001 - its errors may quote what they read
            raise TuneError(f"{path}: no Parquet file ({type(e).__name__})") from None


def _folder(files: list[Path], path: Path, digest: Any) -> Iterator[tuple[int, Any]]:
    """What ``datasets.Dataset.save_to_disk`` writes."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("pyarrow", "tune") from None
    number = 0
    for file in files:
        with file.open("rb") as opened:
            _hash(opened, digest)
            try:
                for row in _columns(pyarrow.ipc.open_stream(opened), path, number):
                    number = row[0]
                    yield row
            except TuneError:
                raise
            except Exception as e:  # noqa: BLE001 - as above
                raise TuneError(f"{path}: no Arrow stream ({type(e).__name__})") from None


def _columns(batches: Any, path: Path, number: int) -> Iterator[tuple[int, Any]]:
    """Rows of record batches. Columnar formats fill what a row does not have with null."""
    for batch in batches:
        for part in range(0, batch.num_rows, BATCH):
            for value in batch.slice(part, BATCH).to_pylist():
                number += 1
                row = {k: v for k, v in value.items() if v is not None or k not in OPTIONAL}
                if calls.structured(row):
                    # Nulls that nobody wrote would be learnt.
                    raise _wrong(
                        f"{path}:{number}", "has tools or arguments that are no text of JSON"
                    )
                yield number, row


def _hash(opened: IO[bytes], digest: Any) -> None:
    while data := opened.read(CHUNK):
        digest.update(data)
    opened.seek(0)


def _documents(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in DOCUMENTS and p.is_file())


def _texts(files: list[Path], path: Path, digest: Any) -> Iterator[tuple[int, Any]]:
    for number, file in enumerate(files, 1):
        data = file.read_bytes()
        digest.update(data)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            raise TuneError(f"{file}: not UTF-8 at byte {e.start + 1}") from None
        yield number, {"text": text, "id": file.relative_to(path).as_posix()}


_READERS: dict[str, Callable[[list[Path], Path, Any], Iterator[tuple[int, Any]]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
}


def row_of(number: int, row: Any, where: str) -> Row:
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
        if body - {"tools"} != {"messages"}:
            raise _wrong(where, "has a key other than messages, tools, id and group")
    for name in NAMES & row.keys():
        if not isinstance(row[name], str) or not row[name]:
            raise _wrong(where, f"has a key other than messages and texts: {name} is none")
    try:
        tools = calls.tools_of(row.get("tools"))
        if body == {TEXT}:
            calls.check_text(messages[0]["content"], "message 1")
        else:
            messages = calls.conversation(messages, tools)
    except calls.Wrong as e:
        raise _wrong(where, str(e)) from None
    return Row(number, tuple(messages), row.get("id"), row.get("group"), tools)


def _wrong(where: str, what: str) -> TuneError:
    return TuneError(f"{where}: {what}", hint=SHAPE)
