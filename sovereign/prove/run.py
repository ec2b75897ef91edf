"""Sends the corpus through a deployment, and judges each probe by what arrived behind it.

Two controls make the result worth something. Negative: each probe is sent to the recorder directly,
where it must be seen to leak. Positive: a harmless request must arrive through the deployment.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sovereign.errors import ConfigError
from sovereign.prove.corpus import Message, Probe
from sovereign.prove.seen import Recording
from sovereign.prove.values import Values

__all__ = ["Outcome", "Proof", "Target", "prove"]

TIMEOUT_S = 30.0
SETTLE_S = 0.3
"""After the last answer: what a deployment sends on its own account still has so long to arrive."""

LEAKED, HELD, REFUSED, INSIDE, UNCLEAR = "leaked", "held", "refused", "inside", "unclear"
_HARMLESS = "Is a binary search faster than a linear one?"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one probe. ``what`` is one of the words above: ``held`` arrived without the
    value, ``refused`` and ``inside`` did not arrive, ``unclear`` had no answer."""

    probe: str
    group: str
    what: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """The deployment under test, and how to ask it."""

    base: str
    key: str | None
    models: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Target({self.base!r})"


@dataclass(slots=True)
class Proof:
    """All of one run. ``blind`` are probes that the recorder did not see to leak when they did:
    nothing is proven by them. ``problems`` say why the run as a whole proves nothing."""

    outcomes: list[Outcome] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    arrived: int = 0

    def count(self, what: str) -> int:
        """How many probes ended so."""
        return sum(outcome.what == what for outcome in self.outcomes)


def prove(
    probes: Sequence[Probe],
    target: Target,
    recorder: str,
    recording: Recording,
    *,
    seed: int,
    wait_s: float = 0.0,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Proof:
    """Run ``probes`` one after another. ``recorder`` is the URL of the recording stand-in, and
    ``recording`` what it writes. ``tell`` is told of progress."""
    proof = Proof()
    asked = [p for p in probes if not (p.needs_anthropic and "claude" not in target.models)]
    proof.skipped = [p.name for p in probes if p not in asked]
    models = {"claude": "none", **target.models}
    chance = random.Random(seed)  # noqa: S311 - made-up values, repeatable by their seed
    messages = [(p, p.message(Values.fresh(chance), models)) for p in asked]

    for probe, message in messages:
        _send(recorder, message, {})
        if not any(one.holds(message) for one in recording.new()):
            proof.blind.append(probe.name)

    if lost := _lost(target, recording, wait_s):
        proof.problems.append(f"a harmless request did not arrive at the recorder: {lost}")
        return proof
    key = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    late: list[tuple[Probe, Message, int]] = []
    for number, (probe, message) in enumerate(messages):
        status = _send(target.base, message, key)
        arrived = recording.new()
        proof.arrived += len(arrived)
        what = UNCLEAR
        if any(one.holds(message) for one in arrived):
            what = LEAKED
        elif arrived:
            what = HELD
        elif status is not None:
            what = INSIDE if 200 <= status < 300 else REFUSED
        proof.outcomes.append(Outcome(probe.name, probe.group, what, status))
        late.append((probe, message, number))
        tell(number + 1, len(messages))

    time.sleep(SETTLE_S)
    for one in recording.new():
        for probe, message, number in late:
            if one.holds(message):
                before = proof.outcomes[number]
                proof.outcomes[number] = Outcome(probe.name, probe.group, LEAKED, before.status)
    if lost := _lost(target, recording, 0.0):
        proof.problems.append(f"at the end, a harmless request no longer arrived: {lost}")
    if proof.blind:
        proof.problems.append(f"{len(proof.blind)} probes cannot be seen to leak by this recorder")
    if proof.count(HELD) == 0:
        proof.problems.append("no probe arrived without its value: nothing was let through at all")
    return proof


def _lost(target: Target, recording: Recording, wait_s: float) -> str:
    """What became of a request without any personal data that did not go through within ``wait_s``
    seconds; nothing if it did."""
    said = {"model": target.models["model"], "messages": [{"role": "user", "content": _HARMLESS}]}
    body = json.dumps(said).encode()
    headers = {"Content-Type": "application/json"}
    message = Message("POST", "/v1/chat/completions", headers, body, False, (), ())
    key = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    until = time.monotonic() + wait_s
    recording.new()
    while True:
        status = _send(target.base, message, key)
        if status == 200 and recording.new():
            return ""
        if time.monotonic() >= until:
            break
        time.sleep(min(2.0, wait_s))
    if status is None:
        return "nothing answered at --base"
    return f"the answer at --base was {status}"


def _send(base: str, message: Message, key: Mapping[str, str]) -> int | None:
    """The status of the answer; none if there was no answer."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("--base is an http:// or https:// URL", hint="without /v1 at its end")
    line: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        line = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_S, context=context
        )
    else:
        line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        line.putrequest(message.method, parts.path.rstrip("/") + message.target)
        for name, value in {**message.headers, **key}.items():
            line.putheader(name, value.encode("latin-1", "replace"))
        if message.chunked:
            line.putheader("Transfer-Encoding", "chunked")
            line.endheaders()
            for i in range(0, len(message.body), 7):
                piece = message.body[i : i + 7]
                line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            line.send(b"0\r\n\r\n")
        else:
            if message.body or message.method != "GET":
                line.putheader("Content-Length", str(len(message.body)))
            line.endheaders(message.body or None)
        reply = line.getresponse()
        status = reply.status
        reply.read()
        return status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()
