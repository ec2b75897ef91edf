"""Logs and prose with planted identifiers: where each stands is known. Nobody in them exists."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["LOG", "PROSE", "Planted", "application_log", "card", "prose"]

Planted = tuple[str, str]
"""(entity, value)."""

LOG = (
    "INFO [http-{a}] GET /api/v1/items/{n} 200 {ms}ms rid={uuid}",
    "INFO [http-{a}] POST /api/v1/orders 201 {ms}ms rid={uuid} items={a}",
    "DEBUG cache hit ratio={pct}% entries={n} shard={a}",
    "WARN pool exhausted, waited {ms}ms for a connection ({a} of {a} in use)",
    "INFO scheduler: job cleanup finished in {ms} ms, removed {n} rows",
    "ERROR upstream timed out after {ms}ms (attempt {a} of 3) rid={uuid}",
    "INFO kafka: partition {a} rebalanced, offset {n}",
    "DEBUG sql: SELECT id, status FROM orders WHERE status = 'open' LIMIT {a} took {ms}ms",
    "INFO worker-{a} heartbeat ok, queue depth {n}",
    "INFO gc: pause {ms}ms, heap {n}M of 4096M",
    "INFO deploy: build {n} healthy on node-{a}",
    "TRACE span {hex} closed parent={hex} dur={ms}us",
)
WITH = (
    ("EMAIL_ADDRESS", "INFO auth: login ok user={value} from 10.0.0.{a}"),
    ("US_SSN", "WARN import row {n} rejected: ssn={value} is a duplicate"),
    ("CREDIT_CARD", "ERROR payment declined for card {value}, code {a}"),
    ("IBAN_CODE", "INFO payout sent to IBAN {value}"),
)
PROSE = (
    "The committee met again on the matter of the harbour wall, and put off the decision. ",
    "Several members asked for a second opinion on the cost of the northern section. ",
    "It was noted that the weather had delayed the survey more than anybody had expected. ",
    "The report will be read at the next session, together with the comments of the council. ",
    "Nobody objected to the plan to plant lime trees along the road to the station. ",
)


def card(rng: random.Random) -> str:
    """A number of the test range 4000 00 that the check digit accepts."""
    digits = [4, 0, 0, 0, 0, 0, *(rng.randrange(10) for _ in range(9))]
    double = [d * 2 - 9 if d > 4 else d * 2 for d in digits[::-2]]
    total = sum(double) + sum(digits[-2::-2])
    return "".join(map(str, [*digits, -total % 10]))


def _iban(rng: random.Random) -> str:
    bban = "".join(str(rng.randrange(10)) for _ in range(18))
    check = 98 - int(bban + "131400") % 97
    return f"DE{check:02}{bban}"


def value(entity: str, rng: random.Random) -> str:
    """A value that nobody has."""
    if entity == "EMAIL_ADDRESS":
        return f"user{rng.randrange(10**6):06}@northvale.example"
    if entity == "US_SSN":
        return f"5{rng.randrange(10, 100)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}"
    return card(rng) if entity == "CREDIT_CARD" else _iban(rng)


def application_log(
    rng: random.Random, lines: int, *, every: int = 200
) -> Iterator[tuple[str, Planted | None]]:
    """``lines`` of a service's log, one in ``every`` with something planted."""
    second = 0
    for index in range(lines):
        second += rng.randrange(3)
        stamp = (
            f"2026-11-{1 + second // 86400 % 28:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}"
        )
        stamp += f":{second % 60:02}.{rng.randrange(1000):03}Z "
        planted: Planted | None = None
        text = rng.choice(LOG)
        if index % every == every - 1:
            entity, text = rng.choice(WITH)
            planted = (entity, value(entity, rng))
        yield (
            stamp
            + text.format(
                value=planted[1] if planted else "",
                a=rng.randrange(1, 64),
                n=rng.randrange(100, 99999),
                ms=rng.randrange(1, 3000),
                pct=rng.randrange(100),
                hex=f"{rng.getrandbits(64):016x}",
                uuid="-".join(f"{rng.getrandbits(4 * k):0{k}x}" for k in (8, 4, 4, 4, 12)),
            )
            + "\n",
            planted,
        )


def prose(
    rng: random.Random, sentences: int, *, every: int = 50
) -> Iterator[tuple[str, Planted | None]]:
    """Minutes of meetings; one sentence in ``every`` names a number of somebody's."""
    for index in range(sentences):
        if index % every == every - 1:
            entity = rng.choice(("EMAIL_ADDRESS", "US_SSN", "CREDIT_CARD"))
            found = (entity, value(entity, rng))
            label = {"US_SSN": "SSN", "CREDIT_CARD": "card"}.get(entity, "address")
            yield f"The {label} given for the refund was {found[1]}, as before.\n", found
        else:
            yield rng.choice(PROSE) + ("\n" if index % 7 == 6 else ""), None
