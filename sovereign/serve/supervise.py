"""Keeps one engine per model running: verified first, spawned, watched, restarted, never orphaned.

The engine's standard input is a pipe that nobody writes to; when this process dies, however it
dies, the pipe ends and so does the engine. Engines are spawned, never forked from a live process.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sovereign.config import Config, ModelConfig
from sovereign.errors import ConfigError, EngineDown, SovereignError
from sovereign.serve import adapter as passes
from sovereign.serve import engines
from sovereign.serve.backoff import Backoff
from sovereign.serve.cell import SOCKET_PATH_MAX
from sovereign.serve.health import healthy
from sovereign.types import JSON, Sink
from sovereign.weights.passport import trusted
from sovereign.weights.store import Store

__all__ = ["Supervisor", "engines_from_config"]

_GRACE_S = 8.0


class Supervisor:
    """One engine. ``verify`` is called before every restart, and raises if the weights on disk are
    no longer what the lock says; the caller verifies before the first start. The socket lies in
    ``run_dir``, or exactly ``at``."""

    def __init__(
        self,
        name: str,
        model: ModelConfig,
        *,
        weights: Path,
        run_dir: Path,
        adapters: Mapping[str, Path] | None = None,
        sink: Sink | None = None,
        base_digest: str = "",
        trust: tuple[str, ...] = (),
        verify: Callable[[], object] = lambda: None,
        backoff: Backoff | None = None,
        at: Path | None = None,
    ) -> None:
        self.name = name
        self._model = model
        self._verify = verify
        self._sink = sink
        self._backoff = backoff or Backoff()
        if at is None:
            folder, self._temporary = _run_dir(run_dir, name)
            self.socket = folder / _socket_name(name)
        else:
            self.socket, self._temporary = at, False
        self._launch = engines.Launch(
            name=name,
            weights=weights,
            socket=self.socket,
            adapters=adapters or {},
            base_digest=base_digest,
            trust=trust,
            max_context=model.max_context,
            threads=model.threads,
        )
        self._engine = engines.find(model.engine)
        self._process: subprocess.Popen[bytes] | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=40)
        self._reader: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        self._ready = False
        self._stopping = threading.Event()
        self.restarts = 0
        self.last_error: SovereignError | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the engine was healthy and its process still runs."""
        process = self._process
        return self._ready and process is not None and process.poll() is None

    @property
    def pid(self) -> int | None:
        """The engine's process, while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that the engine wrote to stderr."""
        return tuple(self._tail)

    def start(self, timeout: float = 120) -> None:
        """Spawn the engine and block until it is healthy. Raises :class:`EngineDown`, or
        :class:`PassportRefused` for an adapter that is not what its passport says."""
        self._stopping.clear()
        self._start(timeout)

    def _start(self, timeout: float = 600) -> None:
        if self.pid is not None:
            return
        launch = self._launch
        digests: dict[str, str] = {}
        if launch.base_digest:
            for key, path in launch.adapters.items():
                digests[key] = passes.check(path, launch.base_digest, launch.trust)
        for key in ["", *(k for k in launch.adapters if k)]:
            self._record(
                "model.serve",
                model=f"{self.name}:{key}" if key else self.name,
                base=self._model.base,
                base_digest=launch.base_digest or None,
                adapter_digest=digests.get(key),
                engine=self._model.engine,
                restarts=self.restarts,
            )
        self._spawn()
        try:
            self._await_health(time.monotonic() + timeout, timeout)
        except EngineDown:
            self._kill()
            self._record("model.stop", reason="not_started", restarts=self.restarts)
            raise
        self._ready = True
        self._backoff.started()

    def watch(self) -> None:
        """Restart the engine whenever it dies, in a thread of its own, until :meth:`stop`."""
        if self._watcher is None or not self._watcher.is_alive():
            self._watcher = threading.Thread(
                target=self._watch, name=f"watch {self.name}", daemon=True
            )
            self._watcher.start()

    def stop(self) -> None:
        """Let running requests end for a moment, then end the engine and all its children."""
        self._stopping.set()
        was = self._process is not None
        self._terminate()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(timeout=_GRACE_S)
            self._watcher = None
        self._kill()  # whatever the watcher may have begun to start meanwhile
        self.socket.unlink(missing_ok=True)
        if self._temporary:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
        if was:
            self._record("model.stop", reason="stopped", restarts=self.restarts)

    # ---- the process -----------------------------------------------------------------------

    def _spawn(self) -> None:
        self._ready = False
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = self._engine.command(self._launch)
        self._tail.clear()
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
            raise EngineDown(f"{self.name}: cannot start {command.argv[0]}: {e.strerror}") from None
        self._reader = threading.Thread(
            target=self._drain, args=(self._process,), name=f"stderr {self.name}", daemon=True
        )
        self._reader.start()

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the last lines of stderr; reading all of it keeps the engine from blocking."""
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                self._tail.append(line.decode("utf-8", "replace").rstrip()[:500])

    def _await_health(self, deadline: float, timeout: float) -> None:
        process = self._process
        assert process is not None
        while not healthy(self.socket, timeout=1.0):
            if process.poll() is not None:
                raise self._down(process, "before it was ready")
            if self._stopping.is_set():
                raise EngineDown(f"{self.name}: stopped before it was ready")
            if time.monotonic() > deadline:
                raise EngineDown(
                    f"{self.name}: the engine was not ready after {timeout:g} s",
                    hint=self._last_line() or "a larger model needs longer to load",
                )
            self._stopping.wait(0.05)

    def _down(self, process: subprocess.Popen[bytes], when: str) -> EngineDown:
        """What the exit status and the last lines of stderr say of a dead engine."""
        status = process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2)
        if status < 0:
            name = signal.Signals(-status).name
            hint = "see `dmesg`: the kernel kills what takes too much memory"
            return EngineDown(
                f"{self.name}: the engine was killed by {name} {when}",
                hint=hint if name == "SIGKILL" else self._last_line(),
            )
        said = [line for line in self._tail if line.startswith(("error: ", "hint: "))]
        if said and said[0].startswith("error: "):
            hints = [line.removeprefix("hint: ") for line in said[1:]]
            return EngineDown(
                f"{self.name}: {said[0].removeprefix('error: ')}", hint=hints[0] if hints else ""
            )
        return EngineDown(
            f"{self.name}: the engine ended with status {status} {when}", hint=self._last_line()
        )

    def _last_line(self) -> str:
        lines = [line for line in self._tail if line.strip()]
        return f"its last line was: {lines[-1]}" if lines else ""

    def _terminate(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)

    def _kill(self) -> None:
        """End the whole group now, children that outlived the engine too."""
        process, self._process = self._process, None
        self._ready = False
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    # ---- watching --------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping.is_set():
            process = self._process
            if process is not None and process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.2)
                continue
            if self._stopping.is_set():
                return
            if process is not None:
                self.last_error = self._down(process, "while it served")
                self._kill()
            if self._stopping.wait(self._backoff.failed()):
                return
            try:
                self._verify()
                self.restarts += 1
                self._start()
            except SovereignError as e:
                # Weights that changed on disk stay down too, and are looked at again later.
                self.last_error = e

    def _record(self, type: str, **fields: JSON) -> None:
        """Durable before the engine starts; without the log nothing is served."""
        if self._sink is not None:
            record = {"type": type, "model": self.name, **fields}
            self._sink.submit({k: v for k, v in record.items() if v is not None}).result()


def _socket_name(name: str) -> str:
    """A short file name that differs for names that differ."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:16]
    return f"{slug}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.sock"


def _run_dir(wanted: Path, name: str) -> tuple[Path, bool]:
    """The folder for the socket, and whether it is a temporary one: a deep project folder can pass
    the 107 bytes of a socket's path."""
    wanted = wanted.absolute()
    if len(os.fsencode(wanted / _socket_name(name))) <= SOCKET_PATH_MAX:
        return wanted, False
    return Path(tempfile.mkdtemp(prefix="sovereign-", dir="/tmp")), True


def engines_from_config(config: Config, store: Store, sink: Sink | None) -> dict[str, Supervisor]:
    """A supervisor for each ``[models.NAME]``, not started. The weights are verified here.

    Raises :class:`ConfigError`, :class:`WeightsError` or :class:`NotVerified`.
    """
    found: dict[str, Supervisor] = {}
    for name, model in config.models.items():
        folders = dict(model.adapters)
        if model.adapter is not None:
            folders[""] = model.adapter
        adapters = {key: config.resolve(folder) for key, folder in sorted(folders.items())}
        for key, folder in adapters.items():
            if not folder.is_dir():
                field = f"adapters.{key}" if key else "adapter"
                raise ConfigError(
                    f"models.{name}.{field}: {folder}: no such folder",
                    hint="`sovereign tune run` writes one",
                )
        base = model.base
        found[name] = Supervisor(
            name,
            model,
            weights=store.get(base),
            adapters=adapters,
            run_dir=config.resolve(Path(".sovereign/run")),
            sink=sink,
            base_digest=store.entry(base).digest,
            trust=passes.hexed(trusted(config)),
            verify=lambda base=base: store.get(base),  # type: ignore[misc]
        )
    return found
