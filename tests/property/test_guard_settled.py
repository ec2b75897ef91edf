"""A guard that has seen a conversation before decides as one that has not: what it remembers of a
turn never changes what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sovereign.guard import Guard
from sovereign.policy import load_policy
from sovereign.types import Destination, Finding

HOSTED, OTHER = Destination("openai", "hosted"), Destination("inside", "local")
PATTERNS = {
    "PERSON": r"\bDr\. [A-Z][a-z]+(?: [A-Z][a-z]+)?",
    "PHONE_NUMBER": r"\+\d[\d ]{7,}\d",
    "EMAIL_ADDRESS": r"[\w.]+@[\w.]+\.\w+",
    "MEDICAL_RECORD_NUMBER": r"\bMRN \d{6,}",
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
                body = _body(turns[:upto])
                ours = warm.inspect(body, to=to, shape="openai.chat", tenant="it")
                fresh = _guard().inspect(body, to=to, shape="openai.chat", tenant="it")
                assert ours.body == fresh.body
                assert ours.findings == fresh.findings
                assert ours.verdict == fresh.verdict
                assert sorted(ours.values) == sorted(fresh.values)
