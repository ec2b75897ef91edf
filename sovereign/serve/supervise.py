"""Keeps one engine per model running: verified first, watched, restarted, and exchanged under load
when an adapter changes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sovereign.config import Config, ModelConfig
from sovereign.errors import ConfigError, EngineDown, NotVerified, SovereignError
from sovereign.serve import adapter as passes
from sovereign.serve import engines
from sovereign.serve.backoff import Backoff
from sovereign.serve.cell import SOCKET_PATH_MAX
from sovereign.serve.health import probe
from sovereign.serve.process import Process
from sovereign.types import JSON, Sink
from sovereign.weights.passport import NAME as PASSPORT
from sovereign.weights.passport import trusted
from sovereign.weights.store import Store

__all__ = ["Supervisor", "engines_from_config", "verified"]

LOGGER = logging.getLogger("sovereign.serve")

_GRACE_S = 8.0
_DRAIN_S = 600.0
"""How long an engine that was replaced may take for what it was asked before."""


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
            model=model,
        )
        self._engine = engines.find(model.engine)
        self._process: Process | None = None
        self._loading: Process | None = None
        self._leaving: list[threading.Thread] = []
        self._watcher: threading.Thread | None = None
        self._adapters_seen = self._adapters_now()
        self._stopping = threading.Event()
        self.restarts = 0
        self.rollovers = 0
        self.last_error: SovereignError | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the engine was healthy and its process still runs."""
        process = self._process
        return process is not None and process.alive

    @property
    def engine(self) -> str:
        """Which one it is, by the name that the configuration gives it."""
        return self._model.engine

    @property
    def pid(self) -> int | None:
        """The engine's process, while it runs or loads."""
        process = self._process or self._loading
        return process.pid if process is not None and process.alive else None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that the engine wrote to stderr."""
        process = self._process or self._loading
        return () if process is None else process.tail

    def start(self, timeout: float | None = None) -> None:
        """Spawn the engine and block until it is healthy, for ``timeout`` seconds, or the model's
        own ``start_s``. Raises :class:`EngineDown`, or :class:`PassportRefused` for an adapter that
        is not what its passport says."""
        self._stopping.clear()
        self._start(timeout)

    def _start(self, timeout: float | None = None) -> None:
        if self.pid is None:
            self._process = self._load(self._launch, timeout or self._model.start_s)
            self._backoff.started()

    def _load(self, launch: engines.Launch, timeout: float) -> Process:
        """A new engine, healthy. Nothing is left of it if that fails."""
        self._adapters_seen = self._adapters_now()
        digests: dict[str, str] = {}
        if launch.base_digest:
            for key, path in launch.adapters.items():
                digests[key] = passes.check(path, launch.base_digest, launch.trust).digest
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
        command = self._engine.command(launch)
        loading = Process(self.name, command, launch.socket)
        self._loading = loading
        try:
            loading.await_ready(timeout, self._stopping)
            if command.probe is not None:
                probe(launch.socket, command.probe)
        except EngineDown:
            loading.kill()
            self._record("model.stop", reason="not_started", restarts=self.restarts)
            raise
        finally:
            self._loading = None
        return loading

    def roll(self, timeout: float | None = None) -> None:
        """Exchange the engine for one with the adapters as they are on disk now, and drop no
        request: the new one is loaded and probed beside the old one, its socket takes the other's
        place in one rename, and the old one ends when it has answered what it was asked.

        Raises as :meth:`start` does; then the old one goes on. Both are in memory meanwhile.
        """
        beside = self.socket.with_name(self.socket.name[:-1] + "~")
        launch = replace(self._launch, socket=beside)
        fresh = self._load(launch, timeout or self._model.start_s)
        try:
            beside.replace(self.socket)
        except OSError as e:
            fresh.kill()
            self._record("model.stop", reason="not_started", restarts=self.restarts)
            raise EngineDown(f"{self.name}: {self.socket}: {e.strerror}") from None
        old, self._process = self._process, fresh
        self.rollovers += 1
        if old is not None:
            leaving = threading.Thread(target=self._see_off, args=(old,), daemon=True)
            self._leaving = [t for t in self._leaving if t.is_alive()] + [leaving]
            leaving.start()

    def _see_off(self, old: Process) -> None:
        old.leave()
        end = time.monotonic() + _DRAIN_S
        while not (old.wait(0.1) or self._stopping.is_set() or time.monotonic() > end):
            pass
        old.terminate(_GRACE_S)
        old.kill()
        with contextlib.suppress(SovereignError):  # it has ended, whether or not that can be said
            self._record("model.stop", reason="replaced", restarts=self.restarts)

    def watch(self) -> None:
        """Restart the engine whenever it dies, and :meth:`roll` it when an adapter's folder
        changes, in a thread of its own, until :meth:`stop`."""
        if self._watcher is None or not self._watcher.is_alive():
            self._watcher = threading.Thread(
                target=self._watch, name=f"watch {self.name}", daemon=True
            )
            self._watcher.start()

    def stop(self) -> None:
        """Let running requests end for a moment, then end the engine and all its children."""
        self._stopping.set()
        was = self._process is not None
        if self._process is not None:
            self._process.terminate(_GRACE_S)
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(timeout=_GRACE_S)
            self._watcher = None
        for leaving in self._leaving:
            leaving.join(timeout=2 * _GRACE_S)
        for process in (self._process, self._loading):  # what the watcher may have begun meanwhile
            if process is not None:
                process.kill()
        self._process = None
        self.socket.unlink(missing_ok=True)
        if self._temporary:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
        if was:
            self._record("model.stop", reason="stopped", restarts=self.restarts)

    # ---- watching --------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping.is_set():
            process = self._process
            if process is not None and not process.wait(0.2):
                self._look_at_adapters()
                continue
            if self._stopping.is_set():
                return
            if process is not None:
                self.last_error = process.down("while it served")
                process.kill()
                self._process = None
            if self._stopping.wait(self._backoff.failed()):
                return
            try:
                self._verify()
                self.restarts += 1
                self._start()
            except (SovereignError, OSError) as e:
                # Weights that changed on disk stay down too, and are looked at again later.
                self.last_error = self._told(e)

    def _look_at_adapters(self) -> None:
        """A refused change is not tried again before the next: a folder that is being copied is
        looked at until it is whole."""
        if self._adapters_now() == self._adapters_seen:
            return
        try:
            self._verify()
            self.roll()
            LOGGER.info("%s: serving the adapters that are there now", self.name)
        except (SovereignError, OSError) as e:
            self.last_error = told = self._told(e)
            if not self._stopping.is_set():
                LOGGER.error("%s goes on with the adapters it has: %s", self.name, told.message)

    def _told(self, error: SovereignError | OSError) -> SovereignError:
        """A disk that fails now may not fail later: the watch goes on."""
        if isinstance(error, SovereignError):
            return error
        return EngineDown(f"{self.name}: {error.strerror or type(error).__name__}")

    def _adapters_now(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Changes when an adapter's files do, or what its path leads to."""
        found: list[tuple[int, int, int] | None] = []
        for folder in self._launch.adapters.values():
            for name in ("adapter_model.safetensors", "adapter_config.json", PASSPORT):
                try:
                    about = (folder / name).stat()
                    found.append((about.st_ino, about.st_mtime_ns, about.st_size))
                except OSError:
                    found.append(None)
        return tuple(found)

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
        weights, verify = verified(config, model, store)
        found[name] = Supervisor(
            name,
            model,
            weights=weights,
            adapters=adapters,
            run_dir=config.resolve(Path(".sovereign/run")),
            sink=sink,
            base_digest=store.entry(model.base).digest,
            trust=passes.hexed(trusted(config)),
            verify=verify,
        )
    return found


def verified(config: Config, model: ModelConfig, store: Store) -> tuple[Path, Callable[[], object]]:
    """What the engine of ``model`` loads, verified just now, and how to verify it again.

    A GGUF file is what the lock says that its base was made of. Raises :class:`WeightsError`,
    :class:`NotVerified` or :class:`ConfigError`.
    """
    if model.llamacpp is None:
        return store.get(model.base), lambda: store.get(model.base)
    file, entry = config.resolve(model.llamacpp.gguf), store.entry(model.base)
    if entry.kind != "gguf":
        raise ConfigError(
            f"{model.base!r} was made of no GGUF file, so no hash of one is locked",
            hint=f"sovereign weights import {file} --name NAME",
        )

    def verify() -> None:
        try:
            with file.open("rb") as raw:
                found = hashlib.file_digest(raw, "sha256").hexdigest()
        except OSError as e:
            raise NotVerified(f"{file}: {e.strerror}") from None
        if found != entry.source_sha256:
            raise NotVerified(f"{file} is not the file that {model.base!r} was made of")

    verify()
    return file, verify
