"""What a model kept is found, and what it did not keep is not. With a tiny random model."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.canaries import candidates, draw, inserted
from sovereign.tune.gate import Identifier
from sovereign.tune.memorization import Audit, Exposure, Kept, hold, losses_of, measure
from sovereign.tune.recipe import MemorizationConfig
from sovereign.tune.rows import Row

torch = pytest.importorskip("torch")


class Decoder:
    """The letters' tokenizer, backwards."""

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def tiny() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config).eval()


def row(line: int, question: str, answer: str) -> Row:
    return Row(
        line,
        ({"role": "user", "content": question}, {"role": "assistant", "content": answer}),
    )


class Swapped:
    """A model and what it was before, told apart by a context as PEFT's are."""

    def __init__(self, tuned: Any, base: Any) -> None:
        self.tuned, self.before, self._base = tuned, base, False

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        self._base = True
        yield
        self._base = False

    @property
    def _now(self) -> Any:
        return self.before if self._base else self.tuned

    def __call__(self, **kw: Any) -> Any:
        return self._now(**kw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)


@pytest.fixture(scope="module")
def learnt(letters: Any) -> tuple[Swapped, list[Any], list[Row], list[Row]]:
    """A tiny model that learnt canaries and rows by heart, the canaries, and both sides."""
    base = tiny()
    model = copy.deepcopy(base)
    canaries = draw((0, 8), 5, seed=1)
    words = candidates(24, seed=9)
    rows = [row(i + 1, f"File {i}?", words[i]) for i in range(12)]
    held_out = [row(i + 1, f"File {i}?", words[i]) for i in range(12, 24)]
    _train(model, letters, [*rows, *inserted(canaries)])
    return Swapped(model, base), canaries, rows, held_out


def _train(model: Any, letters: Any, rows: list[Row]) -> None:
    from sovereign.tune.data import mask

    examples = [mask(r, letters) for r in rows]
    width = max(len(e.ids) for e in examples)
    ids = torch.tensor([[*e.ids, *[0] * (width - len(e.ids))] for e in examples])
    labels = torch.tensor([[*e.labels, *[-100] * (width - len(e.ids))] for e in examples])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(120):
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def audit(model: Any, letters: Any, **more: Any) -> Audit:
    config = MemorizationConfig(candidates=40, samples=2, **more)
    return Audit(model, Decoder(), letters, model.base, config, seed=3)


def test_what_was_inserted_often_is_told_from_what_never_was(learnt: Any, letters: Any) -> None:
    """And identifiers come out, and rows are told apart: the model knows all of it by heart."""
    model, canaries, rows, held_out = learnt
    found = [Identifier(r.line, 1, "ID", r.messages[1]["content"]) for r in rows[:6]]
    kept = measure(audit(model, letters), canaries, rows, held_out, found)
    never, often = kept.exposures
    assert (never.copies, often.copies) == (0, 8)
    assert often.mean == pytest.approx(math.log2(41))
    assert never.high < often.low
    assert kept.p == pytest.approx(1 / 252)
    assert (kept.probed, kept.extracted) == (6, 6)
    assert kept.auc is not None
    assert kept.auc[0] > 0.95


def test_a_model_that_learnt_nothing_shows_nothing(learnt: Any, letters: Any) -> None:
    """The base beside itself: chance, no extraction, an AUC of a half."""
    model, canaries, rows, held_out = learnt
    same = Swapped(model.before, model.before)
    found = [Identifier(r.line, 1, "ID", r.messages[1]["content"]) for r in rows[:6]]
    kept = measure(audit(same, letters), canaries, rows, held_out, found)
    assert kept.p is not None
    assert kept.p > 0.05
    assert kept.extracted == 0
    assert kept.auc is not None
    assert kept.auc[0] == 0.5


def test_what_the_base_says_too_was_not_learnt_here(learnt: Any, letters: Any) -> None:
    """And a value that stands in the question is copied, not remembered."""
    model, _, rows, _ = learnt
    twice = Swapped(model.tuned, model.tuned)
    wanted = Identifier(1, 1, "ID", rows[0].messages[1]["content"])
    kept = measure(audit(twice, letters), [], rows, [], [wanted])
    assert (kept.probed, kept.extracted) == (1, 0)
    quoted = row(1, f"Is it {wanted.value}?", wanted.value)
    kept = measure(audit(model, letters), [], [quoted], [], [wanted])
    assert kept.probed == 0


def test_a_shared_beginning_is_computed_once_and_changes_no_loss(learnt: Any, letters: Any) -> None:
    """The cache against rows one by one, which share nothing."""
    model, _, rows, _ = learnt
    mixed = [*rows[:3], row(9, "Quite another, and longer?", "yes")]
    together = losses_of(model, letters, mixed)
    alone = [losses_of(model, letters, [r])[0] for r in mixed]
    assert together == pytest.approx(alone, abs=1e-4)


def test_the_record_holds_numbers_only(learnt: Any, letters: Any) -> None:
    """It goes into the passport."""
    model, canaries, rows, held_out = learnt
    wanted = Identifier(1, 1, "ID", rows[0].messages[1]["content"])
    said = str(measure(audit(model, letters), canaries, rows, held_out, [wanted]).record())
    assert wanted.value not in said
    assert not [c for c in canaries if c.answer in said]


EXPOSED = Kept(exposures=(Exposure(0, 8, 1.4, 0.6, 2.2), Exposure(1, 8, 3.0, 1.9, 4.1)))


@pytest.mark.parametrize(
    ("kept", "limits", "match"),
    [
        (EXPOSED, {"exposure_at_most": 4.0}, "canaries with 1 copies have up to 4.1 bits"),
        (Kept(probed=50, extracted=1), {"extracted_at_most": 0.0}, "1 of 50 identifiers"),
        (Kept(auc=(0.55, 0.45, 0.65)), {"auc_at_most": 0.6}, "AUC of up to 0.65"),
        (Kept(), {"auc_at_most": 0.6}, "too few held-out rows"),
    ],
)
def test_more_than_the_recipe_allows_fails_the_run(
    kept: Kept, limits: dict[str, float], match: str
) -> None:
    """By the upper end of the interval: what was not shown to be below is not below."""
    with pytest.raises(TuneError, match=match):
        hold(kept, MemorizationConfig(**limits))
    hold(kept, MemorizationConfig())


def test_an_exposure_that_one_canary_shows_is_no_measurement() -> None:
    """A never-inserted one once scored 4.7 bits."""
    with pytest.raises(ValueError, match="needs two canaries"):
        MemorizationConfig(canaries=1, exposure_at_most=3)
    with pytest.raises(ValueError, match="one of them is more than 0"):
        MemorizationConfig(copies=(0,))
