"""What goes out of a scan: where something was found, what kind of thing it is, and a keyed token.

The value is not in it, and neither is any text around it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sovereign.types import JSON

__all__ = ["COLUMNS", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``start`` and ``end`` are code points of the whole field; ``offset`` and ``length`` bytes of
    the member as it is stored uncompressed, where the value stands there verbatim. ``verb`` is
    what the policy says of the entity at a hosted API."""

    file: str
    member: str
    number: int
    unit: str
    field: str
    start: int
    end: int
    offset: int | None
    length: int | None
    entity: str
    score: float
    token: str
    verb: str
    direction: str
    provider: str | None
    host: str | None
    model: str | None
    endpoint: str | None
    caller: str | None
    time: float | None

    def row(self) -> tuple[JSON, ...]:
        """In the order of :data:`COLUMNS`."""
        return tuple(getattr(self, name) for name in COLUMNS)


COLUMNS = tuple(f.name for f in fields(Finding))
