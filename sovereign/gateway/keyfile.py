"""The file of API keys: read whole and strictly, replaced whole under a lock, private."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sovereign.errors import ConfigError, NotPermitted
from sovereign.running import Allowance

__all__ = ["MOMENT", "Key", "locked", "read", "write"]

VERSION = 2
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key. ``models`` and ``destinations`` are names or patterns; none at all
    means every one. Moments are UTC, as ``2026-11-25T22:54:54Z``.

    ``certificate``: SHA-256, in hex, of the client certificate (DER) that has to come with it.
    ``before``: the secret's hash before it was rotated, taken until ``before_until``.
    """

    id: str
    team: str
    models: tuple[str, ...]
    sha256: str
    created: str
    revoked: str | None = None
    destinations: tuple[str, ...] = ()
    expires: str | None = None
    limits: Allowance | None = None
    certificate: str | None = None
    rotated: str | None = None
    before: str | None = None
    before_until: str | None = None

    def may_use(self, model: str) -> bool:
        """Whether this key may ask for ``model``."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def may_reach(self, destination: str) -> bool:
        """Whether what this key asks may go to the destination of this name."""
        return not self.destinations or any(fnmatchcase(destination, p) for p in self.destinations)

    def require(self, model: str) -> None:
        """Raises :class:`NotPermitted` if this key may not ask for ``model``."""
        if not self.may_use(model):
            raise NotPermitted(
                "this key may not use the model that was asked for",
                hint=f"it may use: {', '.join(self.models)}",
            )

    def require_destination(self, destination: str) -> None:
        """Raises :class:`NotPermitted` if nothing of this key's may go to ``destination``."""
        if not self.may_reach(destination):
            raise NotPermitted(
                f"nothing that this key asks may go to {destination!r}",
                hint=f"it may reach: {', '.join(self.destinations)}",
            )

    def secrets_at(self, now: str) -> tuple[str, ...]:
        """The hashes of the secrets that open with this key at ``now``: none once it is over."""
        if self.revoked is not None or self.expired(now):
            return ()
        if self.before is not None and self.before_until is not None and now < self.before_until:
            return (self.sha256, self.before)
        return (self.sha256,)

    def expired(self, now: str) -> bool:
        """Whether its time is over at ``now``."""
        return self.expires is not None and now >= self.expires


def read(file: Path) -> tuple[Key, ...]:
    """Every key in ``file``, in order of creation. Raises :class:`ConfigError`."""
    try:
        fd = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from None
    with os.fdopen(fd, "rb") as opened:
        if os.fstat(fd).st_mode & 0o077:
            raise ConfigError(
                f"{file}: others may read or change the keys", hint=f"chmod 600 {file}"
            )
        raw = opened.read()
    try:
        data = json.loads(raw)
        if data["v"] not in (1, VERSION):
            raise ValueError
        return tuple(_key(entry) for entry in data["keys"])
    except (ValueError, KeyError, TypeError, ValidationError):
        raise ConfigError(
            f"{file}: not a key file", hint="restore it, or move it away and create new keys"
        ) from None


def _key(entry: dict[str, Any]) -> Key:
    limits = entry.get("limits")
    key = Key(
        **{
            **entry,
            "models": tuple(entry["models"]),
            "destinations": tuple(entry.get("destinations", ())),
            "limits": Allowance.model_validate(limits) if limits is not None else None,
        }
    )
    texts = (key.id, key.team, key.created, *key.models, *key.destinations)
    moments = (key.revoked, key.expires, key.rotated, key.before_until)
    hashes = (key.sha256, key.before or key.sha256, key.certificate or key.sha256)
    if not (
        all(isinstance(t, str) for t in texts)
        and all(m is None or _MOMENT.fullmatch(m) for m in moments)
        and all(_SHA256.fullmatch(h) for h in hashes)
    ):
        raise ValueError
    return key


def _entry(key: Key) -> dict[str, Any]:
    entry = {name: getattr(key, name) for name in Key.__slots__}
    if key.limits is not None:
        entry["limits"] = key.limits.model_dump(exclude_none=True)
    return {name: value for name, value in entry.items() if value not in (None, ())} | {
        "models": list(key.models)
    }


def write(file: Path, keys: tuple[Key, ...]) -> None:
    """Replace ``file`` whole; durable on return. Raises :class:`ConfigError`."""
    data = {"v": VERSION, "keys": [_entry(k) for k in keys]}
    temp = file.with_name(f"{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as out:
                json.dump(data, out, indent=1)
                out.write("\n")
                out.flush()
                os.fsync(out.fileno())
            temp.replace(file)
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            temp.unlink(missing_ok=True)
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from None


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Alone with ``file``. The lock is a file of its own: the key file itself is replaced."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(file.with_name(file.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
