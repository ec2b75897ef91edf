"""The event stream parser takes chunk boundaries anywhere and gives out whole events only."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.gateway import sse

TEXT = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]))
EVENTS = st.lists(st.tuples(st.none() | st.sampled_from(["ping", "a.b"]), TEXT), max_size=6)


def _cut(raw: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(a % (len(raw) + 1) for a in at)})
    return [raw[a:b] for a, b in itertools.pairwise(places)]


@given(EVENTS, st.lists(st.integers(0, 10_000)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_events_survive_any_chunking_and_line_ending(
    events: list[tuple[str | None, str]], at: list[int], end: str
) -> None:
    """encode, cut anywhere, parse: the same events."""
    raw = b"".join(sse.encode(name, data.encode()) for name, data in events)
    raw = raw.replace(b"\n", end.encode()) + (b":" if end == "\r" else b"")
    parser = sse.Parser()
    got = [e for chunk in _cut(raw, at) for e in parser.feed(chunk)]
    assert [(e.name, e.data) for e in got] == events


@given(
    EVENTS, st.integers(1, 4), st.sampled_from(["", "data: \n\n", "data: 1\ndata: 2\n\n", ":\n\n"])
)
def test_chunks_that_are_whole_events_are_read_as_any_others(
    events: list[tuple[str | None, str]], per: int, odd: str
) -> None:
    """Most are, and have a way of their own: byte by byte the same events come out."""
    parts = [sse.encode(name, data.encode()) for name, data in events] + [odd.encode()]
    quick, slow = sse.Parser(), sse.Parser()
    chunks = [b"".join(parts[at : at + per]) for at in range(0, len(parts), per)]
    got = [e for chunk in chunks for e in quick.feed(chunk)]
    raw = b"".join(chunks)
    assert got == [e for at in range(len(raw)) for e in slow.feed(raw[at : at + 1])]
    assert quick.partial == slow.partial


def test_comments_unknown_fields_and_empty_events_are_nothing() -> None:
    """As the specification says."""
    parser = sse.Parser()
    raw = b": ping\n\nid: 3\nretry: 5\n\nevent: a\n\ndata\n\ndata: 1\ndata: 2\n\n"
    assert parser.feed(raw) == [sse.Event(None, ""), sse.Event(None, "1\n2")]


@pytest.mark.parametrize("first", ["data: {}\n\n", "event: a\ndata: {}\n\n", "\n\ndata: {}\n\n"])
def test_a_byte_order_mark_hides_no_event(first: str) -> None:
    """Some write one before everything. Only there it is none of the data."""
    raw = ("\ufeff" + first + "\ufeffdata: no field\n\ndata: \ufeff\n\n").encode()
    for at in range(1, len(raw)):
        parser = sse.Parser()
        got = [*parser.feed(raw[:at]), *parser.feed(raw[at:])]
        assert [event.data for event in got] == ["{}", "\ufeff"]
    late = sse.Parser()
    assert late.feed(first.encode()) + late.feed("\ufeffdata: no field\n\n".encode()) == got[:1]


def test_half_an_event_is_never_given_out() -> None:
    """What was cut off by the end must not look like an answer."""
    parser = sse.Parser()
    assert parser.feed(b"data: {}\n") == []
    assert parser.partial
    assert parser.feed(b"\n") == [sse.Event(None, "{}")]
    assert not parser.partial


def test_an_endless_event_and_broken_utf8_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, whatever a destination sends."""
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    endless = (b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n", b"data\n" * 100)
    for chunk in endless:
        parser = sse.Parser()
        with pytest.raises(sse.Broken):
            for _ in range(20):
                parser.feed(chunk)
    for end in (b"\n", b"\n\n"):
        with pytest.raises(sse.Broken):
            sse.Parser().feed(b"data: \xff" + end)
