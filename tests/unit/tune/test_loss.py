"""Rows in one line are the same rows: what is learnt, and when a line is worth it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from families import make_base

from sovereign.errors import TuneError
from sovereign.tune.data import IGNORED, Example
from sovereign.tune.loss import _line, packs, worth_packing

torch = pytest.importorskip("torch")


def test_positions_begin_again_and_no_row_learns_the_beginning_of_the_next() -> None:
    """The last token of a row would otherwise be taught to go on with another person's record."""
    rows = (Example(1, (5, 6, 7), (5, 6, 7)), Example(2, (8, 9), (8, 9)))
    inputs, targets = _line(rows)
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert targets.tolist() == [[6, 7, IGNORED, 9]]
    assert "attention_mask" not in inputs


@pytest.mark.parametrize(
    ("lengths", "worth"),
    [([30, 40, 50, 90], True), ([40, 400], True), ([60] * 4, False), ([2048, 2000], False)],
)
def test_rows_of_one_length_stay_side_by_side(lengths: list[int], worth: bool) -> None:
    """Nothing is padding there, and attention over the line would look at every pair of rows."""
    assert worth_packing(lengths) is worth


@pytest.mark.parametrize(("kind", "may"), [("llama", True), ("mamba2", False), ("lfm2", False)])
def test_a_model_that_was_not_shown_to_keep_rows_apart_is_not_packed(kind: str, may: bool) -> None:
    """A state that is carried from token to token does not begin again with the positions."""
    model: Any = SimpleNamespace(config=SimpleNamespace(model_type=kind))
    assert packs(model) is may


def test_plain_attention_learns_what_the_kernels_learn(tmp_path: Path) -> None:
    """Side by side and in one line: `train.attention` chooses how, and not what."""
    from sovereign.tune.loss import loss_of
    from sovereign.tune.model import load_base

    base = make_base("chatml", tmp_path / "base")
    rows = [Example(n, tuple(range(5, 8 + 5 * n)), tuple(range(5, 8 + 5 * n))) for n in (1, 2, 4)]
    found = {}
    for attention in ("sdpa", "eager"):
        model, _, _ = load_base(base, precision="fp32", quantize="none", attention=attention)
        assert model.config._attn_implementation == attention
        with torch.no_grad():
            found[attention] = [float(loss_of(model, rows, 0, packed=p)) for p in (False, True)]
    one = found["sdpa"][0]
    assert [*found["sdpa"], *found["eager"]] == pytest.approx([one] * 4, rel=1e-5)


def test_flash_attention_is_refused_where_it_cannot_compute(tmp_path: Path) -> None:
    """Before weights are read: without the package, transformers would ask the Hub for kernels."""
    from sovereign.tune.model import load_base

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(TuneError, match="there is no GPU here") as failed:
        load_base(tmp_path, precision="bf16", quantize="none", attention="flash_attention_2")
    assert "sdpa" in (failed.value.hint or "")


def test_a_batch_of_long_rows_goes_through_in_parts_and_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curve is that of whole batches, and no pass has more positions than there is room for:
    the peak of memory is no longer the batch of the longest rows."""
    from accelerate import Accelerator

    from sovereign.tune import batches
    from sovereign.tune.data import Dataset
    from sovereign.tune.model import add_lora, load_base
    from sovereign.tune.recipe import LoraConfig, TrainConfig
    from sovereign.tune.train import fit

    base = make_base("chatml", tmp_path / "base")
    lengths = [8] * 28 + [60] * 4
    rows = [Example(i, ids, ids) for i, n in enumerate(lengths) if (ids := tuple(range(5, 5 + n)))]
    config = TrainConfig(steps=8, batch=4, lr=0.01)
    found, widest = {}, {}
    for share in (batches.ROOM, 100.0):
        monkeypatch.setattr(batches, "ROOM", share)
        model, _, _ = load_base(base, precision="fp32", quantize="none")
        model = add_lora(model, LoraConfig(r=4), config)
        curve, wide = [], []
        model.register_forward_pre_hook(
            lambda _, __, inputs, wide=wide: wide.append(inputs["input_ids"].numel()),
            with_kwargs=True,
        )
        fit(
            model,
            Dataset(tuple(rows)),
            config,
            pad=0,
            accelerator=Accelerator(cpu=True),
            progress=lambda update, curve=curve: curve.append(update.loss),
        )
        found[share], widest[share] = curve, max(wide)
    whole, parts = found[100.0], found[1.5]
    assert parts == pytest.approx(whole, rel=1e-5)
    assert whole[-1] < whole[0]
    assert widest == {1.5: 60, 100.0: 240}
