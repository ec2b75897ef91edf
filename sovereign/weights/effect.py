"""What an adapter does, as some sixty numbers in its passport: how far it moves the logits of a
fixed row of tokens. Who loads it measures again, and compares.

An adapter can load without a word and do nothing, or half of what it did (vllm#34186). Tensors are
torch's, of shape (positions, vocabulary), in float32; nothing here imports torch.
"""

from __future__ import annotations

from typing import Any

from sovereign.errors import PassportRefused
from sovereign.types import JSON

__all__ = ["PROBE", "compare", "fingerprint", "probe"]

PROBE = 1
"""Raised with every change of the row, so that fingerprints are compared with their own kind."""

_POSITIONS = 32
_EACH = 2
_UNITS = 1000.0
"""Logits are written in thousandths: integers, as canonical JSON likes them."""

_STEPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_ROUNDED = 8.0
"""How many steps of its number format a logit may be off, measured against the logits' own size,
after all layers. SmolLM2-135M in bfloat16 beside float32: three to five."""
_SHARE = 0.1
_SHARE_COARSE = 0.6
"""How far the effect may be off besides, for its size. Measured over a base in four or eight bits
it was off by half over the whole base; another adapter's was by two thirds at least."""


def probe(vocabulary: int) -> list[int]:
    """The row of tokens."""
    return [i * 37 % vocabulary for i in range(1, _POSITIONS + 1)]


def fingerprint(before: Any, after: Any, *, dtype: str, coarse: bool) -> dict[str, JSON]:
    """What the adapter does to the logits ``before``, those of the probe, where they move most.
    ``dtype`` is what was computed in; ``coarse``, over a base in few bits."""
    moved = _moved(before, after)
    chosen = moved.abs().topk(min(_EACH, moved.shape[-1]), dim=-1).indices
    found: list[JSON] = [
        [position, token, round(float(moved[position, token]) * _UNITS)]
        for position, tokens in enumerate(chosen.tolist())
        for token in tokens
    ]
    return {"probe": PROBE, "dtype": dtype, "coarse": coarse, "moved": found}


def compare(said: JSON, before: Any, after: Any, *, dtype: str) -> None:
    """Hold the logits of the probe against the fingerprint ``said``, which may be of another number
    format. Raises :class:`PassportRefused` if they were moved otherwise.

    A passport of another toolkit's probe, or from before there was one, says nothing here.
    """
    if not isinstance(said, dict) or said.get("probe") != PROBE:
        return
    try:
        at = [(int(p), int(t), int(m) / _UNITS) for p, t, m in said["moved"]]
        step = max(_STEPS[said["dtype"]], _STEPS[dtype])
        share = _SHARE_COARSE if said["coarse"] else _SHARE
        moved = _moved(before, after)
        off = _size([float(moved[p, t]) - m for p, t, m in at])
    except (KeyError, IndexError, TypeError, ValueError):
        raise PassportRefused("its fingerprint of logits cannot be read") from None
    told = _size([m for _, _, m in at])
    logits = float((before - before.mean()).square().mean().sqrt())
    if not off <= share * told + _ROUNDED * step * logits + 1 / _UNITS:
        raise PassportRefused(
            f"the adapter moves logits otherwise than its passport says: by {off:.3f} off "
            f"{told:.3f}",
            hint="it was loaded wrongly, or is not the one that was trained",
        )


def _moved(before: Any, after: Any) -> Any:
    """What moves every logit of a position alike changes no answer, and is left out."""
    moved = after - before
    return moved - moved.mean(-1, keepdim=True)


def _size(numbers: list[float]) -> float:
    """Their root mean square."""
    if not numbers:
        raise ValueError
    return float((sum(x * x for x in numbers) / len(numbers)) ** 0.5)
