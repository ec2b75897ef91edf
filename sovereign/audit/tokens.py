"""Turns a value into a token that the log may hold: keyed, and useless without the token key.

A value of few digits could be guessed from a plain hash. From a token it can only be guessed by who
has the key, and that key is never in the log. Values pass through here; none is kept.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.audit.durable import locked, write_whole
from sovereign.audit.puncture import Punctured
from sovereign.errors import ConfigError

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = [
    "MOST",
    "TokenKey",
    "TokenKeyFile",
    "Tokens",
    "canonical",
    "destroy",
    "epoch_of",
    "read_token_key",
]

MOST = 128
"""Tokens in one record. A request with more distinct values says that it was cut."""

KEY_SIZE = 32
BITS = 128
MOST_BYTES = 1 << 30

_BY_WORDS = frozenset(
    {"PERSON", "ORGANIZATION", "LOCATION", "STREET_ADDRESS", "NRP", "DATE_TIME", "DATE_OF_BIRTH"}
)
_AS_WRITTEN = frozenset({"SECRET", "URL", "CRYPTO"})

SPELLINGS = ("SECRET", "IP_ADDRESS", "EMAIL_ADDRESS", "PERSON", "PHONE_NUMBER", "US_SSN")
"""One entity for each way in which :func:`canonical` writes a value."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a record says of its values. ``cut``: there were more than it may hold."""

    key: str
    epoch: str
    tokens: tuple[str, ...]
    cut: bool = False


class TokenKey:
    """The key outside the log. Thread-safe. Its repr shows its id, which the log holds too.

    A subject's key is a leaf of a tree of keys (:mod:`.puncture`); from it, one per tenant, entity
    and epoch. With the subject's leaf destroyed, nobody can make its tokens again.
    """

    def __init__(self, keys: Punctured) -> None:
        """``keys``: what is left of the tree; ``Punctured.of(master)`` is all of it."""
        self._keys = keys
        self.id = keys.id

    @classmethod
    def of(cls, master: bytes) -> TokenKey:
        """``master``: 32 random bytes."""
        if len(master) != KEY_SIZE:
            raise ConfigError(f"a token key has {KEY_SIZE} bytes")
        return cls(Punctured.of(master))

    def __repr__(self) -> str:
        return f"TokenKey({self.id})"

    def token(self, tenant: str, entity: str, epoch: str, value: str) -> str | None:
        """HMAC-SHA-256 of the canonical value, cut to 128 bits, in hex. None if the value's key was
        destroyed."""
        text = canonical(entity, value)
        subject = self._keys.leaf(text)
        if subject is None:
            return None
        info = "\0".join(("sovereign/token/v2", tenant, entity, epoch))
        key = hmac.digest(subject, info.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256")[: BITS // 8].hex()

    def tokens(self, tenant: str, values: Iterable[tuple[str, str]], seconds: float) -> Tokens:
        """The tokens of (entity, value) pairs found in one request at ``seconds`` (POSIX)."""
        epoch = epoch_of(seconds)
        made = {self.token(tenant, entity, epoch, value) for entity, value in values}
        # Sorted: the order in which values stood in a text is nobody's business.
        found = sorted(filter(None, made))
        return Tokens(self.id, epoch, tuple(found[:MOST]), len(found) > MOST)

    def asked(self, entity: str, value: str) -> str | None:
        """The token under which the log notes that somebody searched for a value."""
        return self.token("", entity, "search", value)

    def index_key(self) -> bytes:
        """32 bytes for the MAC of an index of tokens; the same whatever was destroyed."""
        return hmac.digest(self._keys.router, b"sovereign/search/v2\0", "sha256")

    def without(self, value: str) -> tuple[TokenKey, int]:
        """A key that can make no token of ``value``, of whatever entity and however it is spelled,
        and how many leaves were destroyed for it: 0 if none was left."""
        keys, gone = self._keys, 0
        for text in sorted({canonical(entity, value) for entity in SPELLINGS}):
            if keys.leaf(text) is not None:
                keys, gone = keys.without(text), gone + 1
        return TokenKey(keys), gone

    def erased(self, value: str) -> bool:
        """Whether :meth:`without` has nothing left to destroy."""
        return not self.without(value)[1]

    def pack(self) -> bytes:
        """For the file that :func:`read_token_key` reads."""
        return self._keys.pack()


class TokenKeyFile:
    """The key in a file, read again when the file changes: what was destroyed there is forgotten
    here with the next request. Thread-safe."""

    def __init__(self, file: Path) -> None:
        """Raises :class:`ConfigError`."""
        self._file, self._name = file, str(file)
        self._seen: tuple[int, int, int] | None = None
        self._key: TokenKey | None = None
        self.current()

    def current(self) -> TokenKey | None:
        """None while the file is not there. Raises :class:`ConfigError` if it cannot be used."""
        try:
            stat = os.stat(self._name)  # noqa: PTH116 - at every request; Path's takes thrice
        except FileNotFoundError:
            self._seen, self._key = None, None
            return None
        except OSError as e:
            raise ConfigError(f"audit.token_key_file: {self._file}: {e.strerror}") from None
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._key, self._seen = _read(self._file), seen
        return self._key


def epoch_of(seconds: float) -> str:
    """The month (UTC) in which a token is made, as ``2026-11``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m")


def canonical(entity: str, value: str) -> str:
    """One spelling for the spellings of a value: ``123-45-6789`` and ``123 45 6789`` are one.

    Names keep their words, whatever lies between them; numbers and codes keep letters and digits
    only; secrets and web addresses stay as they are.
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if entity in _AS_WRITTEN:
        return text.encode("utf-8", "backslashreplace").decode()
    text = text.casefold().encode("utf-8", "backslashreplace").decode()
    if entity == "IP_ADDRESS":
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    if entity == "EMAIL_ADDRESS":
        return "".join(text.split())
    if entity in _BY_WORDS or not any(c.isdecimal() for c in text):
        return " ".join("".join(c if c.isalnum() else " " for c in text).split())
    text = "".join(c for c in text if c.isalnum())
    if entity == "PHONE_NUMBER":
        text = text.removeprefix("00")
        # The North American number with and without its country code.
        return text[1:] if len(text) == 11 and text.startswith("1") else text
    return text


def read_token_key(config: Config) -> TokenKey | None:
    """The key in ``[audit].token_key_file``; None if the file is not there: then records hold no
    tokens, and a search says so. Raises :class:`ConfigError` if others can read it."""
    return _read(config.resolve(config.audit.token_key_file))


def _read(file: Path) -> TokenKey | None:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"audit.token_key_file: {file}: {e.strerror}") from None
    if mode & 0o077:
        raise ConfigError(
            f"audit.token_key_file: {file} can be read by others", hint=f"chmod 600 {file}"
        )
    try:
        return TokenKey.of(data) if len(data) == KEY_SIZE else TokenKey(Punctured.unpack(data))
    except ValueError:
        raise ConfigError(
            f"audit.token_key_file: {file} does not hold {KEY_SIZE} bytes, or what is left of them",
            hint="bring it back: with another key, what was recorded before cannot be searched",
        ) from None


def destroy(file: Path, value: str) -> tuple[TokenKey, int]:
    """Destroy the keys of ``value`` in ``file``: what is left, and how many there were.

    The new file is durable and has taken the old one's place on return; the old one's bytes are
    overwritten first, as far as the file system writes in place. Raises :class:`ConfigError`,
    :class:`LogUnavailable`.
    """
    with locked(file.parent):  # two at once must not bring back what the other destroyed
        key = _read(file)
        if key is None:
            raise ConfigError(f"audit.token_key_file: {file} is not there")
        left, gone = key.without(value)
        if gone:
            with file.open("r+b") as old:
                write_whole(file, left.pack(), mode=0o600)
                size = os.fstat(old.fileno()).st_size
                old.write(os.urandom(size))
                old.flush()
                os.fsync(old.fileno())
        return left, gone
