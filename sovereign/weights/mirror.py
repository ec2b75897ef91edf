"""Serves the verified store as a read-only Hub endpoint. Only the lock's commits exist.

Any library that reads ``HF_ENDPOINT`` downloads from it unmodified. Models are verified when the
mirror starts; after that a file whose inode, size or times are no longer those of that moment is
hashed again before a byte of it goes out, and refused if it differs. A file that changes while it
is being sent ends the connection before its last byte, so nobody takes it for whole.

The wire is that of https://huggingface.co/docs/hub/api and of huggingface_hub's own requests.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, NotVerified, WeightsError
from sovereign.types import Sink
from sovereign.weights.lock import Entry, File
from sovereign.weights.staging import hash_file
from sovereign.weights.store import Store
from sovereign.weights.tokens import Tokens

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
except ImportError:
    raise MissingExtra("starlette", "serve") from None

__all__ = ["Mirror", "app"]

BLOCK = 1 << 20
PAGE = 1000
MOST_PATHS = 1000
Stamp = tuple[int, int, int, int, int]


class Refusal(Exception):
    """An answer other than 200, in the Hub's words: ``X-Error-Code`` is what clients look at."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message}
        if self.code:
            headers["X-Error-Code"] = self.code
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": self.message}, self.status, headers)


class Mirror:
    """What may be served of ``store``. ``tokens`` None: to anybody.

    Raises :class:`NotVerified` where the store is not what its lock says.
    """

    def __init__(self, store: Store, tokens: Tokens | None, sink: Sink | None = None) -> None:
        self.store, self.tokens, self.sink = store, tokens, sink
        self._mutex = threading.Lock()
        self._stamps: dict[Path, Stamp] = {}
        self.models: dict[tuple[str, str], Entry] = {}
        for entry in store.entries():
            if entry.commit is None:
                continue
            folder = store.folder(entry)
            # Stamped before it is hashed: a change between the two is a change.
            stamps = {p: _stamp(p.lstat()) for f in entry.files if (p := folder / f.path).exists()}
            store.verify(entry.name)
            self._stamps |= stamps
            self.models[entry.source, entry.commit] = entry
        if not self.models:
            raise WeightsError(
                "the store holds nothing to mirror",
                hint="only what was pulled from a Hub has a commit; see sovereign weights pull",
            )

    def may(self, request: Request, repo: str) -> str:
        """The team that asks, ``anyone`` for an open mirror. Raises :class:`Refusal`."""
        if self.tokens is None:
            return "anyone"
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if not token or kind.lower() != "bearer":
            raise Refusal(401, "GatedRepo", "this mirror asks for a token: set HF_TOKEN")
        grant = self.tokens.find(token)
        if grant is None:
            raise Refusal(401, "", "the token is not known here")
        if repo and not grant.permits(repo):
            raise Refusal(403, "GatedRepo", "the token's team may not use this model")
        return grant.team

    def entry(self, repo: str, revision: str) -> Entry:
        """The locked model. ``main`` is the one commit of a repository that the lock names."""
        commits = [c for r, c in self.models if r == repo]
        if not commits:
            raise Refusal(404, "RepoNotFound", "the lock names no such repository")
        if revision == "main" and len(commits) == 1:
            revision = commits[0]
        if revision not in commits:
            raise Refusal(404, "RevisionNotFound", "the lock names no such commit")
        return self.models[repo, revision]

    def open(self, entry: Entry, file: File) -> int:
        """A descriptor of the verified file. Raises :class:`Refusal` if it was changed."""
        path = self.store.folder(entry) / file.path
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            raise self._refused(entry) from None
        stamp = _stamp(os.fstat(handle))
        if self._stamps.get(path) != stamp:
            try:
                same = hash_file(path) == (file.size, file.sha256)
            except NotVerified:
                same = False
            if not same or _stamp(os.fstat(handle)) != stamp or _stamp(path.lstat()) != stamp:
                os.close(handle)
                raise self._refused(entry)
            with self._mutex:
                self._stamps[path] = stamp
        return handle

    def tell(self, entry: Entry, team: str, size: int) -> None:
        """A download goes to the audit log before its first byte goes out."""
        if self.sink is not None:
            assert entry.commit is not None
            event = {"type": "weights.download", "name": entry.name, "team": team}
            known = {"digest": entry.digest, "repo": entry.source, "commit": entry.commit}
            self.sink.submit({**event, **known, "bytes": size}).result()

    def _refused(self, entry: Entry) -> Refusal:
        if self.sink is not None:
            event = {"type": "weights.refuse", "name": entry.name, "digest": entry.digest}
            self.sink.submit({**event, "code": NotVerified.code}).result()
        return Refusal(503, "", "the file was changed on the mirror's disk; it is not served")


def app(mirror: Mirror) -> Starlette:
    """The ASGI application of ``mirror``."""
    repo = "/{owner}/{name}"
    api = f"/api/models{repo}"

    def whoami(request: Request) -> Response:
        if mirror.tokens is None:
            raise Refusal(401, "", "this mirror asks nobody who they are")
        team = mirror.may(request, "")
        token = {"displayName": team, "role": "read"}
        auth = {"type": "access_token", "accessToken": token}
        return JSONResponse({"type": "user", "name": team, "orgs": [], "auth": auth})

    def info(request: Request) -> Response:
        return JSONResponse(_info(_asked(mirror, request)[1]))

    def refs(request: Request) -> Response:
        entry = _asked(mirror, request)[1]
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": entry.commit}
        return JSONResponse({"branches": [branch], "converts": [], "tags": []})

    def tree(request: Request) -> Response:
        entry = _asked(mirror, request)[1]
        folder = request.path_params.get("path", "").strip("/")
        rows = _rows(entry, folder, request.query_params.get("recursive", "").lower() == "true")
        if not rows and folder:
            raise Refusal(404, "EntryNotFound", "the lock names no such folder")
        limit = min(max(_number(request.query_params.get("limit"), PAGE), 1), PAGE)
        at = _number(request.query_params.get("cursor"), 0)
        headers = {}
        if at + limit < len(rows):
            following = request.url.include_query_params(cursor=at + limit)
            headers["Link"] = f'<{following}>; rel="next"'
        return JSONResponse(rows[at : at + limit], headers=headers)

    async def paths_info(request: Request) -> Response:
        entry = _asked(mirror, request)[1]
        try:
            if "json" in request.headers.get("content-type", ""):
                paths = (await request.json())["paths"]
            else:
                raw = (await request.body()).decode()
                from urllib.parse import parse_qs

                paths = parse_qs(raw).get("paths", [])
            wanted = {str(p).strip("/") for p in ([paths] if isinstance(paths, str) else paths)}
        except (ValueError, KeyError, TypeError):
            raise Refusal(400, "", "paths are asked for as a form or as JSON") from None
        if len(wanted) > MOST_PATHS:
            raise Refusal(413, "", "too many paths at once")
        folders = {p.rpartition("/")[0] for p in wanted}
        rows = {r["path"]: r for folder in folders for r in _rows(entry, folder, False)}
        return JSONResponse([rows[p] for p in sorted(wanted & rows.keys())])

    def resolve(request: Request) -> Response:
        team, entry = _asked(mirror, request)
        path = request.path_params["path"]
        file = next((f for f in entry.files if f.path == path), None)
        if file is None:
            headers = {"X-Repo-Commit": entry.commit or ""}
            answer = Refusal(404, "EntryNotFound", "the lock names no such file").response()
            answer.headers.update(headers)
            return answer
        return _send(mirror, team, entry, file, request)

    def refused(_: Request, e: Exception) -> Response:
        assert isinstance(e, Refusal)
        return e.response()

    made = Starlette(
        routes=[
            Route("/api/whoami-v2", whoami),
            Route(api, info),
            Route(f"{api}/revision/{{revision:path}}", info),
            Route(f"{api}/refs", refs),
            Route(f"{api}/tree/{{revision}}", tree),
            Route(f"{api}/tree/{{revision}}/{{path:path}}", tree),
            Route(f"{api}/paths-info/{{revision}}", paths_info, methods=["POST"]),
            Route(f"{repo}/resolve/{{revision}}/{{path:path}}", resolve, methods=["GET", "HEAD"]),
        ],
        exception_handlers={Refusal: refused},
    )
    made.router.redirect_slashes = False  # what is not there is not there
    return made


def _asked(mirror: Mirror, request: Request) -> tuple[str, Entry]:
    given = request.path_params
    repo = f"{given['owner']}/{given['name']}"
    team = mirror.may(request, repo)
    return team, mirror.entry(repo, given.get("revision", "main"))


def _info(entry: Entry) -> dict[str, Any]:
    tags = [f"license:{entry.licence.lower()}"]
    return {
        "id": entry.source,
        "modelId": entry.source,
        "sha": entry.commit,
        "private": False,
        "disabled": False,
        "gated": entry.gate.kind if entry.gate else False,
        "tags": tags,
        "cardData": {"license": entry.licence.lower()},
        "siblings": [_sibling(f) for f in entry.files],
    }


def _sibling(file: File) -> dict[str, Any]:
    row: dict[str, Any] = {"rfilename": file.path, "size": file.size, "blobId": _oid(file)}
    if _large(file):
        row["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return row


def _large(file: File) -> bool:
    return file.path.endswith(".safetensors")


def _oid(file: File) -> str:
    return file.blob or file.sha256[:40]


def _rows(entry: Entry, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    rows: dict[str, dict[str, Any]] = {}
    for file in entry.files:
        if not file.path.startswith(prefix):
            continue
        steps = file.path[len(prefix) :].split("/")
        for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
            path = prefix + "/".join(steps[:depth])
            rows[path] = {"type": "directory", "path": path, "size": 0, "oid": entry.digest[:40]}
        if recursive or len(steps) == 1:
            row = {"type": "file", "path": file.path, "size": file.size, "oid": _oid(file)}
            if _large(file):
                row["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
            rows[file.path] = row
    return [rows[path] for path in sorted(rows)]


def _send(mirror: Mirror, team: str, entry: Entry, file: File, request: Request) -> Response:
    etag = f'"{file.sha256 if _large(file) else _oid(file)}"'
    headers = {
        "ETag": etag,
        "X-Repo-Commit": entry.commit or "",
        "Accept-Ranges": "bytes",
        "Date": formatdate(usegmt=True),
        "Content-Length": str(file.size),
    }
    if _large(file):
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(file.size)}
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", etag) != etag:
        asked = None
    first, last = _range(asked, file.size) if asked else (0, file.size - 1)
    if first > last and file.size:
        outside = {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"}
        return Response(status_code=416, headers=headers | outside)
    size = last - first + 1
    headers["Content-Length"] = str(size)
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    handle = mirror.open(entry, file)
    if request.method == "HEAD":
        os.close(handle)
        return Response(status_code=206 if asked else 200, headers=headers)
    try:
        mirror.tell(entry, team, size)
    except BaseException:
        os.close(handle)
        raise
    body = _blocks(handle, first, size)
    return StreamingResponse(
        body, 206 if asked else 200, headers, media_type="application/octet-stream"
    )


def _blocks(handle: int, at: int, size: int) -> Iterator[bytes]:
    """The bytes from ``at``; what was stamped at the start is compared before each block goes."""
    stamp = _stamp(os.fstat(handle))
    try:
        while size:
            block = os.pread(handle, min(BLOCK, size), at)
            if not block or _stamp(os.fstat(handle)) != stamp:
                raise NotVerified("a file was changed while it was being sent")
            at, size = at + len(block), size - len(block)
            yield block
    finally:
        os.close(handle)


def _range(asked: str, size: int) -> tuple[int, int]:
    """First and last byte (RFC 9110, 14.1.2; one range). ``(1, 0)``: cannot be satisfied."""
    unit, _, span = asked.partition("=")
    first, dash, last = span.strip().partition("-")
    if unit != "bytes" or not dash or not (first + last).isascii():
        return 1, 0
    if not first and last.isdigit():
        return max(size - int(last), 0), size - 1
    if not first.isdigit() or (last and not last.isdigit()) or int(first) >= size:
        return 1, 0
    return int(first), min(int(last), size - 1) if last else size - 1


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else otherwise


def _stamp(found: os.stat_result) -> Stamp:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
