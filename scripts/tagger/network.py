"""The network as torch trains it, and its export: int8 rows, the rest in half precision."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tagger.batches import Batch, Lexicon, Sources
from torch import Tensor, nn
from torch.nn import functional as F

from sovereign.guard.recognizers.tagger.net import DILATIONS, LABELS
from sovereign.guard.recognizers.tagger.tokens import ROWS

__all__ = ["Tagger", "export"]

WIDE = 32


class Tagger(nn.Module):
    """See :mod:`sovereign.guard.recognizers.tagger.net`; here each word of a batch is computed once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(ROWS, WIDE, mode="sum", include_last_offset=True)
        nn.init.normal_(self.rows.weight, std=0.05)
        self.project, self.norm = nn.Linear(WIDE, width), nn.LayerNorm(width)
        self.convs = nn.ModuleList(nn.Linear(3 * width, width) for _ in DILATIONS)
        for conv in self.convs:
            nn.init.normal_(conv.weight, std=0.06)
            nn.init.zeros_(conv.bias)
        self.out = nn.Linear(width, len(LABELS))
        self.bits = torch.tensor([1 << i for i in range(len(LABELS))])

    def forward(self, batch: Batch, lexicon: Lexicon) -> Tensor:
        words, where = np.unique(batch.ids, return_inverse=True)
        words = words[1:] if words[0] == -1 else words
        shift = 1 if (batch.ids == -1).any() else 0
        flat, offsets = map(torch.from_numpy, lexicon.rows(words))
        h = F.relu(self.norm(self.project(self.rows(flat, offsets))))
        h = F.dropout(h, 0.1, self.training)
        if shift:
            h = torch.cat([h.new_zeros(1, h.shape[1]), h])
        x = h[torch.from_numpy(where.reshape(batch.ids.shape))]
        here = torch.from_numpy(batch.ids >= 0).unsqueeze(-1).float()
        for conv, d in zip(self.convs, DILATIONS, strict=True):
            padded = F.pad(x, (0, 0, d, d))
            wide = torch.cat([padded[:, : -2 * d], x, padded[:, 2 * d :]], dim=-1)
            x = (x + F.relu(conv(wide))) * here
        return self.out(F.dropout(x, 0.1, self.training))

    def loss(self, batch: Batch, lexicon: Lexicon) -> Tensor:
        """Mean of -log of the summed probability of the allowed labels."""
        logits = self(batch, lexicon)
        masks = torch.from_numpy(batch.masks)
        real = masks > 0
        allowed = (masks[real].unsqueeze(-1) & self.bits) > 0
        log = F.log_softmax(logits[real], dim=-1)
        return -torch.logsumexp(log.masked_fill(~allowed, -1e9), dim=-1).mean()


def export(model: Tagger, sources: Sources, out: Path, meta: dict[str, Any]) -> None:
    """Write the file that the tagger reads; replaced in one step."""

    def half(t: Tensor) -> np.ndarray:
        return t.detach().numpy().astype(np.float16)

    rows = model.rows.weight.detach().numpy()
    scale = (np.abs(rows).max(axis=1) / 127 + 1e-8).astype(np.float16)
    a: dict[str, np.ndarray] = {
        "rows": np.clip(np.rint(rows / scale.astype(np.float32)[:, None]), -127, 127).astype(np.int8),
        "scale": scale, "keys": sources.keys, "masks": sources.masks,
        "project": half(model.project.weight.T), "project_bias": half(model.project.bias),
        "norm": half(model.norm.weight), "norm_bias": half(model.norm.bias),
        "out": half(model.out.weight.T), "out_bias": half(model.out.bias),
        "meta": np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8),
    }  # fmt: skip
    for i, conv in enumerate(model.convs):
        a[f"conv{i}"], a[f"conv{i}_bias"] = half(conv.weight.T), half(conv.bias)
    buffer = io.BytesIO()
    np.savez(buffer, **{k: np.ascontiguousarray(v) for k, v in a.items()})
    part = out.with_suffix(".part")
    with part.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    part.replace(out)
