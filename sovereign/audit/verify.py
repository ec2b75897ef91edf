#!/usr/bin/env python3
"""Recompute an audit log and say what is wrong with it. One file, to be read and run alone.

    python verify.py FOLDER [--key VKEY] [--checkpoint FILE]... [--jobs N] [--json]

It needs Python 3.11, `cryptography`, and nothing of the toolkit that wrote the log: whoever checks
a log should not have to trust its writer's code, so the hashing is here a second time. It only
reads: a log in use, a copy, a read-only medium.
Long because: it has to be one file.

What is checked, in this order:

1. The key. Give --key: `log.pub` lies beside the log, where whoever rewrites one can rewrite both.
2. Each checkpoint: signature, and that the stored frontier leads to the signed root.
3. Each record: its leaf hash is that of its bytes, none is missing, its JSON is canonical, and each
   source's own numbers run 0, 1, 2, … without a gap, or with one that a log.gap record declares.
4. Each checkpoint's root is that of the records under it. A frontier that was checked in step 2
   lets each stretch between checkpoints be judged alone, so that the wrong one is named.
5. No checkpoint, here or in a file kept elsewhere (--checkpoint), covers more than there is.
6. A log that was rotated goes on in logs/0002, logs/0003, …: each is checked so, and that its first
   record holds the final checkpoint of the one before. Of a log whose records were deleted, the
   file `final.tlog-proof` has to show that its first record is under its final checkpoint; and a
   later log has to say that it was deleted.

Steps 3 and 4 are done in blocks by several processes first, which find out whether anything is
wrong. If something is, all is read once more, in order, to say what.

Formats: RFC 6962 section 2.1 (tree), c2sp.org/signed-note, c2sp.org/tlog-checkpoint,
c2sp.org/tlog-proof, RFC 8785.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import copy
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["NotALog", "Problem", "Report", "main", "processors", "snapshot", "verify"]

DATABASE, CHECKPOINT, PUBLIC_KEY = "log.db", "checkpoint", "log.pub"
LOGS, FINAL = "logs", "final.tlog-proof"
APPLICATION_ID = 0x534C4F47  # "SLOG" in the database's header
DRAWN = (
    ("record", "TABLE", "(idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL, leaf BLOB NOT NULL)"),
    (
        "checkpoint",
        "TABLE",
        "(size INTEGER PRIMARY KEY, note TEXT NOT NULL, frontier BLOB NOT NULL)",
    ),
    ("hold", "INDEX", """ON record (idx) WHERE instr(bytes, '"type":"log.hold"') > 0"""),
)
"""What is in a log's database, and nothing else is."""
MOST = 1 << 20  # bytes of a record, a note or a file beside the database; all are far smaller


Progress = Callable[[int, int], None]
"""Called now and then with records read and records there are."""


class NotALog(Exception):
    """There is no log here that could be read."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: at a record (or the records up to ``last``), or at a checkpoint,
    which goes by the number of records that it covers."""

    message: str
    record: int | None = None
    last: int | None = None
    checkpoint: int | None = None
    log: int = 1

    def __str__(self) -> str:
        said = self._said() if self.log == 1 else f"log {self.log}: {self._said()}"
        # A record may say anything, also what would write over this line on a terminal.
        return said if said.isprintable() else ascii(said)[1:-1]

    def _said(self) -> str:
        if self.record is not None and self.last not in (None, self.record):
            return f"records {self.record} to {self.last}: {self.message}"
        if self.record is not None:
            return f"record {self.record}: {self.message}"
        if self.checkpoint is not None:
            return f"checkpoint {self.checkpoint}: {self.message}"
        return self.message


@dataclass
class Part:
    """One log of the chain. ``state`` is "whole" or "deleted"; ``size`` and ``root`` are what its
    newest checkpoint, or if its records are here what they come to."""

    log: int
    origin: str
    size: int
    root: str
    state: str


@dataclass
class Report:
    """What was found, over all logs of the chain; ``root`` is the newest one's. ``covered`` records
    are under a signature; later ones will be by the next. ``begins`` is the number of the first log
    that is here: of one that was copied alone, its own."""

    key: str = ""
    key_from: str = ""
    size: int = 0
    root: str = ""
    covered: int = 0
    checkpoints: int = 0
    sources: int = 0
    sources_open: int = 0
    declared_lost: int = 0
    begins: int = 1
    logs: list[Part] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        said = [asdict(p) | {"text": str(p)} for p in self.problems]
        return {"ok": self.ok} | asdict(self) | {"problems": said}

    def lines(self) -> Iterator[str]:
        """The report for people."""
        if self.begins > 1:
            yield f"this is log {self.begins} of its chain: the logs before it are not here"
        for log in self.logs if len(self.logs) > 1 else ():
            gone = ", deleted" if log.state == "deleted" else ""
            yield f"log {log.log}: {log.size} records{gone}, root {log.root}"
        plural = "s" * (self.sources != 1)
        yield f"{self.size} records from {self.sources} source{plural}, root {self.root}"
        yield f"{self.covered} are covered by {self.checkpoints} checkpoints"
        if self.size > self.covered:
            yield f"{self.size - self.covered} records not yet covered by a checkpoint"
        if self.sources_open:
            yield f"{self.sources_open} sources have not closed: they still run, or were killed"
        if self.declared_lost:
            yield f"{self.declared_lost} records were lost before they got here (see log.gap)"
        yield f"signed by {self.key} (key from {self.key_from})"


# --- RFC 6962 section 2.1 ---------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def grow(peaks: list[bytes], size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, largest first, after ``leaves`` were added to ``size``."""
    peaks = list(peaks)
    for leaf in leaves:
        peaks.append(leaf)
        carry = size
        while carry & 1:
            right, left = peaks.pop(), peaks.pop()
            peaks.append(hashlib.sha256(b"\x01" + left + right).digest())
            carry >>= 1
        size += 1
    return peaks


def root_of(peaks: list[bytes]) -> bytes:
    if not peaks:
        return hashlib.sha256(b"").digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = hashlib.sha256(b"\x01" + peak + root).digest()
    return root


# --- c2sp.org/signed-note and c2sp.org/tlog-checkpoint ----------------------------------------


class Key:
    """A vkey: ``<name>+<first 4 bytes of SHA-256(name, newline, material), hex>+<material>``, where
    material is base64 of 0x01 (Ed25519) and the public key."""

    def __init__(self, vkey: str) -> None:
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = unbase64(encoded)
        digest = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        if (
            not name.isprintable()
            or not name
            or len(material) != 33
            or material[0] != 1
            or digest.hex() != key_id
        ):
            raise ValueError("not an Ed25519 verifier key")
        self.vkey, self.name, self.id = vkey.strip(), name, digest
        self._material = material
        self._public = Ed25519PublicKey.from_public_bytes(material[1:])

    def of(self, number: int) -> Key:
        """The key of log ``number`` of the chain: the same, under that log's name."""
        if number == 1:
            return self
        name = f"{self.name}/{number}"
        digest = hashlib.sha256(name.encode() + b"\n" + self._material).hexdigest()[:8]
        return Key(f"{name}+{digest}+{base64.b64encode(self._material).decode()}")

    def open(self, note: bytes) -> tuple[int, bytes]:
        """Size and root of a signed checkpoint; ValueError says what is wrong with it."""
        text, separator, block = note.decode("utf-8").rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise ValueError("it is not a signed note")
        text += "\n"
        ours = []
        for line in block[:-1].split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            if dash != "—":
                raise ValueError("it has a line that is no signature")
            signature = unbase64(encoded)
            if name == self.name and signature[:4] == self.id:
                ours.append(signature[4:])
        if len(ours) != 1:
            raise ValueError("it is not signed by this log's key")
        try:
            self._public.verify(ours[0], text.encode())
        except InvalidSignature:
            raise ValueError("its signature is wrong") from None
        lines = text.split("\n")
        if len(lines) != 4 or lines[0] != self.name:
            raise ValueError("it is not a checkpoint of this log")
        root = unbase64(lines[2])
        if not lines[1].isdecimal() or str(int(lines[1])) != lines[1] or len(root) != 32:
            raise ValueError("its size or root is not one")
        return int(lines[1]), root


def unbase64(encoded: str) -> bytes:
    data = base64.b64decode(encoded.encode("ascii"), validate=True)
    if base64.b64encode(data).decode() != encoded:
        raise ValueError("it holds base64 that is not canonical")
    return data


# --- Storage ----------------------------------------------------------------------------------


@contextlib.contextmanager
def snapshot(folder: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one moment of the log. Raises :class:`NotALog`.

    The database has a log's tables and nothing else: a view or an index of another's making could
    show one thing here, and another to whoever looks next.
    """
    file = folder / DATABASE
    if not file.is_file():
        raise NotALog(f"{folder} holds no {DATABASE}")
    with contextlib.ExitStack() as stack:
        try:
            db = _connect(file, stack)
            # Words where bytes belong are no bytes, and are no reason to stop reading.
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST)
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("BEGIN")
            (application,) = db.execute("PRAGMA application_id").fetchone()
            drawn = db.execute("SELECT name, sql FROM sqlite_master").fetchall()
        except sqlite3.Error as e:
            raise NotALog(f"{file} cannot be read: {e}") from None
        if application != APPLICATION_ID or not {"record", "checkpoint"} <= {n for n, _ in drawn}:
            raise NotALog(f"{file} is not an audit log")
        ours = {(name, f"CREATE {kind} {name} {rest}") for name, kind, rest in DRAWN}
        for name in sorted(str(name) for name, sql in drawn if (name, sql) not in ours):
            raise NotALog(f"{file} holds {name!r}, which is no part of an audit log")
        yield db


def _connect(file: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    def connect(file: Path, mode: str) -> sqlite3.Connection:
        uri = f"{file.resolve().as_uri()}?{mode}"
        db = stack.enter_context(
            contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None))
        )
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db

    try:
        return connect(file, "mode=ro")
    except sqlite3.OperationalError:
        # SQLite wants to make a -shm file, and the medium is read-only. So nobody writes here.
        wal = file.with_name(file.name + "-wal")
        if not wal.exists() or wal.stat().st_size == 0:
            return connect(file, "immutable=1")
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verify-")))
        for part in (file, wal):
            shutil.copyfile(part, private / part.name)
        return connect(private / file.name, "mode=ro")


def _bytes_of(file: Path) -> bytes:
    """A small file's. What never ends, or has no writer, is not waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(MOST)


# --- The check --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A signed root to arrive at. ``peaks`` is the stored frontier, if it leads there."""

    root: bytes
    where: str
    peaks: list[bytes] | None = None


LEAF_CHANGED = "its stored leaf hash was changed; its bytes are what was signed"
BYTES_CHANGED = "its bytes were changed; they are not what was signed"
DIFFERS = "its bytes and its stored leaf hash do not belong together"


NO_RECORD = (ValueError, TypeError, KeyError, RecursionError)
"""What reading something else than a record may raise."""


class Sources:
    """Step 3's sequence numbers. A number may be passed over only where a record is lost already:
    what is wrong there has been said."""

    def __init__(self) -> None:
        self.lost = 0
        self.declared = 0
        self.open: set[str] = set()
        self.late = False  # what came before is not here: a source may begin anywhere
        self._next: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._next)

    def copy(self) -> Sources:
        again = copy.copy(self)
        again.open, again._next = set(self.open), dict(self._next)
        return again

    def _expected(self, source: str, first: int) -> tuple[int, int]:
        return self._next.get(source, (first if self.late else 0, self.lost if self.late else 0))

    def see(self, data: bytes) -> str | None:
        """What is wrong with this record's JSON or number, or None."""
        try:
            record = json.loads(data)
            canonical = _is_canonical(data, record)
            source, seq, kind = record["source"], record["seq"], record["type"]
        except NO_RECORD:
            return "it is not a record"
        if not canonical or type(source) is not str or type(seq) is not int:
            return "it is not canonical JSON"
        expected, lost = self._expected(source, seq)
        self._next[source] = (max(expected, seq + 1), self.lost)
        if kind == "log.open":
            self.open.add(source)
        elif kind == "log.close":
            self.open.discard(source)
        elif kind == "log.gap" and not self.jump(record):
            return "it declares a gap where there is none"
        if seq == expected or expected < seq <= expected + self.lost - lost:
            return None
        return f"number {seq} of {source} stands where number {expected} should"

    def jump(self, gap: dict[str, Any]) -> bool:
        """Go on where a log.gap record says. False if it does not fit what came before."""
        of, expected, found = gap.get("of"), gap.get("expected"), gap.get("found")
        if type(of) is not str or type(expected) is not int or type(found) is not int:
            return False
        at, lost = self._expected(of, expected)
        if not at <= expected <= at + self.lost - lost or found <= expected:
            return False
        self._next[of] = (found, self.lost)
        self.declared += found - expected
        return True

    def join(self, part: Stretched) -> bool:
        """Step 3 for a part of the log whose records were each checked. False if the numbers in it
        do not go on where those before it ended."""
        for source, (first, after) in part.runs.items():
            if self._expected(source, first)[0] != first:
                return False
            self._next[source] = (after, self.lost)
        for source, opened in part.openings:
            (self.open.add if opened else self.open.discard)(source)
        return part.gap is None or self.jump(part.gap)


# --- The same in blocks, to find out whether anything is wrong -----------------------------------

BLOCK = 1 << 14
"""Records in a block. A power of two, so that a whole block is one node of the tree."""

FEW = 4 * BLOCK
"""Of fewer records one process makes shorter work."""


@dataclass
class Stretched:
    """Records of a block up to a declared gap, or the block's end: each source's first number and
    the one after its last, who opened and closed the log, and the gap."""

    runs: dict[str, list[int]] = field(default_factory=dict)
    openings: list[tuple[str, bool]] = field(default_factory=list)
    gap: dict[str, Any] | None = None


class Canonical:
    """Is this the canonical JSON of a record, and what are its source, number and type?

    Most records differ from one before only in words, integers, lists of words and counts. Such a
    record is judged by reading it and writing it again; what it looks like, but for these values,
    is then made an expression, and whatever fits it needs no more: each of these values can be
    written in one way only. Counts can be written in as many ways as they have names, so each is
    judged once by itself. A record of any other look is judged each time.
    """

    WORD = rb'"[ !#-\[\]-~]*"'
    WORDS = rb"\[(?:" + WORD + rb"(?:," + WORD + rb")*)?\]"
    NUMBER = rb"(?:0|-?[1-9][0-9]{0,15})"
    NAME = rb'"[A-Za-z0-9_]+":'
    INNER = rb"\{(?:" + NAME + NUMBER + rb"(?:," + NAME + NUMBER + rb")*)?\}"
    COUNTS = rb"\{" + NAME + INNER + rb"(?:," + NAME + INNER + rb")*\}"
    PLAIN = b"|".join((WORD, NUMBER, rb"true|false|null|\{\}", WORDS))
    MEMBER = re.compile(rb"[{,](" + NAME + rb")(?:(" + COUNTS + rb")|(?:" + PLAIN + rb"))(?=[,}])")
    KEPT_LOOKS = 16
    """Of each type. One differs from the next by the optional fields that it has."""
    KEPT_COUNTS = 1 << 14
    TYPE = b'"type":"'

    def __init__(self) -> None:
        self._looks: dict[bytes, list[Callable[[bytes], re.Match[bytes] | None]]] = {}
        self._counts: set[bytes] = set()

    def read(self, data: bytes) -> tuple[str, int, str, bool] | None:
        """Source, number, type, and whether it must be read to know what it says. None: no."""
        # Words hold no quotation marks: in what fits the expression, this is the field.
        begin = data.find(self.TYPE) + len(self.TYPE)
        kind = data[begin : data.find(b'"', begin)]
        for fullmatch in self._looks.get(kind, ()):
            if fits := fullmatch(data):
                counts, seq, source = fits.groups()
                if counts is None or counts in self._counts or self._sorted(counts):
                    return source.decode(), int(seq), kind.decode(), kind in _SPECIAL
        return self._judge(data, kind)

    def _sorted(self, counts: bytes) -> bool:
        if not _is_canonical(counts, json.loads(counts)):
            return False
        if len(self._counts) < self.KEPT_COUNTS:
            self._counts.add(counts)
        return True

    def _judge(self, data: bytes, plain_kind: bytes) -> tuple[str, int, str, bool] | None:
        try:
            record = json.loads(data)
            canonical = _is_canonical(data, record)
            source, seq, kind = record["source"], record["seq"], record["type"]
        except NO_RECORD:
            return None
        if not canonical or type(source) is not str or type(seq) is not int:
            return None
        if type(kind) is not str:
            return None
        looks = self._looks.setdefault(plain_kind, [])
        if len(looks) < self.KEPT_LOOKS and (look := self._look(data, kind.encode())) is not None:
            looks.append(look.fullmatch)
        return source, seq, kind, kind.encode() in _SPECIAL

    def _look(self, data: bytes, kind: bytes) -> re.Pattern[bytes] | None:
        """The expression for a record that was judged, if it holds nothing but plain members, and
        counts once, before its number. Its groups: the counts, the number and the source."""
        at, members, groups = 0, [], b""
        while found := self.MEMBER.match(data, at):
            name, counts = found.groups()
            if name == b'"source":':
                value, groups = rb'"([ !#-\[\]-~]*)"', groups + b"o"
            elif name == b'"seq":':
                value, groups = rb"(0|[1-9][0-9]{0,15})", groups + b"q"
            elif name == b'"type":':
                value = b'"' + re.escape(kind) + b'"'
            elif counts is not None:
                value, groups = b"(" + self.COUNTS + b")", groups + b"c"
            else:
                value = rb"(?:" + self.PLAIN + rb")"
            members.append(name + value)
            at = found.end()
        if data[at:] != b"}" or groups not in (b"cqo", b"qo"):
            return None
        before = rb"\{" if b"c" in groups else rb"((?!))?\{"
        return re.compile(before + b",".join(members) + rb"\}")


def _is_canonical(data: bytes, value: Any) -> bool:
    """For words and integers, which is all that a record holds, this is RFC 8785."""
    again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return again.encode() == data


_SPECIAL = (b"log.open", b"log.close", b"log.gap")


def check_block(
    db: sqlite3.Connection, start: int, stop: int, sizes: Sequence[int], canonical: Canonical
) -> dict[str, Any] | None:
    """Steps 3 and 4 for records ``start`` to ``stop - 1`` of one block: its parts, and the roots of
    its perfect subtrees at its end and at each of ``sizes``. None if anything is wrong."""
    part = Stretched()
    parts, marks, peaks, expected = [part], {}, [], start
    sha256, read, wanted = hashlib.sha256, canonical.read, set(sizes)
    rows = db.execute(
        "SELECT idx, bytes, leaf FROM record WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop)
    )
    for index, data, stored in rows:
        if index != expected or type(data) is not bytes:
            return None
        leaf = sha256(b"\x00" + data).digest()
        if leaf != stored or (said := read(data)) is None:
            return None
        source, seq, kind, special = said
        run = part.runs.get(source)
        if run is None:
            part.runs[source] = [seq, seq + 1]
        elif run[1] != seq:
            return None
        else:
            run[1] = seq + 1
        if special and kind == "log.gap":
            part.gap = json.loads(data)
            part = Stretched()
            parts.append(part)
        elif special:
            part.openings.append((source, kind == "log.open"))
        peaks.append(leaf)
        carry = expected - start
        while carry & 1:
            right, left = peaks.pop(), peaks.pop()
            peaks.append(sha256(b"\x01" + left + right).digest())
            carry >>= 1
        expected += 1
        if expected in wanted:
            marks[expected] = b"".join(peaks).hex()
    if expected != stop:
        return None
    return {
        "parts": [asdict(p) for p in parts],
        "marks": marks,
        "peaks": b"".join(peaks).hex(),
    }


def check_blocks(
    folder: Path, total: int, sizes: Sequence[int], first: int, step: int
) -> Iterator[dict[str, Any] | None]:
    """:func:`check_block` for each ``step``-th block, from the ``first``."""
    canonical = Canonical()
    with snapshot(folder) as db:
        for start in range(first * BLOCK, total, step * BLOCK):
            stop = min(start + BLOCK, total)
            wanted = [n for n in sizes if start < n <= stop]
            try:
                yield check_block(db, start, stop, wanted, canonical)
            except sqlite3.DatabaseError:
                yield None


class Helpers:
    """Processes that check blocks: this file again, started with a list of arguments. Their results
    come in the order of the blocks."""

    def __init__(self, folder: Path, total: int, sizes: Sequence[int], jobs: int) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--blocks", str(folder)]
        pipe = subprocess.PIPE
        self._running = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(jobs)]
        for first, process in enumerate(self._running):
            assert process.stdin is not None
            process.stdin.write(json.dumps([total, list(sizes), first, jobs]).encode())
            process.stdin.close()
        self._blocks = -(-total // BLOCK)

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        for block in range(self._blocks):
            out = self._running[block % len(self._running)].stdout
            assert out is not None
            line = out.readline()
            yield json.loads(line) if line else None

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _is_whole(
    folder: Path,
    db: sqlite3.Connection,
    targets: dict[int, list[Target]],
    jobs: int,
    report: Report,
    before: Sources,
    progress: Progress | None,
) -> Sources | None:
    """Steps 3 to 5. The sources, and the report filled in, only if nothing at all is wrong."""
    try:
        (first, last) = db.execute(
            "SELECT coalesce(min(idx), 0), coalesce(max(idx), -1) FROM record"
        ).fetchone()
        total = last + 1
    except sqlite3.DatabaseError:
        return None
    if report.problems or first or not total or not targets or max(targets) > total:
        return None
    sizes, sources, peaks = sorted(targets), before.copy(), list[bytes]()
    helpers = Helpers(folder, total, sizes, jobs) if jobs > 1 and total > FEW else None
    try:
        for number, block in enumerate(helpers or check_blocks(folder, total, sizes, 0, 1)):
            if block is None:
                return None
            if not all(sources.join(Stretched(**part)) for part in block["parts"]):
                return None
            whole = (number + 1) * BLOCK <= total
            for size, packed in block["marks"].items():
                ended = whole and int(size) == (number + 1) * BLOCK
                at = grow(peaks, number, _hashes(packed)) if ended else peaks + _hashes(packed)
                if any(target.root != root_of(at) for target in targets[int(size)]):
                    return None
            last = _hashes(block["peaks"])
            peaks = grow(peaks, number, last) if whole else peaks + last
            if progress is not None:
                progress(min((number + 1) * BLOCK, total), total)
    except NotALog:
        return None
    finally:
        if helpers is not None:
            helpers.end()
    if 0 in targets and any(target.root != root_of([]) for target in targets[0]):
        return None
    report.size, report.covered, report.root = total, sizes[-1], root_of(peaks).hex()
    return sources


def _hashes(packed: str) -> list[bytes]:
    raw = bytes.fromhex(packed)
    return [raw[i : i + 32] for i in range(0, len(raw), 32)]


# --- The whole ------------------------------------------------------------------------------------


def verify(
    folder: Path,
    *,
    key: str | None = None,
    key_from: str = "--key",
    checkpoints: Sequence[Path] = (),
    progress: Progress | None = None,
    jobs: int = 1,
) -> Report:
    """Everything that the head of this file lists, by ``jobs`` processes. Raises :class:`NotALog`
    if nothing can be checked at all."""
    report = Report(key_from=key_from if key else str(folder / PUBLIC_KEY))
    # Step 1.
    try:
        first = Key(key or _bytes_of(folder / PUBLIC_KEY).decode("utf-8"))
    except FileNotFoundError:
        raise NotALog(f"{folder} holds no {PUBLIC_KEY}, and no key was given") from None
    except ValueError as e:
        raise NotALog(f"{report.key_from} holds no verifier key: {e}") from None
    report.key = first.vkey
    chain = chain_in(folder)
    keys = {number: first.of(number) for number, _ in chain}
    if said := _begins_as(folder):
        report.begins = said
        if not first.name.endswith(f"/{said}"):
            keys[1] = first.of(said)  # a copy of one later log, and the key of the first
    notes = _sorted_notes(checkpoints, first, list(keys.values()), report)
    sources, before = Sources(), _Final(0, b"", "")
    deleted = []
    for number, at in chain:
        verifier = keys[number]
        part = Report(key_from=key_from)
        gone = not (at / DATABASE).exists() and (len(chain) > 1 or (at / FINAL).exists())
        if gone:
            deleted.append(number)
            sources.late = True
            before = _check_deleted(at, number, verifier, first, before, part)
            _check_final(notes.get(verifier.name, []), verifier, before, part)
        else:
            given = notes.get(verifier.name, [])
            sources = _check_log(at, verifier, given, part, sources, progress, jobs, key_from)
            before = _check_link(at, number, verifier, first, before, part)
        if number != chain[-1][0] and not part.problems and part.covered < part.size:
            part.problems.append(Problem("it has ended, and its end is not signed"))
        part.problems.sort(key=lambda p: (p.record is None, p.record or 0))
        report.problems += [replace(p, log=number) for p in part.problems]
        report.checkpoints += part.checkpoints
        report.size, report.covered = report.size + part.size, report.covered + part.covered
        report.root = part.root
        if gone:
            log = Part(number, verifier.name, before.size, before.root.hex(), "deleted")
        else:
            log = Part(number, verifier.name, part.size, part.root, "whole")
        report.logs.append(log)
    report.problems += _undeclared(deleted, chain)
    report.sources, report.sources_open = len(sources), len(sources.open)
    report.declared_lost = sources.declared
    return report


def chain_in(folder: Path) -> list[tuple[int, Path]]:
    """Number and folder of each log of the chain in ``folder``."""
    later = folder / LOGS
    names = [p.name for p in later.iterdir()] if later.is_dir() else []
    numbers = sorted(int(name) for name in names if re.fullmatch("[0-9]{4}|[1-9][0-9]{4,}", name))
    return [(1, folder), *((n, later / f"{n:04}") for n in numbers if n > 1)]


def _sorted_notes(
    checkpoints: Sequence[Path], first: Key, keys: Sequence[Key], report: Report
) -> dict[str, list[tuple[Path, bytes]]]:
    """The checkpoints that were given, by the log that they name."""
    names = {key.name for key in keys}
    found: dict[str, list[tuple[Path, bytes]]] = {}
    for path in checkpoints:
        note = _bytes_of(path)
        name = note.split(b"\n", 1)[0].decode("utf-8", "replace")
        if name not in names and f"{name}/".startswith(f"{first.name}/"):
            report.problems.append(Problem(f"{path} was signed for {name}, which is not here"))
            continue
        found.setdefault(name if name in names else keys[-1].name, []).append((path, note))
    return found


def _check_log(
    folder: Path,
    verifier: Key,
    given: Sequence[tuple[Path, bytes]],
    report: Report,
    sources: Sources,
    progress: Progress | None,
    jobs: int,
    key_from: str,
) -> Sources:
    """Steps 1 to 5 for one log."""
    beside = folder / PUBLIC_KEY
    if beside.exists() and _bytes_of(beside).strip() != verifier.vkey.encode():
        report.problems.append(Problem(f"{beside} holds another key than {key_from}"))
    # The file is read before the snapshot is taken: the log may grow meanwhile, not shrink.
    beside = folder / CHECKPOINT
    notes = list(given)
    if beside.exists():
        notes.insert(0, (beside, _bytes_of(beside)))
    with snapshot(folder) as db:
        targets = _stored_targets(db, verifier, report)
        newest = max(targets, default=0)
        for path, note in notes:
            size = _add_target(path, note, verifier, targets, report)
            if path == beside and size > newest and not report.problems:
                report.problems.append(Problem("the database has lost it", checkpoint=size))
        if not len(sources) and _begins_as(folder):
            sources.late = True
        whole = _is_whole(folder, db, targets, jobs, report, sources, progress)
        return whole or _check_records(Rows(db, report, progress), targets, report, sources)


# --- Step 6: the chain ----------------------------------------------------------------------------


@dataclass
class _Final:
    """The final checkpoint of a log; ``name`` is its origin, empty where it is not known."""

    size: int
    root: bytes
    name: str


def _begins_as(folder: Path) -> int:
    """The number of a log that goes on from another, as its first record says; otherwise 0."""
    if not (folder / DATABASE).exists():
        return 0
    with snapshot(folder) as db, contextlib.suppress(sqlite3.DatabaseError, *NO_RECORD):
        (data,) = db.execute("SELECT bytes FROM record WHERE idx = 0").fetchone()
        begin = json.loads(data)
        return int(begin["log"]) if begin.get("type") == "log.begin" else 0
    return 0


def _check_link(
    folder: Path, number: int, verifier: Key, first: Key, before: _Final, report: Report
) -> _Final:
    """That the first record holds the final checkpoint of the log before. This log's own."""
    with snapshot(folder) as db:
        try:
            row = db.execute("SELECT bytes FROM record WHERE idx = 0").fetchone()
            last = db.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        except sqlite3.DatabaseError:
            return _Final(0, b"", "")
    if number > 1:
        report.problems += _link(row[0] if row else b"", number, first, before)
    try:
        size, root = verifier.open(last[0].encode())
    except (TypeError, ValueError, AttributeError):
        return _Final(0, b"", "")
    return _Final(size, root, verifier.name)


def _link(data: bytes, number: int, first: Key, before: _Final) -> Iterator[Problem]:
    previous = first.of(number - 1)
    try:
        begin = json.loads(data)
        text = f"{begin['previous']}\n{begin['size']}\n"
        text += f"{base64.b64encode(bytes.fromhex(begin['root'])).decode()}\n"
        note = f"{text}\n— {begin['previous']} {begin['signature']}\n"
        size, root = previous.open(note.encode())
        if begin["type"] != "log.begin" or begin["log"] != number:
            raise ValueError
    except NO_RECORD:
        said = f"it does not hold a final checkpoint that log {number - 1} signed"
        yield Problem(said, record=0)
        return
    if not before.name:
        return  # what is wrong there has been said
    if before.name != previous.name:
        yield Problem(f"log {number - 1} is missing, and so is its {FINAL}")
    elif (size, root) != (before.size, before.root):
        yield Problem(f"log {number - 1} is not the one that this one goes on from", record=0)


def _check_deleted(
    folder: Path, number: int, verifier: Key, first: Key, before: _Final, report: Report
) -> _Final:
    """What is left of a log whose records were deleted: its first record under its final
    checkpoint (c2sp.org/tlog-proof, index 0)."""
    try:
        head, _, note = _bytes_of(folder / FINAL).decode("utf-8").partition("\n\n")
        header, extra, index, *path = head.split("\n")
        if header != "c2sp.org/tlog-proof@v1" or index != "index 0":
            raise ValueError("it is no proof of the first record")
        data = unbase64(extra.removeprefix("extra "))
        size, root = verifier.open(note.encode())
        computed = leaf_hash(data)
        for sibling in path:  # the first leaf is always on the left
            computed = hashlib.sha256(b"\x01" + computed + unbase64(sibling)).digest()
        if computed != root or len(path) != max(0, size - 1).bit_length():
            raise ValueError("it does not lead to the signed root")
    except FileNotFoundError:
        report.problems.append(Problem(f"its records are gone, and so is its {FINAL}"))
        return _Final(0, b"", "")
    except (OSError, ValueError) as e:
        report.problems.append(Problem(f"its {FINAL} cannot be believed: {e}"))
        return _Final(0, b"", "")
    if number > 1:
        report.problems += _link(data, number, first, before)
    return _Final(size, root, verifier.name)


def _check_final(
    given: Sequence[tuple[Path, bytes]], verifier: Key, final: _Final, report: Report
) -> None:
    """That no checkpoint of a deleted log was signed over more, or over others, than its final one.
    Whether one over fewer was of its beginning cannot be known any more."""
    targets: dict[int, list[Target]] = {}
    for path, note in given:
        size = _add_target(path, note, verifier, targets, report)
        if final.name and (
            size > final.size or (size == final.size and targets[size][-1].root != final.root)
        ):
            report.problems.append(Problem(f"{path} was not signed for the log that was deleted"))


def _undeclared(deleted: Sequence[int], chain: Sequence[tuple[int, Path]]) -> Iterator[Problem]:
    """Deleted logs of which nobody says that they were. What a log says of others is said again
    before it is deleted itself."""
    said = set()
    for _, folder in chain if deleted else ():
        if (folder / DATABASE).exists():
            with snapshot(folder) as db:
                for (data,) in db.execute(
                    'SELECT bytes FROM record WHERE instr(bytes, \'"type":"log.delete"\') > 0'
                ):
                    with contextlib.suppress(AttributeError, *NO_RECORD):
                        said.add(json.loads(data).get("log"))
    for number in deleted:
        if number not in said:
            yield Problem("its records are gone, and no log.delete record says so", log=number)


def _stored_targets(
    db: sqlite3.Connection, verifier: Key, report: Report
) -> dict[int, list[Target]]:
    """Step 2."""
    targets: dict[int, list[Target]] = {}
    wrong = report.problems.append
    try:
        rows = db.execute("SELECT size, note, frontier FROM checkpoint ORDER BY size")
        for size, note, packed in rows:
            report.checkpoints += 1
            try:
                signed, root = verifier.open(note.encode() if type(note) is str else b"")
            except ValueError as e:
                wrong(Problem(str(e), checkpoint=size))
                continue
            if signed != size:
                wrong(Problem(f"it was signed over {signed} records", checkpoint=size))
                continue
            shaped = type(packed) is bytes and len(packed) == 32 * size.bit_count()
            peaks = [packed[i : i + 32] for i in range(0, len(packed), 32)] if shaped else []
            if not shaped or root_of(peaks) != root:
                wrong(Problem("its stored frontier was changed", checkpoint=size))
                targets[size] = [Target(root, "the database")]
            else:
                targets[size] = [Target(root, "the database", peaks)]
    except sqlite3.DatabaseError as e:
        wrong(Problem(f"the checkpoints cannot be read: {e}"))
    return targets


def _add_target(
    path: Path, note: bytes, verifier: Key, targets: dict[int, list[Target]], report: Report
) -> int:
    """Put the checkpoint in file ``path`` to ``targets``; its size, or 0 if it is none."""
    try:
        size, root = verifier.open(note)
    except ValueError as e:
        report.problems.append(Problem(f"the checkpoint in {path} cannot be believed: {e}"))
        return 0
    targets.setdefault(size, []).append(Target(root, str(path)))
    return size


def _check_records(
    rows: Rows, targets: dict[int, list[Target]], report: Report, sources: Sources
) -> Sources:
    """Steps 3 to 5, from one signed size to the next."""
    peaks: list[bytes] | None = []  # None: not known here, so no root can be judged
    start = 0
    for size in [*sorted(targets), None]:
        stretch = rows.until(size, start, sources, report)
        before = peaks
        if peaks is not None:
            peaks = None if stretch.broken else grow(peaks, start, stretch.computed)
        if size is None or (rows.ended and rows.size < size):
            for index in stretch.differ:
                report.problems.append(Problem(DIFFERS, record=index))
            break
        peaks = _judge(start, size, before, peaks, stretch, targets[size], report)
        start = size
    last = max(targets, default=0)
    if rows.size < last:
        peaks = None
        if not rows.unreadable:
            said = f"it is missing: the log ends before it, but {last} records were signed"
            report.problems.append(Problem(said, record=rows.size, last=last - 1))
    if rows.size and not targets:
        report.problems.append(Problem("no checkpoint signs any record"))
    report.size, report.covered = rows.size, min(last, rows.size)
    report.root = root_of(peaks).hex() if peaks is not None else ""
    return sources


def _judge(
    start: int,
    size: int,
    before: list[bytes] | None,
    after: list[bytes] | None,
    stretch: Stretch,
    targets: list[Target],
    report: Report,
) -> list[bytes] | None:
    """Step 4 for records ``start`` to ``size - 1``. Returns the frontier to go on from."""
    wrong = report.problems.append
    signed = targets[0]
    agrees = after is not None and root_of(after) == signed.root
    stored_agrees = (
        before is not None
        and not stretch.broken
        and bool(stretch.differ)
        and all(type(h) is bytes and len(h) == 32 for h in stretch.stored)
        and root_of(grow(before, start, stretch.stored)) == signed.root
    )
    for index in stretch.differ:
        said = LEAF_CHANGED if agrees else BYTES_CHANGED if stored_agrees else DIFFERS
        wrong(Problem(said, record=index))
    if after is not None and not agrees and not stored_agrees:
        single = size - start == 1
        said = "it is" if single else "at least one is"
        said += f" not what the checkpoint of {size} records signed ({signed.where})"
        if not (single and stretch.differ):
            wrong(Problem(said, record=start, last=size - 1))
    for other in targets[1:]:
        if other.root != signed.root:
            said = f"{other.where} signed other records than {signed.where}: the log was forked"
            wrong(Problem(said, checkpoint=size))
    return signed.peaks if signed.peaks is not None else after


@dataclass
class Stretch:
    """The records from one signed size to the next: leaf hashes as computed and as stored, the
    indices where they differ, and whether a record is not there at all."""

    computed: list[bytes] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    differ: list[int] = field(default_factory=list)
    broken: bool = False


class Rows:
    """Step 3: reads records in order, once."""

    def __init__(
        self, db: sqlite3.Connection, report: Report, progress: Progress | None = None
    ) -> None:
        self._progress = progress
        self.size = 0
        self.ended = False
        self.unreadable = False
        self._rows = self._read(db, report)
        self._ahead = next(self._rows, None)

    def until(self, stop: int | None, start: int, sources: Sources, report: Report) -> Stretch:
        stretch, expected = Stretch(), start
        wrong = report.problems.append
        while self._ahead is not None and (stop is None or self._ahead[0] < stop):
            index, data, stored = self._ahead
            self._ahead = next(self._rows, None)
            if index < expected:
                wrong(Problem("it stands out of order", record=index))
                continue
            if index > expected:
                wrong(Problem("it is missing", record=expected, last=index - 1))
                sources.lost += index - expected
                stretch.broken = True
            expected = self.size = index + 1
            leaf = leaf_hash(data) if type(data) is bytes else b""
            stretch.computed.append(leaf)
            stretch.stored.append(stored)
            if leaf != stored:
                stretch.differ.append(index)
                sources.lost += 1
            elif said := sources.see(data):
                wrong(Problem(said, record=index))
        if stop is not None and expected < stop and self._ahead is not None:
            wrong(Problem("it is missing", record=expected, last=stop - 1))
            sources.lost += stop - expected
            stretch.broken = True
        self.ended = self._ahead is None
        return stretch

    def _read(self, db: sqlite3.Connection, report: Report) -> Iterator[tuple[int, Any, Any]]:
        index = -1
        try:
            (last,) = db.execute("SELECT coalesce(max(idx), -1) FROM record").fetchone()
            for index, data, stored in db.execute(
                "SELECT idx, bytes, leaf FROM record ORDER BY idx"
            ):
                yield index, data, stored
                if self._progress is not None and index % 8192 == 0:
                    self._progress(index, last + 1)
        except sqlite3.DatabaseError as e:
            self.unreadable = True
            report.problems.append(
                Problem(f"the database cannot be read from here on: {e}", record=index + 1)
            )


def processors() -> int:
    """How many processes can work at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the log is what was signed, 1 it is not, 2 there is nothing to check."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["--blocks"]:  # one of Helpers
        total, sizes, first, step = json.load(sys.stdin)
        for block in check_blocks(Path(given[1]), total, sizes, first, step):
            sys.stdout.write(json.dumps(block) + "\n")
            sys.stdout.flush()
        return 0
    parser = argparse.ArgumentParser(description="Recompute an audit log.")
    parser.add_argument("folder", type=Path, help="the folder that holds log.db (and logs/)")
    parser.add_argument("--key", help="the verifier key, as `sovereign audit key` printed it")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        help="a checkpoint kept elsewhere: the log must still begin with what it signed",
    )
    parser.add_argument("--jobs", type=int, default=processors(), help="processes to use")
    parser.add_argument("--json", action="store_true", help="the report for machines")
    args = parser.parse_args(argv)
    try:
        report = verify(args.folder, key=args.key, checkpoints=args.checkpoint, jobs=args.jobs)
    except (NotALog, OSError) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    if args.json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.lines())
    for problem in report.problems:
        sys.stderr.write(f"error: {problem}\n")
    if not report.ok:
        return 1
    sys.stderr.write("ok: the log is what was signed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
