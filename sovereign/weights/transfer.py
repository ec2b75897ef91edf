"""Fetches files from a server that may lie, die, stall or forget, and hashes them as they come.

Each file goes to a part of its own. A part outlives the process: its bytes are hashed again from
the disk and the rest is asked for by range, so that no byte is sent twice but those in flight.
What a server says of a body (length, range, coding) must agree with what was listed. Which hosts
may be asked at all is the client's affair: see :mod:`sovereign.weights.hub`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from sovereign.errors import NotVerified, WeightsError
from sovereign.weights.staging import begin_writing, write_all

__all__ = ["Transfer", "Wanted", "git_blob", "pointer_blob", "retry_after"]

STREAMS = 8  # files at a time
BLOCK = 1 << 20
WRITE_BACK = 1 << 24  # bytes between two nudges to the disk
TRIES = 5  # without a byte of progress in between
LONGEST_WAIT = 120.0  # seconds; who asks for more is told to come back later
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as the server lists it. ``sha256`` is there for LFS files, ``blob`` (git's id of the
    content) is what others are held against."""

    path: str
    size: int
    blob: str
    sha256: str | None


class _Lost(Exception):
    """The connection or the server failed in a way that may pass. ``wait``: seconds, if told."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class _GivenUp(Exception):
    """Another file failed, so this one need not go on."""


class Transfer:
    """Fetches with ``client`` (an ``httpx2.Client`` or what streams like it) into ``parts``.

    ``url_of`` gives a file's address; ``step`` gets the bytes as they are had, also those that
    were there before. ``sleep`` waits between tries; the default ends early when another file
    fails.
    """

    def __init__(
        self,
        client: Any,
        parts: Path,
        url_of: Callable[[str], str],
        *,
        headers: dict[str, str] | None = None,
        step: Callable[[int], None] = lambda _: None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._client = client
        self._parts = parts
        self._url_of = url_of
        # Compressed, a body's length and ranges would be those of other bytes than the listed.
        self._headers = (headers or {}) | {"Accept-Encoding": "identity"}
        self._step = step
        self._stop = threading.Event()
        self._sleep = sleep or (lambda seconds: self._stop.wait(seconds))

    def held(self, files: Iterable[Wanted], target: Path) -> int:
        """Bytes of ``files`` that lie in parts already, or whole below ``target``."""
        places = ((place, f.size) for f in files for place in (self._part(f), target / f.path))
        return sum(min(p.stat().st_size, size) for p, size in places if p.is_file())

    def fetch(self, files: Iterable[Wanted], target: Path) -> dict[str, tuple[str, str]]:
        """Put every file below ``target``; returns its SHA-256 and git blob id by path.

        Raises :class:`NotVerified` that names the first file that is not what was listed, and
        :class:`WeightsError` where the server does not give it. Other parts stay for next time.
        """
        self._parts.mkdir(parents=True, exist_ok=True)
        self._stop.clear()
        files = sorted(files, key=lambda f: -f.size)
        with ThreadPoolExecutor(STREAMS) as pool:
            jobs = [pool.submit(self._one, file, target) for file in files]
            try:
                wait_for(jobs, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()  # of no meaning to those that are done
                for job in jobs:
                    job.cancel()
        errors = [e for job in jobs if not job.cancelled() and (e := job.exception()) is not None]
        for error in sorted(errors, key=lambda e: isinstance(e, _GivenUp)):
            raise error
        return {f.path: job.result() for f, job in zip(files, jobs, strict=True)}

    def _one(self, file: Wanted, target: Path) -> tuple[str, str]:
        part, place = self._part(file), target / file.path
        if place.is_file() and not part.exists():
            place.replace(part)  # whole, says an earlier process; it is hashed as any part
            part.chmod(0o600)
        tries = 0
        with part.open("a+b", buffering=0) as out:
            digest = _Digest(file)
            digest.read(out)
            self._step(digest.size)
            while digest.size < file.size:
                before = digest.size
                try:
                    self._stream(file, out, digest)
                except _Lost as e:
                    tries = 1 if digest.size > before else tries + 1
                    self._wait(file, e, tries)
        _check(file, digest, part)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)
        return digest.sha256, digest.blob

    def _stream(self, file: Wanted, out: Any, digest: _Digest) -> None:
        """Ask for what is missing, and take it. Raises :class:`_Lost`."""
        import httpx2

        headers = dict(self._headers)
        if digest.size:
            headers["Range"] = f"bytes={digest.size}-"
        try:
            with self._client.stream("GET", self._url_of(file.path), headers=headers) as answer:
                if _check_answer(file, answer, digest.size):
                    out.truncate(0)  # the server knows no ranges: from the start
                    self._step(-digest.size)
                    digest.reset()
                begun = digest.size
                # As they come: a block that waits for others is lost to a kill.
                for block in answer.iter_raw():
                    if self._stop.is_set():
                        raise _GivenUp
                    if digest.size + len(block) > file.size:
                        part = f"{file.path}: goes on after the {file.size} bytes that are listed"
                        raise NotVerified(part, hint=LIES)
                    write_all(out, block)
                    digest.update(block)
                    self._step(len(block))
                    if digest.size - begun >= WRITE_BACK:
                        begin_writing(out, begun, digest.size)
                        begun = digest.size
        except httpx2.TransportError as e:
            raise _Lost(type(e).__name__) from None
        if digest.size < file.size:
            raise _Lost(f"{digest.size} of {file.size} bytes came")

    def _wait(self, file: Wanted, lost: _Lost, tries: int) -> None:
        if self._stop.is_set():
            raise _GivenUp
        if tries >= TRIES:
            raise WeightsError(f"{file.path}: {lost}", hint="pull again: it goes on from there")
        wait = lost.wait if lost.wait is not None else 0.25 * 2**tries
        if wait > LONGEST_WAIT:
            raise WeightsError(
                f"{file.path}: {lost}, and to be asked again in {wait:.0f} s",
                hint="pull again then: it goes on from there",
            )
        self._sleep(wait)

    def _part(self, file: Wanted) -> Path:
        # Named by what it shall be: another commit's file of this path is another part.
        told = f"{file.path}\0{file.size}\0{file.sha256 or file.blob}"
        return self._parts / hashlib.sha256(told.encode()).hexdigest()[:32]


LIES = "the mirror or the connection changes files; pull again, or from elsewhere"


class _Digest:
    """SHA-256, git blob id and size of what came so far."""

    def __init__(self, file: Wanted) -> None:
        self._file = file
        self.reset()

    def reset(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        # Git names a file by SHA-1; for LFS files that is the pointer's, and made from the SHA-256.
        self._sha1 = None if self._file.sha256 else _git(self._file.size)

    def update(self, block: bytes | memoryview) -> None:
        self.size += len(block)
        self._sha256.update(block)
        if self._sha1 is not None:
            self._sha1.update(block)

    def read(self, part: Any) -> None:
        """Take what an earlier process left. More than a whole file is from somebody else."""
        if os.fstat(part.fileno()).st_size > self._file.size:
            part.truncate(0)
        part.seek(0)
        buffer = memoryview(bytearray(BLOCK))
        while count := part.readinto(buffer):
            self.update(buffer[:count])

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def blob(self) -> str:
        if self._sha1 is None:
            return pointer_blob(self.sha256, self.size)
        return str(self._sha1.hexdigest())


def git_blob(data: bytes) -> str:
    """Git's id of a file that holds ``data``, in hex."""
    digest = _git(len(data))
    digest.update(data)
    return str(digest.hexdigest())


def pointer_blob(sha256: str, size: int) -> str:
    """Git's id of the LFS pointer to a file; what the Hub lists as the file's own.

    https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return git_blob(pointer.encode())


def _git(size: int) -> Any:
    return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)


def _check(file: Wanted, digest: _Digest, part: Path) -> None:
    if file.sha256 is not None and digest.sha256 != file.sha256:
        what = "has another SHA-256 than the Hub lists"
    elif file.sha256 is None and digest.blob != file.blob:
        what = "has another git blob id than the Hub lists"
    else:
        return
    part.unlink()  # no byte of it can be believed
    raise NotVerified(f"{file.path}: {what}", hint=LIES)


def _check_answer(file: Wanted, answer: Any, offset: int) -> bool:
    """Whether the body begins at zero although ``offset`` was asked for. Raises where the answer
    is none, or its head contradicts what was listed."""
    status, head = answer.status_code, answer.headers
    if status in TRANSIENT:
        raise _Lost(f"the server answered {status}", retry_after(head.get("Retry-After")))
    if status not in (200, 206) or (status == 206 and not offset):
        gated = status in (401, 403)
        raise WeightsError(
            f"{file.path}: the server answered {status}",
            hint="accept its terms on the Hub, then set HF_TOKEN" if gated else "",
        )
    if head.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise NotVerified(f"{file.path}: came compressed, which was not asked for", hint=LIES)
    rest = file.size - (offset if status == 206 else 0)
    if status == 206:
        wanted = f"bytes {offset}-{file.size - 1}/{file.size}"
        if head.get("Content-Range", "").strip() != wanted:
            raise NotVerified(f"{file.path}: another range came than was asked for", hint=LIES)
    length = head.get("Content-Length")
    if length is not None and length != str(rest):
        what = f"{length} bytes long, where {rest} are listed"
        raise NotVerified(f"{file.path}: is {what}", hint=LIES)
    return status == 200 and offset > 0


def retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a ``Retry-After`` names, as RFC 9110 section 10.2.3 has it; None without one."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except (ValueError, TypeError):
        return None
