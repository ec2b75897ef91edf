"""An adapter is served only as it was signed, and only on the weights it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapters import stamp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import PassportRefused, ServeError
from sovereign.serve.adapter import check, hexed

BASE = "ab" * 32
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUST = hexed([KEY.public_key()])


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "adapter_config.json").write_bytes(b"{}")
    stamp(tmp_path, BASE, KEY)
    return tmp_path


def test_an_adapter_as_it_was_signed_passes(adapter: Path) -> None:
    """And its digest, which goes on record, is computed from the files."""
    assert len(check(adapter, BASE, TRUST).digest) == 64


def test_another_base_is_refused(adapter: Path) -> None:
    """It would load, and answer nonsense."""
    with pytest.raises(ServeError, match="was trained on weights abababababab"):
        check(adapter, "ef" * 32, TRUST)


def test_nobody_is_believed_without_a_key(adapter: Path) -> None:
    """An installation that trusts no key serves no adapter."""
    with pytest.raises(PassportRefused, match="no trusted key signed it"):
        check(adapter, BASE, ())
