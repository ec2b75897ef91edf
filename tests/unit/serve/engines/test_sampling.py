"""One row, one token: the request's own parameters decide, and nothing else does."""

from __future__ import annotations

import collections

import pytest
import torch

from sovereign.serve.engines.sampling import Sampler, Sampling

LOGITS = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))


def _draw(sampling: Sampling, n: int = 2000, logits: torch.Tensor = LOGITS) -> dict[int, float]:
    sampler = Sampler(sampling)
    counts = collections.Counter(sampler(logits) for _ in range(n))
    return {k: v / n for k, v in counts.items()}


def test_temperature_zero_is_greedy() -> None:
    """The most likely token, always."""
    assert _draw(Sampling(temperature=0)) == {0: 1.0}


def test_temperature_one_draws_from_the_distribution() -> None:
    """Frequencies are the probabilities, within what 2,000 draws allow."""
    drawn = _draw(Sampling(seed=1))
    for token, p in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert abs(drawn[token] - p) < 0.05


def test_top_p_keeps_the_smallest_set_with_that_mass() -> None:
    """0.5 alone has less than 0.6, with 0.3 it has enough; the rest never comes."""
    assert set(_draw(Sampling(top_p=0.6, seed=1))) == {0, 1}
    assert set(_draw(Sampling(top_p=1e-6, seed=1))) == {0}


def test_a_tiny_temperature_does_not_overflow() -> None:
    """exp(1000 / 1e-6) is infinite; the draw is still the most likely token."""
    assert _draw(Sampling(temperature=1e-6, seed=1), 5, torch.tensor([1e3, 1.0])) == {0: 1.0}


def test_a_seed_repeats_and_its_absence_does_not() -> None:
    """Same seed, same draws; without a seed two requests differ."""
    a, b = (Sampler(Sampling(seed=-7)) for _ in range(2))
    assert [a(LOGITS) for _ in range(50)] == [b(LOGITS) for _ in range(50)]
    c, d = (Sampler(Sampling()) for _ in range(2))
    assert [c(LOGITS) for _ in range(50)] != [d(LOGITS) for _ in range(50)]


def test_the_global_generator_has_no_say() -> None:
    """Another request that seeds torch must not change this one."""
    a, b = Sampler(Sampling(seed=3)), Sampler(Sampling(seed=3))
    first = [a(LOGITS) for _ in range(20)]
    torch.manual_seed(0)
    assert [b(LOGITS) for _ in range(20)] == first


@pytest.mark.parametrize("tiny", [1e-39, 1e-50, 5e-324])
def test_a_number_too_small_for_a_float32_is_no_zero(tiny: float) -> None:
    """What a request may ask for must not fail a step: the others in the batch would go with it."""
    assert _draw(Sampling(temperature=tiny, seed=1), 5) == {0: 1.0}
    assert _draw(Sampling(top_p=tiny, seed=1), 5) == {0: 1.0}
