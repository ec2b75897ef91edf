"""``sovereign scan --against-log`` while the gateway works, and writes its log."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _seen(file: Path, request: str | None) -> None:
    """A call, as a proxy writes it down while it passes."""
    headers = {"x-request-id": request} if request else {}
    call: dict[str, Any] = {
        "time": time.time(),
        "url": "https://api.openai.com/v1/chat/completions",
        "headers": headers,
        "body": {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]},
    }
    with file.open("a") as out:
        out.write(json.dumps(call) + "\n")


@contextmanager
def _asking(gateway: Any, proxy: Path) -> Iterator[None]:
    """Requests, one after the other, each in the proxy's log as soon as it has passed."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            _seen(proxy, gateway.ask().request)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for one in asking:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in asking:
            one.join()


def test_a_gateway_that_is_at_work_is_not_accused(tiny: Any, tmp_path: Path) -> None:
    """Every call of the proxy's log is found in the audit log, though both grow while they are
    read: nothing is around the door and nothing left open. A call just now of which it has nothing
    is listed, and not judged before the log is some seconds further."""
    proxy = tmp_path / "proxy.jsonl"
    _seen(proxy, tiny.ask().request)
    command = ("scan", str(proxy), "--against-log", str(tiny.folder / "audit"), "--json")
    with _asking(tiny, proxy):
        run = tiny.run(*command, "--out", str(tmp_path / "out"))
        told = json.loads(run.stdout)
        assert (told["around"], told["unjudged"], run.returncode) == (0, 0, 0), told
        assert told["by_request"] == told["calls"] > 1
        _seen(proxy, None)
        run = tiny.run(*command, "--out", str(tmp_path / "around"))
    told = json.loads(run.stdout)
    assert (told["around"], told["unjudged"], run.returncode) == (0, 1, 1)
