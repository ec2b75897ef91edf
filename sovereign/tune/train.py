"""One loop: batches in, a trained LoRA and its curve out. Knows no files and no network.

The loss of an optimiser step is the mean over its learnt tokens, wherever they are: in which row,
forward pass or process. So accumulation and several processes give the curve of one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import batches
from sovereign.tune.checkpoint import Checkpoints, Progressed
from sovereign.tune.data import IGNORED, Dataset, Example
from sovereign.tune.recipe import TrainConfig

__all__ = ["Fit", "Progress", "Update", "fit", "loss_of", "schedule"]


@dataclass(frozen=True, slots=True)
class Update:
    """How far a phase is. ``loss`` is of the last step; ``left_s`` is an estimate, in seconds."""

    phase: str
    done: int
    total: int
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tokens: int = 0
    tokens_per_s: float | None = None
    left_s: float | None = None


Progress = Callable[[Update], None]


@dataclass(frozen=True, slots=True)
class Fit:
    """What training did: steps, first and last loss, tokens seen (padding not counted), seconds."""

    steps: int
    loss_first: float
    loss_last: float
    tokens: int
    seconds: float


def fit(
    model: Any,
    data: Dataset,
    config: TrainConfig,
    *,
    pad: int,
    accelerator: Any,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
    precision: str = "fp32",
) -> Fit:
    """Train what of ``model`` requires gradients, from where ``checkpoints`` were, if anywhere: the
    curve is that of a run that nobody killed. Raises :class:`TuneError` if loss or gradient is
    not a number, if nothing moves, or if memory runs out."""
    import torch

    examples = data.examples
    world, rank = accelerator.num_processes, accelerator.process_index
    per_step = config.accumulate * world
    steps = batches.steps_of(
        len(examples), config.batch * per_step, steps=config.steps, epochs=config.epochs
    )
    order = batches.plan(
        [len(e.ids) for e in examples],
        batch=config.batch,
        batches=steps * per_step,
        seed=config.seed,
    )
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    bare, model = model, accelerator.prepare(model)
    model.train()
    so_far = Progressed(0, 0, 0.0, (math.nan, math.nan), precision)
    if checkpoints is not None and (found := checkpoints.found()) is not None:
        checkpoints.restore(bare, optimizer)
        so_far = found
    share, done = schedule(config, steps), so_far.steps
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(step + done))
    begun, tokens = time.monotonic() - so_far.seconds, so_far.tokens
    first, value = so_far.losses
    for step in range(so_far.steps, steps):
        group = order[step * per_step : (step + 1) * per_step]
        learnt = sum(examples[i].learnt for micro in group for i in micro)
        mine = group[rank::world]
        total = torch.zeros((), device=accelerator.device)
        try:
            for k, micro in enumerate(mine):
                last = k == len(mine) - 1
                with nullcontext() if last else accelerator.no_sync(model):
                    # DDP takes the mean over processes; the sum is meant.
                    loss = loss_of(model, [examples[i] for i in micro], pad) / learnt
                    accelerator.backward(loss * world)
                total += loss.detach()
        except (torch.OutOfMemoryError, MemoryError):
            raise TuneError(
                "out of memory",
                hint="lower train.batch (and raise train.accumulate), lower train.max_length, or "
                "set train.gradient_checkpointing = true; `sovereign tune check` counts",
            ) from None
        norm = float(torch.nn.utils.clip_grad_norm_(weights, config.clip))
        value = float(accelerator.reduce(total, "sum"))
        _hold(step, value, norm)
        lr = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        first = value if step == 0 else first
        tokens += sum(len(examples[i].ids) for micro in group for i in micro)
        spent = time.monotonic() - begun
        if checkpoints is not None and checkpoints.every and (step + 1) % checkpoints.every == 0:
            so_far = Progressed(step + 1, tokens, spent, (first, value), precision)
            checkpoints.save(bare, optimizer, so_far)
        progress(
            Update(
                phase="train",
                done=step + 1,
                total=steps,
                loss=value,
                lr=lr,
                grad_norm=norm,
                tokens=tokens,
                tokens_per_s=tokens / spent,
                left_s=spent / (step + 1) * (steps - step - 1),
            )
        )
    model.eval()
    return Fit(steps, first, value, tokens, time.monotonic() - begun)


def loss_of(model: Any, rows: Sequence[Example], pad: int) -> Any:
    """The summed loss of the learnt tokens of ``rows``.

    Logits are computed only where some row learns: over a vocabulary of 50,000 to 260,000 they are
    much of the work and most of the memory.
    """
    import torch
    from torch.nn.functional import cross_entropy

    device = next(model.parameters()).device
    width = max(len(e.ids) for e in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORED)
    attention = torch.zeros((len(rows), width), dtype=torch.long)
    for i, e in enumerate(rows):
        n = len(e.ids)
        ids[i, :n] = torch.tensor(e.ids)
        labels[i, :n] = torch.tensor(e.labels)
        attention[i, :n] = 1
    targets = labels[:, 1:]
    keep = (targets != IGNORED).any(0).nonzero().squeeze(1)
    logits = model(
        input_ids=ids.to(device),
        attention_mask=attention.to(device),
        logits_to_keep=keep.to(device),
        use_cache=False,
    ).logits
    chosen = targets[:, keep].to(device)
    return cross_entropy(
        logits.float().flatten(0, 1), chosen.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def _hold(step: int, loss: float, norm: float) -> None:
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise TuneError(
            f"step {step + 1}: the loss is not a number any more",
            hint='lower train.lr, or set train.precision = "fp32"',
        )
    if step == 0 and norm == 0.0:
        raise TuneError(
            "the first gradient is zero: nothing would be learnt",
            hint="check lora.target; with train.quantize, see docs/tune.md",
        )


def schedule(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The share of the peak learning rate at a step."""
    warm = max(1, round(config.warmup * steps))

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        done = (step - warm) / max(1, steps - warm)
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1 - done

    return share
