"""A witness: cosigns a checkpoint only if it follows the last one that it cosigned of that log.

It holds one note per log and its own key, on another machine than the log. It knows no record.
Specifications: c2sp.org/tlog-witness#add-checkpoint, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import hashlib
import http.server
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from sovereign.audit.cosign import Cosigner
from sovereign.audit.durable import locked, write_whole
from sovereign.audit.history import signed_by
from sovereign.audit.note import Checkpoint, Verifier, open_checkpoint, split_note
from sovereign.audit.proof import Extension
from sovereign.audit.shelf import Shelf
from sovereign.audit.tiles import Tiles
from sovereign.audit.tree import EMPTY_ROOT, consistency_path, verify_consistency
from sovereign.errors import ConfigError, LogTampered
from sovereign.types import Clock

__all__ = ["MAX_BODY", "Answer", "Witness", "extension_from_tiles", "open_witness", "server"]

MAX_BODY = 1 << 16
"""63 hashes and a note with a few signatures come to a tenth of it."""

SECONDS = 10.0
KEY = "witness.key"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, a body and its type."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"


class Witness:
    """Remembers, per log, the newest checkpoint that it cosigned, in ``state``. Thread-safe, and
    safe with other processes on the same folder."""

    def __init__(
        self,
        state: Path,
        cosigner: Cosigner,
        logs: Iterable[Verifier],
        *,
        clock: Clock = time.time,
    ) -> None:
        self._state = state
        self._cosigner = cosigner
        self._logs = {log.name: log for log in logs}
        self._clock = clock

    def latest(self, origin: str) -> Checkpoint:
        """The newest checkpoint cosigned for ``origin``; the empty log if there is none. Raises
        :class:`LogTampered` if our own memory is not what the log signed."""
        file = self._file(origin)
        try:
            note = file.read_text("utf-8")
        except FileNotFoundError:
            return Checkpoint(origin, 0, EMPTY_ROOT)
        except (OSError, UnicodeDecodeError):
            raise LogTampered(f"{file} cannot be read: nothing is cosigned") from None
        log = self._known(note)
        if log is None or log.name != origin:
            raise LogTampered(f"{file} is about another log: nothing is cosigned")
        return open_checkpoint(note, log)

    def _known(self, note: str) -> Verifier | None:
        """The key for what ``note`` names: a log that we watch, or a later one of its chain."""
        if (watched := self._logs.get(note.partition("\n")[0])) is not None:
            return watched
        for log in self._logs.values():
            if (key := signed_by(note, log)).name == note.partition("\n")[0]:
                return key
        return None

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request, in the order of the specification's checks. The new checkpoint is
        durable before this returns."""
        try:
            asked = Extension.parse(body.decode("utf-8"))
            text, _ = split_note(asked.note)
        except (LogTampered, UnicodeDecodeError):
            return Answer(HTTPStatus.BAD_REQUEST, "not an add-checkpoint request\n")
        log = self._known(text)
        if log is None:
            return Answer(HTTPStatus.NOT_FOUND, "this witness does not know that log\n")
        try:
            new = open_checkpoint(asked.note, log)
        except LogTampered:
            return Answer(HTTPStatus.FORBIDDEN, "not signed by that log's key\n")
        if asked.old > new.size:
            return Answer(HTTPStatus.BAD_REQUEST, "old size is greater than the checkpoint's\n")
        # "must be performed atomically": compare, persist, answer.
        with locked(self._state):
            return self._follow(asked, new, text)

    def _follow(self, asked: Extension, new: Checkpoint, text: str) -> Answer:
        last = self.latest(new.origin)
        if asked.old != last.size:
            return Answer(HTTPStatus.CONFLICT, f"{last.size}\n", "text/x.tlog.size")
        if last.size == new.size and last.root != new.root:
            return Answer(HTTPStatus.CONFLICT, f"{last.size}\n", "text/x.tlog.size")
        try:
            if last.size == 0:  # "The proof MUST be empty if the old size is zero"
                if asked.hashes:
                    raise LogTampered("a proof about the empty log")
            else:
                verify_consistency(last.size, new.size, last.root, new.root, asked.hashes)
        except LogTampered:
            return Answer(
                HTTPStatus.UNPROCESSABLE_ENTITY, "it does not follow what was cosigned before\n"
            )
        write_whole(self._file(new.origin), asked.note.encode(), mode=0o600)
        return Answer(HTTPStatus.OK, self._cosigner.cosign(text, seconds=int(self._clock())))

    def _file(self, origin: str) -> Path:
        """An origin may hold slashes; its hash does not."""
        return self._state / f"{hashlib.sha256(origin.encode()).hexdigest()}.checkpoint"


def open_witness(
    state: Path, *, name: str, logs: Iterable[Verifier], clock: Clock = time.time
) -> tuple[Witness, Cosigner]:
    """The witness whose key is in ``state``; the key is made there the first time."""
    file = state / KEY
    if not file.exists():
        write_whole(file, secrets.token_bytes(32), mode=0o600)
        state.chmod(0o700)
    try:
        seed, mode = file.read_bytes(), file.stat().st_mode
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from None
    if len(seed) != 32 or mode & 0o077:
        raise ConfigError(
            f"{file} is no key that only its owner can read",
            hint="chmod 600, or bring it back: a new key is a new witness",
        )
    cosigner = Cosigner.from_seed(name, seed)
    return Witness(state, cosigner, logs, clock=clock), cosigner


def extension_from_tiles(shelf: Shelf, verifier: Verifier, last: Checkpoint) -> Extension:
    """What a log would have posted, from what it published on ``shelf``.

    Raises :class:`LogTampered` if what is published is older than ``last``.
    """
    fetch = shelf.get
    try:
        note = (fetch("checkpoint") or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise LogTampered(f"{shelf.name}/checkpoint is not text") from None
    new = open_checkpoint(note, verifier)
    if new.size < last.size:
        raise LogTampered(
            f"{shelf.name} has {new.size} records; {last.size} were cosigned: it was rolled back",
            index=new.size,
        )
    inner = 0 < last.size < new.size
    root_of = Tiles(fetch, new.size).root_of
    hashes = consistency_path(root_of, last.size, new.size) if inner else []
    return Extension(last.size, tuple(hashes), note)


def server(witness: Witness, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """POST /add-checkpoint, and nothing else. Not yet serving; port 0 takes a free one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = SECONDS
        server_version = "sovereign-witness"
        sys_version = ""

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint":
                self._say(Answer(HTTPStatus.NOT_FOUND, "there is /add-checkpoint\n"))
            elif not length.isdecimal() or int(length) > MAX_BODY:
                self._say(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large\n"))
            else:
                self._say(self._answer(self.rfile.read(int(length))))

        def _answer(self, body: bytes) -> Answer:
            try:
                with gate:
                    return witness.add_checkpoint(body)
            except Exception:  # noqa: BLE001 - whatever it is, nothing is cosigned
                return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "nothing was cosigned\n")

        def _say(self, answer: Answer) -> None:
            data = answer.body.encode()
            if answer.status >= 400:
                self.close_connection = True  # a body may be unread
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a request may hold anything."""

    gate = threading.Lock()
    made = http.server.ThreadingHTTPServer((host, port), Handler)
    made.daemon_threads = True
    return made
