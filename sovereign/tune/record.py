"""The record of a run: what went in and what came out, as canonical JSON (RFC 8785), never text.

It is the predicate of the adapter's passport: ``base.digest`` is what ``serve`` holds against the
store before it puts the adapter on weights.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
from dataclasses import dataclass
from typing import Any

import rfc8785

from sovereign import __version__
from sovereign.tune.data import Dataset
from sovereign.tune.evaluate import Score
from sovereign.tune.general import General
from sovereign.tune.memorization import Kept
from sovereign.tune.prepare import Prepared
from sovereign.tune.private import Spent
from sovereign.tune.recipe import Recipe
from sovereign.tune.roll import Roll
from sovereign.types import JSON
from sovereign.weights.lock import Entry, File

__all__ = ["RunRecord", "build"]

VERSION = 2


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``data`` is the record; ``encode()`` are the bytes of run.json; the passport
    holds it as its predicate."""

    data: dict[str, Any]

    def encode(self) -> bytes:
        return bytes(rfc8785.dumps(self.data))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def is_model(self) -> bool:
        """Whether what was made is a whole model, and no adapter."""
        return "model" in self.data

    @property
    def digest(self) -> str:
        """Of the adapter, or of the model."""
        return str(self.data["model" if self.is_model else "adapter"]["digest"])

    @property
    def before(self) -> float | None:
        return self._share("before")

    @property
    def after(self) -> float | None:
        return self._share("after")

    def _share(self, when: str) -> float | None:
        score = (self.data.get("evaluation") or {}).get(when)
        return None if score is None else score["exact"] / score["rows"]


def build(
    *,
    recipe: Recipe,
    entry: Entry,
    prepared: Prepared,
    private: dict[str, Any],
    data: Dataset,
    roll: Roll,
    before: Score | None,
    after: Score | None,
    kept: Kept | None,
    general: General | None,
    spent: Spent | None,
    precision: str,
    world: int,
    training: dict[str, Any],
    checks: dict[str, float],
    effect: dict[str, JSON] | None,
    refused: int,
    files: tuple[File, ...],
    digest: str,
    begun: float,
    ended: float,
) -> RunRecord:
    """Every part in its place. Times are seconds since the epoch, UTC; ``effect`` is an adapter's
    fingerprint."""
    hashes = {f.path: f.sha256 for f in entry.files}
    template = hashes.get("chat_template.jinja", hashes.get("tokenizer_config.json"))
    record: dict[str, Any] = {
        "v": VERSION,
        "type": "tune.run",
        "recipe": recipe.name,
        "base": {"name": entry.name, "digest": entry.digest, "licence": entry.licence},
        "tokenizer_sha256": hashes.get("tokenizer.json", hashes.get("tokenizer.model")),
        "template_sha256": template,
        "data": {
            "train": {
                "sha256": prepared.sha256,
                **prepared.counts,
                "used": len({e.line for e in data.examples} - {0}),
                "canaries": sum(e.line == 0 for e in data.examples),
                "over_long_dropped": data.dropped,
                "truncated": data.truncated,
                "tokens": data.tokens,
                "learnt": data.learnt,
            },
            "eval": _digest(prepared.eval_sha256),
            "general": _digest(prepared.general_sha256),
        },
        "roll": {"root": roll.root, "keys": len(roll.keys)},
        "private": private,
        "privacy": {"epsilon": "none"} if spent is None else spent.record(recipe.train.clip),
        "memorization": None if kept is None else kept.record(),
        "general": None if general is None else general.record(),
        "hyperparameters": {
            "lora": recipe.lora.model_dump(mode="json"),
            "train": recipe.train.model_dump(mode="json") | {"precision": precision},
            "memorization": recipe.memorization and recipe.memorization.model_dump(mode="json"),
            "eval": recipe.eval.model_dump(mode="json"),
            "general": recipe.general
            and recipe.general.model_dump(mode="json", exclude={"rows", "tasks_folder"}),
        },
        "world": world,
        "versions": {
            "sovereign": __version__,
            "python": platform.python_version(),
        },
        "environment": environment(),
        "training": training,
        "checks": {**checks, "connections_refused": refused},
        "evaluation": {"before": _score(before), "after": _score(after)} if after else None,
        "model" if recipe.train.method == "full" else "adapter": {
            "digest": digest,
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
        },
        **({} if effect is None else {"effect": effect}),
        "begun": _time(begun),
        "ended": _time(ended),
    }
    return RunRecord(record)


def environment() -> dict[str, str]:
    """Every installed distribution and its version."""
    there = importlib.metadata.distributions()
    return {d.name.lower().replace("_", "-"): d.version for d in there}


def _digest(sha256: str | None) -> dict[str, str] | None:
    return None if sha256 is None else {"sha256": sha256}


def _score(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else {"exact": score.exact, "rows": score.rows}


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
