"""API keys: who may come through the door. The file holds hashes, so a copy of it opens nothing.

A key is 256 random bits, so one SHA-256 is enough: there is nothing to guess offline. The gateway
sees a change of the file at the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sovereign.errors import ConfigError, GatewayError, NotAuthenticated
from sovereign.gateway.keyfile import MOMENT, Key, locked, read, write
from sovereign.running import Allowance
from sovereign.types import Clock

__all__ = ["Key", "KeyRing", "NewKey"]

LOGGER = logging.getLogger("sovereign.gateway")
PREFIX = "sk-sovereign-"
TEAM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
PATTERN = re.compile(r"[A-Za-z0-9._:/@*-]{1,128}")
MOST_SECONDS = 10 * 366 * 86400


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
        self._file, self._name = file, os.fspath(file)
        self._clock = clock
        self._latest = 0.0
        self._stamp: tuple[int, int, int] | None = None
        self._live: dict[str, Key] = {}

    def authenticate(self, presented: str | None, *, certificate: str | None = None) -> Key:
        """The live key whose secret was ``presented``, over a connection whose client certificate
        has this SHA-256. Raises :class:`NotAuthenticated`."""
        self._refresh()
        if not presented:
            raise NotAuthenticated(
                "no API key was given",
                hint="send Authorization: Bearer KEY or x-api-key: KEY; "
                "`sovereign keys create` makes one",
            )
        digest = _hash(presented)
        # The lookup is by a hash of 256 random bits: its timing tells nothing about any key.
        key = self._live.get(digest)
        alive = () if key is None else key.secrets_at(self._now())
        if key is None or not any(hmac.compare_digest(one, digest) for one in alive):
            raise NotAuthenticated(
                "the API key is not known, has expired, or was revoked",
                hint="see `sovereign keys list`",
            )
        if key.certificate is not None and key.certificate != certificate:
            raise NotAuthenticated(
                "this API key is bound to a client certificate, which did not come with it",
                hint="connect over TLS with the certificate that the key was created with",
            )
        return key

    def entries(self) -> tuple[Key, ...]:
        """Every key, in order of creation, revoked ones too."""
        return read(self._file)

    def prepare(
        self,
        team: str,
        models: Sequence[str] = (),
        *,
        destinations: Sequence[str] = (),
        expires_s: float | None = None,
        limits: Allowance | None = None,
        certificate: str | None = None,
    ) -> NewKey:
        """A new key that is not in the file yet: :meth:`add` puts it there. ``expires_s`` is how
        many seconds it lives. Raises :class:`ConfigError`."""
        if not TEAM.fullmatch(team):
            raise ConfigError(
                "a team's name is 1 to 64 of a-z 0-9 _ . -", hint="--team cardiology, for example"
            )
        if not all(PATTERN.fullmatch(m) for m in models):
            raise ConfigError("models are names such as gpt-4o, or patterns such as gpt-*")
        if not all(PATTERN.fullmatch(d) for d in destinations):
            raise ConfigError("destinations are names of sovereign.toml, or patterns")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=f"key_{secrets.token_hex(6)}",
            team=team,
            models=tuple(models),
            sha256=_hash(secret),
            created=self._now(),
            destinations=tuple(destinations),
            expires=None if expires_s is None else self.moment(expires_s),
            limits=limits if limits != Allowance() else None,
            certificate=certificate,
        )
        return NewKey(key, secret)

    def add(self, key: Key) -> None:
        """Put ``key`` into the file."""
        with locked(self._file):
            write(self._file, (*read(self._file), key))

    def revoke(self, key_id: str) -> Key:
        """Close the key with this id for good. Raises :class:`ConfigError` if there is none."""
        return self._change(key_id, lambda key: replace(key, revoked=self._now(), before=None))

    def find(self, key_id: str) -> Key:
        """The live key with this id. Raises :class:`ConfigError` if there is none."""
        found = next((k for k in read(self._file) if k.id == key_id), None)
        if found is None:
            raise ConfigError("there is no key with that id", hint="see `sovereign keys list`")
        if found.revoked is not None:
            raise ConfigError(f"{found.id} was revoked already, at {found.revoked}")
        return found

    def rotate(self, key_id: str, *, overlap_s: float = 0.0) -> NewKey:
        """A new secret for the key with this id; the old one opens for ``overlap_s`` seconds more.
        The key keeps its id, and with it its scope and what it has used. Raises
        :class:`ConfigError`."""
        secret = PREFIX + secrets.token_urlsafe(32)

        def rotated(key: Key) -> Key:
            before = (key.sha256, self.moment(overlap_s)) if overlap_s > 0 else (None, None)
            return replace(
                key,
                sha256=_hash(secret),
                rotated=self._now(),
                before=before[0],
                before_until=before[1],
            )

        return NewKey(self._change(key_id, rotated), secret)

    def _change(self, key_id: str, change: Callable[[Key], Key]) -> Key:
        with locked(self._file):
            found = self.find(key_id)
            changed = change(found)
            write(self._file, tuple(changed if k == found else k for k in read(self._file)))
        return changed

    def _refresh(self) -> None:
        """Read the file again if it is not the one that was read last.

        A file that is gone or broken closes the door: falling back to the keys of before would
        let a revoked one in.
        """
        try:
            at = os.stat(self._name)  # noqa: PTH116 - asked at every request; Path's takes thrice
        except FileNotFoundError:
            self._stamp, self._live = None, {}
            return
        # The time of the last change of anything, permissions too; nobody can set it back.
        stamp = (at.st_ctime_ns, at.st_size, at.st_ino)
        if stamp != self._stamp:
            self._live = {}
            try:
                keys = read(self._file)
            except ConfigError as e:
                # The whole message is for the operator: it names the file.
                LOGGER.error("%s", e.message)
                broken = GatewayError("no key can be checked now", hint="see the gateway's log")
                broken.status = 503
                raise broken from None
            now = self._now()
            self._live = {secret: k for k in keys for secret in k.secrets_at(now)}
            self._stamp = stamp

    def _now(self) -> str:
        """No earlier than it ever was here: a clock that is set back must not bring a key back to
        life whose time was over."""
        self._latest = max(self._latest, self._clock())
        return _moment(int(self._latest))

    def moment(self, seconds: float) -> str:
        """The moment in so many seconds. Raises :class:`ConfigError`."""
        if not 0 <= seconds <= MOST_SECONDS:
            raise ConfigError("a time is between now and ten years from now")
        return _moment(int(self._clock() + seconds))


@lru_cache(maxsize=4)
def _moment(second: int) -> str:
    return time.strftime(MOMENT, time.gmtime(second))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
