"""The parts of one run that share a model: load, ask, train, check, audit, save."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import adapter, full, general, launch, metrics, model, shards
from sovereign.tune.canaries import Canary, draw, inserted
from sovereign.tune.checkpoint import Checkpoints
from sovereign.tune.data import Dataset, encode
from sovereign.tune.export import load_plain
from sovereign.tune.prepare import Prepared
from sovereign.tune.recipe import MemorizationConfig, Recipe
from sovereign.tune.rows import Row
from sovereign.types import JSON

if TYPE_CHECKING:
    from sovereign.tune.memorization import Audit, Kept
    from sovereign.tune.private import Spent
    from sovereign.tune.train import Fit, Progress, Update
    from sovereign.tune.watch import Watch

__all__ = ["Session"]

PROBED = 64  # rows whose loss must have fallen


class Session:
    """One run of ``recipe``; ``figures`` takes those of each step, in the process that writes."""

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Any,
        tell: Progress,
        figures: metrics.Metrics | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._recipe = recipe
        self._accelerator = accelerator
        self._tell = tell
        self._metrics = figures
        self._checkpoints = checkpoints
        self.model: Any = None
        self.before: Callable[[], AbstractContextManager[Any]]
        self.precision = ""
        self.data: Dataset
        self.spent: Spent | None = None
        self.watch: Watch | None = None
        self._canaries: list[Canary] = []
        self._besides = Dataset(())

    def load(self, folder: Path, prepared: Prepared) -> None:
        """Base, update and rows as tokens."""
        recipe, train = self._recipe, self._recipe.train
        found = self._checkpoints.found() if self._checkpoints is not None else None
        chosen = found.precision if found else model.choose_precision(train.precision)
        # Each process measured by itself, and two precisions would be two models.
        self.precision = launch.agreed(chosen)
        self._say("load", 0)
        whole = train.method == "full"
        self._folder = folder
        base, self._tokenizer, self._template = model.load_base(
            folder,
            precision="fp32" if whole else self.precision,
            quantize=train.quantize,
            attention=train.attention,
        )
        rows = chain(prepared.train, self._inserted())
        self.data = self._encoded(rows, str(recipe.train_file))
        if recipe.eval.every:
            from sovereign.tune.watch import Watch

            where = str(recipe.eval_file or recipe.train_file)
            asked = self._encoded(prepared.held_out[: recipe.eval.limit], where)
            self.watch = Watch(asked.examples, recipe.eval)
        if recipe.general is not None and prepared.general:
            self._besides = self._encoded(prepared.general, str(recipe.general.rows))
        if whole:
            self.model = full.whole(base, train)
            self.before = full.Before(base, lambda: load_plain(folder))
        else:
            self.model = model.add_lora(base, recipe.lora, train)
            self.before = self.model.disable_adapter
        if train.shard:
            shards.shard(self.model, self._accelerator)
        elif train.quantize == "none":
            self.model.to(self._accelerator.device)
        self.model.eval()
        self._say("load", 1)

    @property
    def trainable(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def _encoded(self, rows: Iterable[Row], where: str) -> Dataset:
        train = self._recipe.train
        return encode(
            rows,
            self._template,
            where=where,
            max_length=train.max_length,
            over_long=train.over_long,
        )

    def learnt(self, prepared: Prepared) -> None:
        """Raises :class:`TuneError` if a private run left no lower loss: noise moves weights as
        well, so that they moved says nothing."""
        from sovereign.tune.memorization import losses_of

        if self.spent is None:
            return
        rows = prepared.train[:PROBED]
        now = sum(losses_of(self.model, self._template, rows))
        with self.before():
            before = sum(losses_of(self.model, self._template, rows))
        if not now < before:
            raise TuneError(
                "the loss did not fall: the noise was larger than what there was to learn",
                hint="more rows, a larger train.batch, or a larger privacy.epsilon",
            )

    def check(self) -> adapter.Checks:
        """Raises :class:`TuneError` if training changed nothing."""
        example = self.data.examples[0]
        if isinstance(self.before, full.Before):
            return full.check(self.model, example, self.before)
        return adapter.check(self.model, example)

    def effect(self) -> dict[str, JSON] | None:
        """What the adapter does, for its passport; of a whole model there is none."""
        if isinstance(self.before, full.Before):
            return None
        quantized = self._recipe.train.quantize != "none"
        return adapter.effect_of(self.model, quantized=quantized)

    def save(self, work: Path, base: str, weights: dict[str, Any]) -> None:
        """What was trained, in ``work``."""
        common: dict[str, Any] = {"base_folder": self._folder, "weights": weights}
        if isinstance(self.before, full.Before):
            full.save(self.model, work, **common)
        else:
            adapter.save_weights(self.model, work, base=base, **common)

    def _inserted(self) -> list[Row]:
        audit = self._recipe.memorization
        if audit is None:
            return []
        self._canaries = draw(audit.copies, audit.canaries, self._recipe.train.seed)
        return inserted(self._canaries)

    def audit(self, prepared: Prepared) -> Kept | None:
        """What the model kept, if the recipe asks. Raises :class:`TuneError` if it is too much."""
        from sovereign.tune.memorization import hold, measure

        config = self._recipe.memorization
        if config is None:
            return None
        audit = self._audit(config, self._tell)
        trained = {e.line for e in self.data.examples}
        found = prepared.found.identifiers
        asked = {identifier.line for identifier in found[: config.probes]}
        rows: list[Row] = []  # those that are looked at: all of them may not fit into memory
        for row in prepared.train:
            if row.line in trained and (len(rows) < config.rows or row.line in asked):
                rows.append(row)
        kept = measure(audit, self._canaries, rows, prepared.held_out, found)
        hold(kept, config)
        return kept

    def _audit(self, config: MemorizationConfig, tell: Progress | None) -> Audit:
        from sovereign.tune.memorization import Audit

        seed = self._recipe.train.seed
        return Audit(self.model, self._tokenizer, self._template, self.before, config, seed, tell)

    def _exposed(self, step: int) -> dict[str, float]:
        """Mean bits of the canaries after ``step``, for each count of copies, if it is time to
        look. Looking draws nothing and changes no step."""
        from sovereign.tune.memorization import exposures

        config = self._recipe.memorization
        if config is None or not config.every or step % config.every:
            return {}
        self.model.eval()
        found, _ = exposures(self._audit(config, None), self._canaries)
        self.model.train()
        return {f"exposure_{e.copies}": round(e.mean, 3) for e in found}

    def general(self, prepared: Prepared) -> general.General | None:
        """What the model can do besides, before and after, if the recipe asks. Raises
        :class:`TuneError` if it forgot too much."""
        if self._recipe.general is None:
            return None
        asked = general.Asked(
            self.model,
            self._tokenizer,
            self._template,
            self.before,
            prepared.general,
            self._besides,
            self._tell,
        )
        found = general.measure(asked, self._recipe, self._recipe.general)
        general.hold(found, self._recipe.general)
        return found

    def ask(self, rows: list[Row], phase: str) -> Any:
        """The :class:`Score` on ``rows``; None if there are none."""
        from sovereign.tune.evaluate import exact_match

        if not rows:
            return None
        return exact_match(
            self.model,
            self._tokenizer,
            self._template,
            rows,
            batch=self._recipe.eval.batch,
            phase=phase,
            progress=self._tell,
        )

    def fit(self) -> Fit:
        """Train, plainly or privately."""
        from sovereign.tune.private import fit_private, spend
        from sovereign.tune.train import fit

        def told(update: Update) -> None:
            exposed = self._exposed(update.done)  # by every process, or parts would wait
            if self._metrics is not None:
                row = {
                    "step": update.done,
                    "loss": update.loss,
                    "lr": update.lr,
                    "grad_norm": update.grad_norm,
                    "tokens": update.tokens,
                    "tokens_per_s": round(update.tokens_per_s or 0, 1),
                }
                if update.eval_loss is not None:
                    row["eval_loss"] = update.eval_loss
                row |= exposed
                self._metrics.step(row)
            self._tell(update)

        pad = self._tokenizer.pad_token_id
        common = {
            "pad": pad if pad is not None else self._tokenizer.eos_token_id,
            "accelerator": self._accelerator,
            "progress": told,
        }
        if self._recipe.privacy is None:
            common |= {"checkpoints": self._checkpoints, "precision": self.precision}
            common["watch"] = self.watch
            return fit(self.model, self.data, self._recipe.train, **common)
        self.spent = spend(self._recipe.privacy, self._recipe.train, self.data)
        return fit_private(self.model, self.data, self._recipe.train, self.spent, **common)

    def _say(self, phase: str, done: int) -> None:
        from sovereign.tune.train import Update

        self._tell(Update(phase=phase, done=done, total=1))
