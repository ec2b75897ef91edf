"""One loop: batches in, a trained LoRA and its curve out. Knows no files and no network.

The loss of an optimiser step is the mean over its learnt tokens, wherever they are: in which row,
forward pass or process. So accumulation and several processes give the curve of one.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import batches, shards
from sovereign.tune.checkpoint import Checkpoints, Progressed
from sovereign.tune.data import Dataset
from sovereign.tune.loss import loss_of, packs
from sovereign.tune.recipe import TrainConfig

if TYPE_CHECKING:
    from sovereign.tune.watch import Watch

__all__ = ["Fit", "Progress", "Update", "fit", "schedule"]


@dataclass(frozen=True, slots=True)
class Update:
    """How far a phase is. ``loss`` is of the last step, ``eval_loss`` of the held-out rows after it
    if somebody looked; ``left_s`` is an estimate, in seconds; ``memory`` the peak, in bytes."""

    phase: str
    done: int
    total: int
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tokens: int = 0
    tokens_per_s: float | None = None
    left_s: float | None = None
    eval_loss: float | None = None
    memory: int | None = None


Progress = Callable[[Update], None]


@dataclass(frozen=True, slots=True)
class Fit:
    """What training did: steps, first and last loss, tokens seen (padding not counted), seconds.
    ``kept`` is the step whose update was kept."""

    steps: int
    loss_first: float
    loss_last: float
    tokens: int
    seconds: float
    kept: int = 0


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
    watch: Watch | None = None,
) -> Fit:
    """Train what of ``model`` requires gradients, from where ``checkpoints`` were, if anywhere: the
    curve is that of a run that nobody killed. Raises :class:`TuneError` if loss or gradient is
    not a number, if nothing moves, or if memory runs out. ``watch`` may end it before."""
    import torch

    examples = data.examples
    world, rank = accelerator.num_processes, accelerator.process_index
    per_step = config.accumulate * world
    steps = batches.steps_of(
        len(examples), config.batch * per_step, steps=config.steps, epochs=config.epochs
    )
    lengths = [len(e.ids) for e in examples]
    order = batches.plan(lengths, batch=config.batch, batches=steps * per_step, seed=config.seed)
    # A model that is cut is put together in each pass, by all processes at once: as many in each.
    room = sys.maxsize if shards.is_cut(model) else batches.room(lengths, config.batch)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    packed = config.packing and packs(model)
    mixed = config.method == "full" and precision == "bf16"  # the weights themselves are in fp32
    bare = model
    if not shards.is_cut(model):
        model = accelerator.prepare(model)
    model.train()
    so_far = Progressed(0, 0, 0.0, (math.nan, math.nan), precision)
    if checkpoints is not None and (found := checkpoints.found()) is not None:
        checkpoints.restore(bare, optimizer, watch)
        so_far = found
    share, done = schedule(config, steps), so_far.steps
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(step + done))
    begun, tokens = time.monotonic() - so_far.seconds, so_far.tokens
    first, value = so_far.losses
    made = so_far.steps
    # A run that was killed after it had seen enough does not go on.
    more = steps if watch is None or not watch.enough else made
    for step in range(made, more):
        chosen = order[step * per_step : (step + 1) * per_step]
        group = [[examples[i] for i in micro] for micro in chosen]
        learnt = sum(e.learnt for micro in group for e in micro)
        mine = [
            micro[part]
            for micro in group[rank::world]
            for part in batches.passes([len(e.ids) for e in micro], room)
        ]
        total = torch.zeros((), device=accelerator.device)
        try:
            for k, micro in enumerate(mine):
                last = k == len(mine) - 1
                with nullcontext() if last else accelerator.no_sync(model):
                    # DDP and FSDP take the mean over processes; the sum is meant.
                    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=mixed):
                        loss = loss_of(model, micro, pad, packed=packed) / learnt
                    accelerator.backward(loss * world)
                total += loss.detach()
        except (torch.OutOfMemoryError, MemoryError):
            raise TuneError(
                "out of memory",
                hint="lower train.batch (and raise train.accumulate), lower train.max_length, or "
                "set train.gradient_checkpointing = true; `sovereign tune check` counts",
            ) from None
        norm = float(shards.whole(torch.nn.utils.clip_grad_norm_(weights, config.clip)))
        value = float(accelerator.reduce(total, "sum"))
        _hold(step, value, norm)
        lr = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        first = value if step == 0 else first
        tokens += sum(len(e.ids) for micro in group for e in micro)
        looked = None
        if watch is not None and watch.due(step + 1, steps):
            looked = watch.look(model, accelerator, pad, step + 1)
        spent = time.monotonic() - begun
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
                eval_loss=looked,
                memory=_peak(),
            )
        )
        made = step + 1
        # After its line was written: one too many is cut off again, one too few would be missing.
        if checkpoints is not None and checkpoints.every and made % checkpoints.every == 0:
            seen = None if watch is None else (watch.best, watch.step, watch.waited)
            so_far = Progressed(made, tokens, spent, (first, value), precision, seen)
            checkpoints.save(bare, optimizer, so_far, watch)
        if watch is not None and watch.enough:
            break
    kept = made
    if watch is not None and watch.weights:
        watch.put_back(bare)
        kept = watch.step
    model.eval()
    return Fit(made, first, value, tokens, time.monotonic() - begun, kept)


def _peak() -> int:
    """Bytes: of the GPU if there is one, or of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
