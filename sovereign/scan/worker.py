"""One process of a scan: recognisers loaded once, then file after file, batch after batch.

It is told what to do and tells what it did over one pipe; when the command is gone, so is it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from sovereign.audit.tokens import TokenKey, TokenKeyFile
from sovereign.config import GuardConfig
from sovereign.errors import ConfigError, SovereignError
from sovereign.guard.recognizers import from_config
from sovereign.guard.scan import Scanner
from sovereign.policy import Policy
from sovereign.scan.bucket import Objects
from sovereign.scan.finder import Beside, Finder
from sovereign.scan.finding import Finding
from sovereign.scan.known import Known
from sovereign.scan.parent import end_with_parent
from sovereign.scan.readers import open_reader
from sovereign.scan.readers.postgres_reader import TableSource
from sovereign.scan.record import Reader, Record, Rows, Sliced, Source, Unread
from sovereign.scan.source import FileSource, Slice, Uncut, head_of
from sovereign.scan.state import Batch, Cuts, Task

__all__ = [
    "EPOCH",
    "SLICE",
    "TENANT",
    "Answer",
    "Grown",
    "Plan",
    "Worker",
    "answers",
    "main",
    "scanner_of",
    "token_key",
]

CHARACTERS, FINDINGS = 8_000_000, 5_000
"""A part of a file ends once it has so many. Nothing of one part is known in the next, and where
they end depends on the file alone: who goes on at an end finds what would have been found."""

SLICE, PIECES = 4_000_000, 64
"""Bytes of a file that are read by themselves, if it is twice as large at least, and can be cut;
more of one that would be cut into more pieces than that. The last piece is all that one process
waits for another for. What is found does not depend on how many processes read it."""

TENANT = EPOCH = "scan"
"""Tokens of a scan are equal for equal values wherever and whenever they stood."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker needs, as it goes through a pipe. ``share`` is of the records, those that
    recognisers look at; ``prefilter`` spares lines of logs that are known to be empty."""

    policy: Policy
    guard: GuardConfig
    folder: Path
    token_file: Path
    share: float = 1.0
    prefilter: bool = True
    slice: int = SLICE
    tables: tuple[TableSource, ...] = ()
    buckets: tuple[Objects, ...] = ()


def token_key(file: Path) -> TokenKey:
    """The key of the tokens. Raises :class:`ConfigError`."""
    key = TokenKeyFile(file).current()
    if key is None:
        raise ConfigError(f"{file}: no such file", hint="`sovereign init` makes it")
    return key


def scanner_of(plan: Plan) -> Scanner:
    """The recognisers that a plan names, loaded."""
    found = from_config(plan.guard, folder=plan.folder, policy=plan.policy)
    return Scanner(found, cache_key=secrets.token_bytes(32))


class Grown(Exception):
    """The file does not begin as it did when its first part was scanned."""


class Worker:
    """Scans files. Not a process by itself, so that tests and other engines can have one."""

    def __init__(self, plan: Plan) -> None:
        self._scanner = scanner_of(plan)
        self._policy = plan.policy
        self._key = token_key(plan.token_file)
        self._share = plan.share
        self._prefilter = plan.prefilter
        self._slice = plan.slice
        self._tables = {table.name: table for table in plan.tables}
        self._buckets = plan.buckets

    def token(self, entity: str, value: str) -> str:
        made = self._key.token(TENANT, entity, EPOCH, value)
        return made if made is not None else "erased"

    def scan(self, task: Task) -> Iterator[Batch | Cuts]:
        """The batches of what is left of a file; the last one is done. Or, of a large file, where
        to cut it, and nothing else. Raises :class:`Grown` and :class:`Uncut`."""
        source = self.source(task)
        begins = self._begins(task, source)
        reader = open_reader(source)
        grows = isinstance(reader, Sliced) and reader.grows(source)
        if cuts := self._cuts(task, source, reader):
            yield Cuts(task.id, grows, begins, tuple(cuts))
            return
        finder = self._finder(task.path)
        part = _Part(task.resume)
        if isinstance(reader, Unread):
            part.unread.append(("", None, reader.reason))
        else:
            for item in reader.read(source, task.resume):
                if isinstance(item, Unread):
                    part.findings += finder.flush()
                    part.unread.append((item.member, item.number, item.reason))
                    part.resume = max(part.resume, item.resume)
                else:
                    self._take(item, finder, part)
                if part.full:
                    part.findings += finder.settle()
                if part.full and not finder.waiting:
                    yield part.batch(task, begins, grows=grows, done=False)
                    part, finder = _Part(part.resume), self._finder(task.path)
            part.findings += finder.flush()
        yield part.batch(task, begins, grows=grows, done=True)

    def source(self, task: Task) -> Source:
        """A file, a slice of one, an object of a bucket, or a table. Raises OSError."""
        path = task.path
        if path in self._tables:
            return self._tables[path]
        bucket = next((one for one in self._buckets if one.holds(path)), None)
        if bucket is not None:
            return bucket.source(path)
        file = FileSource.of(Path(path))
        cut = task.begin or task.stop is not None
        return Slice(file, task.begin, task.stop, task.line) if cut else file

    def _begins(self, task: Task, source: Source) -> str:
        """A digest of how a source begins. Raises :class:`Grown`."""
        if isinstance(source, TableSource):
            return ""
        head, _ = head_of(source)
        begins = hashlib.sha256(head[:1024]).hexdigest()
        if task.resume and task.head and begins != task.head:
            raise Grown
        return begins

    def _cuts(self, task: Task, source: Source, reader: Reader | Unread) -> list[tuple[int, int]]:
        """Where a file is cut that is large, and that nothing was done with yet."""
        size = source.size or 0
        step = max(self._slice, size // PIECES)
        new = not (task.resume or task.whole)
        if new and isinstance(source, FileSource) and size >= 2 * step:
            return reader.cuts(source, step) if isinstance(reader, Sliced) else []
        return []

    def _finder(self, path: str) -> Finder:
        return self.finder(path, known=Known() if self._prefilter else None)

    def finder(
        self, path: str, *, known: Known | None = None, beside: Beside | None = None
    ) -> Finder:
        """A finder for one file; without ``known`` it looks at every line."""
        return Finder(path, self._scanner, self._policy, self.token, known=known, beside=beside)

    def _take(self, item: Record | Rows, finder: Finder, part: _Part) -> None:
        part.resume = item.resume
        if isinstance(item, Rows):
            part.first = part.first or item.numbers[0]
            part.records += len(item.numbers)
            part.characters += item.characters
            if self._share < 1:
                drawn = (_drawn(item.member, n, self._share) for n in item.numbers)
                item = item.only([place for place, one in enumerate(drawn) if one])
            part.looked += item.characters
            part.findings += finder.feed(item)
            return
        characters = sum(len(f.text) for f in item.fields)
        part.first = part.first or item.number
        part.records += _lines(item)
        part.calls += item.call is not None
        part.characters += characters
        if self._share >= 1 or _drawn(item.member, item.number, self._share):
            part.looked += characters
            part.findings += finder.feed(item)


class _Part:
    """A batch in the making."""

    def __init__(self, resume: int) -> None:
        self.resume = self.prior = resume
        self.first = 0
        self.findings: list[Finding] = []
        self.unread: list[tuple[str, int | None, str]] = []
        self.records = self.characters = self.looked = self.calls = 0

    @property
    def full(self) -> bool:
        return self.characters >= CHARACTERS or len(self.findings) >= FINDINGS

    def batch(self, task: Task, head: str, *, grows: bool, done: bool) -> Batch:
        return Batch(
            id=task.id,
            findings=tuple(self.findings),
            unread=tuple(self.unread),
            resume=self.resume,
            prior=self.prior,
            first=self.first,
            records=self.records,
            characters=self.characters,
            looked=self.looked,
            calls=self.calls,
            grows=grows,
            head=head,
            done=done,
        )


def _lines(record: Record) -> int:
    """How many records it counts as: a block of lines as its lines, a further piece of a long line
    as none."""
    if record.unit != "line" or not record.fields:
        return 1
    text = record.fields[0].text
    return 0 if record.fields[0].start else text.count("\n") + (text[-1:] != "\n")


def _drawn(member: str, number: int, share: float) -> bool:
    """Whether a record is in the sample: by its place, so that the same are in it each time."""
    place = f"{member}\0{number}".encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest()) < share * 2**64


Answer = Batch | Cuts | tuple[int, str]
"""A batch, or where to cut a file; or, at the end of a task, its id and why it ended: empty,
``grown``, ``whole``, or what went wrong."""


def answers(worker: Worker, task: Task) -> Iterator[Answer]:
    """What a worker makes of a task, with how it ended."""
    ended = (task.id, "")
    try:
        yield from worker.scan(task)
    except Grown:
        ended = (task.id, "grown")
    except Uncut:
        ended = (task.id, "whole")
    except OSError as e:
        gone = isinstance(e, FileNotFoundError)
        ended = (task.id, "it was gone when it was to be read" if gone else _CANNOT)
    yield ended


def main(pipe: Connection, plan: Plan, make: Callable[[Plan], Worker] = Worker) -> None:
    """The body of a worker's process. What goes out: None once it can work, or the error that
    keeps it from working; then for each task its batches, and ``(id, why)`` at its end."""
    end_with_parent()
    try:
        try:
            worker = make(plan)
        except SovereignError as e:
            pipe.send(e)
            return
        pipe.send(None)
        while True:
            for answer in answers(worker, pipe.recv()):
                pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


_CANNOT = "it could not be read"
