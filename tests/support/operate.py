"""What the tests of a gateway at work share: small helpers, and a destination with a script."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


def chat(text: str, model: str = "gpt-test", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def configure(gateway: Any, *changes: tuple[str, str], more: str = "") -> None:
    text = gateway.config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    gateway.config.write_text(text + more)


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def ready(gateway: Any) -> dict[str, Any]:
    answer = gateway.ask(b"", "/readyz", method="GET", key=None)
    said: dict[str, Any] = json.loads(answer.body)
    assert said["ready"] is (answer.status == 200)
    return said


class Destination(ThreadingHTTPServer):
    """Answers by its script, one entry per request; the last entry stays."""

    daemon_threads = True

    def __init__(self, script: list[str], context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.seen, self.sent = script, 0, 0
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is what some of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Destination
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        at = min(self.server.seen, len(self.server.script) - 1)
        self.server.bodies.append(raw)
        step, self.server.seen = self.server.script[at], self.server.seen + 1
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        if step.startswith("busy"):
            self.send_response(503)
            self.send_header("Retry-After", step.removeprefix("busy "))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif step in ("flood", "stall", "stall at once"):
            if step == "stall at once":
                time.sleep(5)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.close_connection = True
            chunk = {"choices": [{"index": 0, "delta": {"content": "x" * 4000}}]}
            event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
            for _ in range(50_000 if step == "flood" else 1):
                self.wfile.write(event)
                self.server.sent += len(event)
            time.sleep(5)
        else:
            said = json.loads(raw)["messages"][-1]["content"]
            message = {"role": "assistant", "content": said}
            body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def before(gateway_at: Any, url: str, settings: str = "", more: str = "") -> Any:
    """A gateway before one more destination, "own", that answers the model "own-test"."""
    gateway = gateway_at(tiny=True)
    own = f'[upstream.own]\nside = "hosted"\nbase_url = "{url}/v1"\nmodels = ["own-test"]\n'
    configure(gateway, more=own + settings + more)
    return gateway.start()
