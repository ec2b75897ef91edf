"""Apache Parquet: one column per field of the schema, written in row groups."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import IO, Any

from sovereign.audit.export.records import Entry
from sovereign.audit.schema import SCHEMA
from sovereign.errors import MissingExtra

__all__ = ["write"]

ROWS = 16_384


def write(logs: Iterable[tuple[str, Iterable[Entry]]], out: IO[bytes]) -> int:
    """Write all entries of all logs to ``out``, each log as its origin and entries, one after the
    other; how many there were. Raises :class:`MissingExtra`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("pyarrow, which writes Parquet,", "report") from None

    kinds = {
        "text": pa.string(),
        "whole": pa.int64(),
        "truth": pa.bool_(),
        "list": pa.list_(pa.string()),
    }
    columns = {
        "origin": pa.string(),
        "index": pa.int64(),
        "leaf": pa.binary(32),
        "time": pa.timestamp("ms", tz="UTC"),
        "type": pa.string(),
        "source": pa.string(),
        "seq": pa.int64(),
    } | {name: kinds[kind] for name, kind in _fields().items()}
    schema, count = pa.schema(list(columns.items())), 0
    rest = (_row(origin, entry) for origin, entries in logs for entry in entries)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while rows := list(itertools.islice(rest, ROWS)):
            arrays = [pa.array([r.get(n) for r in rows], type=t) for n, t in columns.items()]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


def _row(origin: str, entry: Entry) -> dict[str, Any]:
    record = entry.record
    row: dict[str, Any] = {
        "origin": origin,
        "index": entry.index,
        "leaf": entry.leaf,
        "time": entry.milliseconds,
        "type": record["type"],
        "source": record["source"],
        "seq": record["seq"],
    }
    for name, value in entry.fields.items():
        row[name] = json.dumps(value, separators=(",", ":")) if type(value) is dict else value
    return row


def _fields() -> dict[str, str]:
    """Each field of any record type, and what its column holds."""
    found: dict[str, str] = {}
    for fields in SCHEMA.values():
        for name, field in fields.items():
            found[name] = (
                "truth" if field.fits(True)
                else "whole" if field.fits(0)
                else "list" if field.fits([])
                else "text"
            )  # fmt: skip
    return dict(sorted(found.items()))
