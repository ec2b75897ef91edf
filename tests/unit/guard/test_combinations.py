"""Quasi-identifiers on the whole road: what escalates is taken out everywhere, and the outgoing
bytes prove it."""

from __future__ import annotations

from sovereign.guard import Guard
from sovereign.guard.recognizers.gender import GenderRecognizer
from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.policy import load_policy
from sovereign.types import Action, Destination

HOSTED = Destination("openai", "hosted")


def inspected(*messages: str, preset: str = "hipaa") -> tuple[Guard, str, Action]:
    guard = Guard(
        load_policy(preset=preset), [LabelsRecognizer(), GenderRecognizer()], key=b"k" * 32
    )
    body = {"messages": [{"role": "user", "content": m} for m in messages]}
    done = guard.inspect(body, to=HOSTED, shape="openai.chat")
    raw = done.encode()
    done.check_residual(raw=raw)
    return guard, raw.decode(), done.verdict.action


def test_the_sex_passes_alone() -> None:
    """A question about women's health must stay a question."""
    _, raw, action = inspected("Sex: female. What dose?")
    assert "female" in raw
    assert action is Action.ALLOW


def test_birth_date_postcode_and_sex_go_together() -> None:
    """Over several messages too: the hosted model reads them all."""
    _, raw, _ = inspected("Sex: female", "DOB 03/12/1984", "zip code 02139")
    assert "female" not in raw
    assert "02139" not in raw
    assert "[GENDER]" in raw


def test_what_escalates_is_taken_out_wherever_it_recurs() -> None:
    """Else the residual check would refuse the request: "female" stands again, unlabelled."""
    _, raw, _ = inspected("Sex: female, DOB 03/12/1984, zip code 02139. file-female-ward?")
    assert "female" not in raw
