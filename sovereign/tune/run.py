"""A fine-tune from recipe to adapter: verify, read, ask, train, check, ask again, save, record."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import adapter, card, full, launch, model, record, report, shards
from sovereign.tune.canaries import Canary, draw, inserted
from sovereign.tune.checkpoint import FILE as CHECKPOINT
from sovereign.tune.checkpoint import Checkpoints, fingerprint
from sovereign.tune.data import Dataset, encode
from sovereign.tune.export import load_plain
from sovereign.tune.gate import Gate
from sovereign.tune.offline import offline
from sovereign.tune.prepare import Prepared, prepare
from sovereign.tune.recipe import Recipe
from sovereign.tune.record import RunRecord
from sovereign.tune.roll import FILE as ROLL
from sovereign.tune.roll import SALT_SIZE, Roll
from sovereign.tune.rows import Row
from sovereign.tune.workplace import working
from sovereign.types import JSON, Sink
from sovereign.weights.lock import write_atomically
from sovereign.weights.passport import MODEL_TYPE, PREDICATE_TYPE, seal, statement
from sovereign.weights.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sovereign.tune.memorization import Kept
    from sovereign.tune.private import Spent
    from sovereign.tune.train import Progress, Update
    from sovereign.tune.watch import Watch

__all__ = ["run"]

TOKENS = "tokens.json"
PROBED = 64  # rows whose loss must have fallen


def run(
    recipe: Recipe,
    store: Store,
    out: Path,
    *,
    progress: Progress | None = None,
    sink: Sink | None = None,
    key: Ed25519PrivateKey,
    gate: Gate | None = None,
) -> RunRecord:
    """Train ``recipe`` on weights of ``store``; write ``adapter/``, ``metrics.jsonl``,
    ``run.json``, ``report.html`` and ``roll.json`` below ``out``. ``key`` signs the passport;
    ``gate`` looks for personal data, by default the one that is there without a configuration.

    Raises :class:`TuneError` or :class:`NotVerified`; then ``out`` holds no adapter. No connection
    is opened from begin to end. The audit event is durable before the adapter appears.
    """
    with offline() as refusals, model.quiet():
        # Rows and name first: a mistake there is found at once, while libraries load for seconds.
        gate = gate or Gate.from_config(None, key.private_bytes_raw())
        prepared = prepare(recipe, gate)
        held_out = prepared.held_out[: recipe.eval.limit]
        rows = [row for row in held_out if not row.is_text]  # nobody can ask a text
        if recipe.eval.at_least and not rows:
            raise TuneError(
                "eval.at_least has no rows to ask", hint="data.eval, or data.eval_share"
            )
        if recipe.eval.every and not held_out:
            raise TuneError(
                "eval.every has no rows to look at", hint="hold some out: data.eval_share = 0.1"
            )
        entry = store.entry(recipe.model)
        model.require()
        model.set_threads(recipe.train.threads)
        from accelerate import Accelerator

        accelerator = Accelerator()
        launch.hold(accelerator)
        tell = _Quietly(progress if accelerator.is_main_process else None)
        begun = time.time()
        folder = store.get(recipe.model)
        checkpoints = (
            None
            if recipe.privacy
            else _checkpoints(out, recipe, entry.digest, prepared, accelerator)
        )
        whole = recipe.train.method == "full"
        with working(out, "model" if whole else "adapter", accelerator, checkpoints) as (
            work,
            finish,
            metrics,
        ):
            run = _Run(recipe, accelerator, tell, metrics, checkpoints)
            run.load(folder, prepared)
            before = run.ask(rows, "evaluate before") if recipe.eval.before else None
            fit = run.fit()
            run.learnt(prepared)
            checks = run.check()
            effect = run.effect()
            after = run.ask(rows, "evaluate after")
            kept = run.audit(prepared)
            if after and recipe.eval.at_least and after.share < recipe.eval.at_least:
                raise TuneError(
                    f"exact match is {after.share:.0%}, below eval.at_least "
                    f"{recipe.eval.at_least:.0%}",
                    hint="train longer, or look at the data; no adapter was kept",
                )
            weights = shards.gathered(run.model, keep=work is not None)
            if work is None:  # another process of the run writes it
                accelerator.wait_for_everyone()
                return RunRecord({})
            run.save(work, entry.name, weights)
            files, digest = adapter.files_of(work)
            used = {e.line for e in run.data.examples}
            roll = Roll.of(
                (r for r in prepared.source if r.line in used), secrets.token_bytes(SALT_SIZE)
            )
            made = record.build(
                recipe=recipe,
                entry=entry,
                prepared=prepared,
                private=prepared.private(gate, recipe),
                data=run.data,
                roll=roll,
                before=before,
                after=after,
                kept=kept,
                spent=run.spent,
                precision=run.precision,
                world=accelerator.num_processes,
                training={
                    "steps": fit.steps,
                    "kept_step": fit.kept or fit.steps,
                    "eval_loss": run.watch and round(run.watch.best, 6),
                    "loss_first": fit.loss_first,
                    "loss_last": fit.loss_last,
                    "tokens": fit.tokens,
                    "seconds": round(fit.seconds, 3),
                },
                checks=checks,
                effect=effect,
                refused=refusals.count,
                files=files,
                digest=digest,
                begun=begun,
                ended=time.time(),
            )
            kind = MODEL_TYPE if whole else PREDICATE_TYPE
            envelope = seal(statement(made.data, files, kind=kind), key)
            adapter.write_papers(work, envelope, card.facts(made))
            if sink is not None:
                sink.submit(card.event(made)).result()
            roll.save(out / ROLL)
            if prepared.found.tokens:
                told = {"token_key": gate.token_key, "tokens": list(prepared.found.tokens)}
                write_atomically(out / TOKENS, json.dumps(told).encode(), mode=0o600)
            finish()
            if checkpoints is not None:
                checkpoints.remove()
            write_atomically(out / "run.json", made.encode())
            html = report.page(made, report.curve_of(out / "metrics.jsonl"))
            write_atomically(out / report.FILE, html.encode())
            accelerator.wait_for_everyone()
            return made


class _Run:
    """The parts of one run that share a model."""

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Any,
        tell: Progress,
        metrics: Any,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._recipe = recipe
        self._accelerator = accelerator
        self._tell = tell
        self._metrics = metrics
        self._checkpoints = checkpoints
        self.model: Any = None
        self.before: Callable[[], AbstractContextManager[Any]]
        self.precision = ""
        self.data: Dataset
        self.spent: Spent | None = None
        self.watch: Watch | None = None
        self._canaries: list[Canary] = []

    def load(self, folder: Path, prepared: Prepared) -> None:
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
        from sovereign.tune.memorization import Audit, hold, measure

        config = self._recipe.memorization
        if config is None:
            return None
        audit = Audit(
            self.model,
            self._tokenizer,
            self._template,
            self.before,
            config,
            self._recipe.train.seed,
            self._tell,
        )
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

    def ask(self, rows: list[Row], phase: str) -> Any:
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

    def fit(self) -> Any:
        from sovereign.tune.private import fit_private, spend
        from sovereign.tune.train import fit

        def told(update: Update) -> None:
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
                self._metrics.write(json.dumps(row) + "\n")
                self._metrics.flush()
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
        self.spent = spend(self._recipe.privacy, self._recipe.train, len(self.data.examples))
        return fit_private(self.model, self.data, self._recipe.train, self.spent, **common)

    def _say(self, phase: str, done: int) -> None:
        from sovereign.tune.train import Update

        self._tell(Update(phase=phase, done=done, total=1))


class _Quietly:
    """A :data:`Progress` that may be nobody."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def __call__(self, update: Update) -> None:
        if self._progress is not None:
            self._progress(update)


def _checkpoints(
    out: Path, recipe: Recipe, base_digest: str, prepared: Prepared, accelerator: Any
) -> Checkpoints:
    name = fingerprint(recipe, base_digest, prepared, accelerator.num_processes)
    every, writing = recipe.train.checkpoint_every, accelerator.is_main_process
    return Checkpoints(out / CHECKPOINT, name, every=every, writing=writing)
