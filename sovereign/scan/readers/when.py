"""When a record was written, by what it says itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

__all__ = ["NAMES", "moment", "of_line"]

_words = str.split  # a list of names is easier to read as one string

NAMES = frozenset(
    _words(
        "timestamp @timestamp Timestamp time ts date datetime created created_at createdAt "
        "startTime start_time startedDateTime eventTime requestTime asctime logged_at "
        "startTimeUnixNano timeUnixNano observedTimeUnixNano"
    )
)
"""Names under which a record says it, the outermost and first believed."""

_NUMBER = re.compile(r"\d{9,20}(?:\.\d+)?")


def moment(value: Any) -> float | None:
    """Seconds since the epoch of an ISO date, or of a number of seconds, milli-, micro- or
    nanoseconds. A date without a zone is UTC."""
    text = str(value) if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        while seconds > 1e11:
            seconds /= 1000
        return seconds
    if not 8 <= len(text) <= 40 or not text[:4].isdigit():
        return None
    try:
        return _seconds(datetime.fromisoformat(text.replace(",", ".").replace(" UTC", "Z")))
    except (ValueError, OverflowError):
        return None


_ISO = re.compile(
    r"(?:<\d{1,3}>\d? ?)?\[?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)"
)
_APACHE = re.compile(
    r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]"
    r"|\[[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{4})\]"
)
_NGINX = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d) \[")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"


def of_line(line: str) -> float | None:
    """What a line of a log starts with: RFC 5424 and ISO dates, Apache's and nginx's. The dates of
    RFC 3164 have no year, so they say nothing."""
    head = line[:300]
    found = _ISO.match(head)
    if found:
        return moment(found[1].replace(" ", "T", 1))
    try:
        found = _NGINX.match(head)
        if found:
            date, time = "-".join(found.groups()[:3]), ":".join(found.groups()[3:])
            return _seconds(datetime.fromisoformat(f"{date}T{time}"))
        found = _APACHE.search(head)
        if not found:
            return None
        day, name, year, hour, minute, second, zone = found.groups()[:7]
        if not day:
            name, day, hour, minute, second, year = found.groups()[7:]
        month = _MONTHS.index(name) // 4 + 1
        text = f"{year}-{month:02}-{day}T{hour}:{minute}:{second}{zone or '+0000'}"
        return _seconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _seconds(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
