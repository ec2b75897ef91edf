"""The sequencer's one loop: reads from all clients, commits what came, acknowledges.

What arrived while the last transaction was on its way to the disk goes into the next one, whoever
sent it. A record is acknowledged after its transaction is durable. Every record is checked here, so
a client can put nothing into the log that the schema does not list.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sovereign.audit import record as records
from sovereign.audit import wire
from sovereign.audit.chain import Chain
from sovereign.audit.numbers import Numbers
from sovereign.audit.peer import Entry, Peer
from sovereign.audit.schema import ID
from sovereign.audit.spool import Left, left_behind
from sovereign.errors import AuditError, LogTampered, LogUnavailable, RecordRejected
from sovereign.types import JSON

__all__ = ["Hub"]

LAG_SECONDS = 0.02


class Hub:
    """Serves one open log on one listening socket. Used by one thread."""

    def __init__(
        self,
        chain: Chain,
        listener: socket.socket,
        *,
        folder: Path,
        source: str,
        linger: float | None,
        heartbeat: float,
    ) -> None:
        self._chain = chain
        self._numbers = Numbers(chain)
        self._listener = listener
        self._folder = folder
        self._source = source
        self._linger = linger
        self._heartbeat = heartbeat
        self._peers: set[Peer] = set()
        self._own: list[bytes] = []
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._beat_at = time.monotonic() + heartbeat
        self._alone_since: float | None = time.monotonic()
        self._lagging_since: float | None = None
        self._stopping = False

    def run(self, wake: socket.socket | None = None) -> None:
        """Until :meth:`stop`, or nobody has been connected for ``linger`` seconds."""
        if wake is not None:
            self._selector.register(wake, selectors.EVENT_READ, lambda _: wake.recv(64))
        found = self._chain.position
        self._say(
            "log.open",
            size=found.frontier.size,
            root=found.frontier.root().hex(),
            covered=found.covered,
        )
        self._commit([])
        self._take_in_spools()
        while not self._stopping:
            for key, mask in self._selector.select(self._wait()):
                key.data(mask)
            if self._due():
                self._commit([p for p in self._peers if p.entries])
            now = time.monotonic()
            if now >= self._beat_at:
                self._beat_at = now + self._heartbeat
                self._say("log.heartbeat", clients=len(self._peers))
                self._take_in_spools()
            if self._linger is not None and self._alone_since is not None:
                self._stopping |= now - self._alone_since >= self._linger
        self._say("log.close")
        self._commit([], sign=True)
        for peer in list(self._peers):
            self._drop(peer)

    def _due(self) -> bool:
        """Results wait a moment for an intent that they can share a transaction with: otherwise
        each request of a lone caller would wait for the disk twice."""
        now = time.monotonic()
        due = self._chain.due_in()
        if (
            (due is not None and due <= 0)
            or any(p.awaited for p in self._peers)
            or not any(p.entries for p in self._peers)
        ):
            self._lagging_since = None
            return True
        if self._lagging_since is None:
            self._lagging_since = now
        return now - self._lagging_since >= LAG_SECONDS

    def stop(self, *_: object) -> None:
        """May be called from a signal handler."""
        self._stopping = True

    def _say(self, kind: str, **fields: JSON) -> None:
        """Something of our own, with the next transaction."""
        self._own.append(records.prepare(records.event(kind, **fields), source=self._source))

    def _wait(self) -> float | None:
        now = time.monotonic()
        waits = [self._beat_at - now]
        if self._lagging_since is not None:
            waits.append(self._lagging_since + LAG_SECONDS - now)
        if (due := self._chain.due_in()) is not None:
            waits.append(due)
        if self._linger is not None and self._alone_since is not None:
            waits.append(self._alone_since + self._linger - now)
        return max(0.0, min(waits))

    # --- clients ---

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        if wire.peer_uid(sock) not in (os.geteuid(), 0):
            sock.close()
            return
        peer = Peer(sock)
        self._peers.add(peer)
        self._alone_since = None
        self._selector.register(sock, selectors.EVENT_READ, self._reader(peer))

    def _reader(self, peer: Peer) -> Callable[[int], None]:
        def on(mask: int) -> None:
            if mask & selectors.EVENT_WRITE:
                self._send(peer)
            if mask & selectors.EVENT_READ and peer in self._peers:
                self._read(peer)

        return on

    def _read(self, peer: Peer) -> None:
        try:
            alive = peer.receive()
            for kind, payload in peer.frames():
                if kind == wire.RECORD:
                    peer.take(payload)
                elif kind == wire.HELLO:
                    self._hello(peer, json.loads(payload))
                elif kind == wire.GOODBYE:
                    peer.leaving = True
                else:
                    raise ValueError("unknown frame")
        except RecordRejected as e:
            self._refuse(peer, e)
        except AuditError as e:
            self._refuse(peer, e)
        except (ValueError, KeyError, TypeError):
            self._refuse(peer, LogUnavailable("audit log: the sequencer does not understand this"))
        else:
            if peer.leaving:
                self._commit([peer], sign=True)
                peer.out += wire.frame(wire.GOODBYE)
                self._send(peer)
            elif not alive:
                self._commit([peer])
                self._drop(peer)

    def _hello(self, peer: Peer, said: Mapping[str, JSON]) -> None:
        """Where does this source stand? What it sent before, and we had committed, is acknowledged
        now."""
        if said["protocol"] != wire.protocol():
            raise LogUnavailable(
                "audit log: the sequencer is of another version",
                hint="stop it (it is started again on demand), then try again",
            )
        source, oldest = str(said["source"]), int(said["oldest"])
        if not ID.fits(source) or any(p.source == source for p in self._peers):
            raise LogUnavailable("audit log: this source is connected already")
        if said["new"]:
            self._numbers.begin(source)
        number = self._numbers.next(source)
        if number < oldest:  # we had acknowledged them, and they are gone
            self._say("log.gap", of=source, expected=number, found=oldest)
            self._commit([])
            self._numbers.move(source, oldest)
            number = oldest
        peer.source, peer.next = source, number
        position = self._chain.position
        peer.out += wire.json_frame(
            wire.WELCOME,
            next=number,
            vkey=self._chain.vkey,
            size=position.frontier.size,
            root=position.frontier.root().hex(),
            covered=position.covered,
        )
        for seq, log, index in self._numbers.since(source, oldest) if oldest < number else ():
            peer.out += wire.pack_ack(seq, index, 1, log)
        self._send(peer)

    def _send(self, peer: Peer) -> None:
        if not peer.send():
            self._drop(peer)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.out else 0)
        if peer in self._peers and events != peer.events:
            peer.events = events
            self._selector.modify(peer.sock, events, self._reader(peer))

    def _refuse(self, peer: Peer, error: AuditError) -> None:
        """An error is the end of the connection: the client finds out anew where it stands."""
        peer.out += wire.json_frame(wire.ERROR, **wire.error_of(error))
        with contextlib.suppress(OSError):
            peer.sock.send(peer.out)
        self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        if peer not in self._peers:
            return
        self._peers.discard(peer)
        self._selector.unregister(peer.sock)
        peer.sock.close()
        if peer.source is not None:
            self._numbers.forget(peer.source)
        if not self._peers:
            self._alone_since = time.monotonic()

    # --- the log ---

    def _commit(self, peers: list[Peer], *, sign: bool = False) -> None:
        """One transaction for everything that waits: all of it is acknowledged, or none."""
        batch: list[tuple[Peer, list[Entry]]] = [(p, p.entries) for p in peers if p.entries]
        for peer, _ in batch:
            peer.entries, peer.awaited = [], False
        due = self._chain.due_in()
        if not batch and not self._own and not sign and (due is None or due > 0):
            return
        own, self._own = self._own, []
        finished = [entry.data for _, entries in batch for entry in entries]
        try:
            landed = self._chain.commit(own, finished, sign=sign)
        except LogTampered:
            raise
        except AuditError as e:
            self._own = own + self._own  # ours are not lost: they go into the next transaction
            for peer, _ in batch:
                self._refuse(peer, e)
            return
        index = landed.first + len(own)
        for peer, entries in batch:
            assert peer.source is not None
            self._numbers.move(peer.source, entries[-1].seq + 1)
            peer.out += wire.pack_ack(entries[0].seq, index, len(entries), self._chain.number)
            index += len(entries)
            self._send(peer)
        # What fails here is tried again; the database has the checkpoint already.
        with contextlib.suppress(LogUnavailable):
            self._chain.publish()

    def _take_in_spools(self) -> None:
        """What processes that are gone had kept on disk, in the order of their own numbers."""
        for left in left_behind(self._folder):
            self._commit([])  # what we had to say before is not lost if the rest fails
            if self._own:
                left.close()
                return
            try:
                self._take_in(left)
            except LogUnavailable:  # tried again with the next heartbeat
                left.close()
                return
            left.remove()

    def _take_in(self, left: Left) -> None:
        finished: list[bytes] = []
        new, known, damaged, source = 0, 0, left.damaged, ""
        try:
            for data in left.records:
                try:
                    source, seq, _ = records.read(data)
                except RecordRejected:
                    damaged += 1
                    continue
                expected = self._numbers.next(source)
                if seq < expected:
                    known += 1
                    continue
                if seq > expected:  # a gap is declared in its place, between the two
                    self._commit_finished(finished)
                    self._say("log.gap", of=source, expected=expected, found=seq)
                finished.append(data)
                new += 1
                self._numbers.move(source, seq + 1)
            if source or damaged:
                self._commit_finished(finished)
                of = source or "unknown"
                self._say("log.spool", of=of, records=new, known=known, damaged=damaged)
                self._commit_finished([])
        finally:
            self._numbers.forget(source)

    def _commit_finished(self, finished: list[bytes]) -> None:
        """Our own records, then these."""
        own, self._own = self._own, []
        self._chain.commit(own, finished)
        finished.clear()
