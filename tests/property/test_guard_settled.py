"""A guard that has seen a conversation before decides as one that has not: what it remembers of a
turn never changes what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sovereign.errors import ResidualFound
from sovereign.guard import Guard, Inspection
from sovereign.policy import load_policy
from sovereign.types import Destination, Finding

HOSTED, OTHER = Destination("openai", "hosted"), Destination("inside", "local")
PATTERNS = {
    "PERSON": r"\bDr\. [A-Z][a-z]+(?: [A-Z][a-z]+)?",
    "PHONE_NUMBER": r"\+\d[\d ]{7,}\d",
    "EMAIL_ADDRESS": r"[\w.]+@[\w.]+\.\w+",
    "MEDICAL_RECORD_NUMBER": r"\bMRN \d{6,}",
    "BANK_ACCOUNT": r"\b77123\d{4,}",
}


class Some:
    """Finds a name only with its title, so that its recurrences are found by value."""

    name, build = "some", "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        return [
            Finding((), m.start(), m.end(), entity, 0.9, self.name)
            for entity, pattern in PATTERNS.items()
            for m in re.finditer(pattern, text)
        ]


def _guard() -> Guard:
    return Guard(load_policy(preset="direct"), [Some()], key=b"k" * 32)


PIECES = st.sampled_from(
    [
        *("Dr. Maria Keller", "Maria", "Keller", "keller", "Dr. Will May", "Will", "will"),
        *("+1 212 555 0143", "2125550143", "MRN 123456", "123456", "123", "456", "a@b.org"),
        *(
            "the dose",
            "and",
            "is",
            "at",
            "a",
            "TWFyaWEgS2VsbGVyIGlzIGhlcmU=",
            "&#77;aria",
            "Ｍaria",
        ),
    ]
)
TURN = st.lists(PIECES, min_size=1, max_size=6).map(" ".join)
CHAT = st.lists(TURN, min_size=1, max_size=6)

ENDS = st.sampled_from(
    ["+1 212 55", "5 0143", "a@b", ".org", "77123", "45678", "12", "Dr. Maria Keller", "", "."]
)
MIDDLE = " and the dose is taken at breakfast, lunch and dinner, as the letter of the ward has it "
"""Longer than what is joined of a text at either end."""
LONG = st.tuples(ENDS, st.sampled_from([MIDDLE, f"{MIDDLE}7{MIDDLE}"]), ENDS).map("".join)
LONG_CHAT = st.lists(st.one_of(LONG, LONG, ENDS), min_size=2, max_size=6)


def _body(turns: Sequence[str]) -> dict[str, object]:
    roles = ("user", "assistant")
    return {
        "model": "gpt-test",
        "messages": [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)],
    }


@settings(max_examples=150, deadline=None)
@given(chats=st.lists(CHAT, min_size=1, max_size=4))
@example(chats=[["Dr. Maria Keller keller", "keller", "a@b.org"]])  # two kinds of one value
def test_a_warm_guard_decides_as_a_cold_one(chats: list[list[str]]) -> None:
    """Turn by turn, several conversations with turns in common, at two destinations: body,
    findings and verdict are those of a guard that sees it for the first time."""
    warm = _guard()
    for turns in chats:
        for upto in range(1, len(turns) + 1):
            for to in (HOSTED, OTHER):
                _same(warm, _body(turns[:upto]), to)


@settings(max_examples=150, deadline=None)
@given(chat=LONG_CHAT, twice=st.integers(1, 3))
@example(chat=[f"{MIDDLE}+1 212 55", f"5 0143{MIDDLE}", f"x{MIDDLE}x"], twice=3)
@example(chat=[f"{MIDDLE}77123.", MIDDLE, f"45678{MIDDLE}"], twice=3)  # over one turn
def test_what_is_cut_between_turns_is_found_however_often_they_were_seen(
    chat: list[str], twice: int
) -> None:
    """Neighbours that share no value are not joined again. Those that do are, whatever stood
    between them or before them when they were seen the last time."""
    warm = _guard()
    for _ in range(twice):
        for start in range(len(chat)):
            _same(warm, _body(chat[start:]), HOSTED)
            _same(warm, _body(chat[:start] + chat[start + 1 :]), HOSTED)


def _same(warm: Guard, body: dict[str, object], to: Destination) -> None:
    ours = warm.inspect(body, to=to, shape="openai.chat", tenant="it")
    fresh = _guard().inspect(body, to=to, shape="openai.chat", tenant="it")
    assert ours.encode() == fresh.encode()
    assert ours.findings == fresh.findings
    assert ours.verdict == fresh.verdict
    assert sorted(ours.values) == sorted(fresh.values)
    assert _refused(ours) == _refused(fresh)


def _refused(made: Inspection) -> bool:
    try:
        made.check_residual(raw=made.encode())
    except ResidualFound:
        return True
    return False
