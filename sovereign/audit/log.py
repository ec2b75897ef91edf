"""Appends records: a future resolves once its record is durable, and never before.

One thread writes. What is queued while it waits for the disk goes into its next transaction (group
commit), so the cost of one fsync is shared by everybody who waits.
"""

from __future__ import annotations

import os
import queue
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from sovereign.audit import record as records
from sovereign.audit.chain import Chain
from sovereign.audit.note import Signer
from sovereign.audit.place import Place
from sovereign.errors import AuditError, ConfigError, LogUnavailable
from sovereign.types import JSON, Clock, Receipt, Sink

if TYPE_CHECKING:
    from sovereign.config import Config

__all__ = ["Log", "OpenLog", "open_log", "opened", "read_key", "read_seed"]

BATCH = 1024
MAX_PENDING = 65_536
SEED_SIZE = 32


@dataclass(frozen=True, slots=True)
class _Waiting:
    prepared: bytes
    future: Future[Receipt]


class OpenLog(Sink, Protocol):
    """A log that is open here: :class:`Log`, or a client of its sequencer. A context manager."""

    source: str
    vkey: str

    def append(self, record: Mapping[str, JSON]) -> Receipt: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Log:
    """An open log. Thread-safe; belongs to the process that opened it. A context manager.

    ``source`` is this opening's name in its records.
    """

    def __init__(self, chain: Chain, *, source: str) -> None:
        """Use :meth:`open`."""
        self.source = source
        self.vkey = chain.vkey
        self._chain = chain
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._last_words: Mapping[str, JSON] | None = None
        self._failure: LogUnavailable | None = None
        self._writer = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._writer.start()

    @classmethod
    def open(
        cls,
        place: Place | Path,
        *,
        key: bytes,
        origin: str,
        source: str,
        clock: Clock = time.time,
        announce: bool = True,
    ) -> Log:
        """Open or begin the log at ``place``, or in that folder.

        ``key`` is the 32-byte Ed25519 seed and ``origin`` the log's name in checkpoints. ``source``
        is what this process is ("gateway"); a random part is added, so that each opening counts its
        own records from zero. With ``announce`` a ``log.open`` record is durable on return and a
        ``log.close`` record ends it.

        Raises :class:`ConfigError` for another log's key, :class:`LogTampered` if the storage is
        shorter than or different from what was signed, :class:`LogUnavailable` if it cannot be
        written.
        """
        instance = f"{source}-{secrets.token_hex(8)}"
        at = Place(place) if isinstance(place, Path) else place
        chain = opened(at, key=key, origin=origin, source=instance, clock=clock)
        log = cls(chain, source=instance)
        if announce:
            try:
                log._announce()
            except AuditError:
                log._stop()
                raise
        return log

    @property
    def size(self) -> int:
        """Records in the newest log, as far as this process has seen."""
        return self._chain.position.frontier.size

    def submit(self, record: Mapping[str, JSON]) -> Future[Receipt]:
        """Queue ``record``. The future gives its :class:`Receipt` once it is durable; it raises
        :class:`RecordRejected` or :class:`LogUnavailable`, and cannot be cancelled: a record that
        was accepted is written, whoever still waits for it."""
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()
        try:
            self._own_process()
            waiting = _Waiting(records.prepare(record, source=self.source), future)
            with self._gate:  # nothing may be queued after close() has queued the end
                if self._closed:
                    raise LogUnavailable("audit log: closed")
                if self._queue.qsize() >= MAX_PENDING:
                    raise LogUnavailable("audit log: too many records are waiting for the disk")
                self._queue.put(waiting)
        except AuditError as e:
            future.set_exception(e)
        return future

    def append(self, record: Mapping[str, JSON]) -> Receipt:
        """:meth:`submit`, and wait."""
        return self.submit(record).result()

    def close(self) -> None:
        """Write what waits, sign a last checkpoint, let go of the files. Idempotent.

        Raises :class:`LogUnavailable` if that last step could not be made durable; every record
        that was acknowledged is.
        """
        self._own_process()
        self._stop()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _announce(self) -> None:
        found = self._chain.position
        self.append(
            records.event(
                "log.open",
                size=found.frontier.size,
                root=found.frontier.root().hex(),
                covered=found.covered,
            )
        )
        self._last_words = records.event("log.close")

    def _stop(self) -> None:
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._writer.join()

    def _own_process(self) -> None:
        if os.getpid() != self._pid:
            raise LogUnavailable(
                "audit log: opened before a fork", hint="open the log in the process that uses it"
            )

    # Everything below runs in the writer's thread.

    def _run(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._take()
            if ending and self._last_words is not None:
                prepared = records.prepare(self._last_words, source=self.source)
                batch.append(_Waiting(prepared, Future()))
            self._failure = self._write(batch, sign=ending)
        try:
            self._chain.close()
        except LogUnavailable as e:
            self._failure = self._failure or e

    def _take(self) -> tuple[list[_Waiting], bool]:
        """What is queued now, and whether that is the end. Waits until there is something, or a
        checkpoint is due."""
        batch: list[_Waiting] = []
        try:
            item = self._queue.get(timeout=self._chain.due_in())
            while item is not None:
                batch.append(item)
                if len(batch) == BATCH:
                    return batch, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _write(self, batch: Sequence[_Waiting], *, sign: bool) -> LogUnavailable | None:
        """One transaction for all of ``batch``: all are acknowledged, or none. Returns what went
        wrong."""
        try:
            landed = self._chain.commit([w.prepared for w in batch], sign=sign)
        except AuditError as e:
            message, hint = e.message, e.hint
        except Exception as e:  # noqa: BLE001 - the thread that acknowledges must not die silently
            message, hint = f"audit log: {type(e).__name__} in the writer", ""
        else:
            receipts = landed.receipts(self._chain.number)
            for waiting, receipt in zip(batch, receipts, strict=True):
                waiting.future.set_result(receipt)
            try:
                self._chain.publish()
            except LogUnavailable as e:
                return e
            return None
        # One exception per caller: they raise it in different threads, and each adds its traceback.
        for waiting in batch:
            waiting.future.set_exception(LogUnavailable(message, hint=hint))
        return LogUnavailable(message, hint=hint)


def opened(place: Place, *, key: bytes, origin: str, source: str, clock: Clock) -> Chain:
    """The chain of logs at ``place``, compared with what was last signed, to append as ``source``.
    Raises as :meth:`Log.open` does."""
    return Chain(
        place.logs(),
        place.folder,
        key=key,
        origin=origin,
        source=source,
        clock=clock,
        rotation=place.rotation,
    )


def open_log(config: Config, source: str, *, announce: bool = True, start: bool = False) -> OpenLog:
    """The log that ``[audit]`` names: through its sequencer if one runs, otherwise directly.

    With ``start`` a sequencer is started if none runs, now and whenever it dies. Raises as
    :meth:`Log.open` and :func:`read_key` do.
    """
    from sovereign.audit.client import Client  # they import this module
    from sovereign.audit.starting import Starter

    place, key = Place.of(config), read_key(config)
    wanted = Starter(
        place,
        key_file=config.resolve(config.audit.key_file),
        origin=config.audit.origin,
        heartbeat=config.audit.heartbeat_s,
    )
    if start or wanted.answers():
        return Client.open(
            place.folder,
            source=source,
            announce=announce,
            starter=wanted if start else None,
            vkey=str(Signer.from_seed(config.audit.origin, key).verifier),
            patience=config.audit.patience_s,
            heartbeat=config.audit.heartbeat_s,
        )
    return Log.open(place, key=key, origin=config.audit.origin, source=source, announce=announce)


def read_key(config: Config) -> bytes:
    """The Ed25519 seed in ``[audit].key_file``. Raises :class:`ConfigError`."""
    return read_seed(config.resolve(config.audit.key_file))


def read_seed(file: Path) -> bytes:
    """The 32 bytes in ``file``, which nobody else may read. Raises :class:`ConfigError`."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            seed = opened.read(SEED_SIZE + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"audit.key_file: {file} is not there",
            hint="`sovereign init` makes it; a log can only be continued with its own key",
        ) from None
    except OSError as e:
        raise ConfigError(f"audit.key_file: {file}: {e.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"audit.key_file: {file} can be read by others", hint=f"chmod 600 {file}")
    if len(seed) != SEED_SIZE:
        raise ConfigError(
            f"audit.key_file: {file} does not hold {SEED_SIZE} bytes",
            hint="bring back the key that signed this log",
        )
    return seed
