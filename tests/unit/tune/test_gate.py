"""Rows with personal data are refused unless the recipe says what is to become of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sovereign.audit.tokens import TokenKey
from sovereign.errors import RecognizerFailed, TuneError
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.tune.gate import Gate
from sovereign.tune.recipe import PrivateConfig
from sovereign.tune.rows import Row

MAIL, SSN = "maria.keller@northvale.example", "512-47-3391"
KEY = bytes(32)


def row(line: int, question: str, answer: str) -> Row:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Row(line, messages, id=f"r{line}")


ROWS = [
    row(1, "How is a form signed?", "In blue ink, on the last page."),
    row(2, f"Who writes from {MAIL}?", "A patient."),
    row(3, "Where do replies go?", f"To {MAIL}, SSN {SSN}."),
]


@pytest.fixture(scope="module")
def gate() -> Gate:
    policy = load_policy(preset="hipaa")
    return Gate.of(policy, build("none"), KEY, TokenKey.of(KEY))


def test_by_default_a_run_is_refused_by_count_and_line_and_quotes_nothing(gate: Gate) -> None:
    """Fail closed: nobody decided yet that a model may learn a person."""
    with pytest.raises(TuneError, match=r"rows: 2 of 3 rows hold personal data") as caught:
        gate.pass_(ROWS, PrivateConfig(), "rows")
    said = caught.value.message + caught.value.hint
    assert "EMAIL_ADDRESS 2" in said
    assert "lines 2, 3" in said
    assert MAIL not in said
    assert SSN not in said


def test_drop_leaves_the_others(gate: Gate) -> None:
    """And counts."""
    found = gate.pass_(ROWS, PrivateConfig(action="drop"), "rows")
    assert [r.line for r in found.rows] == [1]
    assert (found.lines, found.dropped) == ((2, 3), 2)
    with pytest.raises(TuneError, match="every row holds personal data"):
        gate.pass_(ROWS[1:], PrivateConfig(action="drop"), "rows")


def test_one_person_is_the_same_stand_in_in_every_row(gate: Gate) -> None:
    """So that what the rows say together stays true; other values have others."""
    found = gate.pass_(ROWS, PrivateConfig(action="pseudonymize"), "rows")
    text = [" ".join(m["content"] for m in r.messages) for r in found.rows]
    assert MAIL not in "".join(text)
    assert SSN not in "".join(text)
    (asked,) = re.findall(r"EMAIL_ADDRESS_\w+", text[1])
    assert asked in text[2]
    assert found.rows[0] == ROWS[0]
    assert [r.id for r in found.rows] == ["r1", "r2", "r3"]


def test_allow_keeps_the_words_and_says_what_an_audit_should_look_for(gate: Gate) -> None:
    """The identifiers of the answers: what a model was taught to say. Their repr is silent."""
    found = gate.pass_(ROWS, PrivateConfig(action="allow", reason="test"), "rows")
    assert list(found.rows) == ROWS
    assert {(i.line, i.entity, i.value) for i in found.identifiers} == {
        (3, "EMAIL_ADDRESS", MAIL),
        (3, "US_SSN", SSN),
    }
    assert MAIL not in repr(found) + repr(found.identifiers)
    assert found.entities == {"EMAIL_ADDRESS": 2, "US_SSN": 1}


def test_tokens_are_keyed_and_one_for_each_value(gate: Gate) -> None:
    """ "Was this value ever learnt?" is answered as the audit log answers."""
    found = gate.pass_(ROWS, PrivateConfig(action="drop"), "rows")
    assert len(found.tokens) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in found.tokens)


def test_allowing_needs_a_reason() -> None:
    """It goes into the passport."""
    with pytest.raises(ValueError, match="needs a reason"):
        PrivateConfig(action="allow")
    with pytest.raises(ValueError, match="needs a reason"):
        PrivateConfig(action="drop", reason="tidy")


def test_a_recogniser_that_fails_stops_the_run() -> None:
    """A row that nobody looked through is not clean."""

    class Broken:
        name = build_ = "broken"
        build = "1"

        def recognize(self, text: str) -> Any:
            raise ValueError(text)

    gate = Gate.of(load_policy(preset="hipaa"), [Broken()], KEY)
    with pytest.raises(RecognizerFailed):
        gate.pass_(ROWS, PrivateConfig(action="drop"), "rows")
