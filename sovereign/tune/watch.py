"""Watches the loss on held-out rows while a model trains: when to stop, and which update was best.

It draws no random number and leaves no gradient, so that the training curve is the one that would
be without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sovereign.tune import shards
from sovereign.tune.data import Example
from sovereign.tune.loss import loss_of, packs
from sovereign.tune.recipe import EvalConfig

__all__ = ["Watch"]


@dataclass(slots=True)
class Watch:
    """``best`` is the lowest loss so far, in nats for each learnt token, and ``step`` when it was;
    ``waited`` counts the evaluations since then. ``weights`` are the update's at ``step``, on the
    CPU, if the best one is to be kept."""

    examples: Sequence[Example] = field(repr=False)
    config: EvalConfig
    best: float = math.inf
    step: int = 0
    waited: int = 0
    weights: dict[str, Any] = field(default_factory=dict, repr=False)

    def due(self, step: int, steps: int) -> bool:
        """Whether to look after ``step`` of ``steps``: at the end too, or the last is unknown."""
        return step % self.config.every == 0 or step == steps

    def look(self, model: Any, accelerator: Any, pad: int, step: int) -> float:
        """The loss now; each process computes a part of it, in as many passes as the others: of a
        model that is cut, all compute together."""
        import torch

        bare = accelerator.unwrap_model(model)
        batch = self.config.batch
        order = sorted(self.examples, key=lambda e: len(e.ids))
        parts = [order[at : at + batch] for at in range(0, len(order), batch)]
        total = torch.zeros((), device=accelerator.device)
        packed = packs(bare)
        model.eval()
        with torch.no_grad():
            for at in range(0, len(parts), accelerator.num_processes):
                mine = at + accelerator.process_index
                loss = loss_of(bare, parts[min(mine, len(parts) - 1)], pad, packed=packed)
                total += loss.detach() * (mine < len(parts))
        model.train()
        mean = float(accelerator.reduce(total, "sum")) / sum(e.learnt for e in self.examples)
        if mean < self.best:
            self.best, self.step, self.waited = mean, step, 0
            if self.config.keep == "best":
                made = ((n, shards.whole(p.detach())) for n, p in _trained(bare))
                self.weights = {n: weight.cpu().clone() for n, weight in made}
        else:
            self.waited += 1
        return mean

    @property
    def enough(self) -> bool:
        """Whether nothing has become better for so long that training stops."""
        return self.config.patience is not None and self.waited >= self.config.patience

    def put_back(self, model: Any) -> None:
        """The best update into ``model``, if that is the one to keep."""
        for name, weight in _trained(model):
            if name in self.weights:
                shards.put(weight, self.weights[name])


def _trained(model: Any) -> list[tuple[str, Any]]:
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]
