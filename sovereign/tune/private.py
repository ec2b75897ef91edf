"""Training with differential privacy: what one unit changed is bounded, and drowned in noise.

A unit is all rows of one ``group`` (a patient, an account), or a row that names none. DP-SGD (Abadi
et al. 2016): each unit is drawn by itself with probability q (Poisson), the gradient of its mean
loss is clipped to a norm, and Gaussian noise is added to the sum. The accountant is the Rényi one
of the sampled Gaussian mechanism (Mironov, Talwar & Zhang 2019) at whole orders, turned into
(epsilon, delta) by Balle et al. 2020: an upper bound, a little above Opacus's, which takes
fractions too.

The guarantee is for one unit, and for the adapter's weights. Losses that were printed, evaluations
and an audit look at the rows again and are not covered.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import batches
from sovereign.tune.data import Dataset, Example
from sovereign.tune.loss import loss_of
from sovereign.tune.recipe import PrivacyConfig, TrainConfig
from sovereign.tune.train import Fit, Progress, Update, schedule

__all__ = ["Spent", "epsilon_of", "fit_private", "sigma_for", "spend", "units_of"]

ORDERS = (*range(2, 65), 72, 80, 96, 128, 192, 256, 384, 512)
MOST_SIGMA = 1000.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent: ``sigma`` is the noise per clip norm, ``rate`` the chance of a unit to be in
    a step. The guarantee is (``epsilon``, ``delta``), for one unit: a row, or a group of them if
    ``grouped``."""

    epsilon: float
    delta: float
    sigma: float
    rate: float
    steps: int
    grouped: bool = False

    def record(self, clip: float) -> dict[str, Any]:
        """For the passport."""
        return {
            "epsilon": round(self.epsilon, 4),
            "delta": self.delta,
            "sigma": round(self.sigma, 4),
            "rate": self.rate,
            "steps": self.steps,
            "clip": clip,
            "unit": "group" if self.grouped else "row",
            "covers": "the adapter's weights",
            "accountant": "rdp, sampled gaussian, whole orders",
        }


def epsilon_of(sigma: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon of ``steps`` steps at noise ``sigma``, at most."""
    best = math.inf
    for order in ORDERS:
        spent = steps * _rdp(order, sigma, rate)
        spent += math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
        best = min(best, spent)
    return max(0.0, best)


def sigma_for(epsilon: float, rate: float, steps: int, delta: float) -> float:
    """The least noise (within 0.1 %) that keeps ``epsilon``. Raises :class:`TuneError` if none
    does."""
    low, high = 0.05, 1.0
    while epsilon_of(high, rate, steps, delta) > epsilon:
        low, high = high, high * 2
        if high > MOST_SIGMA:
            raise TuneError(
                f"no noise keeps epsilon {epsilon:g} over {steps} steps",
                hint="more rows, fewer steps, or a larger privacy.epsilon",
            )
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (
            (middle, high)
            if epsilon_of(middle, rate, steps, delta) > epsilon
            else (
                low,
                middle,
            )
        )
    return high


def units_of(data: Dataset) -> list[list[int]]:
    """The numbers of the examples of each unit."""
    found: dict[int, list[int]] = {}
    for i, unit in enumerate(data.units or range(len(data.examples))):
        found.setdefault(unit, []).append(i)
    return list(found.values())


def spend(privacy: PrivacyConfig, config: TrainConfig, data: Dataset) -> Spent:
    """What a run over ``data`` will spend. Raises :class:`TuneError`."""
    units = units_of(data)
    count, grouped = len(units), len(units) < len(data.examples)
    name = "groups and rows without one" if grouped else "rows"
    each = config.batch * config.accumulate
    if each >= count:
        raise TuneError(
            f"train.batch x train.accumulate is {each}, and there are {count} {name}",
            hint="each is drawn with probability batch x accumulate / their count; use more rows",
        )
    delta = privacy.delta if privacy.delta is not None else 1 / count**1.1
    if delta >= 1 / count:
        raise TuneError(
            f"privacy.delta {delta:g} is no less than 1 / {count} {name}",
            hint="such a delta allows to publish one of them whole",
        )
    steps = config.steps or max(1, math.ceil(count * (config.epochs or 0) / each))
    rate = each / count
    sigma = sigma_for(privacy.epsilon, rate, steps, delta)
    return Spent(epsilon_of(sigma, rate, steps, delta), delta, sigma, rate, steps, grouped)


def fit_private(
    model: Any,
    data: Dataset,
    config: TrainConfig,
    spent: Spent,
    *,
    pad: int,
    accelerator: Any,
    progress: Progress,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Fit:
    """As :func:`sovereign.tune.train.fit`, with ``spent``. Noise and draws come from ``entropy``,
    not from ``train.seed``: who knows the noise can take it off again."""
    import torch

    if accelerator.num_processes > 1:
        raise TuneError("a private run has one process", hint="raise train.accumulate instead")
    examples, units = data.examples, units_of(data)
    room = batches.room([len(e.ids) for e in examples], config.batch)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(config, spent.steps))
    device = weights[0].device
    random = torch.Generator(device=device)
    random.manual_seed(int.from_bytes(entropy(7), "big"))
    expected = spent.rate * len(units)
    model.train()
    begun, tokens = time.monotonic(), 0
    losses: list[float] = []
    for step in range(spent.steps):
        total = [torch.zeros_like(p) for p in weights]
        values = []
        for drawn in _drawn(len(units), spent.rate, random):
            rows = [examples[i] for i in units[drawn]]
            loss, gradients = _gradients(model, rows, weights, pad, room)
            norm = torch.sqrt(sum((g.float() ** 2).sum() for g in gradients))
            if not math.isfinite(float(norm)):
                raise TuneError(f"step {step + 1}: the loss is not a number any more")
            scale = min(1.0, config.clip / (float(norm) + 1e-6))
            for summed, gradient in zip(total, gradients, strict=True):
                summed.add_(gradient, alpha=scale)
            values.append(loss)
            tokens += sum(len(e.ids) for e in rows)
        for weight, summed in zip(weights, total, strict=True):
            noise = torch.randn(summed.shape, generator=random, device=device, dtype=summed.dtype)
            weight.grad = (summed + noise * (spent.sigma * config.clip)) / expected
        lr = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        # An empty draw is a step too: leaving it out would tell that nobody was in it.
        losses.append(math.fsum(values) / len(values) if values else losses[-1] if losses else 0.0)
        spent_s = time.monotonic() - begun
        progress(
            Update(
                phase="train",
                done=step + 1,
                total=spent.steps,
                loss=losses[-1],
                lr=lr,
                tokens=tokens,
                tokens_per_s=tokens / spent_s,
                left_s=spent_s / (step + 1) * (spent.steps - step - 1),
            )
        )
    model.eval()
    return Fit(spent.steps, losses[0], losses[-1], tokens, time.monotonic() - begun)


def _gradients(
    model: Any, rows: list[Example], weights: list[Any], pad: int, room: int
) -> tuple[float, list[Any]]:
    """Of the mean loss over the learnt tokens of one unit's ``rows``, and that loss."""
    import torch

    learnt = sum(e.learnt for e in rows)
    rows = sorted(rows, key=lambda e: len(e.ids))
    value, total = 0.0, [torch.zeros_like(w) for w in weights]
    for part in batches.passes([len(e.ids) for e in rows], room):
        loss = loss_of(model, rows[part], pad) / learnt
        for summed, gradient in zip(total, torch.autograd.grad(loss, weights), strict=True):
            summed.add_(gradient)
        value += float(loss.detach())
    return value, total


def _drawn(units: int, rate: float, random: Any) -> Iterator[int]:
    import torch

    draws = torch.rand(units, generator=random, device=random.device)
    yield from (draws < rate).nonzero().flatten().tolist()


def _rdp(order: int, sigma: float, rate: float) -> float:
    """Rényi divergence of one step: Mironov, Talwar & Zhang 2019, section 3.3."""
    terms = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + k * math.log(rate)
        + (order - k) * math.log1p(-rate)
        + (k * k - k) / (2 * sigma * sigma)
        for k in range(order + 1)
    ]
    top = max(terms)
    return (top + math.log(math.fsum(math.exp(t - top) for t in terms))) / (order - 1)
