"""The policy in force, with what is made from it once: it takes longer than deciding by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sovereign.policy import Policy
from sovereign.types import Action, Destination, Side

__all__ = ["InForce", "Rules", "Where", "at_least"]

PLACES = 256
"""So many are remembered."""


class Where(NamedTuple):
    """What decides between findings: a policy, as it is for one team, at one destination."""

    policy: str
    team: str
    destination: str
    side: Side


@dataclass(frozen=True, slots=True)
class Rules:
    """``policy`` is the team's; ``acts`` gives the action for an entity; ``digest`` names the whole
    policy in records."""

    policy: Policy
    digest: str
    name: Where
    acts: Callable[[str], Action]


class InForce:
    """One policy."""

    __slots__ = ("_digest", "_rules", "_teams", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._digest = policy.digest()
        self._teams = {name: policy.for_team(name) for name in policy.team}
        self._rules: dict[tuple[str, str, Side], Rules] = {}

    def rules(self, tenant: str, to: Destination) -> Rules:
        """What holds for ``tenant`` at ``to``. As many are kept as there are teams with tables of
        their own, at some destinations."""
        key = (tenant if tenant in self._teams else "", to.name, to.side)
        known = self._rules.get(key)
        if known is None:
            policy = self._teams.get(tenant, self.policy)
            known = Rules(policy, self._digest, Where(self._digest, *key), _acts(policy, to))
            if len(self._rules) < PLACES:
                self._rules[key] = known
        return known


def _acts(policy: Policy, to: Destination) -> Callable[[str], Action]:
    """The policy is asked once for each entity. There are as many as recognisers know."""
    known: dict[str, Action] = {}

    def acts(entity: str) -> Action:
        action = known.get(entity)
        if action is None:
            action = known[entity] = policy.action(entity, to)
        return action

    return acts


def at_least(acts: Callable[[str], Action], floor: Mapping[str, Action]) -> Callable[[str], Action]:
    """As ``acts``, but for the entities of ``floor`` no less than it says."""
    return lambda entity: max(acts(entity), floor.get(entity, Action.ALLOW))
