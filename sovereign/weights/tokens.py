"""Access tokens of a mirror: which team asks, and which repositories it may have. Hashes only.

A token is 256 random bits, so one SHA-256 keeps it; nothing here can give it back.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sovereign.errors import ConfigError
from sovereign.weights.lock import write_atomically

__all__ = ["Grant", "Tokens", "make"]

PREFIX = "svm_"


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token opens: ``models`` are globs over OWNER/NAME."""

    team: str
    sha256: str
    models: tuple[str, ...] = ("*",)

    def permits(self, repo: str) -> bool:
        return any(fnmatchcase(repo, glob) for glob in self.models)


class Tokens:
    """The grants of ``file``, read strictly. Raises :class:`ConfigError`."""

    def __init__(self, file: Path) -> None:
        self.grants = {g.sha256: g for g in _read(file)}

    def find(self, token: str) -> Grant | None:
        """By hash, so that the time it takes says nothing about a token."""
        return self.grants.get(_hash(token))


def make(file: Path, team: str, models: tuple[str, ...] = ("*",)) -> str:
    """A new token for ``team``, said once; ``file`` gets its hash. The former one ends."""
    token = PREFIX + secrets.token_urlsafe(32)
    kept = [g for g in _read(file) if g.team != team] if file.exists() else []
    _write(file, [*kept, Grant(team, _hash(token), models)])
    return token


def _write(file: Path, grants: list[Grant]) -> None:
    rows = [
        {"team": g.team, "sha256": g.sha256, "models": list(g.models)}
        for g in sorted(grants, key=lambda g: g.team)
    ]
    write_atomically(file, (json.dumps({"tokens": rows}, indent=2) + "\n").encode(), mode=0o600)


def _read(file: Path) -> list[Grant]:
    try:
        rows = json.loads(file.read_bytes())["tokens"]
        grants = [Grant(str(r["team"]), str(r["sha256"]), tuple(r["models"])) for r in rows]
        if any(len(g.sha256) != 64 for g in grants):
            raise ValueError
    except OSError as e:
        raise ConfigError(
            f"{file}: {e.strerror}", hint="sovereign weights mirror-token TEAM makes the first"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{file}: no list of a mirror's tokens") from None
    return grants


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
