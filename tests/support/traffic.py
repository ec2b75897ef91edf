"""A small real log of made-up requests over some days: for tests of what reads a log."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import logs

from sovereign.audit import record
from sovereign.audit.log import Log
from sovereign.audit.tokens import Tokens
from sovereign.types import JSON, Action, Destination, Verdict

TEAMS = ("cardiology", "billing", "research", "nursing")
HOSTED = (Destination("openai", "hosted"), Destination("anthropic", "hosted"))
INSIDE = Destination("ward-llama", "local")
POLICY, BUILD = "a1" * 32, "b2" * 32
ENTITIES = ("PERSON", "MEDICAL_RECORD_NUMBER", "DATE_OF_BIRTH", "US_SSN", "EMAIL_ADDRESS", "SECRET")
START = datetime(2026, 7, 1, 8, tzinfo=UTC).timestamp()
DAY = 86_400


def grow(folder: Path, *, days: int = 3, per_day: int = 12, start: float = START) -> int:
    """Write the log and close it; its size."""
    now = [start]
    with Log.open(
        folder, key=logs.SEED, origin=logs.ORIGIN, source="gateway", clock=lambda: now[0]
    ) as log:
        for moment, fields in records(days, per_day, start):
            now[0] = moment
            log.append(fields)
        return log.size + 1


def grow_chain(folder: Path, *, days: int = 6, per_day: int = 12, each: int = 2) -> int:
    """As :func:`grow`, by a log that is ended every ``each`` days: how many logs there are."""
    from sovereign.audit.chain import Chain
    from sovereign.audit.store.folders import Folders

    now = [START]
    chain = Chain(
        Folders(folder),
        folder,
        key=logs.SEED,
        origin=logs.ORIGIN,
        source="gateway",
        clock=lambda: now[0],
    )
    try:
        for moment, fields in records(days, per_day, START):
            now[0] = moment
            if moment >= START + chain.number * each * DAY:
                chain.rotate("asked")
            chain.commit([record.prepare(fields, source="gateway")])
        chain.commit([], sign=True)
        chain.publish()
        return chain.number
    finally:
        chain.close()


def records(days: int, per_day: int, start: float) -> Iterator[tuple[float, dict[str, JSON]]]:
    """(time, record), in order, the same each time."""
    chance = random.Random(7)
    event = record.event
    yield start, event("gateway.start", version="0.1.0", policy=POLICY, guard_build=BUILD)
    yield start, event("policy.load", name="hipaa", policy=POLICY)
    for team in TEAMS:
        yield start, event("key.create", key_id=f"key-{team}", team=team)
    yield start, event("weights.import", name="llama", kind="gguf", digest="c3" * 32)
    yield start, event("weights.verify", name="llama", digest="c3" * 32)
    yield start, event("model.serve", model="ward-llama")
    for day in range(days):
        for n in range(int(per_day * (0.35 if day % 7 in (3, 4) else 1))):
            at = start + day * DAY + n * (32_400 / per_day)
            yield from ((at, one) for one in request(chance, f"req-{day}-{n}"))
            if n % 7 == 6:
                yield at, event("log.heartbeat")
        yield start + day * DAY + 32_400, event("log.read", command="show")
    yield start + days * DAY, event("gateway.stop", requests=days * per_day)


def request(chance: random.Random, name: str) -> Iterator[dict[str, JSON]]:
    """One request: an intent and its result, or a refusal."""
    team = chance.choices(TEAMS, (6, 4, 2, 1))[0]
    lot = chance.random()
    model = chance.choices(("gpt-5", "claude-opus", "gpt-5-mini"), (5, 3, 2))[0]
    to = HOSTED["claude" in model]
    who: dict[str, Any] = {"request": name, "team": team, "key_id": f"key-{team}"}
    where = {"endpoint": "chat", "model": model}
    if lot < 0.05:
        yield record.refusal(
            request=name, team=None, key_id=None, **where, code="invalid_api_key", status=401
        )
        return
    if lot < 0.1:
        verdict = Verdict(Action.BLOCK, to, POLICY, entities={"SECRET": {"block": 1}})
        yield record.refusal(
            **who, **where, code="refused_by_policy", status=403, verdict=verdict, tokens=_tokens(1)
        )
        return
    found = {
        entity: {"pseudonymize" if entity == "PERSON" else "mask": chance.randint(1, 4)}
        for entity in ENTITIES
        if chance.random() < 0.3 and entity != "SECRET"
    }
    action, rerouted = Action.MASK if found else Action.ALLOW, False
    if lot < 0.2:
        where, to, action, found = (
            {"endpoint": "chat", "model": "ward-llama"},
            INSIDE,
            Action.ALLOW,
            {},
        )
    elif lot < 0.32:
        to, action, rerouted = INSIDE, Action.ALLOW, True
        found = {"DIAGNOSIS": {"allow": 2}, "PERSON": {"allow": 1}}
    elif chance.random() < 0.2:
        found["LOCATION"] = {"allow": 1}
    yield record.intent(
        **who,
        **where,
        destination=to,
        verdict=Verdict(action, to, POLICY, entities=found),
        guard_build=BUILD,
        body_sha256="d4" * 32,
        bytes_out=chance.randint(300, 9_000),
        stream=chance.random() < 0.5,
        rerouted=rerouted,
        tokens=_tokens(len(found)),
    )
    ok = chance.random() < 0.97
    yield record.result(
        request=name,
        status=200 if ok else 502,
        outcome="ok" if ok else "upstream_failed",
        bytes_in=chance.randint(200, 4_000),
        duration_ms=chance.randint(200, 4_000),
    )


def _tokens(n: int) -> Tokens:
    return Tokens("e5" * 8, "2026-07", tuple(f"{i:032x}" for i in range(n)))
