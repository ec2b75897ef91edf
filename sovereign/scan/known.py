"""Lines of logs that need no second look: a prefilter that knows by experience what is empty.

A log is a few hundred templates, filled in a million times. A line that was found empty a few
times, each time with other numbers in it, is empty with further ones, if its numbers are too short
to be anybody's: at most six digits (eight in several), and no parts of a date, an address or a
longer number. Words are never put aside: a line with another word is another line. Lines that
begin with a point in time are asked about, and short fields of records, each by its path; prose is
always read whole.

A test holds findings with and without it against each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sovereign.scan.record import CELL

__all__ = ["Known", "stamp"]

TIMES = 3
"""How many different fillings must have been empty."""
MOST = 200_000
"""Templates that are kept; a log with more of them is not made of templates."""

_STAMP = re.compile(
    r"[\[(]?(?:"
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?"  # ISO 8601
    r"(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?"  # nginx errors, Go
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d"  # RFC 3164
    r"|<\d{1,3}>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"  # RFC 5424
    r")[\])]?(?=[\s,;|]|$)"
)
ROW = "\x1e"
"""What stands between rows that are read together."""
_STAMPED = re.compile(f"(?<![^{CELL}{ROW}])(?:{_STAMP.pattern})")
_SHORT_CELL = re.compile(rf"(?<![^{CELL}{ROW}])\d{{1,6}}(?![^{CELL}{ROW}])")
_AMOUNT_CELL = re.compile(rf"(?<![^{CELL}{ROW}])\d{{1,6}}\.\d{{1,2}}(?![^{CELL}{ROW}])")
"""Cells as :func:`_aside` would find them, without asking it for each."""
_NUMBERS = re.compile(r"(?<!\d)\+?\d+(?:[ .,/:-]\d+)*")
_DECIMAL = re.compile(r"\d{1,6}\.\d{1,2}")
"""An amount: 1234.50."""
_UNIT = re.compile(r"(?<=[ =(\[])\d{1,6}(?=[A-Za-z%])")
"""A number with its unit: 12ms, 40%."""
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9-]{0,40}[a-f])(?=[a-f-]{0,40}\d)[0-9a-f]{8,32}(?:-[0-9a-f]{4,12}){0,4}"
    r"(?![0-9A-Za-z-])"
)


def _aside(found: re.Match[str]) -> str:
    """A mark for numbers that are too short to be anybody's, or the numbers themselves."""
    text = found[0]
    groups = text.split(" ")
    if all(len(g) <= 6 and g.isdigit() for g in groups) and sum(map(len, groups)) <= 8:
        return " ".join("\x00" for _ in groups)
    if _DECIMAL.fullmatch(text):
        return "\x03"
    clock = text.split(":")
    if len(clock) <= 3 and all(len(part) <= 2 and part.isdigit() for part in clock):
        return "\x02"
    return text


def stamp(line: str) -> int:
    """How many characters at the start of ``line`` say when it was written; 0 if none do."""
    found = _STAMP.match(line)
    return found.end() if found else 0


class Known:
    """Templates of lines, and how often they were found empty."""

    def __init__(self) -> None:
        self._empty: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._rows: set[tuple[tuple[str, ...], str]] = set()

    def template(self, line: str, begin: int) -> str:
        """``line`` from ``begin`` on, with short numbers and random hexadecimal ids put aside."""
        rest = line[begin:]
        return _NUMBERS.sub(_aside, _UNIT.sub("\x00", _HEX.sub("\x01", rest)))

    def field(self, path: str, text: str) -> str:
        """The same of a field; one that is a point in time is that, and no more."""
        begin = stamp(text)
        return f"{path}\x00{'@' if begin else ''}{self.template(text, begin)}"

    def rows(self, texts: Sequence[str]) -> list[str]:
        """The same of rows, with :data:`~sovereign.scan.record.CELL` between their cells: without
        the paths."""
        whole = _STAMPED.sub("@", ROW.join(texts))
        whole = _AMOUNT_CELL.sub("\x03", _SHORT_CELL.sub("\x00", whole))
        return self.template(whole, 0).split(ROW)

    def row_empty(self, paths: tuple[str, ...], template: str) -> bool:
        """Whether every cell of such a row is known to be empty."""
        return (paths, template) in self._rows

    def learn_row(self, paths: tuple[str, ...], template: str) -> None:
        """Every cell of such a row is known to be empty, as far as anything is."""
        if len(self._rows) < MOST // 10:
            self._rows.add((paths, template))

    def empty(self, template: str) -> bool:
        """Whether a line of this template needs no look."""
        return self._empty.get(template, 0) >= TIMES

    def learn(self, template: str, filling: str, *, found: bool, constant: bool) -> None:
        """A text was looked at. One finding is enough to look at every further one. ``filling`` is
        what the template was made of; ``constant``: nothing was put aside, so that it has only
        one."""
        if found:
            if self.empty(template):
                self._rows.clear()  # of which it may be a part
            self._empty[template] = -1
        elif (times := self._empty.get(template, 0)) >= 0:
            filled = hash(filling)
            same = self._last.get(template) == filled
            if not same or constant:
                if times or len(self._empty) < MOST:
                    self._empty[template] = times + 1
                self._last[template] = filled
            if times + 1 >= TIMES:
                self._last.pop(template, None)
