"""A scan's findings in other forms: a page for people, SARIF for code hosts, Parquet for analysis.

Each is made of what is in the state, so none of them can hold a text.
"""

from __future__ import annotations

__all__: list[str] = []
