"""Turns a folder of pickles into one of safetensors, for those who must. Opens none itself.

Two processes that closed themselves off look at them, one after the other: the first lets scanners
read them (their advice is recorded, and a ``dangerous`` ends it), the second loads them with
``torch.load(weights_only=True)`` and writes tensors. See :mod:`sovereign.weights.cage`. What comes
out is admitted like any stranger's folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, NotAdmitted, WeightsError
from sovereign.weights.admit import admissible, walk
from sovereign.weights.lock import VERDICTS, Scan
from sovereign.weights.staging import copy, hash_file
from sovereign.weights.unpickle import TORCH, written

__all__ = ["Converted", "convert"]

LONGEST_S = 3600.0
MAX_SAID = 100_000  # bytes

Converted = tuple[str, dict[str, str], tuple[Scan, ...]]
"""SHA-256 over what was converted, the converter's versions, and what scanners said."""


def convert(source: Path, target: Path) -> Converted:
    """Write the model in the folder or file ``source`` into the empty folder ``target``.

    Raises :class:`NotAdmitted` that names the file, :class:`WeightsError` where the kernel does not
    grant the walls, :class:`MissingExtra` without torch.
    """
    paths = [source.name] if source.is_file() else walk(source)
    base = source.parent if source.is_file() else source
    pickles = [p for p in paths if Path(p).suffix.lower() in TORCH and "/" not in p]
    if not pickles:
        raise NotAdmitted(f"{source.name}: holds no pickle of torch", hint=".bin, .pt, .pth, .ckpt")
    _distinct(source.name, paths, pickles)
    said = _child("scan", source, target)
    scans = tuple(_scans(said))
    for scan in scans:
        if scan.verdict == "dangerous":
            raise NotAdmitted(
                f"{source.name}: {scan.scanner} {scan.version} calls a pickle in it dangerous",
                hint="do not load it anywhere",
            )
    said = _child("convert", source, target)
    for path in paths:
        if admissible(path) and not path.endswith(".bin.index.json"):
            copy(base / path, target / path)
    _index(target)
    digest = hashlib.sha256()
    for path in pickles:
        digest.update(f"{hash_file(base / path)[1]}  {path}\n".encode())
    version = said.get("torch")
    return digest.hexdigest(), {"torch": version if isinstance(version, str) else "?"}, scans


def _child(what: str, source: Path, out: Path) -> dict[str, Any]:
    command = [sys.executable, "-I", "-m", "sovereign.weights.unpickle", what]
    try:
        done = subprocess.run(
            [*command, str(source.absolute()), str(out.absolute())],
            # Nothing of ours: an environment holds tokens, and a working directory a project.
            env={"PATH": os.defpath, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            cwd=out,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_S,
            check=False,
        )
        said = json.loads(done.stdout[:MAX_SAID])
        if not isinstance(said, dict) or done.returncode != 0:
            raise ValueError
    except (ValueError, RecursionError):
        if importlib.util.find_spec("torch") is None:
            raise MissingExtra("torch (it reads the pickles)", "tune") from None
        raise NotAdmitted(f"{source.name}: whoever opened it died of it") from None
    except subprocess.TimeoutExpired:
        raise NotAdmitted(f"{source.name}: took too long to open") from None
    if "error" in said:
        told = str(said["error"])[:300]
        kind = NotAdmitted if what == "convert" and "kernel" not in told else WeightsError
        hint = str(said.get("hint", ""))[:300]
        raise kind(
            told if told.isprintable() else f"{source.name}: cannot be opened",
            hint=hint if hint.isprintable() else "",
        )
    return said


def _distinct(name: str, paths: list[str], pickles: list[str]) -> None:
    """Each pickle becomes a file of its own: none is written over, nor in a safetensors' place."""
    made: dict[str, str] = {path: path for path in paths if path.endswith(".safetensors")}
    for pickle in pickles:
        other = made.setdefault(written(pickle), pickle)
        if other != pickle:
            raise NotAdmitted(
                f"{name}: {pickle} and {other} would become one file",
                hint="leave out the one that you do not want",
            )


def _scans(said: dict[str, Any]) -> list[Scan]:
    found = []
    for row in said.get("scans", []):
        if not isinstance(row, dict) or row.get("verdict") not in VERDICTS:
            raise WeightsError("a scanner's process says what no scanner says")
        found.append(Scan(str(row.get("scanner")), str(row.get("version")), row["verdict"]))
    return found


def _index(target: Path) -> None:
    """Say which shard has which tensor, as the pickles' own index did."""
    shards = sorted(p for p in target.iterdir() if p.suffix == ".safetensors")
    if len(shards) < 2:
        return
    where: dict[str, str] = {}
    for shard in shards:
        with shard.open("rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        where |= dict.fromkeys(sorted(header.keys() - {"__metadata__"}), shard.name)
    total = sum(p.stat().st_size for p in shards)
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=2)
    (target / "model.safetensors.index.json").write_text(text + "\n")
