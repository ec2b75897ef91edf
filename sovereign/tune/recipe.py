"""A recipe: everything that decides a fine-tune, as one TOML file that is read strictly.

A path in a recipe is relative to the recipe's file. What two recipes share stays in the defaults
here, so that a recipe says only what is special about it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel

__all__ = [
    "DataConfig",
    "EvalConfig",
    "GeneralConfig",
    "LoraConfig",
    "MemorizationConfig",
    "MetricsConfig",
    "PrivacyConfig",
    "PrivateConfig",
    "Recipe",
    "TrainConfig",
    "find_recipe",
    "load_recipe",
    "names",
]

KINDS = ("scenarios", "tune")
"""The folders of the shipped recipes that can be run."""

FilePath = Annotated[Path, BeforeValidator(lambda v: Path(v) if isinstance(v, str) else v)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _target(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class DataConfig(StrictModel):
    """``[data]``: rows, as JSONL, CSV, Parquet, a datasets folder or a folder of documents."""

    train: FilePath = Field(description='such as "train.jsonl", relative to the recipe')
    eval: FilePath | None = Field(None, description="held-out rows, to ask before and after")
    eval_share: Fraction = Field(
        0.0, description="instead of eval: so much of train is held out, whole groups at a time"
    )
    duplicates: Literal["drop", "refuse"] = Field(
        "drop", description="what happens to a row that says the same as an earlier one"
    )
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="drop rows whose runs of three words are so similar (Jaccard), as 0.8"
    )

    turns: Literal["all", "each"] = Field(
        "all", description='"each" makes every answer of a chat the last one of a row of its own'
    )

    @model_validator(mode="after")
    def _one_eval(self) -> DataConfig:
        if self.eval is not None and self.eval_share:
            raise ValueError("has either eval or eval_share")
        return self


class PrivateConfig(StrictModel):
    """``[private]``: what happens to rows in which the guard finds personal data."""

    action: Literal["refuse", "drop", "pseudonymize", "allow"] = Field(
        "refuse", description='"pseudonymize" gives one person the same stand-in in every row'
    )
    reason: str = Field("", max_length=200, description="why it is allowed; goes on record")

    @model_validator(mode="after")
    def _reasoned(self) -> PrivateConfig:
        if (self.action == "allow") != bool(self.reason.strip()):
            raise ValueError('action = "allow" needs a reason, and nothing else has one')
        return self


class LoraConfig(StrictModel):
    """``[lora]``: what is added to the frozen weights."""

    r: int = Field(16, gt=0, le=512, description="rank of the update")
    alpha: int = Field(32, gt=0, description="the update is scaled by alpha / r")
    dropout: Fraction = Field(0.0, description="of the update's input")
    kind: Literal["lora", "rslora", "dora"] = Field(
        "lora",
        description='"rslora" scales by alpha / sqrt(r), so that larger ranks learn; "dora" trains '
        "lengths and directions apart, and is served merged (`sovereign tune export`) only",
    )
    target: Annotated[str | tuple[str, ...], BeforeValidator(_target)] = Field(
        "all-linear", description='"all-linear", or module names such as ["q_proj", "v_proj"]'
    )


class TrainConfig(StrictModel):
    """``[train]``: how long, how fast, and in what precision."""

    method: Literal["lora", "full"] = Field(
        "lora", description='"full" trains every weight: sixteen bytes for each, and no adapter'
    )
    steps: int | None = Field(None, gt=0, description="optimiser steps; or say epochs")
    epochs: float | None = Field(None, gt=0, description="passes over the rows; or say steps")
    batch: int = Field(4, gt=0, description="rows per device and forward pass")
    accumulate: int = Field(1, gt=0, description="forward passes per optimiser step")
    lr: float = Field(2e-4, gt=0, le=1, description="peak learning rate")
    warmup: Fraction = Field(0.05, description="share of the steps until the peak")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="after the peak"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's, on what is trained")
    clip: float = Field(1.0, gt=0, description="bound of the gradient's norm")
    max_length: int = Field(1024, gt=0, description="tokens in a row, prompt and answer")
    over_long: Literal["raise", "drop", "truncate", "split"] = Field(
        "raise", description='what happens to a row of more tokens; only a text can be "split"'
    )
    seed: int = Field(17, ge=0, lt=2**32, description="of order, dropout and the update's start")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description='of the frozen weights; "auto" measures which is faster here'
    )
    quantize: Literal["none", "int8", "nf4"] = Field(
        "none", description='"nf4" holds the frozen weights in four bits (QLoRA), "int8" in eight'
    )
    checkpoint_every: int = Field(
        50, ge=0, description="steps; a killed run goes on from there. 0 keeps none"
    )
    packing: bool = Field(
        True, description="rows of a forward pass in one line where that is less work; same loss"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes the cores that are free")
    gradient_checkpointing: bool = Field(
        False, description="compute activations twice, keep fewer of them"
    )
    attention: Literal["sdpa", "flash_attention_2", "eager"] = Field(
        "sdpa",
        description="torch's own kernels; those of the package flash-attn (NVIDIA GPUs, bf16); or "
        "plain products, which keep every pair of positions",
    )
    shard: bool = Field(
        False,
        description="cut weights, gradients and optimiser over the processes of the run (FSDP2); "
        "otherwise each process holds the whole model (DDP)",
    )

    @model_validator(mode="after")
    def _one(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("needs either steps or epochs")
        if self.method == "full" and self.quantize != "none":
            raise ValueError('method = "full" trains weights, and quantized ones are frozen')
        if self.shard and self.quantize != "none":
            raise ValueError("shard cuts no quantized weights: a copy on each device, or bf16")
        if self.attention == "flash_attention_2" and self.precision == "fp32":
            raise ValueError('attention = "flash_attention_2" computes in bf16 only')
        return self


class EvalConfig(StrictModel):
    """``[eval]``: greedy answers on held-out rows, compared with the row's answer, exactly; and
    their loss while the model trains."""

    before: bool = Field(True, description="ask before training too")
    limit: int | None = Field(None, gt=0, description="ask the first so many rows only")
    batch: int = Field(16, gt=0, description="questions at once")
    at_least: float | None = Field(
        None, ge=0, le=1, description="exact match after training, or the run fails"
    )
    every: int = Field(0, ge=0, description="steps between two looks at the loss; 0 never looks")
    patience: int | None = Field(
        None, gt=0, description="stop after so many looks without a lower loss"
    )
    keep: Literal["last", "best"] = Field(
        "last", description='"best" keeps the update whose loss on held-out rows was lowest'
    )

    @model_validator(mode="after")
    def _looked(self) -> EvalConfig:
        if not self.every and (self.patience is not None or self.keep == "best"):
            raise ValueError('patience and keep = "best" need every')
        return self


class PrivacyConfig(StrictModel):
    """``[privacy]``: differential privacy (DP-SGD) for all rows of a ``group``, or for each row
    that names none. ``train.clip`` bounds what one of them does in a step."""

    epsilon: float = Field(gt=0, le=100, description="the guarantee for each of them, such as 8")
    delta: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="its slack, below 1 / n of them; n ** -1.1 otherwise",
    )


class MemorizationConfig(StrictModel):
    """``[memorization]``: measure after training what the model kept by heart. Without this table
    nothing is inserted and nothing is measured."""

    canaries: int = Field(8, ge=0, le=100, description="invented secrets for each count in copies")
    copies: Annotated[
        tuple[Annotated[int, Field(ge=0, le=1000)], ...], BeforeValidator(_target)
    ] = Field((0, 1, 10), description="how often each is inserted; 0 shows what chance looks like")
    candidates: int = Field(
        100, ge=10, le=10_000, description="other secrets that each is ranked among"
    )
    every: int = Field(
        0, ge=0, description="steps; exposure while it trains, in metrics. 0 looks at the end only"
    )
    probes: int = Field(
        50, ge=0, le=10_000, description="identifiers of the rows that are asked for, at most"
    )
    samples: int = Field(3, ge=0, le=100, description="sampled answers besides the greedy one")
    rows: int = Field(64, ge=8, description="rows on each side of the membership test, at most")
    exposure_at_most: float | None = Field(
        None, gt=0, description="bits, of canaries with the fewest copies; or the run fails"
    )
    extracted_at_most: float | None = Field(
        None, ge=0, le=1, description="share of the identifiers that come out; or the run fails"
    )
    auc_at_most: float | None = Field(
        None, ge=0.5, le=1, description="of the membership test; or the run fails"
    )

    @model_validator(mode="after")
    def _ordered(self) -> MemorizationConfig:
        if self.canaries and (len(set(self.copies)) < len(self.copies) or not any(self.copies)):
            raise ValueError("copies are different counts, and one of them is more than 0")
        if self.exposure_at_most is not None and self.canaries < 2:
            raise ValueError("exposure_at_most needs two canaries or more")
        if self.every and not self.canaries:
            raise ValueError("every has no canaries to look at")
        return self


class GeneralConfig(StrictModel):
    """``[general]``: what the model can do besides, before and after, so that forgetting is seen.
    Nothing of it is trained on."""

    rows: FilePath | None = Field(
        None, description="questions or texts that have nothing to do with data.train"
    )
    limit: int = Field(200, ge=2, description="take the first so many rows only")
    rise_at_most: float | None = Field(
        None,
        gt=0,
        description="nats that the mean loss of rows may rise by, by the upper end of its 95 % "
        "interval; or the run fails",
    )
    tasks: Annotated[tuple[str, ...], BeforeValidator(_target)] = Field(
        (), description='of lm-eval, such as ["arc_easy"]; their data have to be on this disk'
    )
    tasks_folder: FilePath | None = Field(None, description="with tasks of your own, as YAML")
    tasks_limit: int | None = Field(None, gt=0, description="questions of each task, at most")

    @model_validator(mode="after")
    def _something(self) -> GeneralConfig:
        if self.rows is None and not self.tasks:
            raise ValueError("has rows, or tasks")
        if self.rise_at_most is not None and self.rows is None:
            raise ValueError("rise_at_most needs rows")
        return self


class MetricsConfig(StrictModel):
    """``[metrics]``: the curve for other viewers too, as files in the run's folder."""

    tensorboard: bool = Field(False, description="in tensorboard/, by tensorboardX")
    mlflow: bool = Field(False, description="in mlruns/, by MLflow; its telemetry is off")


class Recipe(StrictModel):
    """A whole recipe. ``path`` is where it was read from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$", description="of the run")
    summary: str = Field("", description="one sentence for people")
    model: str = Field(description="a name in the weights store: `sovereign weights ls`")
    data: DataConfig
    private: PrivateConfig = PrivateConfig()
    lora: LoraConfig = LoraConfig()
    train: TrainConfig
    eval: EvalConfig = EvalConfig()
    metrics: MetricsConfig = MetricsConfig()
    general: GeneralConfig | None = None
    privacy: PrivacyConfig | None = None
    memorization: MemorizationConfig | None = None

    @model_validator(mode="after")
    def _one_method(self) -> Recipe:
        if self.train.method == "full" and "lora" in self.model_fields_set:
            raise ValueError('[lora] says nothing where train.method = "full"')
        if self.train.method == "full" and self.privacy is not None:
            raise ValueError("[privacy] trains an update, and no whole model")
        if self.train.shard and self.privacy is not None:
            raise ValueError("[privacy] has one process, and train.shard cuts over several")
        if self.lora.kind == "dora" and self.train.quantize == "int8":
            raise ValueError('lora.kind = "dora" cannot read weights in eight bits: take "nf4"')
        return self

    @model_validator(mode="after")
    def _private_end(self) -> Recipe:
        if self.privacy is not None and self.eval.every:
            raise ValueError("eval.every: a private run goes to its end, or its epsilon is another")
        if self.privacy is not None and self.train.over_long == "split":
            raise ValueError('over_long = "split": one text would be many rows, with many epsilons')
        if self.privacy is not None and self.data.turns == "each":
            raise ValueError('turns = "each": one chat would be many rows, with many epsilons')
        return self

    _path: Path = Path("recipe.toml")

    @property
    def path(self) -> Path:
        return self._path

    def resolve(self, path: Path) -> Path:
        """``path`` as the recipe means it: relative to the recipe's own folder."""
        return path if path.is_absolute() else self._path.parent / path

    @property
    def train_file(self) -> Path:
        return self.resolve(self.data.train)

    @property
    def eval_file(self) -> Path | None:
        return self.resolve(self.data.eval) if self.data.eval else None


def names() -> list[str]:
    """The shipped recipes that can be run, as ``kind/name``."""
    return [f"{kind}/{name}" for kind in KINDS for name in recipes.names(kind)]


def find_recipe(name: str) -> Path:
    """The file that ``name`` stands for: a path, or a shipped recipe such as
    ``scenarios/healthcare``. Raises :class:`ConfigError`."""
    if name.endswith(".toml"):
        return Path(name)
    kind, _, rest = name.partition("/")
    if kind in KINDS and rest:
        return recipes.find(kind, rest)
    if Path(name + ".toml").is_file():
        return Path(name + ".toml")
    raise ConfigError(
        f"no recipe named {name!r}", hint=f"a path to a .toml, or: {', '.join(names())}"
    )


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at ``path``, with ``key=value`` laid over it. Raises :class:`ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such recipe", hint="sovereign tune ls")
    data = toml.load(path)
    for override in overrides:
        _lay(data, override)
    recipe = toml.parse(data, Recipe, str(path))
    recipe._path = path.resolve()
    return recipe


def _lay(data: dict[str, Any], override: str) -> None:
    """Set one dotted key. The value is TOML; what is not TOML is taken as text."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"{override!r} is not key=value", hint="such as train.steps=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = data
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{key}: {part} is not a table")
    table[parts[-1]] = value
    if key == "train.steps":  # one replaces the other, or no recipe could be shortened
        table.pop("epochs", None)
    elif key == "train.epochs":
        table.pop("steps", None)
