"""A killed run goes on exactly where it was: the same losses, the same weights, bit by bit."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.checkpoint import Checkpoints
from sovereign.tune.data import Dataset, Example
from sovereign.tune.recipe import TrainConfig

torch = pytest.importorskip("torch")

ROWS = tuple(
    Example(i, (i % 13, *range(2, 3 + i % 4)), (-100, *range(2, 3 + i % 4))) for i in range(1, 12)
)
STEPS = 8


class Killed(BaseException):
    pass


def _model() -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )
    # Dropout, so that randomness has to be where it was too.
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], lora_dropout=0.2)
    return get_peft_model(base, config)


def _fit(model: Any, at: Checkpoints | None, kill: int | None = None) -> tuple[list[float], Any]:
    from accelerate import Accelerator

    from sovereign.tune.train import fit

    losses: list[float] = []

    def told(update: Any) -> None:
        losses.append(update.loss)
        if update.done == kill:
            raise Killed

    train = TrainConfig(steps=STEPS, batch=2, accumulate=2, lr=0.01)
    try:
        done = fit(
            model,
            Dataset(ROWS),
            train,
            pad=0,
            accelerator=Accelerator(cpu=True),
            progress=told,
            checkpoints=at,
        )
    except Killed:
        return losses, None
    return losses, done


def _weights(model: Any) -> dict[str, Any]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def test_a_killed_run_goes_on_with_the_same_curve_and_ends_with_the_same_weights(
    tmp_path: Path,
) -> None:
    """Killed after step 5, it repeats from the checkpoint at 4, in a model made anew."""
    whole = _model()
    curve, done = _fit(whole, None)
    file = tmp_path / "c.safetensors"
    first, _ = _fit(_model(), Checkpoints(file, "run", every=2), kill=5)
    assert first == curve[:5]
    assert file.stat().st_mode & 0o777 == 0o600
    again = _model()
    torch.manual_seed(99)  # whatever happened in between
    rest, resumed = _fit(again, Checkpoints(file, "run", every=2))
    assert rest == curve[4:]
    assert (resumed.loss_first, resumed.loss_last) == (curve[0], curve[-1])
    assert resumed.tokens == done.tokens
    for name, weight in _weights(whole).items():
        assert torch.equal(weight, _weights(again)[name]), name


def test_another_run_s_checkpoint_is_refused(tmp_path: Path) -> None:
    """Another recipe, base or rows: going on would mix two runs."""
    file = tmp_path / "c.safetensors"
    _fit(_model(), Checkpoints(file, "run", every=2), kill=3)
    with pytest.raises(TuneError, match="another recipe, base or rows"):
        Checkpoints(file, "other", every=2).found()
    file.write_bytes(b"half")
    with pytest.raises(TuneError, match="no checkpoint"):
        Checkpoints(file, "run", every=2).found()


def test_a_full_disk_leaves_the_checkpoint_before_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails as the system says; what was there can still be gone on from."""
    file = tmp_path / "c.safetensors"
    at = Checkpoints(file, "run", every=2)
    _fit(_model(), at, kill=3)
    kept = file.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _fit(_model(), at)
    assert file.read_bytes() == kept
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    """All of them read."""
    at = Checkpoints(tmp_path / "c.safetensors", "run", every=1, writing=False)
    _fit(_model(), at, kill=2)
    assert not list(tmp_path.iterdir())
