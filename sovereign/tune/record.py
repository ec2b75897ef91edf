"""The record of a run: what went in and what came out, as canonical JSON (RFC 8785), never text.

``base.digest`` is what ``serve`` holds against the store before it puts the adapter on weights.
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
from sovereign.tune.recipe import Recipe
from sovereign.weights.lock import Entry, File

__all__ = ["RunRecord", "build"]

VERSION = 1
LIBRARIES = ("accelerate", "peft", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``data`` is the record; ``encode()`` are the bytes of run.json and adapter/sovereign.json."""

    data: dict[str, Any]

    def encode(self) -> bytes:
        return bytes(rfc8785.dumps(self.data))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def adapter_digest(self) -> str:
        return str(self.data["adapter"]["digest"])

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
    data: Dataset,
    eval_sha256: str | None,
    before: Score | None,
    after: Score | None,
    precision: str,
    world: int,
    training: dict[str, Any],
    checks: dict[str, float],
    refused: int,
    files: tuple[File, ...],
    digest: str,
    begun: float,
    ended: float,
) -> RunRecord:
    """Every part in its place. Times are seconds since the epoch, UTC."""
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
                "sha256": data.sha256,
                "rows": data.rows,
                "used": len(data.examples),
                "dropped": data.dropped,
                "truncated": data.truncated,
                "tokens": data.tokens,
                "learnt": data.learnt,
            },
            "eval": None if eval_sha256 is None else {"sha256": eval_sha256},
        },
        "hyperparameters": {
            "lora": recipe.lora.model_dump(mode="json"),
            "train": recipe.train.model_dump(mode="json") | {"precision": precision},
        },
        "world": world,
        "versions": {
            "sovereign": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "training": training,
        "checks": {**checks, "connections_refused": refused},
        "evaluation": {"before": _score(before), "after": _score(after)} if after else None,
        "adapter": {
            "digest": digest,
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
        },
        "begun": _time(begun),
        "ended": _time(ended),
    }
    return RunRecord(record)


def _score(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else {"exact": score.exact, "rows": score.rows}


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
