"""Parquet files, read back."""

from __future__ import annotations

import io
import json
import sys

import exports
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sovereign.audit.export import parquet
from sovereign.audit.schema import SCHEMA
from sovereign.errors import MissingExtra


def test_each_field_is_a_column_and_each_record_a_row() -> None:
    """Nothing is lost: rows without their empty columns are the records."""
    out, entries = io.BytesIO(), exports.every()
    assert parquet.write([("example.org/log", entries)], out) == len(entries)
    table = pq.read_table(out)
    for row, entry in zip(table.to_pylist(), entries, strict=True):
        got = {n: v for n, v in row.items() if v is not None}
        assert got.pop("origin") == "example.org/log"
        assert (got.pop("index"), got.pop("leaf")) == (7, entry.leaf)
        assert int(got.pop("time").timestamp() * 1000) == entry.milliseconds
        for name in {"entities", "limits"} & got.keys():
            got[name] = json.loads(got[name])
        assert got == {n: v for n, v in entry.record.items() if n not in ("v", "time")}


def test_columns_have_the_types_of_their_fields() -> None:
    """So that a query need not guess."""
    out = io.BytesIO()
    parquet.write([], out)
    schema = pq.read_schema(out)
    assert set(schema.names) >= {name for fields in SCHEMA.values() for name in fields}
    assert schema.field("duration_ms").type == pa.int64()
    assert schema.field("stream").type == pa.bool_()
    assert schema.field("tokens").type == pa.list_(pa.string())
    assert schema.field("time").type == pa.timestamp("ms", tz="UTC")


def test_rows_are_written_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of any size passes through the same memory."""
    monkeypatch.setattr(parquet, "ROWS", 10)
    out = io.BytesIO()
    count = parquet.write([("o", iter(exports.every()))], out)
    assert pq.ParquetFile(out).num_row_groups == -(-count // 10)


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other formats need nothing."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra) as caught:
        parquet.write([], io.BytesIO())
    assert "sovereign-toolkit[report]" in caught.value.hint
