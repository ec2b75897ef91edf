"""Signatures over a folder of files in the format of OpenSSF's model-signing v1.0, by a key.

A Sigstore bundle holds a DSSE envelope, that an in-toto statement, and that one SHA-256 for each
file and one over all of them. Keys are ECDSA on P-256, P-384 or P-521, as the format asks. What is
made here, ``model_signing verify key`` takes; what ``model_signing sign key`` makes is taken here.
https://github.com/ossf/model-signing-spec
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sovereign.errors import ConfigError, NotVerified
from sovereign.weights.lock import File

__all__ = ["PrivateKey", "PublicKey", "check_file", "private_key", "public_key", "sign", "verify"]

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey
MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
MOST_BYTES = 64_000_000
HINT = "openssl ecparam -name prime256v1 -genkey -noout -out private.pem makes one"


def sign(name: str, files: Iterable[File], key: PrivateKey, ignored: tuple[str, ...] = ()) -> bytes:
    """A signature over ``files`` of the folder ``name``; ``ignored`` are paths that it leaves out,
    such as its own."""
    rows = sorted(files, key=lambda f: f.path)
    resources = [{"name": f.path, "algorithm": "sha256", "digest": f.sha256} for f in rows]
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(ignored),
            },
            "resources": resources,
        },
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    signature = key.sign(_pae(payload), ec.ECDSA(HASHES[key.curve.name]))
    bundle = {
        "mediaType": MEDIA,
        "verificationMaterial": {
            "publicKey": {"hint": _hint(key.public_key())},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return (json.dumps(bundle, indent=2) + "\n").encode()


def verify(raw: bytes, files: Iterable[File], key: PublicKey, what: str) -> None:
    """That ``key`` signed exactly ``files``: none changed, missing or additional.

    Raises :class:`NotVerified`, with the first file that differs; ``what`` names the signature.
    """
    signed = _signed(raw, key, what)
    there = {f.path: f.sha256 for f in files}
    for path in sorted(signed.keys() | there.keys()):
        if path not in there:
            raise NotVerified(f"{path}: was signed, and is missing")
        if path not in signed:
            raise NotVerified(f"{path}: was not signed")
        if signed[path] != there[path]:
            raise NotVerified(f"{path}: is not what was signed")


def check_file(signature: Path, files: Iterable[File], key: Path) -> None:
    """:func:`verify` of a file, by a key in a PEM file."""
    verify(_read(signature), files, public_key(key), str(signature))


def private_key(file: Path) -> PrivateKey:
    """The key in a PEM file that nobody else may read. Raises :class:`ConfigError`."""
    raw = _read(file)
    if file.stat().st_mode & 0o077:
        raise ConfigError(f"{file} can be read by others", hint=f"chmod 600 {file}")
    try:
        key = load_pem_private_key(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{file}: no private key without a passphrase", hint=HINT) from None
    if not isinstance(key, PrivateKey) or key.curve.name not in HASHES:
        raise ConfigError(f"{file}: no ECDSA key on P-256, P-384 or P-521", hint=HINT)
    return key


def public_key(file: Path) -> PublicKey:
    """The public key in a PEM file. Raises :class:`ConfigError`."""
    try:
        key = load_pem_public_key(_read(file))
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{file}: no public key") from None
    if not isinstance(key, PublicKey) or key.curve.name not in HASHES:
        raise ConfigError(f"{file}: no ECDSA key on P-256, P-384 or P-521")
    return key


def _signed(raw: bytes, key: PublicKey, what: str) -> dict[str, str]:
    """SHA-256 by path, once the envelope's signature holds. Nothing is read before it does."""
    try:
        if len(raw) > MOST_BYTES:
            raise ValueError
        bundle = json.loads(raw)
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        [line] = envelope["signatures"]
        signature = base64.b64decode(line["sig"], validate=True)
        if bundle["mediaType"] != MEDIA or envelope["payloadType"] != PAYLOAD:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotVerified(f"{what}: no signature in model-signing's format") from None
    try:
        key.verify(signature, _pae(payload), ec.ECDSA(HASHES[key.curve.name]))
    except InvalidSignature:
        raise NotVerified(
            f"{what}: was not signed by this key", hint="ask who sent it for the public key"
        ) from None
    try:
        return _resources(json.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotVerified(f"{what}: its statement is not of model-signing v1.0") from None


def _resources(statement: Any) -> dict[str, str]:
    if statement["_type"] != STATEMENT or statement["predicateType"] != PREDICATE:
        raise ValueError
    if statement["predicate"]["serialization"]["method"] != "files":
        raise ValueError
    rows = statement["predicate"]["resources"]
    [subject] = statement["subject"]
    found = {str(r["name"]): str(r["digest"]) for r in rows if r["algorithm"] == "sha256"}
    if len(found) != len(rows) or subject["digest"]["sha256"] != _root(rows):
        raise ValueError
    return found


def _root(resources: list[dict[str, str]]) -> str:
    digest = hashlib.sha256()
    for row in resources:
        digest.update(bytes.fromhex(row["digest"]))
    return digest.hexdigest()


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _hint(key: PublicKey) -> str:
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from None
