"""Counts what the records of a period say. Standard library only: it is also in the archive, so
that whoever has the records can count them again.

Records come as canonical bytes with their place. Names that an application may choose (a model
that nobody serves) cannot make it grow without bound: past :data:`MOST` they are counted together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

__all__ = ["OUTCOMES", "OVER", "Tally", "measures", "outcome", "time_of"]

MOST = 5_000
OVER = "(all others)"
"""What the names past :data:`MOST` are counted under. No name of the log has parentheses."""

OUTCOMES = ("allowed", "changed", "kept_local", "local", "refused")
"""What became of a request: sent to a hosted API as it was; sent there masked or pseudonymised;
asked of a hosted model and kept inside by the policy; asked of a model inside; not sent at all."""

STAYED = {"kept_local": "local", "local": "local", "refused": "block"}
"""What became of every finding of a request that did not go to a hosted API."""

DAY, HOUR, MINUTE = len("2026-01-31"), len("2026-01-31T08"), len("2026-01-31T08:00")
LONG_SECONDS = 180  # three heartbeats, as they are configured unless somebody changed it
LONGEST = 5
_TIME = b'"time":"'
_SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def time_of(data: bytes) -> str:
    """The record's time, without reading the rest. No value holds a quotation mark, so the field
    stands where its name stands."""
    at = data.find(_TIME) + len(_TIME)
    return data[at : at + 24].decode("ascii", "replace") if at >= len(_TIME) else ""


def outcome(record: dict[str, Any]) -> str | None:
    """One of :data:`OUTCOMES` for a decision, None for any other record."""
    if record["type"] == "request.refusal":
        return "refused"
    if record["type"] != "request.intent":
        return None
    if record.get("side") == "local":
        return "kept_local" if record.get("rerouted") else "local"
    return "allowed" if record.get("verdict") == "allow" else "changed"


_BY_TYPE = {
    "request.result": ("results",),
    "policy.load": ("policy_loads",),
    "policy.refuse": ("policies_refused",),
    "gateway.start": ("gateway_starts",),
    "gateway.stop": ("gateway_stops",),
    "key.create": ("keys_created", "key_changes"),
    "key.rotate": ("key_changes",),
    "key.revoke": ("keys_revoked", "key_changes"),
    "weights.import": ("weights_imported",),
    "weights.verify": ("weights_verified",),
    "weights.refuse": ("weights_refused",),
    "tune.run": ("tune_runs",),
    "model.serve": ("models_served",),
    "log.open": ("log_openings",),
    "log.close": ("log_closings",),
    "log.heartbeat": ("heartbeats",),
    "log.restart": ("restarts",),
    "log.spool": ("spools",),
    "log.gap": ("gaps",),
    "log.search": ("searches", "reads"),
    "scan.reveal": ("reads",),
    "log.report": ("reports", "reads"),
    "log.export": ("exports", "reads"),
}
_BY_CODE = {
    "refused_by_policy": "refused_policy",
    "unreadable": "refused_unreadable",
    "invalid_api_key": "refused_no_key",
    "not_permitted": "refused_not_permitted",
    "recognizer_failed": "refused_guard_failed",
    "residual_found": "refused_residual",
    "audit_unavailable": "refused_no_log",
}


def measures(record: dict[str, Any]) -> Iterator[str]:
    """The named things that this record is evidence of; the catalogues of controls use them."""
    kind = record["type"]
    yield from _BY_TYPE.get(kind, ())
    became = outcome(record)
    if became is None:
        if kind == "log.read" and record.get("command") != "readyz":
            yield "reads"
        elif kind == "request.result" and record.get("outcome") != "ok":
            yield "failed"
        return
    yield "decisions"
    yield became
    if became in ("allowed", "changed"):
        yield "sent_hosted"
    elif became != "refused":
        yield "inside"
    elif (name := _BY_CODE.get(record.get("code", ""))) is not None:
        yield name
    if record.get("entities"):
        yield "with_findings"
    if "token_key" in record:
        yield "with_tokens"
    elif became == "refused" and "verdict" not in record:
        yield "refused_before"


class Tally:
    """Counts of the records whose time is in [since, until), as records write times.

    ``bucket`` is how many characters of the time make a bucket of :attr:`over_time`: :data:`DAY`
    or :data:`HOUR`.
    """

    def __init__(self, since: str, until: str, bucket: int = DAY) -> None:
        self._since, self._until, self._bucket = since, until, bucket
        self.records = 0
        self.strays = 0  # in the range by index, outside the period by their clock
        self.events: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.policies: dict[str, int] = {}
        self.builds: dict[str, int] = {}
        self.teams: dict[str, dict[str, int]] = {}
        self.models: dict[str, dict[str, int]] = {}
        self.destinations: dict[str, dict[str, int]] = {}
        self.entities: dict[str, dict[str, int]] = {}
        self.over_time: dict[str, dict[str, int]] = {}
        self.spans: dict[str, list[Any]] = {}  # count, first and last place
        self.lost = 0
        self.sources: dict[str, list[int]] = {}  # records, first and last number
        self.silences: list[tuple[float, str, str]] = []
        self._last = ""

    def add(self, place: int | str, data: bytes) -> None:
        """Count one record, by its number; in a later log than the first, by ``2/4711``.

        Raises :class:`ValueError` or :class:`KeyError` if it is none.
        """
        record = json.loads(data)
        kind, when, number = record["type"], time_of(data), record["seq"]
        if not _SHAPE.fullmatch(when):
            raise ValueError("a record without a time")
        source = self.sources.get(record["source"])
        if source is not None:
            source[0] += 1
            source[2] = number
        elif len(self.sources) < MOST:
            self.sources[record["source"]] = [1, number, number]
        if not self._since <= when < self._until:
            self.strays += 1
            return
        if when[:MINUTE] != self._last[:MINUTE]:
            self._silence(when)
        self._last = when
        self.records += 1
        _count(self.events, kind)
        for name in measures(record):
            span = self.spans.setdefault(name, [0, place, place])
            span[0] += 1
            span[2] = place
        became = outcome(record)
        if became is not None:
            self._decision(record, became, when)
        elif kind == "log.gap":
            self.lost += record["found"] - record["expected"]

    def _decision(self, record: dict[str, Any], became: str, when: str) -> None:
        for table, name in (
            (self.teams, record.get("team", "(no key)")),
            (self.models, record.get("model", "(none named)")),
            (self.destinations, record.get("destination", "(none chosen)")),
        ):
            _count(_row(table, name), became)
        _count(_row(self.over_time, when[: self._bucket]), became)
        if became == "refused":
            _count(self.refusals, record["code"])
        if "policy" in record:
            _count(self.policies, record["policy"])
        if "guard_build" in record:
            _count(self.builds, record["guard_build"])
        # A record has the policy's verb for each finding. What another finding kept inside, or had
        # refused, was not masked: it did not leave.
        stayed = STAYED.get(became)
        for entity, counts in record.get("entities", {}).items():
            for verb, n in counts.items():
                _count(_row(self.entities, entity), stayed or verb, n)

    def _silence(self, when: str) -> None:
        """Keep the longest times in which no source wrote anything."""
        if not self._last:
            return
        seconds = (_moment(when) - _moment(self._last)).total_seconds()
        if seconds >= LONG_SECONDS:
            self.silences = sorted([*self.silences, (seconds, self._last, when)])[-LONGEST:]

    @property
    def numbers_missing(self) -> int:
        """How many of the sources' own numbers are not in the range, though both neighbours are."""
        return sum(last - first + 1 - count for count, first, last in self.sources.values())

    def as_dict(self) -> dict[str, Any]:
        """All counts, with keys in order, as JSON writes them."""
        return {
            "records": self.records,
            "strays": self.strays,
            "lost": self.lost,
            "events": _sorted(self.events),
            "refusals": _sorted(self.refusals),
            "policies": _sorted(self.policies),
            "builds": _sorted(self.builds),
            "teams": _sorted(self.teams),
            "models": _sorted(self.models),
            "destinations": _sorted(self.destinations),
            "entities": _sorted(self.entities),
            "over_time": _sorted(self.over_time),
            "spans": _sorted(self.spans),
            "sources": _sorted(self.sources),
            "numbers_missing": self.numbers_missing,
            "silences": [[int(s), a, b] for s, a, b in reversed(self.silences)],
        }


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _row(table: dict[str, dict[str, int]], name: str) -> dict[str, int]:
    if name not in table and len(table) >= MOST:
        name = OVER
    return table.setdefault(name, {})


def _count(table: dict[str, int], name: str, n: int = 1) -> None:
    if name not in table and len(table) >= MOST:
        name = OVER
    table[name] = table.get(name, 0) + n


def _sorted(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _sorted(value) if isinstance(value, dict) else value
        for name, value in sorted(table.items())
    }
