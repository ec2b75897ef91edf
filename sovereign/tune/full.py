"""A whole model that is trained, in place of an update beside it: how it answered before, whether
it changed, and the folder that it is left in. Knows nothing of data.

Weights are trained in fp32, whatever they compute in: a step of a full fine-tune is smaller than
what bf16 can add to a weight, and would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import shards
from sovereign.tune.adapter import Checks, moved_by, saving
from sovereign.tune.data import Example
from sovereign.tune.export import copy_papers
from sovereign.tune.recipe import TrainConfig

__all__ = ["Before", "check", "save", "whole"]


def whole(model: Any, train: TrainConfig) -> Any:
    """``model`` with every weight to be trained."""
    import torch

    torch.manual_seed(train.seed)
    if train.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.requires_grad_(True)


class Before:
    """A context in which ``model`` has the weights that it began with. ``load`` reads them from the
    disk, once, when they are asked for: until then they take no memory."""

    def __init__(self, model: Any, load: Callable[[], Any]) -> None:
        self._model, self._load = model, load
        self._weights: dict[str, Any] | None = None

    @property
    def weights(self) -> dict[str, Any]:
        """By name, on the CPU."""
        if self._weights is None:
            self._weights = {n: p.detach() for n, p in self._load().named_parameters()}
        return self._weights

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if shards.is_cut(self._model):
            with self._written():
                yield
            return
        now = {name: p.data for name, p in self._model.named_parameters()}
        try:
            for name, weight in self._model.named_parameters():
                weight.data = self.weights[name].to(weight.device)
            yield
        finally:
            for name, weight in self._model.named_parameters():
                weight.data = now[name]

    @contextmanager
    def _written(self) -> Iterator[None]:
        """The same by copying: what a pass gathers is the storage that the cut began with."""
        import torch

        now = {name: p.detach().clone() for name, p in self._model.named_parameters()}
        for name, weight in self._model.named_parameters():
            shards.put(weight, self.weights[name])
        yield
        with torch.no_grad():
            for name, weight in self._model.named_parameters():
                weight.copy_(now[name])


def check(model: Any, example: Example, before: Before) -> Checks:
    """As :func:`sovereign.tune.adapter.check`, of a whole model: every weight has changed."""
    norms = {
        name: float((shards.whole(p.detach()).cpu() - before.weights[name]).float().norm())
        for name, p in model.named_parameters()
    }
    still = sum(norm == 0.0 for norm in norms.values())
    if still:
        raise TuneError(f"{still} of {len(norms)} weights are what they were before training")
    return Checks(weight_delta=min(norms.values()), logits_moved=moved_by(model, example, before))


def save(model: Any, work: Path, *, base_folder: Path, weights: dict[str, Any]) -> None:
    """The model in ``work``, in fp32 as it was trained, with the base's tokenizer, template and
    licence; ``weights`` are its, whole. Raises :class:`TuneError` if the disk is full."""
    with saving("model"):
        model.save_pretrained(work, state_dict=weights)
    copy_papers(base_folder, work, "float32")
