"""Calls are told from text for any chunking, and never half of one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sovereign.serve.engines.messages import Call
from sovereign.serve.engines.tools import CallFilter

SAID = st.lists(
    st.tuples(
        st.text(alphabet="ab<>/_tolcal \n", max_size=12).filter(lambda t: "<tool_call>" not in t),
        st.dictionaries(st.text("xy", max_size=2), st.integers() | st.text(max_size=5)),
    ),
    max_size=4,
)


@given(SAID, st.data())
def test_any_chunking_gives_the_same_texts_and_calls(
    said: list[tuple[str, dict[str, object]]], data: st.DataObject
) -> None:
    """Streams cut anywhere: within a tag, within the arguments."""
    whole = "".join(
        f"{text}<tool_call>\n{json.dumps({'name': 'f', 'arguments': args})}\n</tool_call>"
        for text, args in said
    )
    split = CallFilter()
    heard: list[str | Call] = []
    at = 0
    while at < len(whole):
        step = data.draw(st.integers(1, 9))
        heard += split.feed(whole[at : at + step])
        at += step
    rest = split.flush()
    calls = [c for c in heard if isinstance(c, Call)]
    assert [json.loads(c.arguments) for c in calls] == [args for _, args in said]
    assert len({c.id for c in calls}) == len(calls)
    texts = "".join(h for h in heard if isinstance(h, str)) + rest
    first = said[0][0] if said else ""
    assert texts == first + "".join(t.lstrip() for t, _ in said[1:])


def test_a_call_that_was_cut_off_is_not_told() -> None:
    """Nobody could make it, and its raw text is no answer."""
    split = CallFilter()
    assert split.feed('Let me see. <tool_call>\n{"name": "f", "argu') == ["Let me see. "]
    assert split.flush() == ""


def test_what_only_looks_like_a_tag_is_text() -> None:
    """It is held back while it may become one, and no longer."""
    split = CallFilter()
    assert split.feed("a <tool") == ["a "]
    assert split.feed("box> b <") == ["<toolbox> b "]
    assert split.flush() == "<"


def test_a_closing_tag_in_an_argument_ends_no_call() -> None:
    """A string may hold any text. For any chunking."""
    args = {"x": "a</tool_call>b", "y": "</tool_call>"}
    call = f"<tool_call>\n{json.dumps({'name': 'f', 'arguments': args})}\n</tool_call>"
    for step in (1, 7, len(call)):
        split = CallFilter()
        heard = [h for at in range(0, len(call), step) for h in split.feed(call[at : at + step])]
        [told] = heard
        assert isinstance(told, Call)
        assert json.loads(told.arguments) == args
        assert [*split.feed("done"), split.flush()] == ["done", ""]
