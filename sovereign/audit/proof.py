"""Proofs as files: one record's place in the log, or that one checkpoint follows another.

Neither needs the log. What is in a file is believed only as far as it leads to a signed root.
Specifications: c2sp.org/tlog-proof, c2sp.org/tlog-witness (add-checkpoint), RFC 6962 section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sovereign.audit.cosign import Cosignature, WitnessKey, cosignatures
from sovereign.audit.note import MAX_NOTE, Checkpoint, Verifier, b64, open_checkpoint, unb64
from sovereign.audit.stored import Stored
from sovereign.audit.tree import (
    HASH_SIZE,
    consistency_path,
    inclusion_path,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from sovereign.errors import AuditError, LogTampered

__all__ = ["Checked", "Extension", "Proof", "prove", "prove_extension"]

HEADER = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 63
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proof proves: that ``record`` is at ``index`` under ``checkpoint``."""

    index: int
    record: bytes
    checkpoint: Checkpoint
    cosigned: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """c2sp.org/tlog-proof: an index, an inclusion proof, and a checkpoint verbatim.

    ``record`` goes into the ``extra`` line. The specification says not to trust that line, and
    :meth:`check` does not: its leaf hash has to lead to the signed root.
    """

    index: int
    record: bytes
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        lines = [HEADER, f"extra {b64(self.record)}", f"index {self.index}"]
        return "\n".join([*lines, *map(b64, self.hashes), "", self.note])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Raises :class:`LogTampered` unless ``text`` is exactly what :meth:`__str__` writes."""
        if len(text) > MAX_NOTE:
            raise LogTampered("the proof is too large to be one")
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or len(lines) < 3 or lines[0] != HEADER:
            raise LogTampered("not a tlog-proof", hint="its first line is c2sp.org/tlog-proof@v1")
        record = unb64(_after(lines[1], "extra"), "proof's record")
        proof = cls(_number(_after(lines[2], "index")), record, _hashes(lines[3:]), note)
        if str(proof) != text:
            raise LogTampered("the proof is not written as the specification says")
        return proof

    def check(self, verifier: Verifier, witnesses: Sequence[WitnessKey] = ()) -> Checked:
        """What this proves under the log's key. Raises :class:`LogTampered`."""
        checkpoint = open_checkpoint(self.note, verifier)
        leaf = leaf_hash(self.record)
        verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        seen = tuple(cosignatures(self.note, witnesses))
        return Checked(self.index, self.record, checkpoint, seen)


@dataclass(frozen=True, slots=True)
class Extension:
    """That the log of ``note`` begins with the log of ``old`` records.

    There is no C2SP file format for it. This is the body of c2sp.org/tlog-witness#add-checkpoint,
    which says exactly this, so that the same bytes can be posted to a witness.
    """

    old: int
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        return "\n".join([f"old {self.old}", *map(b64, self.hashes), "", self.note])

    @classmethod
    def parse(cls, text: str) -> Extension:
        """Raises :class:`LogTampered` unless ``text`` is exactly what :meth:`__str__` writes."""
        if len(text) > MAX_NOTE:
            raise LogTampered("the proof is too large to be one")
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        if not separator:
            raise LogTampered("not a consistency proof")
        extension = cls(_number(_after(lines[0], "old")), _hashes(lines[1:]), note)
        if str(extension) != text:
            raise LogTampered("the proof is not written as the specification says")
        return extension

    def check(self, old: Checkpoint, verifier: Verifier) -> Checkpoint:
        """The checkpoint that ``old`` is the beginning of. Raises :class:`LogTampered`."""
        new = open_checkpoint(self.note, verifier)
        if old.size != self.old:
            raise LogTampered(
                f"the proof begins at {self.old} records, the checkpoint has {old.size}"
            )
        verify_consistency(old.size, new.size, old.root, new.root, self.hashes)
        return new


def prove(stored: Stored, index: int) -> Proof:
    """A proof of record ``index``, checked before it is handed out.

    Under the newest cosigned checkpoint if that covers the record, otherwise under the newest.
    Raises :class:`LogTampered`, or :class:`AuditError` if no checkpoint covers it yet.
    """
    note, newest = stored.checkpoint()
    cosigned = stored.cosigned()
    if cosigned is not None and index < cosigned[1].size <= newest.size:
        note, newest = cosigned
    if not 0 <= index < newest.size:
        raise AuditError(
            f"no checkpoint covers record {index}",
            hint=f"the last one covers {newest.size} records, from 0 to {newest.size - 1}",
        )
    ((_, record, _),) = stored.entries(index, index + 1)
    path = inclusion_path(stored.root_of, index, newest.size)
    proof = Proof(index, record, tuple(path), note)
    proof.check(stored.verifier)
    return proof


def prove_extension(stored: Stored, old: Checkpoint) -> Extension:
    """A proof that the log, up to its newest checkpoint, begins with ``old``.

    Raises :class:`LogTampered` if it does not: it was rolled back, or rewritten.
    """
    note, newest = stored.checkpoint()
    if old.size > newest.size:
        raise LogTampered(
            f"the log was signed up to {newest.size} records, the old checkpoint has {old.size}",
            index=newest.size,
            hint="an old copy was put back, or records were removed",
        )
    inner = 0 < old.size < newest.size
    path = consistency_path(stored.root_of, old.size, newest.size) if inner else []
    extension = Extension(old.size, tuple(path), note)
    if old.size:  # the empty log is the beginning of every log; there is nothing to prove
        extension.check(old, stored.verifier)
    return extension


def _after(line: str, word: str) -> str:
    found, _, rest = line.partition(" ")
    if found != word:
        raise LogTampered(f"the proof has no line that begins with {word!r} where it should")
    return rest


def _number(text: str) -> int:
    """ "an ASCII decimal with no leading zeroes"."""
    if not _NUMBER.fullmatch(text):
        raise LogTampered("the proof holds something that is not a number")
    return int(text)


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > MOST_HASHES:
        raise LogTampered(f"the proof has more than {MOST_HASHES} hashes")
    hashes = tuple(unb64(line, "proof's hash") for line in lines)
    if any(len(h) != HASH_SIZE for h in hashes):
        raise LogTampered(f"a proof holds something that is not a hash of {HASH_SIZE} bytes")
    return hashes
