"""A hub on loopback that speaks the wire of huggingface_hub, counts what it sends, and can lie.

In a test it runs on threads of the test; the client is another process. ``python -m`` runs it as a
process that serves a folder, for benchmarks and for peers.
"""

from __future__ import annotations

import functools
import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
REPO = "clinic/tiny"
PIECE = 1 << 16


@functools.cache
def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.cache
def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(data: bytes) -> bytes:
    told = f"oid sha256:{sha256(data)}\nsize {len(data)}\n"
    return b"version https://git-lfs.github.com/spec/v1\n" + told.encode()


@dataclass
class Hub:
    """What the server tells and sends; tests change it to make it lie.

    ``sends`` replaces bodies, ``faults`` answers instead (by path; a fault that returns False lets
    the usual answer follow). ``sent`` has (path, first byte, bytes written) of each body that
    ended, ``served`` the bytes of all bodies so far. ``buffer`` bounds what the kernel holds.
    """

    files: dict[str, bytes]
    lfs: set[str] = field(default_factory=set)
    url: str = ""
    sends: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Callable[[Any, bytes, int], bool]] = field(default_factory=dict)
    sha: str = COMMIT
    refs: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: Any = False
    status: int = 200
    error_code: str = ""
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, int, int]] = field(default_factory=list)
    served: int = 0
    buffer: int = 0

    def tree(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{"type": "directory", "path": "original", "oid": "0" * 40}]
        for path, data in self.files.items():
            row: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
            row["oid"] = git_blob(pointer(data) if path in self.lfs else data)
            if path in self.lfs:
                row["lfs"] = {
                    "oid": sha256(data),
                    "size": len(data),
                    "pointerSize": len(pointer(data)),
                }
            rows.append(row)
        return rows

    def fetched(self) -> list[str]:
        """Paths of which a body was sent."""
        return [path for path, _, _ in self.sent]


class Handler(BaseHTTPRequestHandler):
    """One connection. Subclassed by :func:`serve` with the hub it speaks for."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_POST(self) -> None:
        """What a mirror asks about single files: ``paths-info``."""
        asked = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        rows = [row for row in self.hub.tree() if row["path"] in asked.get("paths", [])]
        data = json.dumps(rows).encode()
        self.reply(200, data, {"Content-Type": "application/json"}, body=True)

    def answer(self, *, body: bool) -> None:
        hub = self.hub
        path = unquote(urlsplit(self.path).path)
        hub.asked.append(path)
        if hub.status != 200:
            code = {"X-Error-Code": hub.error_code} if hub.error_code else {}
            self.reply(hub.status, b"{}", code, body=body)
            return
        of_revision, of_tree = f"/api/models/{REPO}/revision/", f"/api/models/{REPO}/tree/"
        if path == f"/api/models/{REPO}":
            path += "/revision/main"
        if path.startswith((of_revision, of_tree)):
            revision = path.removeprefix(of_revision).removeprefix(of_tree).rstrip("/")
            commit = hub.refs.get(revision, hub.sha if revision == COMMIT else None)
            if commit is None:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
                return
            about = {"id": REPO, "sha": commit, "cardData": hub.card, "gated": hub.gated}
            data = json.dumps(hub.tree() if path.startswith(of_tree) else about).encode()
            self.reply(200, data, {"Content-Type": "application/json"}, body=body)
            return
        self.file(path.removeprefix(f"/{REPO}/resolve/{COMMIT}/"), body=body)

    def file(self, name: str, *, body: bool) -> None:
        hub = self.hub
        if name not in hub.files:
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        data = hub.sends.get(name, hub.files[name])
        first = 0
        asked = self.headers.get("Range")
        if asked:
            first = int(asked.removeprefix("bytes=").split("-")[0])
        if body and name in hub.faults and hub.faults[name](self, data, first):
            return
        etag = sha256(data) if name in hub.lfs else git_blob(hub.files[name])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.head(206 if asked else 200, len(data) - first, headers)
        if body:
            self.body(name, data, first)

    def head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def reply(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.head(status, len(data), headers)
        if body:
            self.wfile.write(data)

    def body(self, name: str, data: bytes, first: int, stop: int | None = None) -> None:
        """Send ``data[first:stop]`` in pieces, and count what went into the socket."""
        done = 0
        size = PIECE if self.hub.buffer or self.hub.pause else 1 << 22
        view = memoryview(data)[first:stop]
        try:
            while done < len(view):
                piece = view[done : done + size]
                self.wfile.write(piece)
                done += len(piece)
                self.hub.served += len(piece)
                if self.hub.pause:
                    time.sleep(self.hub.pause)
        except OSError:
            self.close_connection = True  # the client was killed
        finally:
            self.hub.sent.append((name, first, done))


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        # What lies in this buffer is counted as sent, and a killed client never had it.
        if self.RequestHandlerClass.hub.buffer:
            size = self.RequestHandlerClass.hub.buffer
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(hub: Hub, port: int = 0) -> Iterator[Hub]:
    """``hub`` at ``hub.url`` while the block runs."""
    server = Server(("127.0.0.1", port), type("Of", (Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def folder(path: Path) -> Hub:
    """A hub that has the files of ``path``; safetensors are in LFS."""
    files = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.is_file()}
    return Hub(files, lfs={name for name in files if name.endswith(".safetensors")})


if __name__ == "__main__":
    with serving(folder(Path(sys.argv[1]))) as there:
        print(there.url, flush=True)
        sys.stdin.read()  # until the parent closes it
