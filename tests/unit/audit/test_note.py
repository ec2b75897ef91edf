"""Signed notes and checkpoints: strict in both directions."""

from __future__ import annotations

import pytest

from sovereign.audit.note import Checkpoint, Signer, Verifier, open_checkpoint
from sovereign.errors import LogTampered

ORIGIN = "log.example.org/a"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))
CHECKPOINT = Checkpoint(ORIGIN, 17, bytes(32))
NOTE = SIGNER.sign(str(CHECKPOINT))


def test_a_checkpoint_opens_with_the_key_that_signed_it() -> None:
    """What was signed comes back."""
    assert open_checkpoint(NOTE, SIGNER.verifier) == CHECKPOINT
    assert Verifier.parse(str(SIGNER.verifier)).id == SIGNER.verifier.id


def test_lines_of_witnesses_are_passed_over() -> None:
    """c2sp.org/signed-note: unknown keys' lines are ignored, so a witness can cosign."""
    witness = Signer.from_seed("witness.example", b"w" * 32)
    cosigned = NOTE + witness.sign(str(CHECKPOINT)).rpartition("\n\n")[2]
    assert open_checkpoint(cosigned, SIGNER.verifier) == CHECKPOINT
    with pytest.raises(LogTampered, match="not signed by this log"):
        open_checkpoint(witness.sign(str(CHECKPOINT)), SIGNER.verifier)


def test_any_changed_byte_of_a_note_is_refused() -> None:
    """Every byte is under the signature, is the signature, or is framing: none may vary."""
    raw = NOTE.encode()
    for i in range(len(raw)):
        changed = raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]
        with pytest.raises(LogTampered):
            open_checkpoint(changed.decode("utf-8", "replace"), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n017\n{'A' * 43}=\n",
        f"{ORIGIN}\n-1\n{'A' * 43}=\n",
        f"{ORIGIN}\n+1\n{'A' * 43}=\n",
        f"{ORIGIN}\n１７\n{'A' * 43}=\n",
        f"{ORIGIN}\n17\n{'A' * 42}B=\n",
        f"{ORIGIN}\n17\n{'A' * 44}\n",
        f"{ORIGIN}\n17\n",
        f"{ORIGIN}\n17\n{'A' * 43}=\nextension\n",
        f"other.example\n17\n{'A' * 43}=\n",
        "",
    ],
)
def test_a_checkpoint_that_is_signed_but_not_canonical_is_refused(text: str) -> None:
    """One checkpoint has one spelling; a signature over another is no excuse."""
    with pytest.raises(LogTampered):
        open_checkpoint(SIGNER.sign(text or "\n"), SIGNER.verifier)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nbreak", "nb\u00a0sp"])
def test_a_signer_has_a_plain_name(name: str) -> None:
    """The name stands in notes and keys between spaces and pluses."""
    with pytest.raises(ValueError):
        Signer.from_seed(name, bytes(32))


@pytest.mark.parametrize("vkey", ["", "a+b", "log+00000000+AAAA", f"x{SIGNER.verifier}"])
def test_a_verifier_key_with_another_id_is_refused(vkey: str) -> None:
    """The id binds name and key: a copied key under another name does not pass."""
    with pytest.raises(LogTampered):
        Verifier.parse(vkey)


def test_a_signer_never_shows_its_seed() -> None:
    """A repr ends in logs and tracebacks."""
    assert repr(SIGNER) == f"Signer({SIGNER.verifier})"
