"""The policy decides: strictest wins, nothing unnamed passes, the digest covers what decides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.errors import ConfigError
from sovereign.policy import Policy, decide, load_policy, presets
from sovereign.types import Action, Destination, Finding

HOSTED = Destination("openai", "hosted")
LOCAL = Destination("clinic", "local")


def finding(entity: str, score: float = 0.9) -> Finding:
    return Finding(("x",), 0, 1, entity, score, "test")


def test_every_preset_loads_and_says_what_it_is_for() -> None:
    """A preset that does not load would be found by a customer."""
    assert {"hipaa", "gdpr", "pci", "glba", "strict", "direct"} <= set(presets())
    for name in presets():
        policy = load_policy(preset=name)
        assert policy.name == name
        assert policy.summary.endswith(".")
        assert policy.action("PERSON", HOSTED) is not Action.ALLOW
        assert policy.action("US_SSN", HOSTED) is not Action.ALLOW
        assert policy.action("A_KIND_FROM_NEXT_YEAR", HOSTED) is not Action.ALLOW


def test_what_an_empty_policy_does_not_name_is_masked_on_the_way_out() -> None:
    """The default has to be the safe one."""
    policy = Policy(name="empty")
    assert policy.action("PERSON", HOSTED) is Action.MASK
    assert policy.action("PERSON", LOCAL) is Action.ALLOW


def test_a_destination_wins_over_its_side_even_by_its_star() -> None:
    """`[destination.x] "*" = "block"` means everything there, also what the side lets pass."""
    policy = Policy(
        name="p", hosted={"PERSON": "allow"}, destination={"openai": {"*": "block", "URL": "allow"}}
    )
    assert policy.action("PERSON", HOSTED) is Action.BLOCK
    assert policy.action("URL", HOSTED) is Action.ALLOW
    assert policy.action("PERSON", Destination("other", "hosted")) is Action.ALLOW


def test_a_team_has_its_own_verbs_and_the_rest_as_everybody() -> None:
    """Oncology may send what cardiology may not; the digest is of the whole policy."""
    policy = Policy.model_validate(
        {
            "name": "ours",
            "hosted": {"PERSON": "mask", "US_SSN": "block"},
            "destination": {"openai": {"AGE": "local"}},
            "team": {
                "cardiology": {
                    "hosted": {"PERSON": "local"},
                    "destination": {"openai": {"IP": "allow"}},
                },
            },
        }
    )
    own = policy.for_team("cardiology")
    assert own.action("PERSON", HOSTED) is Action.LOCAL
    assert own.action("US_SSN", HOSTED) is Action.BLOCK
    assert own.action("AGE", HOSTED) is Action.LOCAL
    assert own.action("IP", HOSTED) is Action.ALLOW
    assert policy.action("PERSON", HOSTED) is Action.MASK
    assert policy.for_team("oncology") is policy
    without = policy.model_copy(update={"team": {}})
    assert without.digest() != policy.digest()


@given(st.lists(st.sampled_from(["PERSON", "US_SSN", "URL", "DATE_TIME", "OTHER"])))
def test_the_verdict_is_the_strictest_action_and_counts_each_finding(entities: list[str]) -> None:
    """A law: adding a finding never loosens a verdict, and the log's counts add up."""
    policy = Policy(
        name="p", hosted={"PERSON": "pseudonymize", "US_SSN": "block", "URL": "allow", "*": "mask"}
    )
    findings = [finding(e) for e in entities]
    verdict = decide(policy, findings, HOSTED)
    assert verdict.actions == tuple(policy.action(e, HOSTED) for e in entities)
    assert verdict.action == max(verdict.actions, default=Action.ALLOW)
    assert sum(n for by in verdict.entities.values() for n in by.values()) == len(entities)
    assert decide(policy, [*findings, finding("US_SSN")], HOSTED).action is Action.BLOCK


def test_a_threshold_is_per_entity_with_a_default() -> None:
    """Presidio's scores mean different things for different recognisers."""
    policy = Policy(name="p", threshold={"*": 0.5, "US_SSN": 0.1})
    assert policy.counts(finding("US_SSN", 0.2))
    assert not policy.counts(finding("PERSON", 0.49))
    assert policy.counts(finding("PERSON", 0.5))


def test_the_digest_changes_with_whatever_decides_and_with_nothing_else(tmp_path: Path) -> None:
    """The digest in each record has to answer: under which rule was this decided?"""
    policy = load_policy(preset="hipaa")
    assert policy.digest() == load_policy(preset="hipaa").digest()
    assert policy.model_copy(update={"summary": "other"}).digest() == policy.digest()
    changed = [
        {"hosted": {**policy.hosted, "PERSON": "allow"}},
        {"local": {"*": "mask"}},
        {"threshold": {"*": 0.41}},
        {"unreadable": "local"},
        {"destination": {"openai": {"*": "block"}}},
        {"name": "hipaa2"},
    ]
    digests = {policy.model_copy(update=c).digest() for c in changed}
    assert len(digests | {policy.digest()}) == len(changed) + 1


def test_a_file_extends_a_preset_and_says_only_what_differs(tmp_path: Path) -> None:
    """Teams change two lines, not a table of forty."""
    file = tmp_path / "policy.toml"
    file.write_text('name = "ours"\nextends = "hipaa"\n[hosted]\nUS_SSN = "block"\n')
    policy = load_policy(file=file)
    assert policy.action("US_SSN", HOSTED) is Action.BLOCK
    assert policy.action("DATE_OF_BIRTH", HOSTED) is Action.MASK
    assert policy.name == "ours"


BROKEN = {
    "misspelt verb": ('name = "p"\n[hosted]\nPERSON = "alow"\n', "hosted.PERSON"),
    "entity in lower case": ('name = "p"\n[hosted]\nperson = "mask"\n', "must be an entity"),
    "unknown key": ('name = "p"\nthresholds = {}\n', "unknown key thresholds"),
    "unknown preset": (
        'name = "p"\nextends = "hippa"\n',
        "'hippa' is none of the policies that ship",
    ),
    "no name": ("[hosted]\n", "name is missing"),
    "score above one": ('name = "p"\n[threshold]\nPERSON = 1.5\n', "threshold.PERSON"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_policy_file_is_refused(tmp_path: Path, case: str) -> None:
    """A policy that is half understood must not guard anything."""
    text, message = BROKEN[case]
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_policy(file=file)
    assert message in caught.value.message


CLASSIC = ("DATE_OF_BIRTH", ["US_POSTAL_CODE", "LOCATION"], "GENDER")


def combined(**over: object) -> Policy:
    table = {"name": "classic", "entities": list(CLASSIC), **over}
    return Policy.model_validate(
        {"name": "p", "hosted": {"*": "allow", "LOCATION": "local"}, "combination": [table]}
    )


def at(entity: str, start: int, path: str = "x") -> Finding:
    return Finding((path,), start, start + 2, entity, 0.9, "test")


def test_quasi_identifiers_escalate_only_together() -> None:
    """Each of the three may pass; with all of them the person can be looked up."""
    policy = combined()
    two = [finding("DATE_OF_BIRTH"), finding("GENDER")]
    assert decide(policy, two, HOSTED).action is Action.ALLOW
    three = [*two, finding("US_POSTAL_CODE"), finding("URL")]
    verdict = decide(policy, three, HOSTED)
    assert verdict.actions == (Action.MASK, Action.MASK, Action.MASK, Action.ALLOW)
    assert verdict.entities["GENDER"] == {"mask": 1}


def test_an_escalated_entity_keeps_a_stricter_verb_and_nothing_escalates_inside() -> None:
    """ "At least": local stays local; and the model inside may read all three."""
    policy = combined()
    found = [finding("DATE_OF_BIRTH"), finding("GENDER"), finding("LOCATION")]
    assert decide(policy, found, HOSTED).actions == (Action.MASK, Action.MASK, Action.LOCAL)
    assert decide(policy, found, LOCAL).action is Action.ALLOW


def test_a_combination_may_have_to_stand_close_together() -> None:
    """Within so many characters of one text; then all findings of its members escalate."""
    policy = combined(within=100)
    near = [at("DATE_OF_BIRTH", 900), at("GENDER", 0), at("US_POSTAL_CODE", 950), at("GENDER", 998)]
    assert decide(policy, near, HOSTED).actions == (Action.MASK,) * 4
    far = [at("DATE_OF_BIRTH", 900), at("US_POSTAL_CODE", 950), at("GENDER", 999)]
    assert decide(policy, far, HOSTED).action is Action.ALLOW
    apart = [at("DATE_OF_BIRTH", 0), at("US_POSTAL_CODE", 5), at("GENDER", 9, "y")]
    assert decide(policy, apart, HOSTED).action is Action.ALLOW


def test_the_digest_covers_combinations_and_stays_without_them() -> None:
    """Old records must keep their meaning."""
    plain = Policy(name="p")
    assert plain.digest() == Policy(name="p", combination=()).digest()
    digests = {combined().digest(), combined(verb="block").digest(), combined(within=9).digest()}
    assert len(digests | {plain.digest()}) == 4


def test_combinations_of_a_preset_add_up_and_change_by_name(tmp_path: Path) -> None:
    """Forgetting to repeat one must not loosen the policy; saying "allow" switches it off."""
    file = tmp_path / "policy.toml"
    own = '[[combination]]\nname = "work"\nentities = ["AGE", "ORGANIZATION"]\nverb = "local"\n'
    file.write_text(f'name = "ours"\nextends = "hipaa"\n{own}')
    policy = load_policy(file=file)
    assert [c.name for c in policy.combination] == ["birth-place-sex", "work"]
    off = own.replace("work", "birth-place-sex").replace('"local"', '"allow"')
    file.write_text(f'name = "ours"\nextends = "hipaa"\n{off}')
    policy = load_policy(file=file)
    assert not policy.combines("GENDER")
    assert policy.escalated([finding("AGE"), finding("ORGANIZATION")], HOSTED) == {}


@pytest.mark.parametrize("preset", ["hipaa", "gdpr"])
def test_presets_hold_the_classic_combination(preset: str) -> None:
    """Birth date, postcode and sex (Sweeney 2000): alone, the sex passes."""
    policy = load_policy(preset=preset)
    three = [finding("DATE_OF_BIRTH"), finding("US_POSTAL_CODE"), finding("GENDER")]
    assert decide(policy, three[2:], HOSTED).action is Action.ALLOW
    assert Action.ALLOW not in decide(policy, three, HOSTED).actions


BAD_COMBINATIONS = {
    "one member": ('entities = ["GENDER"]', "combination.0.entities"),
    "a star": ('entities = ["GENDER", "*"]', '"*" is none'),
    "twice": ('entities = ["GENDER", ["AGE", "GENDER"]]', "one place"),
    "empty choice": ('entities = ["GENDER", []]', "combination.0.entities"),
    "misspelt": ('entities = ["GENDER", "age"]', "must be an entity"),
    "unknown key": ('entities = ["GENDER", "AGE"]\nwithn = 3', "withn"),
    "verb": ('entities = ["GENDER", "AGE"]\nverb = "hide"', "combination.0.verb"),
}


@pytest.mark.parametrize("case", BAD_COMBINATIONS)
def test_a_broken_combination_is_refused(tmp_path: Path, case: str) -> None:
    """One that can never be met would look like protection."""
    text, message = BAD_COMBINATIONS[case]
    file = tmp_path / "policy.toml"
    file.write_text(f'name = "p"\n[[combination]]\nname = "c"\n{text}\n')
    with pytest.raises(ConfigError) as caught:
        load_policy(file=file)
    assert message in caught.value.message
