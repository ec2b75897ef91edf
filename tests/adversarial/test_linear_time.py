"""Any string is legal, nothing is cut, and time grows with the length alone, whatever it is."""

from __future__ import annotations

import os
import time

import pytest

from sovereign.guard import Guard
from sovereign.guard.body import Limits
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Action, Destination

HOSTED = Destination("hosted", "hosted")
LIMITS = Limits(deadline_s=600, max_body_bytes=100_000_000)
GUARD = Guard(load_policy(preset="direct"), build(), key=b"k" * 32, limits=LIMITS)
LONGEST = int(os.environ.get("SOVEREIGN_LONGEST_TEXT", "100000"))
"""Characters of the one long line; 10,000,000 was tried, see docs/limits.md."""

STORMS = {
    "one_letter": "a",
    "digits": "1",
    "spaced_digits": "1 ",
    "nul": "\0",
    "bidi": "\u202e\u202c",
    "struck_out": "a\u0336\u0300",
    "at_signs": "@",
    "dotted": "a.",
    "base64": "QUJD",
    "percent": "%41",
    "entities": "&#65;",
    "parentheses": "((",
    "quotes": '"',
    "backslashes": "\\",
    "cells": "a,b\n",
    "characters_apart": "a b ",
    "quoted_printable": "=41",
    "number_words": "seven ",
    "labels": "mrn ",
    "hex_pairs": "41 ",
    "cards": "4111 1111 1111 1111 ",
    "paths": "/users/",
}


def spent(text: str) -> float:
    """CPU seconds, the better of two: other processes disturb even those."""
    seconds = []
    for again in ("x", "y"):  # not in any storm, so that no text was seen before
        start = time.process_time()
        body = {"messages": [{"role": "user", "content": text + again}]}
        GUARD.inspect(body, to=HOSTED, shape="openai.chat")
        seconds.append(time.process_time() - start)
    return min(seconds)


@pytest.mark.parametrize("storm", STORMS)
def test_time_grows_with_the_length(storm: str) -> None:
    """Eight times the text takes less than thirty times as long: a square would take 64 times."""
    unit = STORMS[storm]
    short, long = ((unit * size)[:size] for size in (2_000, 16_000))
    spent(short[:1000])
    assert spent(long) < 30 * max(spent(short), 0.02)


def test_nothing_of_a_long_line_is_cut() -> None:
    """The value at its end is found, and so is the one in the middle."""
    filler = "we talked about the weather and then about the garden, which was fine "
    half = (filler * (LONGEST // len(filler)))[: LONGEST // 2]
    text = f"{half} SSN 512-47-3391 {half} card 4539148803436467"
    body = {"messages": [{"role": "user", "content": text}]}
    done = GUARD.inspect(body, to=HOSTED, shape="openai.chat")
    held = [
        text[f.start : f.end]
        for f, action in zip(done.findings, done.verdict.actions, strict=True)
        if action is not Action.ALLOW
    ]
    assert "512-47-3391" in held
    assert "4539148803436467" in held
