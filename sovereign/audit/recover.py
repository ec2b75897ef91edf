"""Before anything is appended: is the storage still what was last signed?

Everything here reads. Whether *old* records are what was signed is the verifier's question; this
one recomputes the newest, so that opening a log of any length costs about half a second at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint
from sovereign.audit.store import Row, Store, StoredCheckpoint
from sovereign.audit.tree import Frontier, leaf_hash
from sovereign.errors import LogTampered

__all__ = ["checked_leaves", "recover"]

RECOMPUTED = 200_000
"""At least so many of the newest records are recomputed, if there are as many."""

HINT = "do not append to it; `sovereign audit verify` says what is wrong"
SHORTER = "records were removed or an old copy was put back; `sovereign audit verify` says more"


def recover(store: Store, published: Checkpoint | None, verifier: Verifier) -> tuple[Frontier, int]:
    """The tree of what is stored, and how much of it the last checkpoint covers.

    ``published`` is the checkpoint file's. Raises :class:`LogTampered` when the storage is shorter
    than any checkpoint, or is not what they signed.
    """
    with store.batch(write=False):
        size = store.size()
        last = _opened(store.last_checkpoint(), verifier)
        covered = last.size if last else 0
        signed = max(covered, published.size if published else 0)
        if size < signed:
            raise LogTampered(
                f"the log holds {size} records, but {signed} were signed", index=size, hint=SHORTER
            )
        # The first record is committed together with its checkpoint, and each checkpoint is in the
        # database before it is in the file.
        if covered < signed or (size and last is None):
            raise LogTampered("the database has lost its last checkpoint", hint=SHORTER)
        if last and published and published.size == covered and published.root != last.root:
            raise LogTampered(
                f"two checkpoints of {covered} records differ: the log was forked", hint=HINT
            )
        start = _authentic(store.last_checkpoint(at_most=max(0, size - RECOMPUTED)), verifier)
        at_signed = start.extend(checked_leaves(store.records(start.size, covered), start.size))
        if last and (at_signed.size != covered or at_signed.root() != last.root):
            raise LogTampered(
                f"records {start.size} to {covered - 1} are not what was signed", hint=HINT
            )
        frontier = at_signed.extend(checked_leaves(store.records(covered, size), covered))
        if frontier.size != size:
            raise LogTampered("records are missing", index=frontier.size, hint=HINT)
    return frontier, covered


def checked_leaves(rows: Iterable[Row], start: int) -> Iterator[bytes]:
    """The leaf hashes of ``rows``, recomputed. Raises :class:`LogTampered` at the first wrong one,
    and at a row that is missing."""
    for expected, (index, data, stored) in enumerate(rows, start):
        if index != expected:
            raise LogTampered(f"record {expected} is missing", index=expected, hint=HINT)
        leaf = leaf_hash(data) if type(data) is bytes else b""
        if leaf != stored:
            raise LogTampered(
                f"record {index} is not what its leaf hash says", index=index, hint=HINT
            )
        yield leaf


def _opened(stored: StoredCheckpoint | None, verifier: Verifier) -> Checkpoint | None:
    if stored is None:
        return None
    checkpoint = open_checkpoint(stored.note, verifier)
    if checkpoint.size != stored.size:
        raise LogTampered(f"the checkpoint for {stored.size} records is another's", hint=HINT)
    return checkpoint


def _authentic(stored: StoredCheckpoint | None, verifier: Verifier) -> Frontier:
    """A stored frontier is believed because the root it leads to is signed."""
    checkpoint = _opened(stored, verifier)
    if stored is None or checkpoint is None:
        return Frontier()
    frontier = Frontier.unpack(stored.size, stored.frontier)
    if frontier.root() != checkpoint.root:
        raise LogTampered(
            f"the frontier stored for {stored.size} records is not what was signed", hint=HINT
        )
    return frontier
