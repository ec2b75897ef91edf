"""The held-out documents: well marked, with valid check digits, and a floor under the guard."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from check_digits import BY_TYPE, CHECKS
from heldout_corpus import FOLDER, TIERS, Document, documents

from sovereign.guard import Guard
from sovereign.guard import evaluate as measured
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Destination

DOCUMENTS = list(documents())
DENSE = [d for d in DOCUMENTS if any(TIERS.get(x.type) == "core" for x in d.spans)]
SAMPLE = DOCUMENTS[::4]
# Far below what was measured on all of them when they were written (93.7 %, false alarms 22.8 %).
# They show a broken stack; they are no target, and no reason to tune on these documents.
RECALL, FALSE = 0.75, 0.60


def _values(found: list[Document], rule: str) -> list[str]:
    return [
        d.text[x.start : x.end]
        for d in found
        for x in d.spans
        if (x.check or BY_TYPE.get(x.type)) == rule
        and any(c.isdigit() for c in d.text[x.start : x.end])
    ]


def test_the_set_is_as_large_and_as_varied_as_it_says() -> None:
    """Ids are unique, fourteen languages are there, and a licence lies beside the files."""
    assert len({d.id for d in DOCUMENTS}) == len(DOCUMENTS)
    assert len({d.language for d in DENSE}) >= 14
    assert (FOLDER / "LICENSE").is_file()


def test_every_mark_is_read_and_stands_apart() -> None:
    """No bracket of a mark is left in a text, types are known, and spans never overlap."""
    for document in DOCUMENTS:
        assert not re.search(r"\[\[[A-Z_]+[:|]", document.text), document.id
        end = 0
        for span in document.spans:
            value = document.text[span.start : span.end]
            assert span.type in TIERS, (document.id, span.type)
            assert end <= span.start < span.end, (document.id, value)
            assert value == value.strip(), (document.id, value)
            end = span.end


def test_every_repeated_name_and_value_is_marked_wherever_it_stands() -> None:
    """What is personal once is personal again: a whole value, or a capitalised part of a name."""
    for document in DENSE:
        marked = bytearray(len(document.text))
        values = set()
        for span in document.spans:
            marked[span.start : span.end] = b"\1" * (span.end - span.start)
            if TIERS[span.type] != "core":
                continue
            value = document.text[span.start : span.end]
            values.add(value)
            if span.type == "PERSON":
                values |= {w for w in re.findall(r"[\w'’-]{3,}", value) if w[0].isupper()}
        for value in values:
            for again in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", document.text):
                assert all(marked[again.start() : again.end()]), (document.id, again.group())


def test_check_digits_hold_by_their_own_rules() -> None:
    """A card that no issuer could have made would be missed for the right reason."""
    checked: Counter[str] = Counter()
    for document in DOCUMENTS:
        for span in document.spans:
            rule = span.check or BY_TYPE.get(span.type)
            value = document.text[span.start : span.end]
            if rule is not None and any(c.isdigit() for c in value):
                assert CHECKS[rule](value), (document.id, rule, value)
                checked[rule] += 1
    assert set(checked) == set(CHECKS)


@pytest.mark.parametrize("rule", sorted(CHECKS))
def test_a_changed_digit_fails_its_rule(rule: str) -> None:
    """The rules above reject: each one refuses a value of the set with one digit changed."""
    value = _values(DOCUMENTS, rule)[0]
    at = max(i for i, c in enumerate(value) if c.isdigit())
    changed = value[:at] + str((int(value[at]) + 1) % 10 or 1) + value[at + 1 :]
    assert not CHECKS[rule](changed)


def test_the_guard_keeps_well_above_a_broken_one() -> None:
    """Every fourth document through the whole guard, policy `direct`."""
    guard = Guard(load_policy(preset="direct"), build(), key=b"h" * 32)
    rows = (
        measured.Document(
            d.id,
            d.text,
            tuple(measured.Span(x.start, x.end, x.type, TIERS[x.type]) for x in d.spans),
        )
        for d in SAMPLE
    )
    report = measured.evaluate(guard, rows, Destination("hosted", "hosted"))
    assert report.documents == len(SAMPLE)
    assert report.recall.hits >= RECALL * report.recall.total
    assert report.false_alarm.hits <= FALSE * report.false_alarm.total
