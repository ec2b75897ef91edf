"""What may leave, and in what form: a policy is a table of entity and destination to a verb.

A policy file extends a preset and says only what differs. The strictest verb wins for the request.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel
from sovereign.types import Action, Destination, Finding, Side, Verdict

__all__ = ["Policy", "decide", "load_policy", "presets"]

EVERYTHING_ELSE = "*"


def _entity(name: str) -> str:
    if name != EVERYTHING_ELSE and not (
        name.isascii() and name.replace("_", "").isalnum() and name.isupper()
    ):
        raise ValueError('must be an entity such as PERSON, or "*" for every other')
    return name


Verb = Literal["allow", "mask", "pseudonymize", "local", "block"]
Entity = Annotated[str, AfterValidator(_entity)]
Score = Annotated[float, Field(ge=0, le=1)]


class Policy(StrictModel):
    """A whole policy, after ``extends`` was resolved. See ``recipes/policies/`` for the presets."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$", description="in every audit record")
    summary: str = Field("", description="one sentence for people")
    extends: str | None = Field(None, description="a preset that this file changes")
    unreadable: Literal["block", "local"] = Field(
        "block", description="what happens to a request that holds something unreadable"
    )
    hosted: dict[Entity, Verb] = Field(
        {}, description='verbs on the way to hosted APIs; "*" is every entity not named'
    )
    local: dict[Entity, Verb] = Field(
        {}, description="verbs on the way to models inside; without it everything is allowed"
    )
    destination: dict[str, dict[Entity, Verb]] = Field(
        {}, description="verbs at one destination, by its name; they win over the side's"
    )
    threshold: dict[Entity, Score] = Field(
        {}, description='findings that score below are not findings; "*" is every entity not named'
    )

    def action(self, entity: str, to: Destination) -> Action:
        """The action for ``entity`` at ``to``. Nobody names it: masked when hosted."""
        side: Side = to.side
        tables = (
            self.destination.get(to.name, {}),
            self.hosted if side == "hosted" else self.local,
        )
        for table in tables:
            for key in (entity, EVERYTHING_ELSE):
                if key in table:
                    return Action.from_verb(table[key])
        return Action.MASK if side == "hosted" else Action.ALLOW

    def counts(self, finding: Finding) -> bool:
        """Whether ``finding`` scores high enough to be decided on."""
        default = self.threshold.get(EVERYTHING_ELSE, 0.0)
        return finding.score >= self.threshold.get(finding.entity, default)

    def digest(self) -> str:
        """SHA-256, in hex, of everything that decides; in every audit record."""
        deciding = self.model_dump(exclude={"summary", "extends"})
        canonical = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def decide(
    policy: Policy, findings: Iterable[Finding], to: Destination, *, digest: str | None = None
) -> Verdict:
    """The verdict over disjoint ``findings`` that already passed :meth:`Policy.counts`.

    ``Verdict.actions`` runs parallel to ``findings``; ``Verdict.action`` is the strictest.
    ``digest`` is the policy's, if the caller has it already.
    """
    actions: list[Action] = []
    entities: dict[str, Counter[str]] = {}
    known: dict[str, Action] = {}
    for finding in findings:
        action = known.get(finding.entity)
        if action is None:
            action = known[finding.entity] = policy.action(finding.entity, to)
        actions.append(action)
        entities.setdefault(finding.entity, Counter())[action.verb] += 1
    return Verdict(
        action=max(actions, default=Action.ALLOW),
        destination=to,
        policy=digest or policy.digest(),
        actions=tuple(actions),
        entities={name: dict(count) for name, count in sorted(entities.items())},
    )


def presets() -> list[str]:
    """The names of the policies that ship with the toolkit."""
    return recipes.names("policies")


def load_policy(*, preset: str | None = None, file: Path | None = None) -> Policy:
    """A shipped preset or a file, with what it extends filled in. Raises :class:`ConfigError`."""
    if (preset is None) == (file is None):
        raise ConfigError("a policy is either a preset or a file")
    path = recipes.find("policies", preset) if preset is not None else file
    assert path is not None
    return toml.parse(_extended(path, ()), Policy, str(path))


def _extended(path: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    data = toml.load(path)
    parent = data.get("extends")
    if not isinstance(parent, str):
        return data
    if parent in seen:
        raise ConfigError(f"{path}: extends goes in a circle: {' -> '.join((*seen, parent))}")
    base = _extended(recipes.find("policies", parent), (*seen, parent))
    return _merged(base, data)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, table by table."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged
