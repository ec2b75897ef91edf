"""The process that opens pickles: ``python -m sovereign.weights.unpickle scan|convert SRC OUT``.

It closes itself off before it looks at a file, and what it says afterwards is believed by nobody:
the parent admits what lies in OUT as it would a stranger's. One JSON object goes to stdout.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sovereign.errors import WeightsError
from sovereign.weights import cage

__all__ = ["main", "written"]

TORCH = {".bin", ".pt", ".pth", ".ckpt"}
WORST = ("clean", "suspicious", "failed", "dangerous")


def main(argv: list[str]) -> dict[str, Any]:
    """``scan`` says what the scanners that are installed say of the pickles in SRC; ``convert``
    writes each as safetensors into OUT. Raises :class:`WeightsError`."""
    what, source, out = argv[0], Path(argv[1]), Path(argv[2])
    os.environ.update({"HOME": str(out), "TMPDIR": str(out)})
    cage.close(read=[source], write=out)
    files = [source] if source.is_file() else sorted(p for p in source.iterdir() if p.is_file())
    pickles = [p for p in files if p.suffix.lower() in TORCH]
    if what == "scan":
        return {"scans": _scan(pickles)}
    for file in pickles:
        _convert(file, out)
    return {"torch": importlib.metadata.version("torch")}


def written(name: str) -> str:
    """The name of the file that the pickle ``name`` becomes."""
    return f"{Path(name).stem.replace('pytorch_model', 'model')}.safetensors"


def _convert(file: Path, out: Path) -> None:
    import torch
    from safetensors.torch import save_file

    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:  # noqa: BLE001 - whatever a stranger's file makes of the loader
        raise WeightsError(
            f"{file.name}: torch does not load it as weights ({type(e).__name__})"
        ) from None
    for key in ("state_dict", "model"):  # how trainers wrap it
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise WeightsError(f"{file.name}: holds no table of tensors")
    tensors = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise WeightsError(f"{file.name}: holds something that is no tensor")
        # Copied: tensors that share memory cannot be written apart.
        tensors[name] = tensor.detach().to_dense().contiguous().clone()
    save_file(tensors, out / written(file.name), metadata={"format": "pt"})


def _scan(pickles: list[Path]) -> list[dict[str, str]]:
    found = []
    for name, scanner in (("picklescan", _picklescan), ("modelscan", _modelscan)):
        try:
            version = importlib.metadata.version(name)
            verdicts = [_verdict(scanner, file) for file in pickles]
        except ImportError:  # also PackageNotFoundError: it is not installed
            continue
        worst = max(verdicts, key=WORST.index, default="clean")
        found.append({"scanner": name, "version": version, "verdict": worst})
    return found


def _verdict(scanner: Callable[[Path], str], file: Path) -> str:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return scanner(file)
    except ImportError:
        raise
    except Exception:  # noqa: BLE001 - a scanner that a file breaks has not found it clean
        return "failed"


def _picklescan(file: Path) -> str:
    from picklescan.scanner import scan_file_path  # type: ignore[import-not-found, unused-ignore]

    result = scan_file_path(str(file))
    if result.issues_count or result.infected_files:
        return "dangerous"
    if result.scan_err or not result.scanned_files:
        return "failed"
    return "suspicious" if result.suspicious_count else "clean"


def _modelscan(file: Path) -> str:
    from modelscan.modelscan import ModelScan  # type: ignore[import-not-found, unused-ignore]

    report = ModelScan().scan(file)
    if report["summary"]["total_issues"]:
        return "dangerous"
    if report["errors"] or not report["summary"]["scanned"]["total_scanned"]:
        return "failed"
    return "clean"


if __name__ == "__main__":
    try:
        said: dict[str, Any] = main(sys.argv[1:])
    except WeightsError as error:
        said = {"error": error.message, "hint": error.hint}
    print(json.dumps(said))  # noqa: T201 - stdout is how it speaks
