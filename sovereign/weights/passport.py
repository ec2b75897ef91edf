"""The papers of an adapter: an in-toto statement in a signed envelope, held against the files
beside it and the weights below it. Knows nothing of what the statement says besides.

Formats: DSSE (github.com/secure-systems-lab/dsse), in-toto Statement v1, canonical JSON (RFC 8785),
Ed25519. An adapter on another base loads without an error and answers nonsense; an adapter that
somebody changed answers what that somebody wants.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from sovereign.errors import ConfigError, PassportRefused
from sovereign.weights.lock import File, digest_of
from sovereign.weights.staging import hash_file

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = [
    "CARD",
    "MERGED",
    "MERGED_TYPE",
    "MODEL_TYPE",
    "NAME",
    "PREDICATE_TYPE",
    "Passport",
    "admit",
    "admit_merged",
    "admit_model",
    "is_model",
    "key_id",
    "open_envelope",
    "pem",
    "public_key",
    "read",
    "seal",
    "signing_key",
    "statement",
    "trusted",
]

NAME = "passport.json"
CARD = "README.md"
"""The only file beside the passport that it does not vouch for: it is for people."""

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "tag:sovereign-toolkit,2026:adapter-passport/v1"
MERGED = "merged.json"
"""The papers of a model that an adapter was merged into, in its folder."""
MERGED_TYPE = "tag:sovereign-toolkit,2026:merged-model/v1"
MODEL_TYPE = "tag:sovereign-toolkit,2026:model-passport/v1"
"""Of a full fine-tune: its passport lies at :data:`NAME` too, in the folder of the model."""
MOST_BYTES = 4_000_000
SEED_SIZE = 32
NEEDED = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Passport:
    """What an envelope says, once a trusted key was found to have signed it."""

    predicate: dict[str, Any]
    files: dict[str, str]
    """SHA-256 in hex by file name."""
    signer: str
    """The :func:`key_id` of the key that signed."""

    @property
    def base_digest(self) -> str:
        return str(self.predicate["base"]["digest"])

    @property
    def digest(self) -> str:
        """Of the adapter; or, of a full fine-tune, of the model."""
        made = self.predicate["adapter"] if "adapter" in self.predicate else self.predicate["model"]
        return str(made["digest"])

    def __repr__(self) -> str:
        return f"Passport({self.digest[:12]}, base={self.base_digest[:12]})"


def statement(
    predicate: dict[str, Any], files: Iterable[File], *, kind: str = PREDICATE_TYPE
) -> bytes:
    """The canonical in-toto statement that ``predicate``, of type ``kind``, is about ``files``."""
    return bytes(
        rfc8785.dumps(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": f.path, "digest": {"sha256": f.sha256}} for f in files],
                "predicateType": kind,
                "predicate": predicate,
            }
        )
    )


def seal(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """``payload``, a statement, in an envelope signed by ``key``."""
    signature = key.sign(_pae(payload))
    return bytes(
        rfc8785.dumps(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}
                ],
            }
        )
    )


def open_envelope(
    raw: bytes, keys: Sequence[Ed25519PublicKey], *, kind: str = PREDICATE_TYPE
) -> Passport:
    """The passport in ``raw``, if one of ``keys`` signed it. Raises :class:`PassportRefused`.

    Lines of other signers are passed over, as DSSE asks; ``keyid`` is a hint and decides nothing.
    """
    envelope = _json(raw, "the envelope")
    try:
        if envelope.keys() != {"payload", "payloadType", "signatures"}:
            raise KeyError
        payload = _unb64(envelope["payload"])
        signatures = [_unb64(s["sig"]) for s in envelope["signatures"]]
        payload_type = envelope["payloadType"]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PassportRefused("it is no DSSE envelope") from None
    if payload_type != PAYLOAD_TYPE:
        raise PassportRefused("its payload is no in-toto statement")
    signer = next((k for k in keys for s in signatures if _signed(k, s, payload)), None)
    if signer is None:
        raise PassportRefused(
            "no trusted key signed it, or it was changed since",
            hint="`sovereign tune key` prints the key that signed; trust it in [tune].trust",
        )
    return _passport(payload, key_id(signer), kind)


def admit(adapter: Path, base_digest: str, keys: Sequence[Ed25519PublicKey]) -> Passport:
    """The passport of the folder ``adapter``, which is exactly what it vouches for, on the weights
    that it names. Raises :class:`PassportRefused`, which says what differs."""
    passport = read(adapter, keys)
    if passport.base_digest != base_digest:
        raise PassportRefused(
            f"{adapter}: was trained on weights {passport.base_digest[:12]}, and these are "
            f"{base_digest[:12]}",
            hint="serve it with the base that its passport names, or tune again",
        )
    _compare(adapter, passport)
    return passport


def read(adapter: Path, keys: Sequence[Ed25519PublicKey]) -> Passport:
    """The passport in the folder ``adapter``, or in that of a model that was trained whole, signed
    by one of ``keys``. What it says of the files
    was not compared: :func:`admit` does. Raises :class:`PassportRefused`."""
    if not (adapter / NAME).exists():
        raise PassportRefused(
            f"{adapter / NAME}: no such file, so nothing says which weights the adapter belongs to",
            hint="`sovereign tune run` writes it; an adapter made before has to be tuned again",
        )
    return _read(adapter / NAME, keys, MODEL_TYPE if is_model(adapter) else PREDICATE_TYPE)


def admit_merged(folder: Path, keys: Sequence[Ed25519PublicKey]) -> Passport:
    """What the papers of a merged model say, whose folder is exactly what they vouch for: its
    ``base`` and ``adapter``. Raises :class:`PassportRefused`."""
    said = _read(folder / MERGED, keys, MERGED_TYPE)
    _hashed(folder, said, {MERGED, CARD})
    return said


def admit_model(folder: Path, keys: Sequence[Ed25519PublicKey]) -> Passport:
    """The passport of a full fine-tune, whose folder is exactly what it vouches for. Raises
    :class:`PassportRefused`."""
    said = read(folder, keys)
    if digest_of(_hashed(folder, said, {NAME, CARD})) != said.digest:
        raise PassportRefused(f"{folder}: its passport names another model")
    return said


def is_model(folder: Path) -> bool:
    """Whether ``folder`` is to be held to the passport of a model, and not of an adapter."""
    return not (folder / NEEDED[0]).exists() and (folder / "config.json").exists()


def signing_key(file: Path) -> Ed25519PrivateKey:
    """The key whose 32-byte seed is in ``file``, which nobody else may read; made if it is not
    there. Raises :class:`ConfigError`."""
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # Linked when it is whole: of several processes that begin at once, one makes the key.
            with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.") as made:
                made.write(secrets.token_bytes(SEED_SIZE))
                made.flush()
                os.fsync(made.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(made.name, file)
        except OSError as e:
            raise ConfigError(f"tune.key_file: {file}: {e.strerror}") from None
    return Ed25519PrivateKey.from_private_bytes(_seed(file))


def trusted(config: Config) -> tuple[Ed25519PublicKey, ...]:
    """The public keys of ``[tune].trust``, and the one of ``[tune].key_file`` where that is on this
    machine. Raises :class:`ConfigError`."""
    own = config.resolve(config.tune.key_file)
    keys = [public_key(config.resolve(path)) for path in config.tune.trust]
    if own.exists():
        keys.append(Ed25519PrivateKey.from_private_bytes(_seed(own)).public_key())
    return tuple(keys)


def pem(key: Ed25519PublicKey) -> bytes:
    """``key`` as openssl and cosign read it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256, in hex, of the key's SubjectPublicKeyInfo."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(file: Path, keys: Sequence[Ed25519PublicKey], kind: str) -> Passport:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as e:
        raise PassportRefused(f"{file}: {e.strerror}") from None
    try:
        return open_envelope(raw, keys, kind=kind)
    except PassportRefused as e:
        raise PassportRefused(f"{file}: {e.message}", hint=e.hint) from None


def _compare(adapter: Path, passport: Passport) -> None:
    for name in NEEDED:
        if name not in passport.files:
            raise PassportRefused(f"{adapter}: its passport does not vouch for {name}")
    if digest_of(_hashed(adapter, passport, {NAME, CARD})) != passport.digest:
        raise PassportRefused(f"{adapter}: its passport names another adapter")


def _hashed(folder: Path, passport: Passport, beside: Set[str]) -> list[File]:
    """The files of ``folder`` but those ``beside``: exactly those that ``passport`` names."""
    there = {p.name: p for p in folder.iterdir() if p.name not in beside}
    for name in sorted(there.keys() - passport.files.keys()):
        # PEFT would take adapter_model.bin, a pickle, where it finds one.
        raise PassportRefused(f"{folder / name}: its passport does not name this file")
    found = []
    for name, sha256 in sorted(passport.files.items()):
        path = there.get(name)
        if path is None or path.is_symlink() or not path.is_file():
            raise PassportRefused(f"{folder / name}: is missing")
        size, actual = hash_file(path)
        if actual != sha256:
            raise PassportRefused(
                f"{folder / name}: is not what its passport says", hint="restore it, or tune again"
            )
        found.append(File(name, size, actual))
    return found


def _passport(payload: bytes, signer: str, kind: str) -> Passport:
    said = _json(payload, "the statement")
    try:
        if said["_type"] != STATEMENT_TYPE or said["predicateType"] != kind:
            raise PassportRefused("it is a statement about something else")
        files = {str(s["name"]): str(s["digest"]["sha256"]) for s in said["subject"]}
        if len(files) != len(said["subject"]):
            raise PassportRefused("it names a file twice")
        passport = Passport(said["predicate"], files, signer)
        _ = passport.base_digest, passport.digest
    except (KeyError, TypeError, AttributeError):
        raise PassportRefused("it is no passport of an adapter") from None
    return passport


def _json(raw: bytes, what: str) -> Any:
    """One value, read strictly: written again, it is the same bytes."""
    try:
        value = json.loads(raw)
        same = len(raw) <= MOST_BYTES and rfc8785.dumps(value) == raw
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        same = False
    if not same:
        raise PassportRefused(f"{what} is not canonical JSON, so not as it was written")
    return value


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: no byte can move from the type to the payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signed(key: Ed25519PublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, _pae(payload))
    except InvalidSignature:
        return False
    return True


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        raise ValueError from None
    if base64.b64encode(data).decode() != text:  # stray bits at the end are forgiven by the decoder
        raise ValueError
    return data


def _seed(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            seed = opened.read(SEED_SIZE + 1)
    except OSError as e:
        raise ConfigError(f"tune.key_file: {file}: {e.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"tune.key_file: {file} can be read by others", hint=f"chmod 600 {file}")
    if len(seed) != SEED_SIZE:
        raise ConfigError(
            f"tune.key_file: {file} does not hold {SEED_SIZE} bytes",
            hint="bring it back; with another key, adapters made before are no longer trusted",
        )
    return seed


def public_key(file: Path) -> Ed25519PublicKey:
    """The key in a PEM file. Raises :class:`ConfigError`."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as e:
        raise ConfigError(f"tune.trust: {file}: {e.strerror}") from None
    except Exception as e:  # noqa: BLE001 - cryptography raises several kinds
        raise ConfigError(f"tune.trust: {file}: no public key ({type(e).__name__})") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"tune.trust: {file}: no Ed25519 key", hint="`sovereign tune key` prints")
    return key
