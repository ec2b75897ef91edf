"""The loss of some rows in one forward pass: padded side by side, or packed one after the other.

Both give the same number. Packed, no position is padding and logits are computed only where a row
learns; each row sees itself alone, because its positions begin at zero again and the mask is made
of that (transformers.masking_utils, for a pass without mask and cache).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sovereign.tune.data import IGNORED, Example

__all__ = ["PACKED", "loss_of", "packs", "worth_packing"]

PACKED = frozenset({"gemma3_text", "llama", "mistral", "qwen3"})
"""Model types whose packed rows were shown not to see each other (tests/e2e/test_parity.py). One
that carries a state from token to token would mix them without a word."""

PAIR = 2048
"""So many pairs of positions cost in attention what one token costs in the rest, roughly, on small
models; on larger ones more, so this packs rather too little."""


def packs(model: Any) -> bool:
    """Whether rows may be packed for ``model``."""
    return model.config.model_type in PACKED


def worth_packing(lengths: Sequence[int]) -> bool:
    """Whether rows of ``lengths`` cost less in one line than side by side, as wide as the longest.

    Attention over the line is computed whole and masked, so long rows are cheaper padded.
    """
    line, wide = sum(lengths), max(lengths)
    return line + line**2 / PAIR <= len(lengths) * (wide + wide**2 / PAIR)


def loss_of(model: Any, rows: Sequence[Example], pad: int, *, packed: bool = False) -> Any:
    """The summed loss of the learnt tokens of ``rows``; with ``packed``, in one line if that is
    worth it.

    Logits are computed only where some row learns: over a vocabulary of 50,000 to 260,000 they are
    much of the work and most of the memory.
    """
    from torch.nn.functional import cross_entropy

    device = next(model.parameters()).device
    if packed and worth_packing([len(e.ids) for e in rows]):
        inputs, targets = _line(rows)
    else:
        inputs, targets = _block(rows, pad)
    keep = (targets != IGNORED).any(0).nonzero().squeeze(1)
    logits = model(
        **{name: tensor.to(device) for name, tensor in inputs.items()},
        logits_to_keep=keep.to(device),
        use_cache=False,
    ).logits
    return cross_entropy(
        logits.float().flatten(0, 1),
        targets[:, keep].to(device).flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )


def _block(rows: Sequence[Example], pad: int) -> tuple[dict[str, Any], Any]:
    """Inputs (rows x longest) and, for each position but the last, what is learnt there."""
    import torch

    width = max(len(e.ids) for e in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORED)
    attention = torch.zeros((len(rows), width), dtype=torch.long)
    for i, e in enumerate(rows):
        n = len(e.ids)
        ids[i, :n] = torch.tensor(e.ids)
        labels[i, :n] = torch.tensor(e.labels)
        attention[i, :n] = 1
    return {"input_ids": ids, "attention_mask": attention}, labels[:, 1:]


def _line(rows: Sequence[Example]) -> tuple[dict[str, Any], Any]:
    """The same in one row (1 x all tokens). What a row's first token is, nobody learns: the label
    would be learnt at the end of the row before it."""
    import torch

    ids = torch.tensor([[t for e in rows for t in e.ids]])
    positions = torch.tensor([[k for e in rows for k in range(len(e.ids))]])
    labels = torch.tensor([[t for e in rows for t in (IGNORED, *e.labels[1:])]])
    return {"input_ids": ids, "position_ids": positions}, labels[:, 1:]
