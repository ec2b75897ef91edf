"""Text out of tokens: whole characters, and nothing of a stop string, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.serve.engines.text import Detokenizer, StopFilter

letters = st.text("abc", max_size=30)
stops = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def _cut(text: str, stops: list[str]) -> str:
    """The text up to the stop string that is complete first: the definition, read slowly."""
    for end in range(1, len(text) + 1):
        starts = [end - len(s) for s in stops if text[:end].endswith(s)]
        if starts:
            return text[: min(starts)]
    return text


@given(text=letters, stops=stops, cuts=st.lists(st.integers(0, 30)))
def test_any_chunking_gives_the_text_before_the_first_stop_string(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    """A stream and a whole answer must read the same, wherever tokens end."""
    edges = sorted({0, len(text), *(c for c in cuts if c < len(text))})
    held = StopFilter(stops)
    out = "".join(held.feed(text[a:b]) for a, b in pairwise(edges)) + held.flush()
    assert out == _cut(text, stops)
    assert held.hit == (
        out != text or any(text.endswith(s) for s in stops if s == text[len(out) :])
    )


@given(text=letters, stops=stops)
def test_what_was_sent_is_never_taken_back(text: str, stops: list[str]) -> None:
    """At every moment the text sent so far is a start of the final text: no part of a stop string
    has left."""
    held = StopFilter(stops)
    final, sent = _cut(text, stops), ""
    for letter in text:
        sent += held.feed(letter)
        assert final.startswith(sent)


def test_the_longer_of_two_stop_strings_that_end_together_wins() -> None:
    """Otherwise a part of the longer one would be sent."""
    held = StopFilter(["bc", "abc"])
    assert held.feed("xabc") == "x"
    assert held.hit


def test_nothing_comes_after_a_stop_string() -> None:
    """Tokens that were sampled in the same step are not sent."""
    held = StopFilter(["."])
    assert held.feed("a. b") == "a"
    assert held.feed("c") == ""
    assert held.flush() == ""


def _bytes_decode(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


@given(st.text())
def test_bytes_as_tokens_come_out_as_the_whole_text(text: str) -> None:
    """Byte-level vocabularies split characters; their parts must not be shown as U+FFFD."""
    out = Detokenizer(_bytes_decode)
    pieces = [out.feed(b) for b in text.encode()]
    assert "".join(pieces) + out.flush() == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in p for p in pieces)


def test_an_incomplete_character_at_the_end_is_shown_as_such() -> None:
    """Nothing that was sampled vanishes."""
    out = Detokenizer(_bytes_decode)
    assert [out.feed(b) for b in "é".encode()[:1]] == [""]
    assert out.flush() == "\ufffd"


def test_a_leading_space_that_only_the_first_token_loses_is_kept() -> None:
    """SentencePiece decoders strip the first token's space: the window must not restart a text."""

    def decode(ids: list[int]) -> str:
        return "".join(f" w{i}" for i in ids)[1:]

    out = Detokenizer(decode)
    assert "".join(out.feed(i) for i in range(50)) == decode(list(range(50)))


@pytest.mark.parametrize("text", ["\U0001f600" * 9, "a北京北京é é北é" * 3, "北a" + "京" * 30])
def test_characters_of_byte_tokens_come_out_one_after_the_other(text: str) -> None:
    """SentencePiece vocabularies write what they lack as bytes. A run of them that does not begin
    with a character decodes as no character at all."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import WordLevel

    words = {f"<0x{b:02X}>": b for b in range(256)} | {"a": 256, "\u2581": 257}
    inner = Tokenizer(WordLevel(words, "a"))
    inner.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    out = Detokenizer(inner.decode)
    ids: list[int] = []
    for letter in text:
        ids += {"a": [256], " ": [257]}.get(letter, list(letter.encode()))
    pieces = [out.feed(i) for i in ids]
    assert "".join(pieces) + out.flush() == text
    assert pieces.count("") == sum(len(c.encode()) - 1 for c in text)  # none later than it is whole


@pytest.mark.model
def test_the_real_tokenizer_gives_back_any_text(model_store: object) -> None:
    """The window of the detokenizer agrees with decoding everything at once."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        model_store.get("smollm2-135m-instruct")  # type: ignore[attr-defined]
    )
    text = "Zoë  paid 1 000 €\n\n\t– 你好, 👩🏽‍⚕️ said: naïve?  \ud7ff end. " * 5
    out = Detokenizer(lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert "".join(out.feed(i) for i in ids) + out.flush() == text
