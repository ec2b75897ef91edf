"""What happens to rows that hold personal data, before a model can learn it.

Held to be personal is what the policy would hold back on the way to a hosted API. What comes out
holds counts, and keyed tokens where there is a key; never text.
"""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sovereign.audit.tokens import TokenKey, epoch_of
from sovereign.errors import TuneError
from sovereign.guard import Guard
from sovereign.guard.inspect import HOSTED, Inspection
from sovereign.policy import Policy, load_policy
from sovereign.tune.calls import Wrong, conversation, tools_of
from sovereign.tune.recipe import PrivateConfig
from sovereign.tune.rows import Row, spooled
from sovereign.types import Action

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["Found", "Gate", "Identifier"]

TENANT = "tune"
BETWEEN = ";"
MOST_IDENTIFIERS = 10_000  # no audit asks for more
LISTED = 5  # lines that an error names


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value that was found in ``message`` of the row at ``line``, or, without one, in its tools.
    Its repr leaves the value out."""

    line: int
    message: int | None
    entity: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """What the gate let through, and what it saw.

    ``entities`` counts findings, ``lines`` are those of rows with any, ``tokens`` are for a search
    like the log's.
    """

    rows: Sequence[Row]
    lines: tuple[int, ...]
    dropped: int
    entities: dict[str, int]
    tokens: tuple[str, ...]
    identifiers: tuple[Identifier, ...]

    def __repr__(self) -> str:
        return f"Found(rows={len(self.rows)}, with={len(self.lines)}, dropped={self.dropped})"


class Gate:
    """The guard's recognisers over rows. One gate gives one person the same stand-in in all of
    them."""

    def __init__(self, guard: Guard, tokens: TokenKey | None = None) -> None:
        self._guard = guard
        self._tokens = tokens

    @classmethod
    def of(
        cls, policy: Policy, recognizers: Sequence[Any], key: bytes, tokens: TokenKey | None = None
    ) -> Gate:
        """``key``: at least 16 random bytes, for the stand-ins."""
        return cls(Guard(_held_back(policy), recognizers, key=key), tokens)

    @classmethod
    def from_config(cls, config: Config | None, secret: bytes) -> Gate:
        """As sovereign.toml says; without one, HIPAA's preset, and stand-ins from ``secret``, so
        that every process of a run makes the same."""
        from sovereign.config import GuardConfig

        if config is None:
            from sovereign.guard.recognizers import from_config as recognizers

            policy = load_policy(preset="hipaa")
            found = recognizers(GuardConfig(), policy=policy)
            return cls.of(policy, found, hmac.digest(secret, b"sovereign/tune/gate/v1", "sha256"))
        from sovereign.audit.tokens import read_token_key

        guard = Guard.from_config(config)
        guard.policy = _held_back(guard.policy)
        return cls(guard, read_token_key(config))

    @property
    def build(self) -> str:
        """The recognisers' build digest."""
        return self._guard.build

    @property
    def policy(self) -> str:
        return self._guard.policy.name

    @property
    def token_key(self) -> str | None:
        return None if self._tokens is None else self._tokens.id

    def pass_(self, rows: Iterable[Row], private: PrivateConfig, where: str) -> Found:
        """``rows`` as ``private`` lets them through, one after the other. Raises
        :class:`TuneError` if it refuses, and :class:`GuardError` if a row cannot be looked
        through."""
        kept = spooled()
        read = 0
        lines: list[int] = []
        entities: Counter[str] = Counter()
        tokens: set[str] = set()
        identifiers: list[Identifier] = []
        epoch = epoch_of(time.time())
        for row in rows:
            read += 1
            seen = self._guard.inspect(
                _body(row),
                to=HOSTED,
                shape="openai.chat",
                tenant=TENANT,
            )
            held = _held(row, seen)
            if not held:
                kept.append(row)
                continue
            lines.append(row.line)
            entities.update(h.entity for h in held)
            if self._tokens is not None:
                made = (self._tokens.token("", h.entity, epoch, h.value) for h in held)
                tokens.update(filter(None, made))
            if private.action == "pseudonymize":
                kept.append(_rewritten(row, seen))
            elif private.action == "allow":
                kept.append(row)
                identifiers += [h for h in held if _is_learnt(row, h)]
                del identifiers[MOST_IDENTIFIERS:]
        if lines and private.action == "refuse":
            kinds = ", ".join(f"{name} {count}" for name, count in entities.most_common(LISTED))
            first = ", ".join(map(str, lines[:LISTED])) + (" …" if len(lines) > LISTED else "")
            raise TuneError(
                f"{where}: {len(lines)} of {read} rows hold personal data ({kinds}); lines {first}",
                hint='set private.action to "pseudonymize" or "drop", or to "allow" with a reason',
            )
        dropped = read - len(kept)
        if not kept:
            raise TuneError(f"{where}: every row holds personal data, so none is left")
        return Found(
            kept,
            tuple(lines),
            dropped,
            dict(sorted(entities.items())),
            tuple(sorted(tokens)),
            tuple(identifiers),
        )


def _held(row: Row, seen: Inspection) -> list[Identifier]:
    """What the policy holds back of a row."""
    out = []
    found = zip(seen.findings, seen.verdict.actions, seen.values, strict=True)
    for finding, action, (entity, value) in found:
        if action is not Action.ALLOW:
            at = finding.path[1] if finding.path[0] == "messages" else None
            assert at is None or isinstance(at, int)
            out.append(Identifier(row.line, at, entity, value))
    return out


def _is_learnt(row: Row, held: Identifier) -> bool:
    return held.message is not None and bool(row.messages[held.message]["role"] == "assistant")


def _body(row: Row) -> dict[str, Any]:
    """Every leaf of the row, where a request has it: calls, their results and tools as well."""
    body: dict[str, Any] = {"messages": [_apart(m) for m in row.messages]}
    if row.tools:
        body["tools"] = [_apart(tool.wire()) for tool in row.tools]
    return body


def _apart(wire: Mapping[str, Any]) -> dict[str, Any]:
    """A message, a call or a tool with something between its fields: the guard reads neighbours as
    one text too, and the name of a tool is no beginning of the address that follows it."""
    found: dict[str, Any] = {}
    for number, (key, value) in enumerate(wire.items()):
        if key == "function":
            value = _apart(value)
        elif key == "tool_calls":
            value = [_apart(call) for call in value]
        found |= {key: value, f"{BETWEEN}{number}": BETWEEN}
    return found


def _together(wire: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`_apart` took apart."""
    found = {k: v for k, v in wire.items() if not k.startswith(BETWEEN)}
    if "function" in found:
        found["function"] = _together(found["function"])
    if "tool_calls" in found:
        found["tool_calls"] = [_together(call) for call in found["tool_calls"]]
    return found


def _rewritten(row: Row, seen: Inspection) -> Row:
    if seen.verdict.action is not Action.PSEUDONYMIZE:
        raise TuneError(f"line {row.line}: cannot be pseudonymized", hint='private.action = "drop"')
    messages = [_together(m) for m in seen.body["messages"]]
    if row.is_text:
        return replace(row, messages=tuple(messages))
    try:  # a stand-in in the name of a tool may leave no name
        tools = tools_of([_together(t) for t in seen.body.get("tools", ())])
        return replace(row, messages=conversation(messages, tools), tools=tools)
    except Wrong:
        raise TuneError(
            f"line {row.line}: is no row any more once it is pseudonymized",
            hint='private.action = "drop"',
        ) from None


def _held_back(policy: Policy) -> Policy:
    """``policy`` with one verb for all that it does not allow to leave."""
    hosted: dict[str, Any] = {
        entity: "allow" if verb == "allow" else "pseudonymize"
        for entity, verb in ({"*": "mask"} | policy.hosted).items()
    }
    combination = tuple(
        c if c.verb == "allow" else c.model_copy(update={"verb": "pseudonymize"})
        for c in policy.combination
    )
    return policy.model_copy(
        update={"hosted": hosted, "destination": {}, "team": {}, "combination": combination}
    )
