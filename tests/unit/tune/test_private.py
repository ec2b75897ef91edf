"""Differential privacy: the accountant against Opacus's numbers, the noise, and the clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.data import Dataset, Example
from sovereign.tune.private import Spent, epsilon_of, fit_private, sigma_for, spend
from sovereign.tune.recipe import PrivacyConfig, TrainConfig

ROW = Example(1, (1, 2, 3, 4), (-100, 2, 3, 4))
OTHER = Example(2, (5, 6, 7, 8), (-100, 6, 7, 8))


@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "delta", "opacus"),
    [
        (0.695, 4 / 144, 72, 1e-3, 3.4019),
        (1.1, 0.01, 1000, 1e-5, 1.7118),
        (0.8, 0.05, 200, 1e-4, 7.4903),
        (4.0, 0.2, 300, 1e-5, 4.1777),
    ],
)
def test_the_accountant_is_never_below_opacus_and_at_most_two_percent_above(
    sigma: float, rate: float, steps: int, delta: float, opacus: float
) -> None:
    """RDPAccountant of Opacus 1.6.0, which tries fractional orders too."""
    assert opacus - 1e-4 <= epsilon_of(sigma, rate, steps, delta) <= opacus * 1.02


def test_epsilon_rises_with_steps_and_rate_and_falls_with_noise() -> None:
    """Or something is upside down."""
    at = epsilon_of(1.0, 0.02, 500, 1e-5)
    assert epsilon_of(1.0, 0.02, 1000, 1e-5) > at
    assert epsilon_of(1.0, 0.04, 500, 1e-5) > at
    assert epsilon_of(1.2, 0.02, 500, 1e-5) < at


def test_the_noise_is_the_least_that_keeps_the_promise() -> None:
    """Within a thousandth."""
    sigma = sigma_for(8, 0.05, 200, 1e-4)
    assert epsilon_of(sigma, 0.05, 200, 1e-4) <= 8
    assert epsilon_of(sigma * 0.99, 0.05, 200, 1e-4) > 8


def rows(count: int) -> Dataset:
    return Dataset((ROW,) * count)


def test_a_promise_that_cannot_be_kept_is_refused() -> None:
    """Before anything is trained."""
    train = TrainConfig(steps=10, batch=4)
    with pytest.raises(TuneError, match=r"x train\.accumulate is 4, and there are 4 rows"):
        spend(PrivacyConfig(epsilon=8), train, rows(4))
    with pytest.raises(TuneError, match="is no less than 1 / 100 rows"):
        spend(PrivacyConfig(epsilon=8, delta=0.01), train, rows(100))
    with pytest.raises(TuneError, match="no noise keeps epsilon"):
        spend(PrivacyConfig(epsilon=1e-6), TrainConfig(steps=10**6, batch=4), rows(10))
    spent = spend(PrivacyConfig(epsilon=8), train, rows(100))
    assert spent.epsilon <= 8
    assert spent.delta == pytest.approx(100**-1.1)
    assert spent.rate == 0.04


class Alone:
    num_processes = 1


def _model() -> Any:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
    )


def _step(
    rows: list[Example],
    sigma: float,
    lr: float = 1.0,
    clip: float = 1.0,
    units: Sequence[int] = (),
) -> float:
    """The norm of what one step with SGD's arithmetic would take: read off before AdamW does."""
    import torch

    model = _model()
    seen: list[float] = []
    real = torch.optim.AdamW.step

    def spy(self: Any, *a: Any, **k: Any) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        seen.append(float(torch.sqrt(sum((g**2).sum() for g in grads))))
        return real(self, *a, **k)

    torch.optim.AdamW.step = spy  # type: ignore[method-assign]
    try:
        fit_private(
            model,
            Dataset(tuple(rows), units=units),
            TrainConfig(steps=1, batch=1, lr=lr, clip=clip),
            Spent(8, 1e-3, sigma, 0.999999, 1),
            pad=0,
            accelerator=Alone(),
            progress=lambda update: None,
        )
    finally:
        torch.optim.AdamW.step = real  # type: ignore[method-assign]
    return seen[0]


def test_no_row_moves_the_sum_by_more_than_the_clip() -> None:
    """Ten times the same row is clipped ten times; the mean keeps the norm of one."""
    assert _step([ROW] * 10, sigma=0.0, clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert _step([ROW, OTHER], sigma=0.0, clip=0.01) <= 0.01 + 1e-6


def test_all_rows_of_a_group_together_move_it_no_more_than_one_row() -> None:
    """Nine rows of one patient beside one of another: each is clipped as one, and what they say
    alike is no louder for being said nine times."""
    alone = _step([ROW, OTHER], sigma=0.0, clip=0.01)
    assert _step([ROW] * 9 + [OTHER], sigma=0.0, clip=0.01, units=[0] * 9 + [1]) == pytest.approx(
        alone, rel=1e-3
    )
    assert _step([ROW, OTHER] * 5, sigma=0.0, clip=0.01, units=[7] * 10) == pytest.approx(
        0.01, rel=1e-3
    )


def test_groups_are_what_is_drawn_and_counted() -> None:
    """Sixty rows of twelve patients: the chance of a patient to be in a step is 4 of 12."""
    data = Dataset((ROW,) * 60, units=[i % 12 for i in range(60)])
    spent = spend(PrivacyConfig(epsilon=8), TrainConfig(steps=10, batch=4), data)
    assert spent.rate == 4 / 12
    assert spent.delta == pytest.approx(12**-1.1)
    assert spent.record(1.0)["unit"] == "group"
    assert (
        spend(PrivacyConfig(epsilon=8), TrainConfig(steps=10, batch=4), rows(60)).record(1.0)[
            "unit"
        ]
        == "row"
    )
    with pytest.raises(TuneError, match="there are 12 groups"):
        spend(PrivacyConfig(epsilon=8), TrainConfig(steps=10, batch=12), data)


def test_the_noise_has_the_size_that_was_accounted_for() -> None:
    """Its norm over all coordinates is sigma x clip x sqrt(coordinates), over the expected rows."""
    coordinates = sum(p.numel() for p in _model().parameters())
    wanted = 50 * 0.01 * coordinates**0.5 / 2
    assert _step([ROW, OTHER], sigma=50.0, clip=0.01) == pytest.approx(wanted, rel=0.1)


def test_two_private_runs_draw_other_noise() -> None:
    """From the system, whatever the recipe's seed: known noise can be taken off again."""
    assert _step([ROW], sigma=50.0) != _step([ROW], sigma=50.0)


def test_several_processes_are_refused() -> None:
    """Each would draw by itself; nobody counted that."""

    class Two:
        num_processes = 2

    with pytest.raises(TuneError, match="has one process"):
        fit_private(
            None,
            Dataset((ROW,)),
            TrainConfig(steps=1),
            Spent(8, 1e-3, 1.0, 0.5, 1),
            pad=0,
            accelerator=Two(),
            progress=lambda update: None,
        )


def test_a_private_run_still_learns_and_counts_its_steps() -> None:
    """Sixty rows that end alike, at epsilon 8: the loss falls although each row is drowned."""
    torch = pytest.importorskip("torch")
    rows = tuple(Example(i, (i % 13, 14, 15, 14), (-100, 14, 15, 14)) for i in range(1, 61))
    train = TrainConfig(steps=30, batch=20, lr=0.01)
    spent = spend(PrivacyConfig(epsilon=8), train, Dataset(rows))
    model, seen = _model(), []
    fit_private(
        model,
        Dataset(rows),
        train,
        spent,
        pad=0,
        accelerator=Alone(),
        progress=seen.append,
        entropy=bytes,
    )
    assert [u.done for u in seen] == list(range(1, 31))
    with torch.no_grad():
        ids, labels = torch.tensor([rows[0].ids]), torch.tensor([rows[0].labels])
        now = float(model(input_ids=ids, labels=labels).loss)
        was = float(_model()(input_ids=ids, labels=labels).loss)
    assert now < was - 0.5
    assert not model.training
