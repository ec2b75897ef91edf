"""The public black-box suites, where they are installed: canarywire and pii-leak-benchmark. Each
plays the hosted side itself, at the place where our recorder was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sovereign.prove.recorder import Place
from sovereign.prove.run import Target

__all__ = ["SUITES", "Suite", "run_suite"]

SUITES = ("canarywire", "pii-leak-benchmark")
CANARYWIRE_MODEL = "canarywire-test"
TIMEOUT_S = 600
START_S = 20.0


@dataclass(frozen=True, slots=True)
class Suite:
    """What one suite says. ``passed`` is none if it could not be run, or proves nothing."""

    name: str
    version: str
    passed: bool | None
    says: str


def run_suite(name: str, target: Target, place: Place, *, one_way: bool) -> Suite:
    """Run ``name`` against ``target``. ``one_way``: the policy masks, so nothing has to come
    back."""
    program = _program(name)
    if program is None:
        return Suite(name, "", None, f"not installed: pip install {name}")
    version = _version(program, name)
    place.require_free()
    with tempfile.TemporaryDirectory(prefix="sovereign-prove-") as folder:
        run = _canarywire if name == "canarywire" else _leak_benchmark
        try:
            passed, says = run(program, target, place, Path(folder), one_way)
        except subprocess.TimeoutExpired:
            passed, says = None, f"did not end within {TIMEOUT_S} s"
    return Suite(name, version, passed, says)


def _program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def _version(program: str, name: str) -> str:
    """As the environment of ``program`` knows it: it may be another one than ours."""
    first = Path(program).read_text(errors="replace").partition("\n")[0]
    python = first.removeprefix("#!").strip()
    code = f"from importlib.metadata import version; print(version({name!r}))"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _canarywire(
    program: str, target: Target, place: Place, folder: Path, one_way: bool
) -> tuple[bool | None, str]:
    with _keyed(target) as base:
        duty = "mask-only" if one_way else "restore"
        config = {"target": {"base_url": base, "duty": duty}, "capture": {"url": place.url}}
        (folder / "canarywire.yaml").write_text(json.dumps(config))  # JSON is YAML
        serve = [program, "serve", "--listen", f"{place.host}:{place.port}"]
        with subprocess.Popen(
            serve, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as capture:
            try:
                if not _answers(f"{place.url}/_canarywire/health"):
                    return None, "its capture did not start"
                run = [program, "run", "--config", "canarywire.yaml", "--out", "out", "--seed", "7"]
                done = subprocess.run(
                    run, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
                )
            finally:
                capture.terminate()
                capture.wait(timeout=15)
    try:
        report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    except (OSError, ValueError):
        return None, f"wrote no report (exit {done.returncode})"
    attacks = report.get("attacks", [])
    counts: dict[str, int] = {}
    for attack in attacks:
        counts[attack["status"]] = counts.get(attack["status"], 0) + 1
    ended = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    says = f"{len(attacks)} attacks: {ended or 'none'}"
    return {0: True, 1: False}.get(done.returncode), says


def _leak_benchmark(
    program: str, target: Target, place: Place, folder: Path, one_way: bool
) -> tuple[bool | None, str]:
    command = [
        *(program, "ci", "--target-base-url", f"{target.base}/v1", "--out", str(folder / "out")),
        *(
            "--target-model",
            target.models["model"],
            "--duty",
            "anonymize" if one_way else "restore",
        ),
        *("--capture-host", place.host, "--capture-port", str(place.port)),
    ]
    env = {**os.environ, "BENCHMARK_SUBMISSION_SECTION": "false"}
    if target.key:
        env["CONFORMANCE_TARGET_API_KEY"] = target.key
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    try:
        report: dict[str, Any] = json.loads((folder / "out" / "current.json").read_text())
    except (OSError, ValueError):
        return None, f"wrote no report (exit {done.returncode})"
    held = sorted(k for k, v in report.get("entities", {}).items() if v == "contained")
    failed = sorted(k for k, ok in report.get("required_checks", {}).items() if not ok)
    says = f"{report['verdict']}: {len(held)} kinds contained ({', '.join(held)})"
    if failed:
        says += f"; failed: {', '.join(failed)}"
    if report["verdict"] == "NOT MEASURED":
        says = f"{report['verdict']}: {report.get('reason', '')}"
    return {0: True, 1: False}.get(done.returncode), says


def _answers(url: str) -> bool:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http:// URL
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
    return False


@contextlib.contextmanager
def _keyed(target: Target) -> Iterator[str]:
    """A URL on this machine behind which ``target`` is, with its key: canarywire sends none.

    Bytes are passed on as they come, so that a stream stays as it was cut.
    """
    if target.key is None:
        yield target.base
        return
    loop = asyncio.new_event_loop()
    relay = _Relay(target)
    server = loop.run_until_complete(asyncio.start_server(relay.serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)


class _Relay:
    """One request per connection: its head gets a key and another host, the rest is copied."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.base)
        self._host = str(parts.hostname)
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/").encode()
        self._own = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {target.key}\r\nConnection: close\r\n"
        ).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            behind, before = await asyncio.open_connection(
                self._host, self._port, ssl=True if self._tls else None
            )
            method, target, rest = head.split(b" ", 2)
            version, _, lines = rest.partition(b"\r\n")
            kept = [
                line
                for line in lines.split(b"\r\n")
                if line and line.lower().split(b":")[0] not in (b"host", b"connection")
            ]
            first = b"%s %s%s %s\r\n" % (method, self._prefix, target, version)
            before.write(first + self._own + b"\r\n".join([*kept, b"", b""]))
            onward = asyncio.create_task(_copy(reader, before))
            await _copy(behind, writer)
            onward.cancel()
            before.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return  # no answer is what the suite sees, and judges
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
