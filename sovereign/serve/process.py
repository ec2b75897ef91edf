"""One engine process from birth to end: spawned, awaited, drained, killed with its children.

Its standard input is a pipe that nobody writes to; when this process dies, however it dies, the
pipe ends and so does the engine. Engines are spawned, never forked from a live process.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from sovereign.errors import EngineDown
from sovereign.serve import engines
from sovereign.serve.health import healthy

__all__ = ["Process"]


class Process:
    """``command`` running for the model ``name``, to answer at ``socket``. Raises
    :class:`EngineDown` if there is no such program, or no folder for the socket."""

    def __init__(self, name: str, command: engines.Command, socket: Path) -> None:
        self._name = name
        self._drain_signal = command.drain_signal
        self._foreign = command.foreign
        self._hushed = False
        self._tail: collections.deque[str] = collections.deque(maxlen=40)
        self.socket = socket
        try:
            socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise EngineDown(f"{name}: {socket.parent}: {e.strerror}") from None
        try:
            self._process = subprocess.Popen(
                command.argv,
                env=engines.environment(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a group of its own, so that its children die with it
            )
        except OSError as e:
            raise EngineDown(f"{name}: cannot start {command.argv[0]}: {e.strerror}") from None
        self._reader = threading.Thread(target=self._read, name=f"stderr {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that it wrote to stderr."""
        return tuple(self._tail)

    def _read(self) -> None:
        """Keep the last lines of stderr; reading all of it keeps the engine from blocking."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                if not self._hushed:
                    self._tail.append(line.decode("utf-8", "replace").rstrip()[:500])

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        return not self.alive

    def await_ready(self, timeout: float, stopping: threading.Event) -> None:
        """Block until it is healthy. Raises :class:`EngineDown` if that takes over ``timeout``
        seconds, if it ends, or if ``stopping`` is set."""
        deadline = time.monotonic() + timeout
        while not healthy(self.socket, timeout=1.0):
            if not self.alive:
                raise self.down("before it was ready")
            if stopping.is_set():
                raise EngineDown(f"{self._name}: stopped before it was ready")
            if time.monotonic() > deadline:
                raise EngineDown(
                    f"{self._name}: the engine was not ready after {timeout:g} s",
                    hint=self._last_line() or "a larger model needs longer to load",
                )
            stopping.wait(0.05)
        self._hushed = self._foreign  # from now on its lines may be about requests

    def down(self, when: str) -> EngineDown:
        """What the exit status and the last lines of stderr say of a dead engine."""
        status = self._process.wait()
        self._reader.join(timeout=2)
        if status < 0:
            name = signal.Signals(-status).name
            hint = "see `dmesg`: the kernel kills what takes too much memory"
            return EngineDown(
                f"{self._name}: the engine was killed by {name} {when}",
                hint=hint if name == "SIGKILL" else self._last_line(),
            )
        if self._hushed:
            return EngineDown(f"{self._name}: the engine ended with status {status} {when}")
        said = [line for line in self._tail if line.startswith(("error: ", "hint: "))]
        if said and said[0].startswith("error: "):
            hints = [line.removeprefix("hint: ") for line in said[1:]]
            return EngineDown(
                f"{self._name}: {said[0].removeprefix('error: ')}", hint=hints[0] if hints else ""
            )
        return EngineDown(
            f"{self._name}: the engine ended with status {status} {when}", hint=self._last_line()
        )

    def _last_line(self) -> str:
        lines = [] if self._hushed else [line for line in self._tail if line.strip()]
        return f"its last line was: {lines[-1]}" if lines else ""

    def leave(self) -> None:
        """Ask it to answer what it has, take nothing new, and end."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._drain_signal)

    def terminate(self, grace: float) -> None:
        """Ask it to end, and wait ``grace`` seconds."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            self.wait(grace)

    def kill(self) -> None:
        """End the whole group now, children that outlived the engine too."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
