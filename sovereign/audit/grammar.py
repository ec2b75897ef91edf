"""What records look like as bytes: one regular expression for each type, made from the schema.

Whatever :func:`read` takes is the canonical JSON (RFC 8785) of a valid record in its envelope. What
it does not take may be one all the same, of a rarer form: then :func:`.record.parse` reads it field
by field. So this can make the log faster, and cannot let anything in.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from sovereign.audit.schema import COUNT, ENTITIES, ID, SCHEMA, TIME, Field

__all__ = ["Seen", "read"]


class Seen(NamedTuple):
    """Source, number and type of a record."""

    source: str
    seq: int
    kind: str


_TYPE = b'"type":"'
# A name is followed by the object of its counts, and by nothing else that opens one.
_ENTITY = re.compile(rb'"([A-Z0-9_]+)":\{').findall


def read(data: bytes) -> Seen | None:
    """The record in ``data``, if it has its type's usual form."""
    # No value can hold a quotation mark, so where the key stands first it is the record's own: in
    # anything else the type's expression does not fit.
    begin = data.find(_TYPE) + len(_TYPE)
    kind = data[begin : data.find(b'"', begin)]
    pattern = _GRAMMAR.get(kind)
    found = pattern.fullmatch(data) if pattern is not None else None
    if found is None:
        return None
    counts, seq, source = found.group("entities", "seq", "source")
    if counts is not None:
        names = _ENTITY(counts)
        if any(a >= b for a, b in pairwise(names)):
            return None  # RFC 8785 sorts them, and each stands once
    return Seen(source[1:-1].decode(), int(seq), kind.decode())


def _expression(kind: str, fields: dict[str, Field]) -> re.Pattern[bytes] | None:
    """A record of this type, with groups for its entities, number and source."""
    shapes: dict[str, tuple[str | None, bool]] = {
        **{name: (field.written, field.optional) for name, field in fields.items()},
        "seq": (f"(?P<seq>{COUNT.written})", False),
        "source": (f"(?P<source>{ID.written})", False),
        "time": (TIME.written, False),
        "type": (f'"{re.escape(kind)}"', False),
        "v": ("1", False),
    }
    expression, begun = r"\{", False
    for name in sorted(shapes):
        written, optional = shapes[name]
        if written == ENTITIES.written:
            written = f"(?P<entities>{written})"
        if written is None:
            if not optional:
                return None
            continue  # one that has it is read field by field
        comma = "," if begun else r"(?:(?<=\{)|(?<!\{),)"
        member = f'{comma}"{name}":{written}'
        expression += f"(?:{member})?" if optional else member
        begun = begun or not optional
    if "<entities>" not in expression:
        expression += "(?P<entities>(?!))?"  # no record of this type has any
    return re.compile((expression + r"\}").encode("ascii"))


_GRAMMAR = {
    kind.encode(): expression
    for kind, fields in SCHEMA.items()
    if (expression := _expression(kind, fields)) is not None
}
