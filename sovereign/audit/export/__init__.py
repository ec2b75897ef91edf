"""The log in other tools' formats. Each record is read once, checked, written, and forgotten.

An export holds what the log holds and nothing more: fields of the schema, none of text or values.
``records`` reads; ``jsonl``, ``cef``, ``ocsf``, ``otel`` and ``parquet`` write; ``oscal`` writes a
report's document.
"""

from __future__ import annotations

__all__: list[str] = []
