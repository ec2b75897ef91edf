"""Asks a server of OpenAI's wire from many callers at once, and counts what comes when.

It keeps times and numbers of tokens, and no text: neither what was asked nor what was answered.
"""

from __future__ import annotations

import itertools
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx2

from sovereign.types import Clock

__all__ = ["Answered", "Level", "ask", "level", "percentile"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: seconds to its first text, between its pieces, and to its end. ``failed`` is a
    status or the kind of a broken connection, empty for a whole answer."""

    first_s: float = 0.0
    gaps_s: tuple[float, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """What ``callers`` at once heard, all together in ``seconds``."""

    callers: int
    seconds: float
    answers: tuple[Answered, ...]

    @property
    def whole(self) -> list[Answered]:
        return [a for a in self.answers if not a.failed]

    @property
    def rate(self) -> float:
        """Tokens/s of all callers together."""
        return sum(a.tokens for a in self.whole) / self.seconds

    @property
    def failures(self) -> Mapping[str, int]:
        kinds = [a.failed for a in self.answers if a.failed]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def first(self, share: float) -> float:
        """Seconds to the first text, of which ``share`` are at most this."""
        return percentile([a.first_s for a in self.whole], share)

    def gap(self, share: float) -> float:
        """The same of the seconds between two pieces of an answer."""
        return percentile([gap for a in self.whole for gap in a.gaps_s], share)

    def took(self, share: float) -> float:
        """The same of the seconds to the end of an answer."""
        return percentile([a.seconds for a in self.whole], share)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them do not pass (nearest rank); NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ask(
    http: httpx2.Client, model: str, messages: Sequence[Mapping[str, str]], limit: int, clock: Clock
) -> Answered:
    """One streamed chat of at most ``limit`` tokens."""
    body = {
        "model": model,
        "messages": list(messages),
        "max_tokens": limit,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, heard, tokens, ended = clock(), [], 0, False
    try:
        with http.stream("POST", "chat/completions", json=body) as answer:
            if answer.status_code != 200:
                return Answered(failed=f"status {answer.status_code}")
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    ended = True
                elif line.startswith("data: "):
                    chunk = json.loads(line.removeprefix("data: "))
                    if "error" in chunk:
                        return Answered(failed="an error in the stream")
                    choices = chunk.get("choices") or [{}]
                    if (choices[0].get("delta") or {}).get("content"):
                        heard.append(clock())
                    tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    except (httpx2.HTTPError, ValueError) as e:
        return Answered(failed=type(e).__name__)
    if not ended:
        return Answered(failed="a stream that broke off")
    gaps = tuple(b - a for a, b in itertools.pairwise(heard))
    end = clock()
    # A server that reports no usage sends, as a rule, a piece for each token.
    return Answered((heard or [end])[0] - began, gaps, end - began, tokens or len(heard))


def level(callers: int, requests: int, one: Callable[[int], Answered], clock: Clock) -> Level:
    """``requests`` calls of ``one`` with their numbers, from ``callers`` threads."""
    answers: list[Answered] = []
    numbers = iter(range(requests))
    lock = threading.Lock()

    def caller() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answers.append(one(number))

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(callers)]
    began = clock()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Level(callers, clock() - began, tuple(answers))
