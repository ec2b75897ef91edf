"""What a reader hands to the scan: records, each of which has a place, its texts, and, where it
is one, the call to a model API that it tells of.

A reader knows one format. It knows nothing of recognisers, policies, findings or output.

Field, Record, Rows and Unread are named tuples, not the frozen dataclasses of the house: a scan
makes millions of them, and a dataclass takes three times as long to make.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

__all__ = [
    "CELL",
    "Call",
    "Direction",
    "Field",
    "Item",
    "Reader",
    "Record",
    "Rows",
    "Sliced",
    "Source",
    "Unread",
]

CELL = "\x1f"
"""What stands between the cells of a row in :class:`Rows`, and in none of them."""


class Direction(enum.StrEnum):
    """Which way a text went. What was sent to a hosted API is the leak that an audit looks for."""

    SENT = "sent"
    """It left for a hosted API: a prompt, a tool's result, an uploaded file."""
    RECEIVED = "received"
    """It came from one: a completion, which may repeat what was sent."""
    STORED = "stored"
    """It lies here, and nothing says that it went anywhere."""


@dataclass(frozen=True, slots=True)
class Call:
    """A record that is a call to a model API. ``caller`` may name a person: it goes out as a
    token only."""

    provider: str
    """``openai``, ``anthropic``, ``azure``, …; the host where the provider is not known."""
    host: str = ""
    model: str = ""
    endpoint: str = ""
    request_id: str = ""
    caller: str = field(default="", repr=False)
    body_sha256: str = ""
    """Of the request's body, where the record holds it as it was sent: byte by byte."""


class Field(NamedTuple):
    """One text of a record, at most :data:`sovereign.scan.source.LONGEST` characters of it.

    ``offset`` is the byte, counted from the start of the member as it is stored uncompressed,
    where the text stands verbatim in ``encoding``: character ``i`` of it stands at ``offset +
    len(text[:i].encode(encoding))``. None where it had to be decoded first (an escape in JSON, a
    cell of Parquet, a page of a PDF). ``start`` is the position in code points of ``text`` in the
    whole field, for a field that is handed out in several pieces which overlap, so that what is cut
    in one is whole in the next. ``path`` names it: ``messages[0].content``, a column's name; a name
    that does not look like one that a programmer wrote stands in it as ``*``, and is handed out as
    a field of its own.
    """

    path: str
    text: str
    direction: Direction = Direction.STORED
    offset: int | None = None
    start: int = 0
    encoding: str = "utf-8"

    def __repr__(self) -> str:
        return f"Field({len(self.text)} characters, {self.direction}, offset={self.offset})"


class Record(NamedTuple):
    """One line, row, page, message or span; or some lines that follow each other, of which
    ``number`` is the first: character ``i`` of such a text stands in line ``number +
    text.count("\\n", 0, i)``. ``resume`` is what the reader has to be given to go on after it; it
    grows from record to record, and may not be made up."""

    number: int
    unit: str
    fields: tuple[Field, ...]
    resume: int
    member: str = ""
    """Inside a container: ``mail/2026.zip!/a.txt`` is written ``a.txt`` here."""
    call: Call | None = None
    time: float | None = None
    """Seconds since the Unix epoch, where the record says when it was written."""


class Rows(NamedTuple):
    """Rows of one table that follow each other, of short texts, none of which tells of a call. Most
    rows of a table need no look, so each is a record only when somebody asks for it: it has a
    field for each cell of two characters or more, in their order.

    ``paths`` are those of the columns; ``texts`` the rows, with :data:`CELL` between their cells;
    ``numbers`` and ``makes`` run parallel to them. ``resume`` is what to go on with after the last.
    """

    paths: tuple[str, ...]
    texts: Sequence[str]
    numbers: Sequence[int]
    makes: Sequence[Callable[[], Record]]
    resume: int
    member: str = ""

    def record(self, index: int) -> Record:
        """A row as a record."""
        return self.makes[index]()._replace(member=self.member)

    @property
    def characters(self) -> int:
        """Of all cells."""
        return sum(map(len, self.texts)) - (len(self.paths) - 1) * len(self.texts)

    def only(self, wanted: Sequence[int]) -> Rows:
        """Some of the rows, by their places."""
        return self._replace(
            texts=[self.texts[i] for i in wanted],
            numbers=[self.numbers[i] for i in wanted],
            makes=[self.makes[i] for i in wanted],
        )

    def __repr__(self) -> str:
        return f"Rows({len(self.texts)} of {len(self.paths)} cells)"


class Unread(NamedTuple):
    """Something that was not read, and why. It is counted and reported, never passed over."""

    reason: str
    member: str = ""
    number: int | None = None
    resume: int = 0


Item = Record | Rows | Unread
"""What a reader hands out."""


class Source(Protocol):
    """A file, an object in a bucket, or a member of an archive. ``name`` ends as its name does
    there."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    def open(self) -> BinaryIO: ...


@runtime_checkable
class Sliced(Protocol):
    """A reader of files that may be cut between records. ``cuts`` are the bytes where the records
    after each ``step`` bytes start, with their numbers. It reads a
    :class:`~sovereign.scan.source.Slice` between two of them as what it is a part of, and raises
    :class:`~sovereign.scan.source.Uncut` if that does not end with a record."""

    def cuts(self, source: Source, step: int) -> list[tuple[int, int]]: ...

    def grows(self, source: Source) -> bool:
        """Whether what is appended to it are further records, and nothing else changes."""
        ...


class Reader(Protocol):
    """One format. ``claims`` decides by the name and the first bytes; ``read`` goes through the
    source once, in bounded memory, from ``resume`` (0: from the start), and never raises for
    what the source holds."""

    @property
    def name(self) -> str: ...

    def claims(self, name: str, head: bytes) -> bool: ...

    def read(self, source: Source, resume: int = 0) -> Iterator[Item]: ...
