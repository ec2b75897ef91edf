"""The floor under any gateway in Python that records before it sends: it reads no text at all.

As in what was measured before the gateway was built: uvicorn with uvloop and httptools, Starlette,
the JSON parsed and written again, an intent committed to SQLite (synchronous=FULL, group commit in
a thread) before each send, aiohttp as the client upstream. It has no keys, no limits, no receipts,
no results, no policy, and no proof; what a machine makes of it is what that machine can do.

    pip install --target DIR --no-deps aiohttp aiohappyeyeballs aiosignal attrs frozenlist \\
        multidict propcache yarl && PYTHONPATH=DIR scripts/bench gateway
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

NEEDS = ("aiohttp", "starlette")


def missing() -> list[str]:
    """What has to be installed before the floor can be laid."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


@contextmanager
def floor(folder: Path, url: str) -> Iterator[tuple[str, str, int]]:
    """(base URL, key, process id) of the floor before ``url``, in a fresh folder."""
    folder.mkdir()
    command = [sys.executable, __file__, str(folder / "intents.sqlite"), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            yield json.loads(started.stdout.readline())["url"], "none", started.pid
        finally:
            started.terminate()
            started.wait(timeout=30)


class Intents:
    """Rows of one table, each durable when its future is done."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[tuple[asyncio.Future[None], bytes]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(path,), daemon=True).start()

    async def append(self, row: bytes) -> None:
        future = self._loop.create_future()
        self._queue.put((future, row))
        await future

    def _run(self, path: Path) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE intents (n INTEGER PRIMARY KEY, row BLOB NOT NULL)")
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO intents (row) VALUES (?)", [(r,) for _, r in batch])
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._done, [future for future, _ in batch])

    @staticmethod
    def _done(futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            future.set_result(None)


def application(path: Path, upstream: str) -> Any:
    import aiohttp
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    held: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        held["intents"] = Intents(path)
        async with aiohttp.ClientSession() as held["session"]:
            yield

    async def chat(request: Request) -> Response:
        body = json.loads(await request.body())
        raw = json.dumps(body).encode()
        said = {"time": time.time(), "model": body["model"], "sha256": _sha256(raw)}
        await held["intents"].append(json.dumps(said).encode())
        asked = held["session"].post(
            upstream + request.url.path, data=raw, headers={"Content-Type": "application/json"}
        )
        answer = await asked.__aenter__()
        if not body.get("stream"):
            async with answer:
                content = json.dumps(json.loads(await answer.read())).encode()
            return Response(content, answer.status, media_type="application/json")

        async def pieces() -> Any:
            async with answer:
                async for piece in answer.content.iter_any():
                    yield piece

        return StreamingResponse(pieces(), answer.status, media_type="text/event-stream")

    return Starlette(
        routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan
    )


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def main() -> None:
    import socket

    import uvicorn

    path, upstream = Path(sys.argv[1]), sys.argv[2]
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        application(path, upstream),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
