"""What is remembered of a text holds nothing that anybody wrote."""

from __future__ import annotations

from sovereign.guard.settled import FEW, MANY, Own, are_clear_of
from sovereign.types import Finding

FOUND = Finding((), 3, 8, "PERSON", 0.9, "tagger")


def test_findings_are_placed_where_the_text_stands_now() -> None:
    """A turn mostly stands where it stood, but another may be cut off before it."""
    own = Own((FOUND,))
    first = own.at(4, ("messages", 2, "content"))
    assert [(hit.leaf, hit.finding.path) for hit in first] == [(4, ("messages", 2, "content"))]
    assert own.at(4, ("messages", 2, "content")) is first
    for index, path in ((4, ("messages", 1, "content")), (3, ("messages", 2, "content"))):
        assert [(h.leaf, h.finding.path) for h in own.at(index, path)] == [(index, path)]
    assert [hit.finding[1:] for hit in own.at(0, ("input",))] == [FOUND[1:]]


def test_no_key_of_the_callers_own_is_kept() -> None:
    """A path may hold a name: only words of the wire stay."""
    own = Own((FOUND,))
    assert own.at(0, ("metadata", "Maria Keller"))[0].finding.path == ("metadata", "Maria Keller")
    assert own._placed is None
    many = Own((FOUND,) * (FEW + 1))
    assert len(many.at(0, ("input",))) == FEW + 1
    assert many._placed is None


def test_leaves_that_were_looked_through_together_share_what_they_are_clear_of() -> None:
    """So that the next request asks once what is left to look for, not for each turn; and what
    they were clear of before is not looked for again, up to a bound."""
    first, later = (frozenset({bytes([n])}) for n in range(2))
    owns = [Own((FOUND,)) for _ in range(3)]
    are_clear_of(owns[:2], first)
    are_clear_of(owns, later)
    assert [own.clear_of for own in owns] == [first | later, first | later, later]
    assert owns[0].clear_of is owns[1].clear_of
    many = frozenset(n.to_bytes(2, "big") for n in range(MANY))
    are_clear_of(owns, many)
    are_clear_of(owns, later)
    assert [own.clear_of for own in owns] == [later] * 3


def test_what_the_findings_are_stands_in_the_text() -> None:
    """Only places are kept; the text brings the words."""
    own = Own((FOUND, FOUND._replace(start=10, end=12, entity="AGE")))
    assert list(own.said("so Maria is 44")) == [("PERSON", "Maria"), ("AGE", "s ")]
    assert "Maria" not in repr(own)
