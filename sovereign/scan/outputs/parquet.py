"""Apache Parquet: one row a finding, a column for each of its fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import IO

from sovereign.errors import MissingExtra
from sovereign.scan.finding import COLUMNS
from sovereign.types import JSON

__all__ = ["write"]

ROWS = 32_768
_WHOLE = {"number", "start", "end", "offset", "length"}


def write(findings: Iterable[dict[str, JSON]], out: IO[bytes]) -> int:
    """How many rows were written. Raises :class:`MissingExtra`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("pyarrow, which writes Parquet,", "report") from None
    kinds = {name: pa.int64() if name in _WHOLE else pa.string() for name in COLUMNS}
    kinds |= {"score": pa.float64(), "time": pa.timestamp("ms", tz="UTC")}
    schema, count = pa.schema(list(kinds.items())), 0
    rest = iter(findings)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while rows := list(itertools.islice(rest, ROWS)):
            for row in rows:
                row["time"] = None if row["time"] is None else round(row["time"] * 1000)
            arrays = [pa.array([r[n] for r in rows], type=t) for n, t in kinds.items()]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count
