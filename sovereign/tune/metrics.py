"""Where the figures of each step go: a line of metrics.jsonl, and on request TensorBoard's or
MLflow's files beside it, for their viewers. Numbers only, and files of this disk only.

Both are written anew when a run goes on from a checkpoint, of the lines that were kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from sovereign.errors import MissingExtra
from sovereign.tune.recipe import MetricsConfig

__all__ = ["FILE", "Metrics", "opened", "require"]

FILE = "metrics.jsonl"
TENSORBOARD, MLFLOW = "tensorboard", "mlruns"
MLFLOW_SAYS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
"""MLflow counts its users unless told not to, and asks for a database unless told otherwise."""


class Sink(Protocol):
    """What takes the figures of a step, by name; ``step`` counts from 1."""

    def step(self, row: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class Metrics:
    """Takes the figures of each step to the file of lines and to whatever else was asked for."""

    def __init__(self, lines: TextIO, sinks: Sequence[Sink] = ()) -> None:
        self._lines, self._sinks = lines, sinks

    def step(self, row: dict[str, Any]) -> None:
        """``row`` has "step", and numbers."""
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()
        for sink in self._sinks:
            sink.step(row)


def require(config: MetricsConfig) -> None:
    """Raises :class:`MissingExtra` for what is asked for and not installed: before training, and
    not after its first step."""
    if config.tensorboard:
        _tensorboard()
    if config.mlflow:
        _mlflow()


@contextmanager
def opened(out: Path, config: MetricsConfig, done: int, name: str) -> Iterator[Metrics]:
    """The metrics of the run ``name`` below ``out``, which goes on after ``done`` steps."""
    file = out / FILE
    kept: list[str] = []
    if done and file.exists():
        kept = file.read_text(encoding="utf-8").splitlines(keepends=True)[:done]
    sinks: list[Sink] = []
    try:
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(kept)
            for asked, made, folder in (
                (config.tensorboard, _TensorBoard, TENSORBOARD),
                (config.mlflow, _Mlflow, MLFLOW),
            ):
                if asked:
                    shutil.rmtree(out / folder, ignore_errors=True)
                    sinks.append(made((out / folder).resolve(), name))
            for line in kept:
                for sink in sinks:
                    sink.step(json.loads(line))
            yield Metrics(lines, sinks)
    finally:
        for sink in sinks:
            sink.close()


def _figures(row: dict[str, Any]) -> dict[str, float]:
    return {key: float(row[key]) for key in row if key != "step" and row[key] is not None}


class _TensorBoard:
    def __init__(self, folder: Path, name: str) -> None:
        self._writer = _tensorboard()(str(folder / name))

    def step(self, row: dict[str, Any]) -> None:
        for key, value in _figures(row).items():
            self._writer.add_scalar(f"train/{key}", value, row["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Mlflow:
    def __init__(self, folder: Path, name: str) -> None:
        mlflow = _mlflow()
        self._metric = mlflow.entities.Metric
        self._client = mlflow.MlflowClient(tracking_uri=folder.as_uri())
        experiment = self._client.create_experiment(name)
        self._run = self._client.create_run(experiment, run_name=name).info.run_id

    def step(self, row: dict[str, Any]) -> None:
        # No clock: a curve is over steps, and when each was is nobody's business.
        figures = [self._metric(k, v, 0, row["step"]) for k, v in _figures(row).items()]
        self._client.log_batch(self._run, metrics=figures)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _tensorboard() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtra("tensorboardX", "tensorboard") from None
    return SummaryWriter


def _mlflow() -> Any:
    os.environ.update(MLFLOW_SAYS)
    try:
        import mlflow
    except ImportError:
        raise MissingExtra("mlflow", "mlflow") from None
    return mlflow
