"""C2SP signed notes and checkpoints: a log's size and root, under an Ed25519 signature.

Parsing is strict: what was parsed, written again, is the same bytes. Nothing malleable passes.
Specifications: c2sp.org/signed-note and c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sovereign.audit.tree import HASH_SIZE
from sovereign.errors import LogTampered

__all__ = [
    "Checkpoint",
    "Signer",
    "Verifier",
    "b64",
    "is_name",
    "open_checkpoint",
    "split_note",
    "unb64",
]

ED25519 = b"\x01"
"""c2sp.org/signed-note#signature-types: 0x01 is Ed25519."""

_DASH = "— "
"""Each signature line begins with an em dash (U+2014) and a space."""

MAX_NOTE = 1 << 20
"""No note of ours comes near it; a bound, so that a verifier cannot be made to swallow a disk."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    key: Ed25519PublicKey

    @property
    def id(self) -> bytes:
        """c2sp.org/signed-note#signatures: SHA-256(name || 0x0A || type || public key)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self._raw()).digest()[:4]

    def __str__(self) -> str:
        """The vkey: ``<name>+<key id in hex>+<base64(type || public key)>``."""
        return f"{self.name}+{self.id.hex()}+{b64(ED25519 + self._raw())}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Raises :class:`LogTampered` unless ``vkey`` is exactly what :meth:`__str__` writes."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = unb64(encoded, "verifier key")
        if not is_name(name) or len(material) != 33 or material[:1] != ED25519:
            raise LogTampered("not an Ed25519 verifier key")
        verifier = cls(name, Ed25519PublicKey.from_public_bytes(material[1:]))
        if verifier.id.hex() != key_id:
            raise LogTampered("the verifier key's id does not belong to its name and key")
        return verifier

    def _raw(self) -> bytes:
        return self.key.public_bytes_raw()


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A private key and the name it signs under. Its repr is the verifier's, never the seed's."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> Signer:
        """``seed`` is RFC 8032's 32-byte private key."""
        if not is_name(name):
            raise ValueError("a signer's name holds no space and no plus, and is not empty")
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key())

    def sign(self, text: str) -> str:
        """``text``, which ends in a newline, as a signed note."""
        if not text.endswith("\n"):
            raise ValueError("a note's text ends in a newline")
        signature = self.verifier.id + self.key.sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {b64(signature)}\n"

    def __repr__(self) -> str:
        return f"Signer({self.verifier})"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """c2sp.org/tlog-checkpoint: an origin, a size and a root. Nothing else: no extension lines."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        """The note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises :class:`LogTampered` unless ``text`` is exactly what :meth:`__str__` writes.

        The specification allows extension lines. This log writes none, so one is not ours.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise LogTampered("the checkpoint does not have three lines")
        origin, size, root = lines[:3]
        # "decimal, no leading zeroes"; a bound keeps int() from chewing on a megabyte of digits
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size, re.ASCII):
            raise LogTampered("the checkpoint's size is not a number")
        checkpoint = cls(origin, int(size), unb64(root, "checkpoint's root"))
        if not origin or len(checkpoint.root) != HASH_SIZE:
            raise LogTampered("the checkpoint's origin or root is not one")
        return checkpoint


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint in ``note``, signed by ``verifier`` under its own name. Otherwise raises
    :class:`LogTampered`.

    Lines that other keys signed (witnesses) are passed over, as c2sp.org/signed-note asks.
    """
    text, signatures = split_note(note)
    ours = [s for name, s in signatures if name == verifier.name and s[:4] == verifier.id]
    if len(ours) != 1:
        raise LogTampered(
            "the checkpoint is not signed by this log's key",
            hint="bring back the key of [audit].key_file; machines that share a log share its key",
        )
    try:
        verifier.key.verify(ours[0][4:], text.encode())
    except InvalidSignature:
        raise LogTampered("the checkpoint's signature is wrong") from None
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != verifier.name:
        raise LogTampered("the checkpoint is another log's")
    return checkpoint


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text and its signature lines as (name, key id || signature)."""
    if len(note) > MAX_NOTE or any(c < " " and c != "\n" for c in note):
        raise LogTampered("the checkpoint is not a signed note")
    # "The text is separated from the signatures by an empty line": the last one, as text may have
    # some of its own.
    text, separator, block = note.rpartition("\n\n")
    if not separator or not text or not block.endswith("\n"):
        raise LogTampered("the checkpoint is not a signed note")
    found = []
    for line in block[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        signature = unb64(encoded, "signature")
        if not line.startswith(_DASH) or not is_name(name) or len(signature) < 5:
            raise LogTampered("the checkpoint has a line that is no signature")
        found.append((name, signature))
    return text + "\n", found


def is_name(name: str) -> bool:
    """ "Key names MUST be non-empty, and MUST NOT contain any Unicode spaces or plus"."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def unb64(encoded: str, what: str) -> bytes:
    """Standard base64. The decoder forgives stray bits at the end, so it is written again."""
    try:
        data = base64.b64decode(encoded.encode(), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or b64(data) != encoded:
        raise LogTampered(f"the {what} is not base64")
    return data
