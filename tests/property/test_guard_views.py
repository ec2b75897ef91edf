"""A law of views: whatever spelling a value is seen in, the finding lies on the characters that
carry it, and on a whole encoded stretch at most."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard import views

VALUE = "keller@northvale.org"
filler = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20
).map(lambda s: s + " ")
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda v: "".join(f"%{b:02X}" for b in v.encode()),
    "entity": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "escape": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "full_width": lambda v: "".join(chr(ord(c) + 0xFEE0) for c in v),
    "zero_width": lambda v: "\u200b".join(v),
    "quoted": lambda v: quote(v, safe=""),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "hex": lambda v: v.encode().hex(),
}


@settings(max_examples=200, deadline=None)
@given(before=filler, after=filler, how=st.sampled_from(sorted(SPELLINGS)))
def test_a_finding_in_any_view_maps_to_the_characters_that_carry_it(
    before: str, after: str, how: str
) -> None:
    """Exactly, for every spelling; so nothing else is cut, and nothing of the value stays."""
    spelled = SPELLINGS[how](VALUE)
    text = f"{before}{spelled} {after}"
    places = set()
    for reading in views.readings(text):
        at = reading.text.find(VALUE)
        if at >= 0:
            place = reading.origin(at, at + len(VALUE))
            if place is not None:
                places.add(place[:2])
    assert (len(before), len(before) + len(spelled)) in places


SOME = filler | st.sampled_from(sorted(SPELLINGS)).map(lambda how: SPELLINGS[how](VALUE))


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(SOME | st.sampled_from(['{"a": "b"}', "[abc]"]), max_size=6))
def test_texts_are_plain_together_if_each_has_one_reading(texts: list[str]) -> None:
    """Looking at many at once is for speed, and hides no encoded value."""
    for text, plain in zip(texts, views.plain(texts), strict=True):
        found = list(views.readings(text))
        one = len(found) == 1 and found[0].view == "text" and found[0].mapped.starts is None
        assert plain <= one


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=80))
def test_every_character_of_every_view_has_a_place_in_the_text(text: str) -> None:
    """Any string is legal: lone surrogates, NUL, bidi storms; no view points outside of it."""
    for reading in views.readings(text, label="k"):
        for i in range(len(reading.text)):
            place = reading.origin(i, i + 1)
            if place is not None:
                assert 0 <= place[0] <= place[1] <= len(text)


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=12), st.integers())))
def test_tokens_of_nested_json_stand_where_they_say(value: dict[str, object]) -> None:
    """Each string, key and number of JSON in a string lies exactly on its own characters."""
    text = json.dumps(value)
    for reading in views.readings(text):
        if reading.levels == 1 and reading.view == "json" and not reading.segments:
            plain = reading.mapped.text
            place = reading.origin(len(reading.lead), len(reading.text))
            assert place is not None
            raw = text[place[0] : place[1]]
            assert (raw if reading.bare else json.loads(f'"{raw}"')) == plain
