"""What a model's own files say about it, for its bills of materials. Their word, not ours.

Only files that are exactly as the lock has them are read. A passport's signature is not checked
here: ``sovereign tune verify`` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign.errors import NotVerified
from sovereign.weights.lock import HEX64, Entry

__all__ = ["Description", "describe"]

LONGEST = 100
PASSPORT = "passport.json"
MOST_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Description:
    """``family`` and ``architecture`` as ``config.json`` has them; ``datasets`` are the names and
    SHA-256 (hex) of the rows that an adapter's passport names."""

    family: str = ""
    architecture: str = ""
    datasets: tuple[tuple[str, str], ...] = ()


def describe(entry: Entry, folder: Path) -> Description:
    """``entry``, whose files lie in ``folder``. Raises :class:`NotVerified`, with the file's name,
    if one that is read is not what the lock says."""
    config = _json(entry, folder, "config.json")
    names = config.get("architectures")
    return Description(
        family=_word(config.get("model_type")),
        architecture=_word(names[0]) if isinstance(names, list) and names else "",
        datasets=_datasets(_json(entry, folder, PASSPORT)),
    )


def _datasets(envelope: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    try:
        data = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["data"]
        found = [(name, data[name]["sha256"]) for name in ("train", "eval") if data.get(name)]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return ()  # no passport, or of another kind than ours
    return tuple((n, h) for n, h in found if isinstance(h, str) and HEX64.fullmatch(h))


def _json(entry: Entry, folder: Path, path: str) -> dict[str, Any]:
    file = next((f for f in entry.files if f.path == path), None)
    if file is None or file.size > MOST_BYTES:
        return {}
    try:
        raw = (folder / path).read_bytes()
    except OSError as e:
        raise NotVerified(f"{entry.name}: {path}: {e.strerror}") from None
    if hashlib.sha256(raw).hexdigest() != file.sha256:
        raise NotVerified(f"{entry.name}: {path}: was changed")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """A stranger's string, if it is a name and not a text."""
    short = isinstance(value, str) and len(value) <= LONGEST and value.isprintable()
    return value if short else ""
