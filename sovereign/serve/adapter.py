"""Holds an adapter against its own record: its files, and the weights that it was trained on.

``sovereign tune`` writes the record as ``sovereign.json`` beside the adapter.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sovereign.errors import ServeError

__all__ = ["check"]


def check(adapter: Path, base_digest: str) -> str:
    """The digest of the adapter, once its files and its base are right. Raises
    :class:`ServeError`.

    An adapter on another base loads without an error and answers nonsense.
    """
    file = adapter / "sovereign.json"
    try:
        record = json.loads(file.read_bytes())
        base = str(record["base"]["digest"])
        digest = str(record["adapter"]["digest"])
        files = {str(f["path"]): str(f["sha256"]) for f in record["adapter"]["files"]}
    except FileNotFoundError:
        raise ServeError(
            f"{file}: no such file, so nothing says which weights the adapter belongs to",
            hint="`sovereign tune run` writes it beside the adapter",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ServeError(f"{file}: is not a record that `sovereign tune` wrote") from None
    if base != base_digest:
        raise ServeError(
            f"{adapter}: was trained on weights {base[:12]}, and these are {base_digest[:12]}",
            hint="serve it with the base that its sovereign.json names, or tune again",
        )
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        if name not in files:
            raise ServeError(f"{file}: does not list {name}")
        if _sha256(adapter / name) != files[name]:
            raise ServeError(
                f"{adapter / name}: is not what its record says",
                hint="tune it again, or restore it",
            )
    return digest


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
