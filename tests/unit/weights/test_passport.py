"""A passport says what a trusted key signed, about exactly the files beside it: no lie passes."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from adapters import stamp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.config import load_config
from sovereign.errors import ConfigError, PassportRefused
from sovereign.weights import passport
from sovereign.weights.passport import admit, pem, public_key, seal, signing_key, trusted

BASE = "ab" * 32
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
TRUST = (KEY.public_key(),)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_bytes(b"{}")
    stamp(folder, BASE, KEY)
    return folder


def envelope(adapter: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((adapter / passport.NAME).read_bytes())
    return found


def write(adapter: Path, value: dict[str, Any]) -> None:
    (adapter / passport.NAME).write_bytes(rfc8785.dumps(value))


def refused(adapter: Path, match: str) -> None:
    with pytest.raises(PassportRefused, match=match) as caught:
        admit(adapter, BASE, TRUST)
    assert caught.value.__cause__ is None


def test_what_was_signed_passes(adapter: Path) -> None:
    """With a card beside it, which is for people and vouched for by nobody."""
    (adapter / "README.md").write_text("whatever")
    found = admit(adapter, BASE, TRUST)
    assert found.base_digest == BASE
    assert found.files.keys() == {"adapter_model.safetensors", "adapter_config.json"}
    assert found.signer == passport.key_id(KEY.public_key())


def test_the_envelope_is_dsse_to_the_byte(adapter: Path) -> None:
    """The pre-authentication encoding is written here anew from the specification, so that cosign
    and in-toto's tools check the same bytes."""
    said = envelope(adapter)
    payload = base64.b64decode(said["payload"])
    kind = "application/vnd.in-toto+json"
    assert said["payloadType"] == kind
    pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    KEY.public_key().verify(base64.b64decode(said["signatures"][0]["sig"]), pae)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert rfc8785.dumps(statement) == payload


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_one_changed_byte_of_a_file(adapter: Path, name: str) -> None:
    """In the weights, or in the configuration, whose alpha scales them."""
    file = adapter / name
    file.write_bytes(file.read_bytes() + b" ")
    refused(adapter, f"{name}: is not what its passport says")


def test_a_missing_file(adapter: Path) -> None:
    """By name."""
    (adapter / "adapter_model.safetensors").unlink()
    refused(adapter, "adapter_model.safetensors: is missing")


def test_a_link_in_place_of_a_file(adapter: Path, tmp_path: Path) -> None:
    """It could be turned to something else after the check."""
    (adapter / "adapter_model.safetensors").rename(tmp_path / "elsewhere")
    (adapter / "adapter_model.safetensors").symlink_to(tmp_path / "elsewhere")
    refused(adapter, "adapter_model.safetensors: is missing")


def test_a_pickle_laid_beside_it(adapter: Path) -> None:
    """PEFT takes adapter_model.bin where it finds one: nothing may lie there that is not named."""
    (adapter / "adapter_model.bin").write_bytes(b"\x80")
    refused(adapter, "adapter_model.bin: its passport does not name this file")


def test_another_base(adapter: Path) -> None:
    """The adapter would load, and answer nonsense."""
    with pytest.raises(PassportRefused, match="was trained on weights abab"):
        admit(adapter, "cd" * 32, TRUST)


def test_the_passport_of_another_adapter(adapter: Path, tmp_path: Path) -> None:
    """Rightly signed, about other files."""
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "adapter_model.safetensors").write_bytes(b"other weights")
    (twin / "adapter_config.json").write_bytes(b"{}")
    stamp(twin, BASE, KEY)
    (twin / passport.NAME).replace(adapter / passport.NAME)
    refused(adapter, "adapter_model.safetensors: is not what")


def test_a_predicate_about_another_adapter(adapter: Path) -> None:
    """The digest that goes into the audit log must be that of the files."""
    stamp(adapter, BASE, KEY, digest="ef" * 32)
    refused(adapter, "names another adapter")


def test_a_passport_that_does_not_vouch_for_the_weights(adapter: Path) -> None:
    """Signed before the weights lay there."""
    (adapter / "adapter_model.safetensors").unlink()
    stamp(adapter, BASE, KEY)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    refused(adapter, "does not vouch for adapter_model.safetensors")


def test_a_stranger_s_signature(adapter: Path) -> None:
    """Everything is right but the key; claiming the right key id changes nothing."""
    stamp(adapter, BASE, OTHER)
    refused(adapter, "no trusted key signed it")
    said = envelope(adapter)
    said["signatures"][0]["keyid"] = passport.key_id(KEY.public_key())
    write(adapter, said)
    refused(adapter, "no trusted key signed it")


def test_no_signature_at_all(adapter: Path) -> None:
    """An unsigned passport is no passport."""
    write(adapter, envelope(adapter) | {"signatures": []})
    refused(adapter, "no trusted key signed it")


def test_a_second_signer_is_passed_over(adapter: Path) -> None:
    """DSSE allows several; a colleague's line takes nothing away."""
    said = envelope(adapter)
    said["signatures"].insert(0, {"keyid": "", "sig": base64.b64encode(bytes(64)).decode()})
    write(adapter, said)
    admit(adapter, BASE, TRUST)


def test_an_epsilon_that_was_improved_afterwards(adapter: Path) -> None:
    """One changed word of the predicate, with the old signature."""
    stamp(adapter, BASE, KEY, predicate={"privacy": {"epsilon": "none"}})
    said = envelope(adapter)
    payload = base64.b64decode(said["payload"]).replace(b'"none"', b'"1.0 "')
    write(adapter, said | {"payload": base64.b64encode(payload).decode()})
    refused(adapter, "no trusted key signed it, or it was changed since")


def test_a_payload_of_another_type(adapter: Path) -> None:
    """The type is signed too: the same bytes cannot be passed off as something else."""
    write(adapter, envelope(adapter) | {"payloadType": "text/plain"})
    refused(adapter, "no in-toto statement")


def test_a_signature_over_the_bare_payload(adapter: Path) -> None:
    """Without the pre-authentication encoding, bytes could move between type and payload."""
    said = envelope(adapter)
    bare = KEY.sign(base64.b64decode(said["payload"]))
    said["signatures"] = [{"keyid": "", "sig": base64.b64encode(bare).decode()}]
    write(adapter, said)
    refused(adapter, "no trusted key signed it")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s | {"_type": "https://in-toto.io/Statement/v0.1"}, "something else"),
        (lambda s: s | {"predicateType": "https://slsa.dev/provenance/v1"}, "something else"),
        (lambda s: s | {"predicate": {}}, "no passport of an adapter"),
        (lambda s: s | {"predicate": []}, "no passport of an adapter"),
        (lambda s: s | {"subject": s["subject"] * 2}, "names a file twice"),
        (lambda s: s | {"subject": [{"name": "x"}]}, "no passport of an adapter"),
        (lambda s: [s], "no passport of an adapter"),
    ],
)
def test_a_signed_statement_that_is_no_passport(
    adapter: Path, change: Callable[[Any], Any], match: str
) -> None:
    """A key that signs other things must not thereby have signed a passport."""
    said = json.loads(base64.b64decode(envelope(adapter)["payload"]))
    (adapter / passport.NAME).write_bytes(seal(rfc8785.dumps(change(said)), KEY))
    refused(adapter, match)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_envelope(adapter: Path, raw: bytes) -> None:
    """One line that names the file, whatever it holds."""
    (adapter / passport.NAME).write_bytes(raw)
    refused(adapter, r"passport\.json: ")


def test_an_envelope_with_a_space_more(adapter: Path) -> None:
    """Nothing malleable passes: what was read, written again, is the same bytes."""
    file = adapter / passport.NAME
    file.write_bytes(file.read_bytes() + b"\n")
    refused(adapter, "not canonical JSON")


def test_no_passport(adapter: Path) -> None:
    """Nobody knows what the adapter belongs to."""
    (adapter / passport.NAME).unlink()
    refused(adapter, "no such file")


def test_the_first_run_makes_a_key_and_the_next_one_uses_it(tmp_path: Path) -> None:
    """For its owner only."""
    file = tmp_path / "deep" / "passport.key"
    made = signing_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_key(file).private_bytes_raw() == made.private_bytes_raw()
    assert [p.name for p in file.parent.iterdir()] == ["passport.key"]


def test_a_key_that_others_can_read_or_that_is_cut_is_refused(tmp_path: Path) -> None:
    """Whoever can read it can sign."""
    file = tmp_path / "passport.key"
    signing_key(file)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        signing_key(file)
    file.chmod(0o600)
    file.write_bytes(bytes(31))
    with pytest.raises(ConfigError, match="does not hold 32 bytes"):
        signing_key(file)


def test_a_configuration_believes_its_own_key_and_those_it_names(tmp_path: Path) -> None:
    """A machine that only serves has no private key: it has the public one, as PEM."""
    (tmp_path / "colleague.pem").write_bytes(pem(OTHER.public_key()))
    file = tmp_path / "sovereign.toml"
    file.write_text('[policy]\npreset = "hipaa"\n[tune]\ntrust = ["colleague.pem"]\n')
    raw = [k.public_bytes_raw() for k in trusted(load_config(file))]
    assert raw == [OTHER.public_key().public_bytes_raw()]
    own = signing_key(tmp_path / ".sovereign" / "passport.key").public_key()
    assert own.public_bytes_raw() in [k.public_bytes_raw() for k in trusted(load_config(file))]
    (tmp_path / "colleague.pem").write_text("no key")
    with pytest.raises(ConfigError, match="no public key"):
        public_key(tmp_path / "colleague.pem")
