"""What a model can do besides what it was trained for, before and after: to see what it forgot.

Rows that have nothing to do with the training rows: the loss of each by the tuned model and by the
model as it was, paired, since rows differ far more than a model forgets; and exact answers. On
request lm-eval's tasks too, where it is installed and its data are on this disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import MissingExtra, TuneError
from sovereign.tune import stats
from sovereign.tune.data import Dataset, Template
from sovereign.tune.evaluate import Score, exact_match
from sovereign.tune.memorization import losses
from sovereign.tune.recipe import GeneralConfig
from sovereign.tune.rows import Row
from sovereign.tune.train import Progress, Update

if TYPE_CHECKING:
    from sovereign.tune.recipe import Recipe

__all__ = ["Asked", "General", "hold", "measure", "require"]

BATCH = 16
Interval = tuple[float, float, float]
"""Mean, and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class General:
    """``before``, ``after`` and ``rise`` are mean losses of ``rows`` rows in nats a token, each
    with its interval; ``rise`` is of the paired differences. ``exact`` are answers before and
    after, where rows have any. ``tasks`` is what lm-eval gave: task, metric, then when, as (value,
    standard error)."""

    rows: int = 0
    before: Interval | None = None
    after: Interval | None = None
    rise: Interval | None = None
    exact: tuple[Score, Score] | None = None
    tasks: dict[str, dict[str, dict[str, tuple[float, float | None]]]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """For the passport: numbers."""
        made: dict[str, Any] = {"rows": self.rows}
        for name in ("before", "after", "rise"):
            said = getattr(self, name)
            made[name] = said and dict(
                zip(("mean", "low", "high"), (round(v, 4) for v in said), strict=True)
            )
        made["exact"] = self.exact and [
            {"exact": score.exact, "rows": score.rows} for score in self.exact
        ]
        made["tasks"] = {
            task: {
                metric: {when: list(value) for when, value in whens.items()}
                for metric, whens in metrics.items()
            }
            for task, metrics in self.tasks.items()
        }
        return made


@dataclass(frozen=True, slots=True)
class Asked:
    """What a measurement needs. ``before`` is a context in which ``model`` answers as it did before
    training; ``data`` are ``rows`` as tokens."""

    model: Any
    tokenizer: Any
    template: Template
    before: Callable[[], AbstractContextManager[Any]]
    rows: Sequence[Row]
    data: Dataset
    progress: Progress | None = None


def require(config: GeneralConfig | None) -> None:
    """Raises :class:`MissingExtra` if tasks are asked for and lm-eval is not installed."""
    if config is None or not config.tasks:
        return
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        raise MissingExtra("lm-eval", "lm-eval") from None


def measure(asked: Asked, recipe: Recipe, config: GeneralConfig) -> General:
    """Before and after. Raises :class:`TuneError` if tasks cannot be read."""
    tasks: dict[str, dict[str, dict[str, tuple[float, float | None]]]] = {}
    folder = recipe.resolve(config.tasks_folder) if config.tasks_folder else None
    both = []
    for when, as_it_was in (("before", asked.before()), ("after", nullcontext())):
        with as_it_was:
            both.append(_look(asked, when))
            said = _tasks(asked, config, folder)
        for task, metrics in said.items():
            for metric, value in metrics.items():
                tasks.setdefault(task, {}).setdefault(metric, {})[when] = value
    (lost_before, exact_before), (lost_after, exact_after) = both
    if not lost_before:
        return General(tasks=tasks)
    rises = [after - before for before, after in zip(lost_before, lost_after, strict=True)]
    exact = None
    if exact_before is not None and exact_after is not None:
        exact = exact_before, exact_after
    return General(
        len(lost_before),
        stats.mean_interval(lost_before),
        stats.mean_interval(lost_after),
        stats.mean_interval(rises),
        exact,
        tasks,
    )


def hold(found: General, config: GeneralConfig) -> None:
    """Raises :class:`TuneError` if more was forgotten than the recipe allows. The upper end of the
    interval counts: what was not shown to be below is not below."""
    if config.rise_at_most is None:
        return
    if found.rise is None or not found.rise[2] <= config.rise_at_most:
        high = "unknown" if found.rise is None else f"up to {found.rise[2]:.3f} nats"
        raise TuneError(
            f"the loss of general rows rose by {high}, over general.rise_at_most "
            f"{config.rise_at_most:g}",
            hint="fewer steps, a lower train.lr or lora.r, or general rows among those of "
            "data.train; no adapter was kept",
        )


def _look(asked: Asked, when: str) -> tuple[list[float], Score | None]:
    """The loss of each row, and how many are answered exactly."""
    examples = asked.data.examples
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids))
    found = [0.0] * len(examples)
    for at in range(0, len(order), BATCH):
        part = order[at : at + BATCH]
        for i, loss in zip(part, losses(asked.model, [examples[i] for i in part]), strict=True):
            found[i] = loss
        if asked.progress is not None:
            done = min(at + BATCH, len(order))
            asked.progress(Update(phase=f"general rows {when}", done=done, total=len(order)))
    answered = [row for row in asked.rows if not row.is_text]
    if not answered:
        return found, None
    return found, exact_match(
        asked.model,
        asked.tokenizer,
        asked.template,
        answered,
        batch=BATCH,
        phase=f"general answers {when}",
        progress=asked.progress,
    )


def _tasks(
    asked: Asked, config: GeneralConfig, folder: Path | None
) -> dict[str, dict[str, tuple[float, float | None]]]:
    """What lm-eval says of the model now: task, metric, (value, standard error)."""
    if not config.tasks:
        return {}
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(pretrained=asked.model, tokenizer=asked.tokenizer, batch_size=BATCH)
    manager = TaskManager(include_path=None if folder is None else str(folder))
    unknown = [task for task in config.tasks if task not in manager.all_tasks]
    if unknown:
        raise TuneError(
            f"general.tasks: lm-eval knows no {', '.join(unknown)}",
            hint="`lm_eval --tasks list`, or general.tasks_folder",
        )
    try:
        said = simple_evaluate(
            lm,
            tasks=list(config.tasks),
            task_manager=manager,
            limit=config.tasks_limit,
            bootstrap_iters=1000,
            log_samples=False,
            verbosity="ERROR",
        )
    except (ConnectionError, OSError) as e:
        raise TuneError(
            f"the data of general.tasks are not on this disk ({type(e).__name__})",
            hint="fetch them before, on a machine with a network; a run opens no connection",
        ) from None
    found: dict[str, dict[str, tuple[float, float | None]]] = {}
    for task, values in said["results"].items():
        for key, value in values.items():
            metric, _, kind = key.partition(",")
            if not isinstance(value, float) or metric.endswith("_stderr"):
                continue
            error = values.get(f"{metric}_stderr,{kind}")
            exact = error if isinstance(error, float) else None
            found.setdefault(task, {})[metric] = (value, exact)
    return found
