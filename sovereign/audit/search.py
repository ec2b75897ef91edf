"""Finds every decision about a value: yes with its records, or no over what was read whole.

An index beside the log (``search.db``) holds each record's tokens. It is filled from records whose
tree led to a signed root; each search first adds what is new, by the same check. So "no" is said
of records that were all there, in order, as signed; never of a query that merely found nothing.

Whoever can write the log's folder could write the index, too, and the log's signatures would not
show it. So its file ends with a MAC under the token key, which is kept elsewhere. One that was
changed is not read: it is made again.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sovereign.audit.durable import staged
from sovereign.audit.history import End, check_link, end_of_deleted, logs
from sovereign.audit.note import Verifier
from sovereign.audit.stored import HINT, Stored, open_stored, record_of
from sovereign.audit.tokens import TokenKey
from sovereign.audit.tree import Frontier
from sovereign.errors import AuditError, LogTampered
from sovereign.types import Receipt

__all__ = ["INDEX", "Answer", "Index", "Whole", "open_index", "search_chain"]

INDEX = "search.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS token (token BLOB, idx INTEGER, PRIMARY KEY (token, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decision (time TEXT, idx INTEGER, key TEXT, cut INTEGER, leaf BLOB,
    PRIMARY KEY (time, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (hour TEXT, key TEXT, cut INTEGER, count INTEGER,
    PRIMARY KEY (hour, key, cut)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (team TEXT, entity TEXT, epoch TEXT, key TEXT,
    PRIMARY KEY (team, entity, epoch, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (size INTEGER, peaks BLOB, first BLOB);
"""
MAC_SIZE = 32
AGAIN = 4096
"""The file is written again once so many records are new: until then they are read each time."""
HOUR = len("2026-01-31T08")
_TIME = b'"time":"'
_DECISIONS = (b'"type":"request.intent"', b'"type":"request.refusal"')


@dataclass(frozen=True, slots=True)
class Answer:
    """``found`` are (index, record). ``decisions`` were looked at in the range; of those, ``blind``
    had no tokens of this key, and ``cut`` more values than a record holds. ``size`` and ``root``
    are the tree that was read whole."""

    found: tuple[tuple[int, dict[str, Any]], ...]
    decisions: int
    blind: int
    cut: int
    size: int
    root: bytes

    @property
    def complete(self) -> bool:
        """Whether nothing found means that there is nothing."""
        return not self.blind and not self.cut


@dataclass(frozen=True, slots=True)
class Whole:
    """What every log of a chain answered, by its number. ``deleted`` are logs of that time whose
    records are gone: nobody can say what was in them. ``erased``: the value's keys were destroyed,
    so that nobody can say anything about it."""

    answers: tuple[tuple[int, Answer], ...]
    deleted: tuple[int, ...] = ()
    erased: bool = False

    @property
    def found(self) -> list[tuple[Receipt, dict[str, Any]]]:
        """Place and record, the oldest first."""
        return [
            (Receipt(index, b"", number), record)
            for number, answer in self.answers
            for index, record in answer.found
        ]

    @property
    def complete(self) -> bool:
        """Whether nothing found means that there is nothing."""
        return (
            not self.erased
            and not self.deleted
            and all(answer.complete for _, answer in self.answers)
        )

    def total(self, of: Literal["decisions", "blind", "cut", "size"]) -> int:
        """Over all logs."""
        return sum(getattr(answer, of) for _, answer in self.answers)


def search_chain(
    chain: Path,
    verifier: Verifier,
    key: TokenKey,
    value: str,
    *,
    team: str | None = None,
    since: str = "",
    until: str = "~",
    keep: bool = True,
) -> Whole:
    """:meth:`Index.search` in each log of the chain in a folder; ``keep`` the indexes beside them.
    Raises as that does."""
    past = logs(chain, verifier)
    answers, ends = [], list[End]()
    for one in past:
        if one.deleted and len(past) > 1:
            ends.append(end_of_deleted(one))
        else:
            with (
                open_index(one.folder if keep else None, key) as index,
                open_stored(one.folder, one.verifier) as stored,
            ):
                found = index.search(stored, key, value, team=team, since=since, until=until)
                answers.append((one.number, found))
                ends.append(End(index.first(stored), found.size, found.root))
    deleted = []
    begins = [*(end.begun for end in ends), "~"]
    for place, one in enumerate(past):
        if place:
            check_link(past[place - 1], ends[place - 1], one, ends[place])
        # Where a clock jumped, the log after it may begin before it did.
        both = begins[place : place + 2]
        if one.number not in dict(answers) and min(both) < until and since < max(both):
            deleted.append(one.number)
    return Whole(tuple(answers), tuple(deleted), key.erased(value))


class Index:
    """The tokens of one log's records. Use :func:`open_index`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def tree(self) -> Frontier:
        """What is indexed now."""
        row = self._db.execute("SELECT size, peaks FROM state").fetchone()
        return Frontier.unpack(*row) if row else Frontier()

    def catch_up(self, stored: Stored) -> Frontier:
        """Read what is new up to the newest checkpoint: the tree that is indexed now.

        Raises :class:`LogTampered` if what was read before and what is new do not lead to the
        signed root; then the index is as it was.
        """
        _, newest = stored.checkpoint()
        with self._transaction():
            known = self.tree()
            if known.size > newest.size:
                raise LogTampered(
                    f"{known.size} records were indexed, the log was signed up to {newest.size}",
                    index=newest.size,
                    hint="the log was rolled back; `sovereign audit verify --checkpoint FILE`",
                )
            first = self._first()
            leaves = self._read(stored, known.size, newest.size)
            if not known.size:
                first = next(leaves, b"")
                known = known.extend([first] if first else [])
            now = known.extend(leaves)
            if now.root() != newest.root:
                raise LogTampered(
                    "the log does not continue what was indexed",
                    hint="`sovereign audit verify`; if the log is right, delete search.db",
                )
            self._db.execute("DELETE FROM state")
            self._db.execute("INSERT INTO state VALUES (?, ?, ?)", (now.size, now.pack(), first))
        return now

    def search(
        self,
        stored: Stored,
        key: TokenKey,
        value: str,
        *,
        team: str | None = None,
        since: str = "",
        until: str = "~",
    ) -> Answer:
        """Decisions about ``value`` whose time is in [since, until), of any team unless named.
        Times are as records write them (RFC 3339, UTC).

        Of every entity that was ever found: "SSN is 536…" may have been taken for another kind of
        identifier, and a no must not hang on what a recogniser called it.
        """
        tree = self.catch_up(stored)
        indices: set[int] = set()
        for seen_team, seen_entity, epoch in self._db.execute(
            "SELECT DISTINCT team, entity, epoch FROM seen WHERE key = ?", (key.id,)
        ):
            if team not in (None, seen_team):
                continue
            token = key.token(seen_team, seen_entity, epoch, value)
            if token is None:  # its key was destroyed
                continue
            known = bytes.fromhex(token)
            rows = self._db.execute("SELECT idx FROM token WHERE token = ?", (known,))
            indices.update(index for (index,) in rows)
        found = []
        for index in sorted(indices):
            ((_, data, leaf),) = stored.entries(index, index + 1)
            if not self._indexed(index, data, leaf):
                raise LogTampered(
                    f"record {index} is not the one that was indexed",
                    index=index,
                    hint=HINT,
                )
            record = record_of(data)
            if since <= str(record["time"]) < until:
                found.append((index, record))
        decisions = blind = cut = 0
        for its_key, its_cut, count in self._counts(since, until):
            decisions += count
            if its_key != key.id:
                blind += count
            elif its_cut:
                cut += count
        return Answer(tuple(found), decisions, blind, cut, tree.size, tree.root())

    def first(self, stored: Stored) -> bytes:
        """Record 0 as it was indexed. Raises :class:`LogTampered` if it no longer is."""
        ((_, data, leaf),) = stored.entries(0, 1)
        if leaf != self._first():
            raise LogTampered("record 0 is not the one that was indexed", index=0, hint=HINT)
        return data

    def _first(self) -> bytes:
        row = self._db.execute("SELECT first FROM state").fetchone()
        return bytes(row[0]) if row else b""

    def _indexed(self, index: int, data: bytes, leaf: bytes) -> bool:
        """Whether record ``index`` was this when its tree led to a signed root."""
        begin = data.find(_TIME) + len(_TIME)
        time = data[begin : data.find(b'"', begin)].decode("utf-8", "replace")
        row = self._db.execute(
            "SELECT leaf FROM decision WHERE time = ? AND idx = ?", (time, index)
        )
        return bool(row.fetchone() == (leaf,))

    def _counts(self, since: str, until: str) -> Iterator[tuple[str, int, int]]:
        """Decisions in [since, until) by key and cut: whole hours from the tally, the rest one by
        one."""
        first, last = since[:HOUR], until[:HOUR]
        yield from self._db.execute(
            "SELECT key, cut, sum(count) FROM tally WHERE hour > ? AND hour < ? GROUP BY key, cut",
            (first, last),
        )
        rest = "SELECT key, cut, count(*) FROM decision WHERE time >= ? AND time < ? GROUP BY 1, 2"
        if first:
            yield from self._db.execute(rest, (since, min(until, f"{first}~")))
        if last != first:
            yield from self._db.execute(rest, (max(since, last), until))

    def _read(self, stored: Stored, start: int, stop: int) -> Iterator[bytes]:
        """The leaf hashes of new records; their tokens go into the tables on the way."""
        for index, data, leaf in stored.entries(start, stop):
            if any(kind in data for kind in _DECISIONS):
                try:
                    self._add(index, record_of(data), leaf)
                except (KeyError, TypeError, ValueError):
                    said = f"record {index} is not a record of this log"
                    raise LogTampered(said, index=index, hint=HINT) from None
            yield leaf

    def _add(self, index: int, record: dict[str, Any], leaf: bytes) -> None:
        key = record.get("token_key", "")
        if not key and record["type"] == "request.refusal" and "verdict" not in record:
            return  # refused before anything was read, so nothing was decided about a value
        self._db.execute(
            "INSERT INTO decision VALUES (?, ?, ?, ?, ?)",
            (record["time"], index, key, bool(record.get("tokens_cut")), leaf),
        )
        self._db.execute(
            "INSERT INTO tally VALUES (?, ?, ?, 1)"
            " ON CONFLICT (hour, key, cut) DO UPDATE SET count = count + 1",
            (record["time"][:HOUR], key, bool(record.get("tokens_cut"))),
        )
        if not key:
            return
        self._db.executemany(
            "INSERT OR IGNORE INTO token VALUES (?, ?)",
            ((bytes.fromhex(token), index) for token in record["tokens"]),
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)",
            ((record["team"], e, record["token_epoch"], key) for e in record["entities"]),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextlib.contextmanager
def open_index(folder: Path | None, key: TokenKey) -> Iterator[Index]:
    """The index beside the log in ``folder``, if its MAC under ``key`` is right, otherwise a new
    one; None makes one in memory, for a copy that nobody may write to. Raises
    :class:`AuditError`."""
    with contextlib.ExitStack() as stack:
        name, had = ":memory:", False
        try:
            if folder is not None:
                # What is read has to be what the MAC is of, whoever writes to the folder meanwhile.
                private = stack.enter_context(tempfile.TemporaryDirectory(prefix="search-"))
                name = str(Path(private) / INDEX)
                had = _take(folder / INDEX, Path(name), key)
            db = stack.enter_context(contextlib.closing(sqlite3.connect(name)))
            db.isolation_level = None
            db.execute("PRAGMA synchronous = OFF")  # it is a copy
            db.executescript(_TABLES)
            index = Index(db)
            before = index.tree().size
            yield index
            kept = folder is None or (had and index.tree().size < before + AGAIN)
            if folder is not None and not kept:
                _keep(Path(name), folder / INDEX, key)
        except (sqlite3.Error, OSError) as e:
            raise AuditError(
                f"the search index cannot be used: {e}",
                hint=f"delete {folder and folder / INDEX}; it is made again",
            ) from None


def _take(file: Path, into: Path, key: TokenKey) -> bool:
    """Copy an index without its MAC. False, and nothing is copied, if there is none or it is not
    what was kept under ``key``."""
    mac = hmac.new(key.index_key(), digestmod="sha256")
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return False
    with opened, into.open("wb") as copy:
        left = max(0, opened.seek(0, os.SEEK_END) - MAC_SIZE)
        opened.seek(0)
        while part := opened.read(min(left, 1 << 20)):
            mac.update(part)
            copy.write(part)
            left -= len(part)
        good = hmac.compare_digest(opened.read(), mac.digest())
    if not good:
        into.unlink()
    return good


def _keep(file: Path, into: Path, key: TokenKey) -> None:
    mac = hmac.new(key.index_key(), digestmod="sha256")
    with file.open("rb") as opened, staged(into) as copy:
        while part := opened.read(1 << 20):
            mac.update(part)
            copy.write(part)
        copy.write(mac.digest())
