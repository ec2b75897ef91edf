"""Findings, actions and verdicts carry no text."""

from __future__ import annotations

import dataclasses

import pytest

from sovereign.types import Action, Destination, Finding, Verdict


def test_the_stricter_action_is_the_greater() -> None:
    """The strictest verb wins by max(); the order is the policy's meaning."""
    assert max(Action.ALLOW, Action.LOCAL, Action.MASK) is Action.LOCAL
    verbs = [a.verb for a in sorted(Action)]
    assert verbs == ["allow", "mask", "pseudonymize", "local", "block"]
    assert [Action.from_verb(v).verb for v in verbs] == verbs


def test_an_unknown_verb_is_an_error_and_never_allow() -> None:
    """A typo must not open the door."""
    with pytest.raises(KeyError):
        Action.from_verb("alow")


def test_a_finding_holds_no_field_for_the_value() -> None:
    """Findings are logged and shown; a value in one would be a leak."""
    fields = set(Finding._fields)
    assert fields == {"path", "start", "end", "entity", "score", "recognizer", "view"}


def test_shared_values_cannot_be_changed_after_they_were_made() -> None:
    """A verdict that changes between deciding and recording would make the log lie."""
    verdict = Verdict(Action.MASK, Destination("openai", "hosted"), "0" * 64)
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.action = Action.ALLOW  # type: ignore[misc]
