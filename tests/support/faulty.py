"""A destination that fails on purpose: which way, the first segment of its path says."""

# ruff: noqa: E501 - a table is read by its rows

from __future__ import annotations

import re
import socket
import struct
import threading
import time

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
CHUNK = b'data: {"id":"a","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
WAYS: dict[str, bytes | None] = {
    "silent": None,
    "reset": None,
    "huge": None,
    "no-http": b"hello there\r\n\r\n",
    "half": JSON + b'Content-Length: 1000\r\n\r\n{"id": "half", "choi',
    "too-long": JSON + b'Content-Length: 2\r\n\r\n{"id": "a", "choices": []}',
    "two-lengths": JSON + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "not-json": JSON + b"Content-Length: 5\r\n\r\n<htm>",
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<a/>",
    "redirect": b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "endless-header": None,
    "broken-first": SSE + b"data: {not json\n\n" + CHUNK,
    "broken-event": SSE + CHUNK + b"data: {not json\n\n",
    "no-end": SSE + CHUNK,
    "empty-stream": SSE,
}


class Faulty:
    """Listens on a port of its own until :meth:`close`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head and (piece := line.recv(65536)):
                head += piece
                if head[:1] == b"\x16":  # a TLS greeting, which nobody here understands
                    line.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
                    return
            found = re.match(rb"\w+ /([\w-]+)/", head)
            way = found[1].decode() if found else ""
            time.sleep(0.02)
            if way == "silent":
                self._over.wait(30)
            elif way == "reset":
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif way == "huge":
                line.sendall(JSON + b'\r\n{"a": "')
                for _ in range(80):
                    line.sendall(b"x" * 1_000_000)
            elif way == "endless-header":
                line.sendall(b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 1_000_000)
            else:
                line.sendall(WAYS.get(way) or b"")
        except OSError:
            return
        finally:
            line.close()
