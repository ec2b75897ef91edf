"""Laws of the tagger for any text at all."""

from __future__ import annotations

import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard.recognizers.tagger import Tagger
from sovereign.guard.recognizers.tagger.tokens import _ASCII_TOKEN, _TOKEN, pieces

PARTS = st.sampled_from(
    ["Margaret Okonkwo", "MRN 00482913", ", ", "\n", ";", "|", " ", "48 Winterbourne Road", "the",
     "\ud800", "漢", "pass: hunter2", "\t", "@pixelfox92", "e\u0301", "-----", "x" * 60, "0"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=300), st.lists(PARTS, max_size=60).map("".join))


@functools.cache
def tagger() -> Tagger:
    return Tagger()


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_findings_are_in_order_disjoint_inside_the_text_and_repeatable(text: str) -> None:
    """Whatever the text: the guard cuts it at these offsets."""
    found = tagger().recognize(text)
    last = 0
    for f in found:
        assert last <= f.start < f.end <= len(text)
        assert 0.0 <= f.score <= 1.0
        assert any(c.isalnum() for c in text[f.start : f.end])
        last = f.end
    assert tagger().recognize(text) == found


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_tokens_joined_are_the_text(text: str) -> None:
    """Offsets are sums of token lengths."""
    assert "".join(t for p in pieces(text) for t in p) == text


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
@settings(max_examples=300, deadline=None)
def test_ascii_text_is_cut_as_any_text_is(text: str) -> None:
    """The faster pattern is the same one."""
    assert _ASCII_TOKEN.findall(text) == _TOKEN.findall(text)
