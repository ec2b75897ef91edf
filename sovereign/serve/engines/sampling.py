"""One row of logits to one token, with the parameters of that row's request and nobody else's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import torch

__all__ = ["Sampler", "Sampling", "Scored", "score"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """``temperature`` 0 is greedy. ``top_p`` keeps the smallest set of tokens with that mass. A
    penalty is taken from the logit of each token that was drawn before, ``frequency`` times as
    often as it was; ``bias`` is added to the logits of its tokens."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """A token and its log-probability, natural, with the likeliest others, best first."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


class Sampler:
    """Draws from its own generator, on the CPU: a seed means the same on every device."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device="cpu")
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._generator.manual_seed(seed)
        self._ids = torch.tensor([i for i, _ in sampling.bias], dtype=torch.long)
        self._bias = torch.tensor([b for _, b in sampling.bias])
        self._drawn: dict[int, int] = {}

    def __call__(self, logits: torch.Tensor, allowed: torch.Tensor | None = None) -> int:
        """The next token for ``logits``: one row, float32, on the CPU, which is not changed.
        ``allowed`` is a row of bools; at least one is true."""
        token = self._draw(self._shaped(logits, allowed))
        self._drawn[token] = self._drawn.get(token, 0) + 1
        return token

    def _shaped(self, logits: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
        s = self._sampling
        penalised = (s.frequency_penalty or s.presence_penalty) and self._drawn
        if penalised or s.bias:
            logits = logits.clone()
        if penalised:
            ids = torch.tensor(list(self._drawn))
            often = torch.tensor(list(self._drawn.values()), dtype=logits.dtype)
            logits[ids] -= often * s.frequency_penalty + s.presence_penalty
        if s.bias:
            logits[self._ids] += self._bias
        return logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)

    def _draw(self, logits: torch.Tensor) -> int:
        s = self._sampling
        if s.temperature == 0:
            return int(logits.argmax())
        # Subtracting the maximum first keeps tiny temperatures from overflowing to inf - inf, and a
        # float32 above zero from 0 / 0.
        temperature = max(s.temperature, torch.finfo(torch.float32).tiny)
        probs = torch.softmax((logits - logits.max()) / temperature, dim=-1)
        if s.top_p >= 1:
            return int(torch.multinomial(probs, 1, generator=self._generator))
        ordered, order = probs.sort(descending=True, stable=True)
        # A token stays if the mass before it is under top_p. The first one always stays: a top_p
        # that is zero in float32 would leave none.
        ordered[1:][(ordered.cumsum(0) - ordered)[1:] >= s.top_p] = 0
        return int(order[torch.multinomial(ordered, 1, generator=self._generator)])


def score(logits: torch.Tensor, token: int, top: int) -> Scored:
    """What the model itself thought of ``token``: before temperature, penalties, bias and grammar,
    so that the numbers say something of the model and not of the request."""
    logprobs = torch.log_softmax(logits, dim=-1)
    values, ids = logprobs.topk(top)
    best = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return Scored(token, float(logprobs[token]), best)
