"""Turns a value into a token that the log may hold: keyed, and useless without the token key.

A value of few digits could be guessed from a plain hash. From a token it can only be guessed by who
has the key, and that key is never in the log. Values pass through here; none is kept.
"""

from __future__ import annotations

import functools
import hmac
import ipaddress
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sovereign.errors import ConfigError

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["MOST", "TokenKey", "Tokens", "canonical", "epoch_of", "read_token_key"]

MOST = 128
"""Tokens in one record. A request with more distinct values says that it was cut."""

KEY_SIZE = 32
BITS = 128

_BY_WORDS = frozenset(
    {"PERSON", "ORGANIZATION", "LOCATION", "STREET_ADDRESS", "NRP", "DATE_TIME", "DATE_OF_BIRTH"}
)
_AS_WRITTEN = frozenset({"SECRET", "URL", "CRYPTO"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a record says of its values. ``cut``: there were more than it may hold."""

    key: str
    epoch: str
    tokens: tuple[str, ...]
    cut: bool = False


class TokenKey:
    """The key outside the log. Thread-safe. Its repr shows its id, which the log holds too."""

    def __init__(self, master: bytes) -> None:
        """``master``: 32 random bytes."""
        if len(master) != KEY_SIZE:
            raise ConfigError(f"a token key has {KEY_SIZE} bytes")
        self._master = master
        self.id = hmac.digest(master, b"sovereign/token/id", "sha256").hex()[:16]
        # One key per tenant, entity and epoch; a gateway needs the same few all the time.
        self._derived = functools.lru_cache(maxsize=4096)(self._derive)

    def __repr__(self) -> str:
        return f"TokenKey({self.id})"

    def token(self, tenant: str, entity: str, epoch: str, value: str) -> str:
        """HMAC-SHA-256 of the canonical value, cut to 128 bits, in hex."""
        key = self._derived(tenant, entity, epoch)
        return hmac.digest(key, canonical(entity, value).encode(), "sha256")[: BITS // 8].hex()

    def tokens(self, tenant: str, values: Iterable[tuple[str, str]], seconds: float) -> Tokens:
        """The tokens of (entity, value) pairs found in one request at ``seconds`` (POSIX)."""
        epoch = epoch_of(seconds)
        # Sorted: the order in which values stood in a text is nobody's business.
        found = sorted({self.token(tenant, entity, epoch, value) for entity, value in values})
        return Tokens(self.id, epoch, tuple(found[:MOST]), len(found) > MOST)

    def asked(self, entity: str, value: str) -> str:
        """The token under which the log notes that somebody searched for a value."""
        return self.token("", entity, "search", value)

    def _derive(self, tenant: str, entity: str, epoch: str) -> bytes:
        info = "\0".join(("sovereign/token/v1", tenant, entity, epoch))
        return hmac.digest(self._master, info.encode(), "sha256")


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
    file = config.resolve(config.audit.token_key_file)
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            master = opened.read(KEY_SIZE + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"audit.token_key_file: {file}: {e.strerror}") from None
    if mode & 0o077:
        raise ConfigError(
            f"audit.token_key_file: {file} can be read by others", hint=f"chmod 600 {file}"
        )
    if len(master) != KEY_SIZE:
        raise ConfigError(
            f"audit.token_key_file: {file} does not hold {KEY_SIZE} bytes",
            hint="bring it back: with another key, what was recorded before cannot be searched",
        )
    return TokenKey(master)
