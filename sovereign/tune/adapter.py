"""Writes an adapter so that it is there whole or not at all, and proves that it does something.

The folder holds PEFT's safetensors and configuration, a card for people and a signed passport for
machines. No file of it holds a path of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import shards
from sovereign.tune.data import Example
from sovereign.types import JSON
from sovereign.weights import effect, passport
from sovereign.weights.lock import File, digest_of
from sovereign.weights.staging import hash_file

__all__ = [
    "Checks",
    "check",
    "effect_of",
    "files_of",
    "moved_by",
    "partial",
    "save_weights",
    "saving",
]

MOVED = 1e-4  # a smaller change of every logit is arithmetic, not learning


class Checks(dict[str, float]):
    """``weight_delta``: the smallest norm of an update; ``logits_moved``: the largest change."""


def check(model: Any, example: Example) -> Checks:
    """Raises :class:`TuneError` unless every update is more than nothing and logits move by it.

    An adapter can load, report a falling loss and have no effect (vllm#34186, opacus#820).
    """
    norms = {
        name: float(shards.whole(p.detach()).float().norm())
        for name, p in model.named_parameters()
        if p.requires_grad and "lora_B" in name  # B starts at zero, A does not
    }
    if not norms:
        raise TuneError("the model has no trainable update")
    smallest = min(norms.values())
    if smallest == 0.0:
        still = sum(n == 0.0 for n in norms.values())
        raise TuneError(
            f"{still} of {len(norms)} updates are still zero after training",
            hint="check lora.target; with train.quantize, see docs/tune.md",
        )
    return Checks(
        weight_delta=smallest, logits_moved=moved_by(model, example, model.disable_adapter)
    )


def moved_by(
    model: Any, example: Example, before: Callable[[], AbstractContextManager[Any]]
) -> float:
    """The largest change of a logit that training made; ``before`` is a context in which ``model``
    answers as it did then. Raises :class:`TuneError` if there is none."""
    import torch

    ids = torch.tensor([example.ids], device=next(model.parameters()).device)
    with torch.no_grad():
        tuned = model(input_ids=ids, use_cache=False).logits.float()
        with before():
            base = model(input_ids=ids, use_cache=False).logits.float()
    moved = float((tuned - base).abs().max())
    if not moved > MOVED:
        raise TuneError("training has no effect: logits did not move", hint="raise train.lr")
    return moved


def effect_of(model: Any, *, quantized: bool) -> dict[str, JSON]:
    """The fingerprint of what the update does, for the passport. Every process of a run asks."""
    import torch

    embeddings = model.get_input_embeddings().weight
    ids = torch.tensor([effect.probe(embeddings.shape[0])], device=embeddings.device)
    training = model.training
    model.eval()  # no dropout
    with torch.no_grad():
        after = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
        with model.disable_adapter():
            before = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
    model.train(training)
    dtype = str(embeddings.dtype).removeprefix("torch.")
    return effect.fingerprint(before, after, dtype=dtype, coarse=quantized)


@contextmanager
def partial(out: Path, name: str = "adapter") -> Iterator[tuple[Path, Callable[[], None]]]:
    """A working folder beside ``out/name``, and the call that moves it there when all is well.

    Without that call, whatever happens, nothing of it stays. A killed run leaves a folder whose
    name starts with a dot and that the next run sweeps.
    """
    out.mkdir(parents=True, exist_ok=True)
    target = out / name
    if target.exists():
        raise TuneError(
            f"{target} is there already", hint="choose another --out, or move it away first"
        )
    for old in out.glob(f".{name}.*"):
        shutil.rmtree(old, ignore_errors=True)
    work = Path(tempfile.mkdtemp(dir=out, prefix=f".{name}."))

    def finish() -> None:
        for path in [*work.iterdir(), work]:
            path.chmod(0o755 if path.is_dir() else 0o644)
            _sync(path)
        work.rename(target)
        _sync(out)

    try:
        yield work, finish
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def saving(what: str) -> Iterator[None]:
    """Raises :class:`TuneError` naming ``what`` if the system does not take the file."""
    try:
        yield
    except Exception as e:
        # safetensors wraps the system's error in one of its own.
        if isinstance(e, OSError) or "SafetensorError" in type(e).__name__:
            raise TuneError(
                f"the {what} cannot be written ({type(e).__name__})",
                hint="is the disk full? nothing half-written stays",
            ) from None
        raise


def save_weights(
    model: Any, work: Path, *, base: str, base_folder: Path, weights: dict[str, Any]
) -> None:
    """PEFT's files in ``work``, with the base's name in place of its path, and without PEFT's card;
    ``weights`` are the update's, whole.

    Raises :class:`TuneError` if the disk is full, or if a path of this machine is left in a file.
    """
    with saving("adapter"):
        model.save_pretrained(
            work, safe_serialization=True, save_embedding_layers=False, state_dict=weights
        )
    (work / passport.CARD).unlink(missing_ok=True)
    config = json.loads((work / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    for key in [k for k, v in config.items() if v is None]:
        del config[key]
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()  # PEFT keeps a set: another order at each run
    _write(work / "adapter_config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    for file in work.iterdir():
        if file.suffix != ".safetensors" and str(base_folder).encode() in file.read_bytes():
            raise TuneError(f"{file.name} holds the path of the base; it was not kept")


def files_of(work: Path) -> tuple[tuple[File, ...], str]:
    """The adapter's files with hashes, without its record and card, and the digest over them."""
    files = []
    for path in sorted(work.iterdir()):
        if path.name not in (passport.NAME, passport.CARD):
            size, sha256 = hash_file(path)
            files.append(File(path.name, size, sha256))
    return tuple(files), digest_of(files)


def write_papers(work: Path, envelope: bytes, facts: Mapping[str, Any]) -> None:
    """The passport for machines, and a card for people made of it."""
    (work / passport.NAME).write_bytes(envelope)
    lines = [
        f"# {facts['recipe']}",
        "",
        f"{facts['kind']} `{facts['base']}` (weights {facts['base_digest'][:12]}), made by",
        "`sovereign tune run`. What went in is in `passport.json`, signed; `sovereign tune verify`",
        "holds this folder against it.",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in facts["card"].items()]
    _write(work / passport.CARD, "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
