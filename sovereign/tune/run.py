"""A fine-tune from recipe to adapter: verify, read, ask, train, check, ask again, save, record."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import adapter, card, general, launch, metrics, model, record, report, shards
from sovereign.tune.checkpoint import FILE as CHECKPOINT
from sovereign.tune.checkpoint import Checkpoints, fingerprint
from sovereign.tune.gate import Gate
from sovereign.tune.offline import offline
from sovereign.tune.prepare import Prepared, prepare
from sovereign.tune.recipe import Recipe
from sovereign.tune.record import RunRecord
from sovereign.tune.roll import FILE as ROLL
from sovereign.tune.roll import SALT_SIZE, Roll
from sovereign.tune.servable import disk, hold_disk
from sovereign.tune.session import Session
from sovereign.tune.workplace import working
from sovereign.types import Sink
from sovereign.weights.lock import write_atomically
from sovereign.weights.passport import MODEL_TYPE, PREDICATE_TYPE, seal, statement
from sovereign.weights.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sovereign.tune.train import Progress, Update

__all__ = ["run"]

TOKENS = "tokens.json"


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
        metrics.require(recipe.metrics)
        general.require(recipe.general)
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
        kind = "model" if whole else "adapter"
        with working(out, kind, accelerator, checkpoints, recipe) as (
            work,
            finish,
            figures,
        ):
            run = Session(recipe, accelerator, tell, figures, checkpoints)
            run.load(folder, prepared)
            hold_disk(out, disk(run.trainable, recipe))
            before = run.ask(rows, "evaluate before") if recipe.eval.before else None
            fit = run.fit()
            run.learnt(prepared)
            checks = run.check()
            effect = run.effect()
            after = run.ask(rows, "evaluate after")
            besides = run.general(prepared)
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
                general=besides,
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
            type_ = MODEL_TYPE if whole else PREDICATE_TYPE
            envelope = seal(statement(made.data, files, kind=type_), key)
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
            html = report.page(made, report.curve_of(out / metrics.FILE))
            write_atomically(out / report.FILE, html.encode())
            accelerator.wait_for_everyone()
            return made


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
