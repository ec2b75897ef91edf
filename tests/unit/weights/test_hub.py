"""Pulling from a hub that may lie: a small one on loopback, and the real client in a process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sovereign.errors import WeightsError
from sovereign.weights import hub
from sovereign.weights.store import Store

COMMIT = "c0ffee" + "0" * 34
REPO = "clinic/tiny"


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    """What the server tells and sends; tests change it to make it lie."""

    files: dict[str, bytes]
    lfs: set[str]
    url: str = ""
    sends: dict[str, bytes] = field(default_factory=dict)
    sha: str = COMMIT
    status: int = 200
    error_code: str = ""
    asked: list[str] = field(default_factory=list)

    def tree(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{"type": "directory", "path": "original", "oid": "0" * 40}]
        for path, data in self.files.items():
            row: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
            row["oid"] = git_blob(data)
            if path in self.lfs:
                sha = hashlib.sha256(data).hexdigest()
                row["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 130}
            rows.append(row)
        return rows


def serve(hub: Hub) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None: ...

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(path)
            headers = {"X-Repo-Commit": COMMIT}
            if hub.status != 200:
                data = b"{}"
                if hub.error_code:
                    headers["X-Error-Code"] = hub.error_code
            elif path == f"/api/models/{REPO}/revision/{COMMIT}":
                card = {"license": "apache-2.0"}
                data = json.dumps({"id": REPO, "sha": hub.sha, "cardData": card}).encode()
            elif path == f"/api/models/{REPO}/tree/{COMMIT}":
                data = json.dumps(hub.tree()).encode()
            else:
                name = path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")
                data = hub.sends.get(name, hub.files[name])
                headers["ETag"] = f'"{git_blob(hub.files[name])}"'
            self.send_response(hub.status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def local_hub(tiny: Path) -> Iterator[Hub]:
    files = {p.name: p.read_bytes() for p in sorted(tiny.iterdir()) if p.is_file()}
    files["pytorch_model.bin"] = b"pickle"
    files["original/consolidated.00.pth"] = b"pickle"
    there = Hub(files, lfs={"model.safetensors"})
    server = serve(there)
    there.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield there
    server.shutdown()


@pytest.fixture
def pull(local_hub: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`sovereign weights pull` in a process, where the client reads its environment anew."""

    def go(*args: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {
            "HF_ENDPOINT": local_hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": "",
        }
        command = [sys.executable, "-m", "sovereign", "weights", "pull", REPO]
        command += ["--revision", COMMIT, "--store", str(tmp_path / "store"), *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return go


def test_a_commit_is_pulled_hashed_and_locked_without_its_pickles(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """The lock holds commit, licence and blob ids; no pickle was even asked for, nobody was told
    who asked, and no cache lies beside the store."""
    done = pull()
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")
    entry = store.entry("tiny")
    assert (entry.kind, entry.source, entry.commit) == ("hub", REPO, COMMIT)
    assert entry.licence == "apache-2.0"
    folder = store.get("tiny")
    wanted = {n: d for n, d in local_hub.files.items() if n[0] != "." and not n.endswith("h")}
    wanted.pop("pytorch_model.bin")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == wanted
    assert all(f.blob == git_blob(wanted[f.path]) for f in entry.files)
    assert not [p for p in local_hub.asked if p.endswith((".bin", ".pth", "harnesses"))]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_mirror_that_sends_other_bytes_of_the_same_length_is_caught(
    pull: Any, local_hub: Hub, tmp_path: Path, name: str
) -> None:
    """The client checks sizes only; we hold LFS files to their SHA-256 and others to git's id."""
    sent = bytearray(local_hub.files[name])
    sent[-2] ^= 1
    local_hub.sends[name] = bytes(sent)
    done = pull()
    assert done.returncode == 1
    assert f"{REPO}: {name}: has another" in done.stderr
    assert not (tmp_path / "store" / "tiny").exists()
    assert not (tmp_path / "store" / "sovereign.lock").exists()


def test_a_short_body_is_caught(pull: Any, local_hub: Hub, tmp_path: Path) -> None:
    """A truncated file never enters."""
    local_hub.sends["config.json"] = local_hub.files["config.json"][:-3]
    done = pull()
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "store" / "tiny").exists()


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "GatedRepo", "is gated"),
        (404, "RepoNotFound", "does not exist"),
        (404, "RevisionNotFound", "has no commit"),
        (503, "", "503"),
    ],
)
def test_a_hub_that_says_no_is_one_line_and_a_hint(
    pull: Any, local_hub: Hub, status: int, code: str, says: str
) -> None:
    """And neither a trace nor a URL with a token in it."""
    local_hub.status, local_hub.error_code = status, code
    done = pull()
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert says in error
    assert hint.startswith("hint: ")


def test_another_commit_than_the_one_asked_for_is_refused(pull: Any, local_hub: Hub) -> None:
    """A mirror may answer with what it has."""
    local_hub.sha = "d" * 40
    assert "another commit" in pull().stderr


def test_a_repository_of_pickles_alone_is_refused_by_name(pull: Any, local_hub: Hub) -> None:
    """Before a byte of weights is fetched."""
    del local_hub.files["model.safetensors"]
    assert "pytorch_model.bin" in pull().stderr
    assert not [p for p in local_hub.asked if "/resolve/" in p]


@pytest.mark.parametrize("revision", ["main", "v1.0", "c0ffee", "C" * 40, ""])
def test_a_revision_that_can_move_is_refused(store: Store, revision: str) -> None:
    """A branch names other bytes tomorrow. Nothing is asked of the network."""
    with pytest.raises(WeightsError, match="40 hex digits"):
        store.pull(REPO, revision=revision)


@pytest.mark.parametrize("repo", ["tiny", "../x/y", "a/b/c", "https://x/y", "a/ b"])
def test_what_is_no_repository_name_is_refused(repo: str) -> None:
    """It becomes part of a URL."""
    with pytest.raises(WeightsError, match="no Hub repository"):
        hub.plan(repo, COMMIT)
