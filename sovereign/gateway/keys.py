"""API keys: who may come through the door. The file holds hashes, so a copy of it opens nothing.

A key is 256 random bits, so one SHA-256 is enough: there is nothing to guess offline. Writers take
a lock and replace the file whole; the gateway sees a change at the next request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError, GatewayError, NotAuthenticated, NotPermitted
from sovereign.types import Clock

__all__ = ["Key", "KeyRing", "NewKey"]

LOGGER = logging.getLogger("sovereign.gateway")
PREFIX = "sk-sovereign-"
TEAM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
MODEL = re.compile(r"[A-Za-z0-9._:/@*-]{1,128}")


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key. ``models`` are names or patterns; none at all means every model."""

    id: str
    team: str
    models: tuple[str, ...]
    sha256: str
    created: str
    revoked: str | None = None

    def may_use(self, model: str) -> bool:
        """Whether this key may ask for ``model``."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def require(self, model: str) -> None:
        """Raises :class:`NotPermitted` if this key may not ask for ``model``."""
        if not self.may_use(model):
            raise NotPermitted(
                "this key may not use the model that was asked for",
                hint=f"it may use: {', '.join(self.models)}",
            )


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the one moment when its secret is known."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r})"


class KeyRing:
    """The keys in one file. Safe to use from several threads; several processes may write."""

    def __init__(self, file: Path, *, clock: Clock = time.time) -> None:
        self._file = file
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._live: dict[str, Key] = {}

    def authenticate(self, presented: str | None) -> Key:
        """The live key whose secret was ``presented``. Raises :class:`NotAuthenticated`."""
        self._refresh()
        if not presented:
            raise NotAuthenticated(
                "no API key was given",
                hint="send Authorization: Bearer KEY or x-api-key: KEY; "
                "`sovereign keys create` makes one",
            )
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()
        # The lookup is by a hash of 256 random bits: its timing tells nothing about any key.
        key = self._live.get(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest):
            raise NotAuthenticated(
                "the API key is not known, or was revoked", hint="see `sovereign keys list`"
            )
        return key

    def entries(self) -> tuple[Key, ...]:
        """Every key, in order of creation, revoked ones too."""
        return _read(self._file)

    def prepare(self, team: str, models: Sequence[str] = ()) -> NewKey:
        """A new key that is not in the file yet: :meth:`add` puts it there."""
        if not TEAM.fullmatch(team):
            raise ConfigError(
                "a team's name is 1 to 64 of a-z 0-9 _ . -", hint="--team cardiology, for example"
            )
        if not all(MODEL.fullmatch(m) for m in models):
            raise ConfigError("models are names such as gpt-4o, or patterns such as gpt-*")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=f"key_{secrets.token_hex(6)}",
            team=team,
            models=tuple(models),
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            created=self._now(),
        )
        return NewKey(key, secret)

    def add(self, key: Key) -> None:
        """Put ``key`` into the file."""
        with self._locked():
            _write(self._file, (*_read(self._file), key))

    def revoke(self, key_id: str) -> Key:
        """Close the key with this id for good. Raises :class:`ConfigError` if there is none."""
        with self._locked():
            keys = _read(self._file)
            found = next((k for k in keys if k.id == key_id), None)
            if found is None:
                raise ConfigError("there is no key with that id", hint="see `sovereign keys list`")
            if found.revoked is not None:
                raise ConfigError(f"{found.id} was revoked already, at {found.revoked}")
            revoked = replace(found, revoked=self._now())
            _write(self._file, tuple(revoked if k is found else k for k in keys))
        return revoked

    def _refresh(self) -> None:
        """Read the file again if it is not the one that was read last.

        A file that is gone or broken closes the door: falling back to the keys of before would
        let a revoked one in.
        """
        try:
            at = self._file.stat()
        except FileNotFoundError:
            self._stamp, self._live = None, {}
            return
        # The time of the last change of anything, permissions too; nobody can set it back.
        stamp = (at.st_ctime_ns, at.st_size, at.st_ino)
        if stamp != self._stamp:
            self._live = {}
            try:
                keys = _read(self._file)
            except ConfigError as e:
                # The whole message is for the operator: it names the file.
                LOGGER.error("%s", e.message)
                broken = GatewayError("no key can be checked now", hint="see the gateway's log")
                broken.status = 503
                raise broken from None
            self._live = {k.sha256: k for k in keys if k.revoked is None}
            self._stamp = stamp

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock is a file of its own: the key file itself is replaced while it is held."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(
                self._file.with_name(self._file.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600
            )
        except OSError as e:
            raise ConfigError(f"{self._file}: {e.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _read(file: Path) -> tuple[Key, ...]:
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
        if data["v"] != 1:
            raise ValueError
        return tuple(_key(entry) for entry in data["keys"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{file}: not a key file", hint="restore it, or move it away and create new keys"
        ) from None


def _key(entry: dict[str, Any]) -> Key:
    key = Key(**{**entry, "models": tuple(entry["models"])})
    texts = (key.id, key.team, key.sha256, key.created, *key.models)
    if not all(isinstance(t, str) for t in texts) or len(key.sha256) != 64:
        raise ValueError
    return key


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    data = {"v": 1, "keys": [asdict(k) for k in keys]}
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
