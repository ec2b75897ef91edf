"""Cosignatures are made and read as c2sp.org/tlog-cosignature says."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature

from sovereign.audit.cosign import Cosigner, WitnessKey, cosignatures
from sovereign.audit.note import Checkpoint, Signer, open_checkpoint
from sovereign.errors import LogTampered

LOG = Signer.from_seed("example.org/log", bytes(32))
WITNESS = Cosigner.from_seed("witness.example/w1", bytes(range(32)))
TEXT = str(Checkpoint(LOG.name, 3, bytes(32)))
NOTE = LOG.sign(TEXT)


def test_a_cosigned_checkpoint_is_still_the_logs() -> None:
    """The witness's line stands beside the log's, and both are read."""
    note = NOTE + WITNESS.cosign(TEXT, seconds=1_679_315_147)
    assert open_checkpoint(note, LOG.verifier).size == 3
    (seen,) = cosignatures(note, [WITNESS.public])
    assert (seen.witness, seen.seconds) == ("witness.example/w1", 1_679_315_147)


def test_the_signed_bytes_are_the_specifications() -> None:
    """Header line, time line, the note's body; u64 seconds before the 64 bytes."""
    line = WITNESS.cosign(TEXT, seconds=7)
    data = base64.b64decode(line.rsplit(" ", 1)[1])
    assert data[:4] == WITNESS.public.id
    assert data[4:12] == (7).to_bytes(8, "big")
    WITNESS.key.public_key().verify(data[12:], b"cosignature/v1\ntime 7\n" + TEXT.encode())
    with pytest.raises(InvalidSignature):
        WITNESS.key.public_key().verify(data[12:], TEXT.encode())


def test_the_time_cannot_be_changed() -> None:
    """A cosignature that is younger than the witness made it is refused, not passed over."""
    line = WITNESS.cosign(TEXT, seconds=7)
    head, data = line.rsplit(" ", 1)
    raw = bytearray(base64.b64decode(data))
    raw[11] += 1
    forged = f"{head} {base64.b64encode(bytes(raw)).decode()}\n"
    with pytest.raises(LogTampered, match="wrong"):
        cosignatures(NOTE + forged, [WITNESS.public])


def test_a_cosignature_of_another_checkpoint_is_refused() -> None:
    """A line moved to another note is wrong there."""
    other = str(Checkpoint(LOG.name, 4, bytes(32)))
    with pytest.raises(LogTampered):
        cosignatures(LOG.sign(other) + WITNESS.cosign(TEXT, seconds=7), [WITNESS.public])


def test_unknown_witnesses_are_passed_over() -> None:
    """A line of nobody that we know says nothing, and hides nothing."""
    stranger = Cosigner.from_seed("stranger.example", bytes(range(1, 33)))
    note = NOTE + stranger.cosign(TEXT, seconds=7) + WITNESS.cosign(TEXT, seconds=8)
    assert [c.seconds for c in cosignatures(note, [WITNESS.public])] == [8]
    assert cosignatures(NOTE, [WITNESS.public]) == []


def test_a_witness_key_reads_back_and_a_logs_key_is_none() -> None:
    """Type 0x04 is no type 0x01: one key cannot be passed off as the other."""
    assert WitnessKey.parse(str(WITNESS.public)) == WITNESS.public
    for wrong in (str(LOG.verifier), str(WITNESS.public)[:-1], "", "a+b+c"):
        with pytest.raises(LogTampered):
            WitnessKey.parse(wrong)
    assert "Private" not in repr(WITNESS)
