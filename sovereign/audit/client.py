"""The log as a process sees it that does not write it: records go to the sequencer over a socket.

A future resolves once the sequencer has committed its record; there is no other acknowledgement.
While there is no sequencer, or it cannot commit, an intent waits, for at most ``patience`` seconds
of that trouble, and is then refused, so that nothing leaves. What has happened already (results,
refusals, events) gets its number and is kept in a :mod:`.spool`. What was under way when the
sequencer died is sent again to the next one, which takes each number of a source once.

What the sequencer says is taken by the client's own thread, or by a loop that was lent an ear.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from sovereign.audit import record as records
from sovereign.audit.ears import Ear, Ears
from sovereign.audit.flight import Flight, Item
from sovereign.audit.line import Line
from sovereign.audit.reach import Attempt, aside, first_line
from sovereign.audit.spool import Spool
from sovereign.audit.starting import Starter
from sovereign.errors import AuditError, LogTampered, LogUnavailable, RecordRejected
from sovereign.types import JSON, Clock, Receipt

__all__ = ["Client"]

MAX_PENDING = 65_536
TICK_SECONDS = 0.25
FIRST_WAIT, LONGEST_WAIT = 0.01, 0.5
PATIENCE_SECONDS = 5.0
HEARTBEAT_SECONDS = 60.0


class Client:
    """Thread-safe; belongs to the process that opened it. A context manager, and a ``Sink``.

    ``source`` is this opening's name in its records, as in :class:`sovereign.audit.log.Log`.
    """

    def __init__(
        self,
        folder: Path,
        line: Line,
        *,
        source: str,
        starter: Starter | None,
        patience: float,
        heartbeat: float,
        clock: Clock,
    ) -> None:
        """Use :meth:`open`."""
        self.source, self.vkey = source, line.vkey
        self.size = line.size
        self._folder, self._starter = folder, starter
        self._patience, self._heartbeat, self._clock = patience, heartbeat, clock
        self._pid = os.getpid()
        self._lock = threading.RLock()  # whoever waits for a future may submit from its callback
        self._nudge = threading.Event()
        self._ears = Ears(self._received, self._nudge)  # its lock first, if both are taken
        self._flight = Flight(Spool(folder, source))
        self._line: Line | None = line
        self._away_since: float | None = None
        self._trouble_since: float | None = None
        self._why: AuditError = LogUnavailable("audit log: the sequencer is not there")
        self._refused = 0
        self._restart: dict[str, int] | None = None
        self._pause = FIRST_WAIT
        self._announced = self._wanted = self._closing = self._said_goodbye = self._done = False
        self._failure: AuditError | None = None
        self._beat_at = time.monotonic() + heartbeat
        self._thread = threading.Thread(target=self._run, name="audit-client", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        source: str,
        announce: bool = True,
        starter: Starter | None = None,
        vkey: str | None = None,
        patience: float = PATIENCE_SECONDS,
        heartbeat: float = HEARTBEAT_SECONDS,
        clock: Clock = time.time,
    ) -> Client:
        """Connect to the sequencer of the log in ``folder``; ``starter`` starts it when there is
        none. ``vkey`` is the key that the log has to be signed with.

        Raises :class:`LogUnavailable` if none answers, and what a sequencer that cannot start says.
        """
        instance = f"{source}-{secrets.token_hex(8)}"
        line = first_line(folder, instance, starter)
        if vkey is not None and line.vkey != vkey:
            line.close()
            raise LogUnavailable(
                "audit log: the sequencer signs with another key than [audit].key_file",
                hint="stop the sequencer (it is started again on demand)",
            )
        client = cls(
            folder,
            line,
            source=instance,
            starter=starter,
            patience=patience,
            heartbeat=heartbeat,
            clock=clock,
        )
        if announce:
            found = {"size": line.size, "root": line.root, "covered": line.covered}
            try:
                client.append(records.event("log.open", **found))
            except AuditError:
                client.close()
                raise
            client._announced = True
        return client

    def submit(self, record: Mapping[str, JSON]) -> Future[Receipt]:
        """As :meth:`sovereign.audit.log.Log.submit`."""
        future = self.queue(record)
        self.flush()
        return future

    def queue(self, record: Mapping[str, JSON]) -> Future[Receipt]:
        """:meth:`submit`, but it is sent with the next :meth:`flush`: many of them in one go."""
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()
        try:
            if os.getpid() != self._pid:
                raise LogUnavailable(
                    "audit log: opened before a fork",
                    hint="open the log in the process that uses it",
                )
            item = self._item(record, future)
            if self._closing:
                raise LogUnavailable("audit log: closed")
            if self._flight.pending >= MAX_PENDING:
                raise LogUnavailable("audit log: too many records are waiting for the disk")
            self._flight.waiting.append(item)
        except AuditError as e:
            future.set_exception(e)
        return future

    def flush(self) -> None:
        """Send what was queued, or see to it that whoever is at it does: who comes together shares
        a send, and waits for no other's. What nobody flushes goes at the next tick."""
        self._wanted = True
        self._push()

    def _push(self) -> None:
        """Send what waits, if somebody wants it to go now."""
        while self._wanted and self._flight.waiting and self._lock.acquire(blocking=False):
            try:
                self._wanted = False
                if self._done:
                    self._flight.give_up(self._why)
                    continue
                sent = self._line is not None and self._flight.send(self._line)
                if self._flight.waiting:
                    self._wanted = True
                if self._line is None:
                    self._nudge.set()
                if not sent:
                    return  # the next acknowledgement makes room, or the next line
            finally:
                self._lock.release()

    def append(self, record: Mapping[str, JSON]) -> Receipt:
        """:meth:`submit`, and wait."""
        self._ears.take_back()  # who waits here may be the loop that would have listened
        return self.submit(record).result()

    def lend(self) -> Ear | None:
        """For an event loop, which calls :meth:`hear` whenever the ear's descriptor is readable.
        None if there is no line, or it is lent. Who does not come has lost the ear in a tick."""
        if self._line is None:
            return None
        with self._lock:
            return None if self._line is None or self._closing else self._ears.lend(self._line)

    def hear(self, ear: Ear) -> bool:
        """Take what came, and resolve futures. False if the ear is not the caller's any more."""
        landed = self._ears.hear(ear)
        if landed is None:
            return False
        self._resolve(landed)
        if self._closing or ear.line.ended:
            self._nudge.set()
        return True

    def close(self) -> None:
        """Wait for what is under way and for a last checkpoint. Idempotent.

        Raises :class:`LogUnavailable` if there is no sequencer that takes it; what has happened is
        in the spool then, for the next one.
        """
        if os.getpid() != self._pid:
            raise LogUnavailable("audit log: opened before a fork")
        if self._announced:
            self._announced = False
            try:
                self.append(records.event("log.close"))
            except AuditError as e:
                self._failure = e
        with self._lock:
            self._closing = True
            self._say_goodbye()
        self._ears.take_back()
        self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _item(self, record: Mapping[str, JSON], future: Future[Receipt] | None) -> Item:
        prepared = records.prepare(record, source=self.source)
        stamped = records.stamp_time(self._clock())
        return Item(prepared, stamped, future, record.get("type") == "request.intent")

    def _say_goodbye(self) -> None:
        """With the lock."""
        if self._closing and self._line and not self._said_goodbye and not self._flight.pending:
            self._said_goodbye = True
            self._line.goodbye()

    def _received(self, line: Line) -> list[tuple[Item, Receipt]]:
        """What the sequencer has said, with the lock for reading; and whose it is."""
        landed: list[tuple[Item, Receipt]] = []
        acks = line.receive()
        if acks:
            self._pause, self._trouble_since = FIRST_WAIT, None
        for ack in acks:
            with self._lock:
                landed += self._flight.land(*ack)
        return landed

    def _resolve(self, landed: list[tuple[Item, Receipt]]) -> None:
        """With no lock: whoever waited may do what he likes."""
        if landed and self._restart is not None:
            self._tell_of_restart()
        self._push()
        for item, receipt in landed:
            self.size = max(self.size, receipt.index + 1)
            item.resolve(receipt)

    # Everything below runs in the client's own thread.

    def _run(self) -> None:
        try:
            while not self._done:
                if self._line is not None:
                    self._listen(self._line)
                else:
                    self._be_away()
        except Exception as e:  # noqa: BLE001 - whoever waits, or comes, would wait for ever
            self._failure = self._why = LogUnavailable(f"audit log: {type(e).__name__}")
            self._done = True
        with self._ears.reading, self._lock:
            self._ears.take_back()
            self._flight.end(self._why)
            if self._line is not None:
                self._line.close()
        self.flush()

    def _listen(self, line: Line) -> None:
        """What the sequencer says next; at least once in a tick."""
        try:
            landed = self._ears.listen(line, TICK_SECONDS)
        except (AuditError, OSError) as e:
            self._lose(line, e)
            return
        self._resolve(landed)
        self.flush()
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + self._heartbeat
            self._note("log.heartbeat")
        with self._lock:
            stuck = self._flight.stuck(now - self._patience)
            if not stuck:
                self._say_goodbye()
                self._done |= line.ended
        if stuck:
            self._trouble_since = now - self._patience  # that much of it is over
            self._lose(line, ConnectionError("it does not answer"))

    def _note(self, kind: str, **fields: JSON) -> None:
        """Something of our own, that nobody waits for."""
        item = self._item(records.event(kind, **fields), None)
        self._flight.waiting.append(item)
        self.flush()

    def _lose(self, line: Line, why: AuditError | OSError) -> None:
        with self._ears.reading, self._lock:
            line.close()
            self._line = None
            self._ears.take_back()
            # Being reached is nothing; only what is acknowledged ends the trouble.
            self._trouble_since = self._trouble_since or time.monotonic()
            self._away_since = self._trouble_since
            if isinstance(why, AuditError):
                self._pause = min(self._pause * 1.5, LONGEST_WAIT)
            else:
                why = LogUnavailable(f"audit log: the sequencer is gone: {why.strerror or why}")
            self._why = why
            # A database that is started again is waited for like a sequencer that is. Past our
            # patience one attempt is enough; for what none mends the answer is there at once.
            if isinstance(why, RecordRejected | LogTampered):
                self._refused += self._flight.refuse(why)
            else:
                tired = time.monotonic() - self._trouble_since >= self._patience
                self._refused += self._flight.tried(why, refuse=tired)

    def _be_away(self) -> None:
        """Until there is a sequencer again, or we are closed and have waited long enough. It is
        reached for aside: one that takes long to answer must not make those wait who are refused.
        """
        since = self._away_since or time.monotonic()
        helper: threading.Thread | None = None
        attempt: Attempt | None = None
        began = time.monotonic()
        if self._pause > FIRST_WAIT:  # it is there, but can commit nothing: ask it now and then
            self._nudge.clear()
            self._nudge.wait(self._pause)
        while True:
            if attempt is None:
                attempt, began = Attempt(self._reach, self._nudge), time.monotonic()
            if attempt.over(FIRST_WAIT):
                if attempt.line is not None:
                    self._back(attempt.line, time.monotonic() - since)
                    return
                if isinstance(attempt.error, AuditError):
                    self._why = attempt.error
                if isinstance(attempt.error, LogTampered):
                    since = min(since, time.monotonic() - self._patience)
                attempt, failed = None, True
            else:  # who waits for a word for so long has none
                failed = time.monotonic() - began >= LONGEST_WAIT
            if self._starter is not None and (helper is None or not helper.is_alive()):
                helper = aside(self._start, self._starter)
            with self._lock:
                self._flight.park()
                tired = time.monotonic() - since >= self._patience
                if failed:
                    self._refused += self._flight.tried(self._why, refuse=tired)
                    if tired and self._closing:
                        self._failure = self._failure or self._why
                        self._done = True
                        if attempt is not None:
                            attempt.abandon()
                        return
            left = max(0.0, since + self._patience - time.monotonic())
            self._nudge.wait(min(self._pause, left or self._pause))
            self._nudge.clear()
            self._pause = min(self._pause * 1.5, LONGEST_WAIT)

    def _start(self, starter: Starter) -> None:
        try:
            starter.start()
        except AuditError as e:
            self._why = e
        except Exception as e:  # noqa: BLE001 - a thread that dies silently says nothing
            self._why = LogUnavailable(f"audit log: no sequencer: {type(e).__name__}")

    def _reach(self) -> Line:
        line = Line.connect(self._folder, self.source, oldest=self._flight.acked, new=False)
        if line.vkey != self.vkey:
            line.close()
            raise LogUnavailable("audit log: the new sequencer signs with another key")
        return line

    def _back(self, line: Line, waited: float) -> None:
        with self._lock:
            resent, spooled = self._flight.resend(line)
            self._line, self._away_since = line, None
        self._restart = {"waited_ms": int(waited * 1000), "resent": resent, "spooled": spooled}
        if not resent:
            self._tell_of_restart()

    def _tell_of_restart(self) -> None:
        """Once for each trouble: not before what was sent again is taken."""
        with self._lock:  # of two threads that have heard something one says it
            if self._restart is not None:
                fields, self._restart = self._restart, None
                refused, self._refused = self._refused, 0
                self._note("log.restart", **fields, refused=refused)
