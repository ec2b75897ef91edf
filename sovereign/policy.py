"""What may leave, and in what form: a policy is a table of entity and destination to a verb.

A policy file extends a preset and says only what differs. The strictest verb wins for the request.
Quasi-identifiers that pass one by one escalate where they come together: a combination.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel
from sovereign.types import Action, Destination, Finding, Side, Verdict

__all__ = ["Combination", "Policy", "Tables", "decide", "load_policy", "presets"]

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


def _members(value: object) -> object:
    """``["A", ["B", "C"]]`` as tuples of alternatives: ``(("A",), ("B", "C"))``."""
    if not isinstance(value, list | tuple):
        return value
    return tuple((m,) if isinstance(m, str) else tuple(m) for m in value)


Members = Annotated[
    tuple[Annotated[tuple[Entity, ...], Field(min_length=1)], ...], BeforeValidator(_members)
]


class Combination(StrictModel):
    """``[[combination]]``: quasi-identifiers that together point at one person (date of birth,
    postcode and sex single out most of a population: Sweeney 2000). If findings of every member are
    in one request to a hosted destination, all findings of its members get ``verb`` or a stricter
    one."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$",
        description="a file that extends a preset changes its combination by this name",
    )
    entities: Members = Field(
        min_length=2,
        description='the members, such as ["DATE_OF_BIRTH", ["US_POSTAL_CODE", "LOCATION"], '
        '"GENDER"]; a list inside is "one of these"',
    )
    within: int | None = Field(
        None,
        gt=0,
        description="characters of one text that hold all members; without it, the whole request",
    )
    verb: Verb = Field(
        "mask", description='the least that happens to them; "allow" switches it off'
    )

    @model_validator(mode="after")
    def _distinct(self) -> Combination:
        flat = self.flat()
        if EVERYTHING_ELSE in flat:
            raise ValueError('a combination names its entities; "*" is none')
        if len(set(flat)) < len(flat):
            raise ValueError("an entity stands in one place of a combination only")
        return self

    def flat(self) -> tuple[str, ...]:
        """Every entity that it names."""
        return tuple(e for member in self.entities for e in member)

    def met(self, findings: Sequence[Finding]) -> bool:
        """Whether every member was found, near enough."""
        there = {f.entity for f in findings}
        if not all(there.intersection(member) for member in self.entities):
            return False
        if self.within is None:
            return True
        place = {e: i for i, member in enumerate(self.entities) for e in member}
        ours = [f for f in findings if f.entity in place]
        by_path: dict[object, list[Finding]] = {}
        for found in ours:
            by_path.setdefault(found.path, []).append(found)
        return any(self._near(group, place, self.within) for group in by_path.values())

    def _near(self, findings: list[Finding], place: Mapping[str, int], within: int) -> bool:
        """Whether some stretch of ``within`` characters holds all members. One pass: the last
        sight of each member, while ends only grow."""
        last: dict[int, int] = {}
        for found in sorted(findings, key=lambda f: f.end):
            member = place[found.entity]
            last[member] = max(found.start, last.get(member, 0))
            if len(last) == len(self.entities) and found.end - min(last.values()) <= within:
                return True
        return False


class Tables(StrictModel):
    """The tables of verbs: a policy's own, or ``[team.NAME]``'s, which are laid over them."""

    hosted: dict[Entity, Verb] = Field(
        {}, description='verbs on the way to hosted APIs; "*" is every entity not named'
    )
    local: dict[Entity, Verb] = Field(
        {}, description="verbs on the way to models inside; without it everything is allowed"
    )
    destination: dict[str, dict[Entity, Verb]] = Field(
        {}, description="verbs at one destination, by its name; they win over the side's"
    )


class Policy(Tables):
    """A whole policy, after ``extends`` was resolved. See ``recipes/policies/`` for the presets."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$", description="in every audit record")
    summary: str = Field("", description="one sentence for people")
    extends: str | None = Field(None, description="a preset that this file changes")
    retain_days: int | None = Field(
        None, gt=0, description="an audit log is kept so long after its end, at least"
    )
    unreadable: Literal["block", "local"] = Field(
        "block", description="what happens to a request that holds something unreadable"
    )
    team: dict[str, Tables] = Field(
        {},
        description="[team.NAME.hosted] and its like: what differs for the requests of one team, "
        "by the name that its API keys carry",
    )
    threshold: dict[Entity, Score] = Field(
        {}, description='findings that score below are not findings; "*" is every entity not named'
    )
    combination: Annotated[
        tuple[Combination, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
    ] = Field((), description="[[combination]] tables: quasi-identifiers that escalate together")

    @model_validator(mode="after")
    def _names(self) -> Policy:
        names = [c.name for c in self.combination]
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"two combinations are named {twice!r}")
        return self

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

    def for_team(self, team: str) -> Policy:
        """The policy as it is for one team's requests, its own tables laid over the others.

        It decides for one team only: records name the whole policy by *its* :meth:`digest`.
        """
        own = self.team.get(team)
        if own is None:
            return self
        over = own.model_dump(exclude_unset=True)
        return self.model_copy(
            update=_merged({name: getattr(self, name) for name in over}, over) | {"team": {}}
        )

    def counts(self, finding: Finding) -> bool:
        """Whether ``finding`` scores high enough to be decided on."""
        default = self.threshold.get(EVERYTHING_ELSE, 0.0)
        return finding.score >= self.threshold.get(finding.entity, default)

    def escalated(self, findings: Sequence[Finding], to: Destination) -> dict[str, Action]:
        """For each entity of a combination that ``findings`` meet: the least that happens to it.
        Nothing inside: what stays on our machines links nobody for anybody else."""
        floor: dict[str, Action] = {}
        for combination in self.combination if to.side == "hosted" else ():
            least = Action.from_verb(combination.verb)
            if least is not Action.ALLOW and combination.met(findings):
                for entity in combination.flat():
                    floor[entity] = max(least, floor.get(entity, least))
        return floor

    def combines(self, entity: str) -> bool:
        """Whether some combination needs ``entity`` to be found."""
        return any(entity in c.flat() and c.verb != "allow" for c in self.combination)

    def acts_on(self, entity: str) -> bool:
        """Whether ``entity`` may be more than allowed somewhere outside, or is part of a
        combination."""
        tables = [t for own in (self, *self.team.values()) for t in own.destination.values()]
        tables += [team.hosted for team in self.team.values()]
        verbs = [table.get(entity, table.get(EVERYTHING_ELSE)) for table in tables]
        verbs.append(self.hosted.get(entity, self.hosted.get(EVERYTHING_ELSE, "mask")))
        return any(verb not in (None, "allow") for verb in verbs) or self.combines(entity)

    def digest(self) -> str:
        """SHA-256, in hex, of everything that decides; in every audit record."""
        deciding = self.model_dump(exclude={"summary", "extends", "retain_days"})
        for later in ("combination", "team"):  # as before there were any: old records keep meaning
            if not deciding[later]:
                del deciding[later]
        canonical = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def decide(
    policy: Policy,
    findings: Iterable[Finding],
    to: Destination,
    least: Mapping[str, Action] | None = None,
    *,
    digest: str | None = None,
    acts: Callable[[str], Action] | None = None,
) -> Verdict:
    """The verdict over disjoint ``findings`` that already passed :meth:`Policy.counts`.

    ``Verdict.actions`` runs parallel to ``findings``; ``Verdict.action`` is the strictest.
    What the caller has already it may give: ``least``, the least action of entities that a
    combination caught, the policy's ``digest``, and what its :meth:`Policy.action` says here.
    """
    given = list(findings)
    if least is None:
        least = policy.escalated(given, to)
    entities = [finding.entity for finding in given]
    tally = {entity: entities.count(entity) for entity in dict.fromkeys(entities)}  # few kinds
    known: dict[str, Action] = {}
    for entity in tally:
        named = policy.action(entity, to) if acts is None else acts(entity)
        known[entity] = max(named, least.get(entity, named))
    return Verdict(
        action=max(known.values(), default=Action.ALLOW),
        destination=to,
        policy=digest or policy.digest(),
        actions=tuple(map(known.__getitem__, entities)),
        entities={entity: {known[entity].verb: tally[entity]} for entity in sorted(tally)},
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
    data = toml.load(path, missing=f"a file, or a preset: {', '.join(presets())}")
    parent = data.get("extends")
    if not isinstance(parent, str):
        return data
    if parent in seen:
        raise ConfigError(f"{path}: extends goes in a circle: {' -> '.join((*seen, parent))}")
    base = _extended(recipes.find("policies", parent), (*seen, parent))
    return _merged(base, data)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, table by table. Combinations add up, so that nobody loosens a
    preset by forgetting one; one of the same name takes the old one's place."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if key == "combination" and isinstance(old, list) and isinstance(value, list):
            names = [c.get("name") for c in value if isinstance(c, dict)]
            merged[key] = [c for c in old if c.get("name") not in names] + value
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged
