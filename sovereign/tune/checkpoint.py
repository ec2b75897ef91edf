"""Where a run was when it was killed: its update, its optimiser and its randomness, in one file.

Safetensors, so that nothing in it can run; written whole or not at all; for its owner, since the
update has learnt what the rows say. A run goes on from a checkpoint of exactly its own recipe, base
and rows, and from no other.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from sovereign.errors import TuneError
from sovereign.tune import shards
from sovereign.tune.prepare import Prepared
from sovereign.tune.recipe import Recipe
from sovereign.tune.roll import content_of

if TYPE_CHECKING:
    from sovereign.tune.watch import Watch

__all__ = ["FILE", "Checkpoints", "Progressed", "fingerprint"]

FILE = "checkpoint.safetensors"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of a weight


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a run is. ``losses`` are of the first and of the last step; ``precision`` is what
    "auto" came out as; ``watched`` is what a :class:`Watch` knew: best loss, its step, waited."""

    steps: int
    tokens: int
    seconds: float
    losses: tuple[float, float]
    precision: str
    watched: tuple[float, int, int] | None = None


class Checkpoints:
    """The checkpoint of the run ``name`` at ``file``. Only the process that is ``writing`` does."""

    def __init__(self, file: Path, name: str, *, every: int, writing: bool = True) -> None:
        self._file = file
        self._name = name
        self._writing = writing
        self.every = every

    def found(self) -> Progressed | None:
        """How far the run was; None if there is nothing to go on from. Raises :class:`TuneError`
        for a checkpoint of another run."""
        from safetensors import SafetensorError, safe_open

        if not self._file.exists():
            return None
        try:
            with safe_open(self._file, "pt") as opened:
                said = json.loads(opened.metadata()["run"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            raise TuneError(f"{self._file}: no checkpoint", hint="remove it") from None
        if said.pop("name") != self._name:
            raise TuneError(
                f"{self._file}: is of a run with another recipe, base or rows",
                hint="choose another --out, or remove it to begin anew",
            )
        watched = said["watched"] and tuple(said["watched"])
        return Progressed(**said | {"losses": tuple(said["losses"]), "watched": watched})

    def save(
        self, model: Any, optimizer: Any, so_far: Progressed, watch: Watch | None = None
    ) -> None:
        """Replace the checkpoint. Raises :class:`OSError`, and then the one before is whole."""
        import safetensors.torch
        import torch

        if not self._writing and not shards.is_cut(model):
            return
        tensors = {"rng": torch.get_rng_state()}
        if torch.cuda.is_available():
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        for name, weight in _trained(model):
            parts = {f"{m}.{name}": optimizer.state[weight][m] for m in MOMENTS}
            parts[f"weight.{name}"] = weight.detach()
            for part, tensor in parts.items():
                made = shards.whole(tensor)  # by all processes, and kept by the one that writes
                if self._writing:
                    tensors[part] = made.cpu() if shards.is_cut(model) else made
        if not self._writing:
            return
        for name, weight in watch.weights.items() if watch is not None else ():
            tensors[f"best.{name}"] = weight
        said = {
            "name": self._name,
            "steps": so_far.steps,
            "tokens": so_far.tokens,
            "seconds": so_far.seconds,
            "losses": so_far.losses,
            "precision": so_far.precision,
            "watched": so_far.watched,
        }
        metadata = {"run": json.dumps(said)}
        tensors = {name: t.contiguous().cpu() for name, t in tensors.items()}
        # From the tensors to the disk: of a whole model, one more copy in memory would be three.
        with _whole(self._file) as made:
            safetensors.torch.save_file(tensors, made, metadata)

    def restore(self, model: Any, optimizer: Any, watch: Watch | None = None) -> None:
        """Put ``model``, ``optimizer`` and ``watch`` where :meth:`save` saw them."""
        import safetensors.torch
        import torch

        tensors = safetensors.torch.load_file(self._file)
        for name, weight in _trained(model):
            shards.put(weight, tensors[f"weight.{name}"])
            optimizer.state[weight] = {
                # AdamW counts its steps on the CPU, wherever the weight is.
                m: tensor if m == "step" else shards.like(tensor, weight)
                for m in MOMENTS
                for tensor in (tensors[f"{m}.{name}"],)
            }
        if watch is not None and (found := self.found()) is not None and found.watched is not None:
            watch.best, watch.step, watch.waited = found.watched
            watch.weights = {n[5:]: t for n, t in tensors.items() if n.startswith("best.")}
        torch.set_rng_state(tensors["rng"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])

    def remove(self) -> None:
        """The run is over."""
        if self._writing:
            self._file.unlink(missing_ok=True)


def fingerprint(recipe: Recipe, base_digest: str, prepared: Prepared, world: int) -> str:
    """What decides a run, as one SHA-256 in hex."""
    digest = hashlib.sha256(rfc8785.dumps(recipe.model_dump(mode="json")))
    digest.update(f"\n{base_digest}\n{world}\n".encode())
    for row in prepared.train:
        digest.update(hashlib.sha256(content_of(row)).digest())
    return digest.hexdigest()


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Where to write, for what is at ``file`` when it is durable, or never. For its owner."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    made = Path(name)
    try:
        yield made
        made.chmod(0o600)
        with made.open("rb") as opened:
            os.fsync(opened.fileno())
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)


def _trained(model: Any) -> list[tuple[str, Any]]:
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]
