"""The fingerprint of what an adapter does: it knows its own again, in another number format too."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sovereign.errors import PassportRefused
from sovereign.weights import effect

VOCABULARY = 500


def logits(seed: int, size: float) -> Any:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(len(effect.probe(VOCABULARY)), VOCABULARY, generator=made) * size


BEFORE = logits(1, 4.0)
MOVED = logits(2, 1.0)
SAID = effect.fingerprint(BEFORE, BEFORE + MOVED, dtype="float32", coarse=False)


def test_an_adapter_is_known_again() -> None:
    """Also where every logit of a position was moved alike, which changes no answer; and in
    bfloat16, which rounds."""
    effect.compare(SAID, BEFORE, BEFORE + MOVED, dtype="float32")
    effect.compare(SAID, BEFORE, BEFORE + MOVED + 3.0, dtype="float32")
    rounded = (BEFORE.bfloat16().float(), (BEFORE + MOVED).bfloat16().float())
    effect.compare(SAID, *rounded, dtype="bfloat16")


@pytest.mark.parametrize(
    "moved",
    [MOVED * 0, MOVED / 2, MOVED * 1.5, -MOVED, logits(3, 1.0), MOVED * float("nan")],
    ids=["none", "half", "more", "turned", "another", "no number"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_another_effect_is_refused(moved: Any, dtype: str) -> None:
    with pytest.raises(PassportRefused, match="otherwise"):
        effect.compare(SAID, BEFORE, BEFORE + moved, dtype=dtype)


def test_what_was_measured_over_few_bits_is_held_less_closely() -> None:
    """The base itself answered otherwise; still, it is not any adapter's."""
    said = effect.fingerprint(BEFORE, BEFORE + MOVED, dtype="float32", coarse=True)
    effect.compare(said, BEFORE, BEFORE + MOVED + logits(4, 0.9), dtype="float32")
    with pytest.raises(PassportRefused):
        effect.compare(said, BEFORE, BEFORE + logits(3, 1.0), dtype="float32")


@pytest.mark.parametrize("said", [None, {"probe": 0}, {"probe": 2, "moved": "?"}])
def test_a_passport_without_this_fingerprint_says_nothing(said: Any) -> None:
    """Adapters from before there was one are served on what they have."""
    effect.compare(said, BEFORE, BEFORE, dtype="float32")


@pytest.mark.parametrize(
    "change",
    [
        {"moved": []},
        {"moved": [[0, VOCABULARY, 1]]},
        {"moved": [["a", 0, 1]]},
        {"moved": None},
        {"dtype": "int4"},
    ],
)
def test_a_fingerprint_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PassportRefused, match="cannot be read"):
        effect.compare({**SAID, **change}, BEFORE, BEFORE + MOVED, dtype="float32")
