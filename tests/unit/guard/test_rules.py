"""What is made of a policy once holds for one team at one destination, and no other."""

from __future__ import annotations

from sovereign.guard.rules import PLACES, InForce, at_least
from sovereign.policy import Policy, Tables
from sovereign.types import Action, Destination

HOSTED, INSIDE = Destination("openai", "hosted"), Destination("openai", "local")
POLICY = Policy(
    name="p",
    hosted={"PERSON": "pseudonymize", "*": "allow"},
    team={"legal": Tables(hosted={"PERSON": "block"})},
)


def test_a_team_with_tables_of_its_own_has_its_own_rules() -> None:
    """What was decided for one is never taken for what another's policy would say."""
    force = InForce(POLICY)
    both = [force.rules(team, HOSTED) for team in ("legal", "sales")]
    assert [rules.acts("PERSON") for rules in both] == [Action.BLOCK, Action.PSEUDONYMIZE]
    assert both[0].name != both[1].name
    assert both[0].digest == both[1].digest == POLICY.digest()
    assert force.rules("it", HOSTED) is both[1]
    inside = force.rules("sales", INSIDE)
    assert inside.acts("PERSON") is Action.ALLOW
    assert inside.name != both[1].name


def test_as_many_rules_are_kept_as_there_are_places() -> None:
    """A client may name destinations as it likes; they are right, but not remembered."""
    force = InForce(POLICY)
    for n in range(PLACES + 1):
        assert force.rules("it", Destination(f"d{n}", "hosted")).acts("PERSON") is not Action.ALLOW
    last = Destination(f"d{PLACES}", "hosted")
    assert force.rules("it", last) is not force.rules("it", last)


def test_the_least_action_only_makes_stricter() -> None:
    """A combination never loosens what the policy says."""
    acts = at_least(
        InForce(POLICY).rules("it", HOSTED).acts, {"PERSON": Action.MASK, "AGE": Action.BLOCK}
    )
    assert [acts(entity) for entity in ("PERSON", "AGE", "DATE_TIME")] == [
        Action.PSEUDONYMIZE,
        Action.BLOCK,
        Action.ALLOW,
    ]
