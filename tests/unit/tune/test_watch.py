"""Looking at held-out rows while training changes no step, stops when told, and keeps the best."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import ConfigError
from sovereign.tune.checkpoint import Checkpoints
from sovereign.tune.data import Dataset, Example
from sovereign.tune.recipe import EvalConfig, TrainConfig, load_recipe
from sovereign.tune.watch import Watch

torch = pytest.importorskip("torch")

STEPS = 12
ROWS = tuple(Example(n, (1, 2 + n, 3, 4 + n, 5), (-100, -100, 3, 4 + n, 5)) for n in range(8))
# What is taught makes these worse: the answer after the same beginning is another.
ASKED = tuple(Example(n, (1, 2 + n, 3, 15, 5), (-100, -100, 3, 15, 5)) for n in range(5))


class Killed(Exception):
    pass


def _model() -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 16}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    base = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    return get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.2))


def _weights(model: Any) -> dict[str, Any]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def _fit(
    watch: Watch | None, at: Checkpoints | None = None, kill: int = 0
) -> tuple[list[Any], list[Any], Any, Any]:
    """The updates, the weights after each step, what the run says at its end, and its model."""
    from accelerate import Accelerator

    from sovereign.tune.train import fit

    model, updates, weights, done = _model(), [], [], None

    def told(update: Any) -> None:
        updates.append(update)
        weights.append(_weights(model))
        if update.done == kill:
            raise Killed

    train = TrainConfig(steps=STEPS, batch=2, lr=0.1, schedule="constant")
    more = {"pad": 0, "accelerator": Accelerator(cpu=True), "progress": told, "checkpoints": at}
    with contextlib.suppress(Killed):
        done = fit(model, Dataset(ROWS), train, watch=watch, **more)
    return updates, weights, done, model


def test_looking_changes_no_step() -> None:
    """The losses are those of a run that nobody watched, with dropout."""
    plain = [u.loss for u in _fit(None)[0]]
    updates, _, done, _ = _fit(Watch(ASKED, EvalConfig(every=5)))
    assert [u.loss for u in updates] == plain
    assert [u.done for u in updates if u.eval_loss is not None] == [5, 10, 12]
    assert (done.steps, done.kept) == (STEPS, STEPS)


def test_the_best_update_is_kept_and_training_stops_when_nothing_gets_better() -> None:
    """The held-out loss rises while the rows are learnt: after two looks it is enough, and the
    weights are those of the step whose loss was lowest."""
    watch = Watch(ASKED, EvalConfig(every=1, patience=2, keep="best"))
    updates, weights, done, model = _fit(watch)
    seen = [u.eval_loss for u in updates]
    assert len(seen) == done.steps < STEPS
    best = seen.index(min(seen))
    assert done.steps == best + 1 + 2
    assert (done.kept, watch.best) == (best + 1, min(seen))
    for name, weight in _weights(model).items():
        assert torch.equal(weight, weights[best][name]), name


def test_a_killed_run_still_knows_its_best_update(tmp_path: Path) -> None:
    """Killed after the best step was passed: resumed, it ends as the run that nobody killed."""
    config = EvalConfig(every=1, keep="best")
    whole, _, done, model = _fit(Watch(ASKED, config))
    file = tmp_path / "c.safetensors"
    assert done.kept < 9
    _fit(Watch(ASKED, config), Checkpoints(file, "run", every=3), kill=10)
    rest, _, again, resumed = _fit(Watch(ASKED, config), Checkpoints(file, "run", every=3))
    assert [u.eval_loss for u in rest] == [u.eval_loss for u in whole[9:]]
    assert (again.steps, again.kept) == (done.steps, done.kept)
    for name, weight in _weights(model).items():
        assert torch.equal(weight, _weights(resumed)[name]), name


@pytest.mark.parametrize(
    "overrides", [["eval.patience=2"], ["eval.keep=best"], ["eval.every=2", "privacy.epsilon=8"]]
)
def test_a_recipe_that_would_look_at_nothing_or_at_noise_is_refused(overrides: list[str]) -> None:
    """Stopping a private run early by what it learnt would make its epsilon another."""
    with pytest.raises(ConfigError, match=r"need every|private run"):
        load_recipe(Path(__file__).parents[3] / "recipes/scenarios/finance.toml", overrides)
