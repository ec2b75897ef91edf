"""Which calls to hosted APIs went around the door: those that a proxy's or an API's log tells of,
held against the intents of the gateway's audit log.

A call is the gateway's own if it carries the id of an intent (``X-Request-Id``, 112 random bits),
or if its body is the one whose digest the intent holds: that is proof. Failing both, it is taken
for the gateway's if an intent to the same place, of the same model, was under way at that time, and
no other call has it: that is a guess, and is told as one. Each intent answers for as many calls as
it made, and no more. What is left went around.

It knows places, times, ids and digests; it looks at no text.
"""

from __future__ import annotations

import heapq
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sovereign.scan.record import Call, Direction, Record
from sovereign.types import JSON

__all__ = ["AROUND", "SKEW", "Against", "Span", "Verdict"]

SKEW = 5.0
"""Seconds by which two clocks may differ."""

AROUND = "no request of the gateway answers for it"
_USED = "it carries the id of a request that another call has already"
_REFUSED = "it carries the id of a request that the gateway refused"
_BEFORE = "it was before the audit log begins"
_UNTIMED = "it says neither when it was, nor an id or body that is known"
_LATER = "it was after the last record that is signed, or just before it"
_DELETED = "the audit log's records of that time were deleted"
UNJUDGED = frozenset({_UNTIMED, _LATER, _DELETED})

_ID = re.compile(r"(?<![0-9A-Za-z_])req_[0-9a-f]{28}(?![0-9A-Za-z])")

_TABLES = """
CREATE TABLE call (id INTEGER PRIMARY KEY, file, member, number, host, provider, model, endpoint,
    time, request, digest, how TEXT, why TEXT);
CREATE TABLE intent (id INTEGER PRIMARY KEY, request, destination, model, start, stop, digest,
    room);
CREATE TABLE refused (request TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX intent_request ON intent (request);
CREATE INDEX intent_digest ON intent (digest);
"""
SHOWN = ("file", "member", "number", "host", "provider", "model", "endpoint", "time")


@dataclass(frozen=True, slots=True)
class Span:
    """What the audit log can speak of, in seconds since the epoch: from its first record to its
    last signed one, but for the times of logs that were deleted."""

    first: float
    last: float
    deleted: tuple[tuple[float, float], ...] = ()

    def silent(self, time: float) -> str:
        """Why it says nothing of ``time``; empty if it does."""
        if any(start - SKEW <= time < stop + SKEW for start, stop in self.deleted):
            return _DELETED
        return _LATER if time > self.last - SKEW else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many calls there were, how many the gateway answers for and by what, and how many not.
    ``summaries`` are rows that tell of calls without being one. ``unseen`` are intents that no
    call answers to: the log does not hold all that left, or not of that time."""

    calls: int
    by_request: int
    by_body: int
    by_time: int
    around: int
    unjudged: int
    summaries: int
    unseen: int


@dataclass(slots=True)
class Against:
    """One comparison. ``places`` are the hosts and providers that a destination stands for; one
    that is not named stands for its own name. Its tables are a temporary file."""

    places: Mapping[str, frozenset[str]] = field(default_factory=dict)
    summaries: int = 0
    _db: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(""), repr=False)

    def __post_init__(self) -> None:
        self._db.executescript(_TABLES)

    def close(self) -> None:
        self._db.close()

    # ---- what the two logs say -----------------------------------------------------------------

    def call(self, file: str, record: Record) -> None:
        """Take in a record, if it is a call that left the house."""
        call = record.call
        if call is None or call.provider == "local":
            return
        ways = {f.direction for f in record.fields}
        if not call.host and Direction.SENT not in ways:
            # An answer by itself belongs to a call that is told of elsewhere.
            self.summaries += Direction.RECEIVED not in ways
            return
        ids = (found[0] for f in record.fields for found in _ID.finditer(f.text))
        self._db.execute(
            "INSERT INTO call (file, member, number, host, provider, model, endpoint, time,"
            " request, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(file, record.member, record.number, call.host, call.provider, call.model),
                *(call.endpoint, record.time, next(ids, _own(call)), call.body_sha256 or None),
            ),
        )

    def record(self, data: bytes) -> None:
        """Take in a record of the audit log as it is stored; they come in order."""
        if b'"type":"request.' not in data:
            return
        record: dict[str, JSON] = json.loads(data)
        request = record["request"]
        if record["type"] == "request.intent" and record["side"] == "hosted":
            at = _seconds(record["time"])
            self._db.execute(
                "INSERT INTO intent (request, destination, model, start, stop, digest, room)"
                " VALUES (?, ?, ?, ?, ?, ?, 1)",
                (request, record["destination"], record["model"], at, at, record["body_sha256"]),
            )
        elif record["type"] == "request.result":
            self._db.execute(
                "UPDATE intent SET stop = ?, room = ? WHERE request = ?",
                (_seconds(record["time"]), record.get("tries", 1), request),
            )
        elif record["type"] == "request.refusal":
            self._db.execute("INSERT OR IGNORE INTO refused VALUES (?)", (request,))

    # ---- what comes of it ----------------------------------------------------------------------

    def judge(self, span: Span) -> Verdict:
        """Hold every call against the intents."""
        self._proved("request")
        self._proved("digest")
        self._timed(named=True)
        self._timed(named=False)
        for number, time, request in self._left("id, time, request"):
            self._db.execute(
                "UPDATE call SET why = ? WHERE id = ?", (self._why(time, request, span), number)
            )
        hows = dict(self._db.execute("SELECT how, count(*) FROM call GROUP BY how"))
        whys = dict(self._db.execute("SELECT why, count(*) FROM call GROUP BY why"))
        unjudged = sum(n for why, n in whys.items() if why in UNJUDGED)
        unseen = self._db.execute("SELECT coalesce(sum(room), 0) FROM intent").fetchone()[0]
        return Verdict(
            calls=sum(hows.values()),
            by_request=hows.get("request", 0),
            by_body=hows.get("digest", 0),
            by_time=hows.get("time", 0),
            around=hows.get(None, 0) - unjudged,
            unjudged=unjudged,
            summaries=self.summaries,
            unseen=unseen,
        )

    def around(self) -> Iterator[dict[str, JSON]]:
        """The calls that nothing answers for, in the order of files, each with the reason;
        ``judged``: whether it went around, or nobody can say."""
        names = ", ".join(SHOWN)
        rows = self._db.execute(
            f"SELECT {names}, why FROM call WHERE how IS NULL ORDER BY file, member, number"  # noqa: S608
        )
        for *shown, why in rows:
            told: dict[str, JSON] = dict(zip(SHOWN, shown, strict=True))
            yield {**told, "judged": why not in UNJUDGED, "reason": why}

    def _left(self, columns: str, and_: str = "") -> list[tuple[JSON, ...]]:
        """Calls that nothing answers for, the oldest first."""
        return self._db.execute(
            f"SELECT {columns} FROM call WHERE how IS NULL {and_} ORDER BY time, id"  # noqa: S608
        ).fetchall()

    def _proved(self, by: str) -> None:
        for number, value in self._left(f"id, {by}", f"AND {by} IS NOT NULL"):
            found = self._db.execute(
                f"SELECT id FROM intent WHERE {by} = ? AND room > 0 ORDER BY start LIMIT 1",  # noqa: S608
                (value,),
            ).fetchone()
            if found is not None:
                self._answers(number, found[0], by)

    def _answers(self, call: JSON, intent: int, how: str) -> None:
        self._db.execute("UPDATE call SET how = ? WHERE id = ?", (how, call))
        self._db.execute("UPDATE intent SET room = room - 1 WHERE id = ?", (intent,))

    def _timed(self, *, named: bool) -> None:
        """Calls with a time, those that name a model first: of the intents under way at that time,
        the one that ends first. For intervals that is the most that can be matched (Glover 1967).
        """
        which = "AND time IS NOT NULL AND model " + ("!= ''" if named else "= ''")
        under: dict[tuple[str, str], list[tuple[float, int]]] = {}
        coming = self._db.execute(
            "SELECT id, destination, model, start, stop, room FROM intent WHERE room > 0"
            " ORDER BY start"
        )
        waiting = next(coming, None)
        for number, host, provider, model, time, request in self._left(
            "id, host, provider, model, time, request", which
        ):
            if request is not None and self._known(request):
                continue  # who carries an id is judged by it
            while waiting is not None and waiting[3] - SKEW <= time:
                intent, destination, of, _, stop, room = waiting
                for _ in range(room):
                    heapq.heappush(under.setdefault((destination, of), []), (stop, intent))
                waiting = next(coming, None)
            best: list[tuple[float, int]] | None = None
            for (destination, of), heap in under.items():
                while heap and heap[0][0] + SKEW < time:
                    heapq.heappop(heap)
                if (
                    heap
                    and (best is None or heap[0] < best[0])
                    and self._stands(destination, str(host), str(provider))
                    and _same(str(model), of)
                ):
                    best = heap
            if best is not None:
                self._answers(number, heapq.heappop(best)[1], "time")

    def _stands(self, destination: str, host: str, provider: str) -> bool:
        names = self.places.get(destination)
        if names is None:
            return destination in (host, provider)
        return host in names if host else provider in names

    def _known(self, request: JSON) -> bool:
        return any(
            self._db.execute(f"SELECT 1 FROM {table} WHERE request = ?", (request,)).fetchone()  # noqa: S608
            for table in ("intent", "refused")
        )

    def _why(self, time: JSON, request: JSON, span: Span) -> str:
        if request is not None and self._known(request):
            used = self._db.execute("SELECT 1 FROM intent WHERE request = ?", (request,)).fetchone()
            return _USED if used else _REFUSED
        if time is None:
            return _UNTIMED
        silent = span.silent(time)
        return silent or (_BEFORE if time < span.first - SKEW else AROUND)


def _own(call: Call) -> str | None:
    """The id that the record gives for its own, if it could be the gateway's."""
    return call.request_id if _ID.fullmatch(call.request_id) else None


def _same(model: str, of: str) -> bool:
    """Whether a call's model may be an intent's: an API's log adds a date, LiteLLM a provider."""
    name = model.rpartition("/")[2]
    return not model or model == of or name == of.rpartition("/")[2] or name.startswith(f"{of}-")


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
