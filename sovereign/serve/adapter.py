"""An adapter is served only with a passport that a trusted key signed, and exactly as it says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sovereign.weights.passport import Passport, admit

__all__ = ["check", "hexed"]


def check(adapter: Path, base_digest: str, trust: Iterable[str]) -> Passport:
    """What its passport says. ``trust`` are raw public keys in hex, as on a command line.

    Raises :class:`sovereign.errors.PassportRefused`.
    """
    keys = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in trust]
    return admit(adapter, base_digest, keys)


def hexed(keys: Iterable[Ed25519PublicKey]) -> tuple[str, ...]:
    """``keys`` as :func:`check` takes them."""
    return tuple(key.public_bytes_raw().hex() for key in keys)
