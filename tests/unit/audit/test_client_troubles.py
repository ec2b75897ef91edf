"""A client whose sequencer is there and no help, or whose process has no room: whoever waits is
told in time, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from sequenced import begin, intent, kill, pid_of, some, stored, wait_until

from sovereign.audit import line, wire
from sovereign.audit.client import Client
from sovereign.audit.starting import Starter
from sovereign.audit.verify import verify
from sovereign.errors import LogUnavailable


@contextlib.contextmanager
def _played(log: Client, starter: Starter, says: bytes = b"") -> Iterator[list[socket.socket]]:
    """A sequencer that greets, says ``says``, and reads no record. Whom it has greeted."""
    greeted: list[socket.socket] = []
    fields = {"next": 1, "vkey": log.vkey, "size": 1, "root": "00", "covered": 0}

    def greet() -> None:
        with contextlib.suppress(OSError):
            while True:
                greeted.append(listener.accept()[0])
                greeted[-1].recv(65536)
                greeted[-1].sendall(wire.json_frame(wire.WELCOME, **fields) + says)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        (starter.folder / wire.SOCKET).unlink(missing_ok=True)
        with wire.address(starter.folder) as name:
            listener.bind(name)
        listener.listen(16)
        threading.Thread(target=greet, daemon=True).start()
        try:
            yield greeted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            (starter.folder / wire.SOCKET).unlink()
            for one in greeted:
                one.close()


@pytest.mark.parametrize("kept", [3, 1500], ids=["little", "more than a socket holds"])
def test_a_sequencer_that_greets_and_goes_no_further_is_not_waited_for(
    starter: Starter, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Being reached is nothing: an intent is refused in time, also if what was kept on disk cannot
    even be sent. And nothing is lost or doubled by it."""
    monkeypatch.setattr(line, "SEND_SECONDS", 0.1)
    starter.start()
    log = begin(starter, starter=None, patience=0.3, announce=False)
    log.append(some(0))
    kill(starter)
    for future in [log.submit(some(n)) for n in range(1, kept)]:
        assert isinstance(future.exception(timeout=20), LogUnavailable)
    with _played(log, starter) as greeted:
        wait_until(lambda: greeted)
        for n in range(2):
            assert isinstance(log.submit(intent(n)).exception(timeout=20), LogUnavailable)
    starter.start()
    wait_until(lambda: any(r["type"] == "log.restart" for r in stored(starter)))
    log.append(intent(2))
    log.close()
    names = [r["request"] for r in stored(starter) if "request" in r]
    assert names == [*(f"r{n}" for n in range(kept)), "i2"]
    assert verify(starter.folder).ok


def test_a_process_without_a_thread_left_refuses_until_it_has_one(starter: Starter) -> None:
    """The thread that found so was gone itself, and everybody after that waited for ever."""
    with begin(starter, patience=0.3) as log:
        log.append(intent(0))
        os.kill(pid_of(starter), signal.SIGKILL)
        threading.stack_size(1 << 60)  # more than there are addresses: none can be started
        try:
            for n in (1, 2):
                with pytest.raises(LogUnavailable):
                    log.submit(intent(n)).result(timeout=20)
        finally:
            threading.stack_size(0)
        wait_until(lambda: log.submit(intent(3)).exception(timeout=20) is None)
    names = [r["request"] for r in stored(starter) if "request" in r]
    assert (names[0], names[-1]) == ("i0", "i3")
    assert verify(starter.folder).ok


def test_a_client_whose_own_thread_breaks_refuses_whoever_waits_and_comes(
    starter: Starter,
) -> None:
    """Whatever it was: there is no record, and somebody has to say so."""
    starter.start()
    log = begin(starter, starter=None, patience=60.0, announce=False)
    kill(starter)
    waits = log.submit(intent(0))
    with _played(log, starter, says=wire.frame(wire.ERROR, b"[]")):
        begun = time.monotonic()
        with pytest.raises(LogUnavailable):
            waits.result(timeout=20)
        with pytest.raises(LogUnavailable):
            log.append(intent(1))
        assert time.monotonic() - begun < 20
    with pytest.raises(LogUnavailable):
        log.close()
