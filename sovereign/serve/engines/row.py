"""One generation in the batch: what it was asked, and what its tokens become.

A row knows nothing of the model: tokens come in, events go out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from sovereign.serve.engines.constrain import Broken, Constraint
from sovereign.serve.engines.sampling import Sampler, Sampling, Scored, score
from sovereign.serve.engines.text import Detokenizer, StopFilter

__all__ = ["Done", "Event", "Failed", "Job", "Piece", "Row"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is safe to send, and the tokens that make it, where they were asked for."""

    text: str = field(repr=False)
    tokens: tuple[Scored, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a generation; ``tokens`` counts everything sampled, end token included."""

    reason: Literal["stop", "length"]
    tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not go on; ``code`` is for the wire."""

    code: Literal["out_of_memory", "engine_error", "grammar_failed", "shutting_down"]


Event = Piece | Done | Failed


@dataclass(eq=False)
class Job:
    """One generation. ``emit`` is called in the generating thread and must not block.

    ``logprobs`` is how many alternatives to tell beside each token, None for no token at all;
    ``adapter`` is the one to answer with, empty for the weights alone.
    """

    prompt: Sequence[int] = field(repr=False)
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...] = field(repr=False)
    emit: Callable[[Event], None] = field(repr=False)
    logprobs: int | None = None
    constraint: Constraint | None = field(default=None, repr=False)
    adapter: str = ""
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody waits for it any more. It leaves the batch before the next token."""
        self.cancelled = True


class Row:
    """A job in the batch."""

    def __init__(self, job: Job, decode: Callable[[list[int]], str]) -> None:
        self.job = job
        self.last = 0
        self._sampler = Sampler(job.sampling)
        self._text = Detokenizer(decode)
        self._stop = StopFilter(job.stop)
        self._tokens = 0
        self._news: list[Event] = []
        self._fed = 0  # characters that the tokens made, and how many of them may be sent
        self._sent = 0
        self._scored: list[tuple[int, int, Scored]] = []  # from, to which character

    def draw(self, logits: torch.Tensor, eos: frozenset[int]) -> bool:
        """Take a token from ``logits``; what follows from it waits for :meth:`tell`. False once
        the row is finished."""
        constraint = self.job.constraint
        try:
            token = self._sampler(logits, None if constraint is None else constraint.mask())
            ended = constraint is not None and constraint.accept(token) and token not in eos
        except Broken:
            self._news.append(Failed("grammar_failed"))
            return False
        self._tokens += 1
        self.last = token
        if token in eos:
            return self._finish("stop")
        text = self._text.feed(token)
        if self.job.logprobs is not None:
            scored = score(logits, token, self.job.logprobs)
            self._scored.append((self._fed, self._fed + len(text), scored))
        self._fed += len(text)
        self._send(self._stop.feed(text))
        if self._stop.hit or ended:
            return self._finish("stop")
        return self._finish("length") if self._tokens >= self.job.max_tokens else True

    def tell(self) -> None:
        """Emit what the last token led to."""
        for event in self._news:
            self.job.emit(event)
        self._news.clear()

    def _send(self, text: str, *, last: bool = False) -> None:
        self._sent += len(text)
        # A token goes out with its text; at the end also one that a stop string cut in two.
        ready = [s for a, b, s in self._scored if b <= self._sent or (last and a < self._sent)]
        self._scored = self._scored[len(ready) :]
        if text or ready:
            self._news.append(Piece(text, tuple(ready)))

    def _finish(self, reason: Literal["stop", "length"]) -> bool:
        if not self._stop.hit:
            rest = self._text.flush()
            self._fed += len(rest)
            self._send(self._stop.feed(rest))
        self._send(self._stop.flush(), last=True)
        self._news.append(Done("stop" if self._stop.hit else reason, self._tokens))
        return False
