"""Cosignatures: a witness's word that a checkpoint follows all that it saw of that log before.

Specification: c2sp.org/tlog-cosignature, the Ed25519 type (``cosignature/v1``).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sovereign.audit.note import b64, is_name, split_note, unb64
from sovereign.errors import LogTampered

__all__ = ["Cosignature", "Cosigner", "WitnessKey", "cosignatures"]

COSIGNATURE_V1 = b"\x04"
"""c2sp.org/tlog-cosignature#format: the type of an Ed25519 cosigner's key."""

MOST_SECONDS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key and name."""

    name: str
    key: Ed25519PublicKey

    @property
    def id(self) -> bytes:
        """SHA-256(<name> || "\\n" || 0x04 || 32-byte Ed25519 cosigner public key)[:4]."""
        material = self.name.encode() + b"\n" + COSIGNATURE_V1 + self.key.public_bytes_raw()
        return hashlib.sha256(material).digest()[:4]

    def __str__(self) -> str:
        """The vkey, with signature type 0x04."""
        return f"{self.name}+{self.id.hex()}+{b64(COSIGNATURE_V1 + self.key.public_bytes_raw())}"

    @classmethod
    def parse(cls, vkey: str) -> WitnessKey:
        """Raises :class:`LogTampered` unless ``vkey`` is exactly what :meth:`__str__` writes."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = unb64(encoded, "witness key")
        if not is_name(name) or len(material) != 33 or material[:1] != COSIGNATURE_V1:
            raise LogTampered("not the key of a witness", hint="`sovereign audit witness` says it")
        key = cls(name, Ed25519PublicKey.from_public_bytes(material[1:]))
        if key.id.hex() != key_id:
            raise LogTampered("the witness key's id does not belong to its name and key")
        return key


@dataclass(frozen=True, slots=True, repr=False)
class Cosigner:
    """A witness's private key. It must sign nothing else: the message does not hold its name."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> Cosigner:
        """``seed`` is RFC 8032's 32-byte private key."""
        if not is_name(name):
            raise ValueError("a witness's name holds no space and no plus, and is not empty")
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> WitnessKey:
        return WitnessKey(self.name, self.key.public_key())

    def cosign(self, text: str, *, seconds: int) -> str:
        """The signature line over a checkpoint's ``text``.

        ``timestamped_signature`` is a big-endian u64 of POSIX seconds, then 64 bytes.
        """
        signature = struct.pack(">Q", seconds) + self.key.sign(_message(text, seconds))
        return f"— {self.name} {b64(self.public.id + signature)}\n"

    def __repr__(self) -> str:
        return f"Cosigner({self.public})"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """That ``witness`` saw the checkpoint at ``seconds`` (POSIX), by its own clock."""

    witness: str
    seconds: int


def cosignatures(note: str, witnesses: Iterable[WitnessKey]) -> list[Cosignature]:
    """What ``witnesses`` signed of ``note``; lines of others are passed over.

    Raises :class:`LogTampered` if a line has a witness's name and key id and is not its signature.
    """
    text, signatures = split_note(note)
    found = []
    for witness in witnesses:
        for name, data in signatures:
            if name != witness.name or data[:4] != witness.id:
                continue
            seconds = int.from_bytes(data[4:12], "big")
            try:
                if len(data) != 4 + 8 + 64 or seconds > MOST_SECONDS:
                    raise InvalidSignature
                witness.key.verify(data[12:], _message(text, seconds))
            except InvalidSignature:
                raise LogTampered(f"the cosignature of {name} is wrong") from None
            found.append(Cosignature(name, seconds))
    return found


def _message(text: str, seconds: int) -> bytes:
    """c2sp.org/tlog-cosignature#ed25519-signed-message."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
