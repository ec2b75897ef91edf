"""What `scripts/bench serve` compares with: transformers' own server, a source of paced tokens, and
the floor under any gateway.

`transformers serve` needs FastAPI, which is no dependency of ours: `pip install fastapi`. What the
floor needs is in ``floor.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from floor import floor, missing

# Sends as many tokens as ``max_tokens`` says, one every ``pace`` seconds.
SOURCE = """
import asyncio, json, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

pace = float(sys.argv[2])

async def chat(request):
    body = await request.json()
    async def tokens():
        for i in range(body["max_tokens"]):
            if i:
                await asyncio.sleep(pace)
            choice = {"index": 0, "finish_reason": None, "delta": {"content": " word"}}
            yield "data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 1,
                "model": "m", "choices": [choice]}) + "\\n\\n"
        choice = {"index": 0, "finish_reason": "stop", "delta": {}}
        yield "data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 1,
            "model": "m", "choices": [choice]}) + "\\n\\n" + "data: [DONE]\\n\\n"
    return StreamingResponse(tokens(), media_type="text/event-stream")

app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", loop="uvloop")
"""

CONFIG = """
[policy]
preset = "direct"
[guard]
key_file = "surrogate.key"
[gateway]
port = 0
[upstream.inside]
side = "local"
base_url = "{url}/v1"
models = ["m"]
[keys]
file = "keys.json"
[audit]
path = "audit"
key_file = "audit.key"
"""


def cpu_s(pid: int) -> float:
    """CPU seconds that the process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(argv: list[str], port: int, path: str, **options: Any) -> Iterator[int]:
    """A server that is up once it answers anything at ``path``; its process id."""
    started = subprocess.Popen(argv, **options)
    try:
        end = time.monotonic() + 120
        while True:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                line.request("GET", path)
                line.getresponse()
                break
            except OSError:
                if started.poll() is not None or time.monotonic() > end:
                    hint = "transformers serve needs pip install 'transformers[serving]'"
                    raise SystemExit(f"error: {argv[0]} did not start\nhint: {hint}") from None
                time.sleep(0.1)
            finally:
                line.close()
        yield started.pid
    finally:
        started.terminate()
        started.wait(timeout=30)


@contextlib.contextmanager
def transformers_serve(folder: Path, threads: int) -> Iterator[tuple[str, int]]:
    """``transformers serve --continuous-batching`` of ``folder``: its URL and process id."""
    port = _port()
    program = str(Path(sys.executable).with_name("transformers"))
    argv = [program, "serve", "--continuous-batching", "--device", "cpu", "--dtype", "bfloat16"]
    # Its own defaults size the cache by the machine's memory, and read all of it for each token.
    argv += ["--cb-block-size", "32", "--cb-num-blocks", "256", "--cb-max-batch-tokens", "512"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_DISABLE_TELEMETRY": "1"}
    with _process(
        argv, port, "/health", env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextlib.contextmanager
def _source(pace: float) -> Iterator[str]:
    port = _port()
    with _process([sys.executable, "-c", SOURCE, str(port), str(pace)], port, "/"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _gateway(folder: Path, url: str) -> Iterator[tuple[str, str, int]]:
    """(base URL, key, process id) of a gateway with a guard and a durable log, before ``url``."""
    config = folder / "sovereign.toml"
    config.write_text(CONFIG.format(url=url))
    for name in ("audit.key", "surrogate.key"):
        (folder / name).write_bytes(os.urandom(32))
        (folder / name).chmod(0o600)
    program = str(Path(sys.executable).with_name("sovereign"))
    create = [program, "keys", "create", "--team", "bench", "--config", str(config)]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    ready = folder / "ready.json"
    argv = [program, "gateway", "--config", str(config), "--ready-file", str(ready)]
    started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if started.poll() is not None:
                raise SystemExit("error: the gateway did not start")
            time.sleep(0.05)
        yield json.loads(ready.read_text())["url"], key, started.pid
    finally:
        started.terminate()
        started.wait(timeout=30)


def _ask(line: http.client.HTTPConnection, key: str, number: int, tokens: int) -> float:
    """Milliseconds to the first token of a stream, which is read to its end."""
    said = f"Please summarise what was said of the harbour at noon, in one line. No. {number}"
    body = {"model": "m", "max_tokens": tokens, "stream": True}
    raw = json.dumps({**body, "messages": [{"role": "user", "content": said}]}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    began = time.perf_counter()
    line.request("POST", "/v1/chat/completions", raw, headers)
    answer = line.getresponse()
    if answer.status != 200:
        raise SystemExit(f"error: status {answer.status}")
    while b'"content"' not in answer.readline():
        pass
    took = time.perf_counter() - began
    answer.read()
    return took * 1000


def door(pace: float = 0.002, requests: int = 150, tokens: int = 400, streams: int = 8) -> None:
    """What the gateway adds to a stream from inside: ms to the first token (p50), and CPU time for
    each token of long streams whose tokens come one by one. Beside it the floor, where it can be
    laid (``floor.py``): much of both is what it costs this machine to wake a process up."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(_source(pace))
        roads = {"gateway": stack.enter_context(_gateway(folder, source))}
        if not missing():
            roads["floor"] = stack.enter_context(floor(folder / "floor", source))
        direct = http.client.HTTPConnection(source.removeprefix("http://"), timeout=60)
        lines = {
            name: http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            for name, (url, _, _) in roads.items()
        }
        plain: list[float] = []
        through: dict[str, list[float]] = {name: [] for name in roads}
        for number in range(requests):  # in turn: all see the same machine
            plain.append(_ask(direct, "", number, 2))
            for name, (_, key, _) in roads.items():
                through[name].append(_ask(lines[name], key, number, 2))
        for name, (_, key, pid) in roads.items():
            before = cpu_s(pid)
            for number in range(requests):
                _ask(lines[name], key, 10_000 + number, 2)
            short = (cpu_s(pid) - before) / requests
            before = cpu_s(pid)
            for number in range(streams):
                _ask(lines[name], key, 20_000 + number, tokens)
            each = ((cpu_s(pid) - before) / streams - short) / (tokens - 2)
            first, bare = statistics.median(through[name]), statistics.median(plain)
            print(
                f"{name}: {first - bare:.2f} ms added to a request (first token p50 {bare:.2f} ms "
                f"direct, {first:.2f} ms through), {each * 1000:.3f} ms of CPU for each token"
            )


if __name__ == "__main__":
    door()
