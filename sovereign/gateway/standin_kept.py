"""What the stand-in keeps: files, batches, conversations and the like, all of everybody's, as a
hosted API has them for one key. In memory, and in the simplest shapes that SDKs take.
"""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sovereign.guard.form import Form, Upload, is_form, read

__all__ = ["Kept"]

_PREFIX = {
    "files": "file-",
    "batches": "batch_",
    "vector_stores": "vs_",
    "assistants": "asst_",
    "threads": "thread_",
    "messages": "msg_",
    "runs": "run_",
    "conversations": "conv_",
    "jobs": "ftjob-",
    "file_batches": "vsfb_",
}
_ACTIONS = frozenset({"content", "cancel", "search", "results", "input_items", "complete"})


class Kept:
    """Everything that was made, by its id."""

    def __init__(self) -> None:
        self._made: dict[str, dict[str, Any]] = {}
        self._bytes: dict[str, bytes] = {}

    def answer(self, request: Request, raw: bytes) -> Response:
        """What a simple API would say; 404 for what is not there."""
        path = request.url.path
        if path.endswith("/audio/speech"):
            return Response(b"RIFFsound", media_type="audio/wav")
        if path.endswith(("/transcriptions", "/translations")):
            return self._heard(request, raw)
        if "/images/" in path:
            return JSONResponse({"created": 0, "data": [{"b64_json": "AAAA"}]})
        if path.endswith("/moderations"):
            return JSONResponse({"id": "modr-1", "model": "m", "results": []})
        steps = [s for s in re.sub(r"^.*?/v1/", "", path).split("/") if s]
        if request.method == "POST" and steps[-1] in _PREFIX:
            return JSONResponse(self._create(steps[-1], request, raw))
        if request.method == "GET" and steps[-1] in _PREFIX:
            kind = _PREFIX[steps[-1]]
            data = [held for id, held in self._made.items() if id.startswith(kind)]
            return JSONResponse({"object": "list", "data": data, "has_more": False})
        action = steps.pop() if steps[-1] in _ACTIONS else ""
        held = self._made.get(steps[-1])
        if held is None:
            return JSONResponse({"error": {"message": "no such thing"}}, status_code=404)
        if action in ("content", "results"):
            return Response(self._bytes.get(steps[-1], b""), media_type="application/octet-stream")
        if action in ("search", "input_items"):
            return JSONResponse({"object": "list", "data": [], "has_more": False})
        if request.method == "DELETE":
            del self._made[steps[-1]]
            return JSONResponse({"id": steps[-1], "object": "deleted", "deleted": True})
        return JSONResponse(held)

    def _create(self, collection: str, request: Request, raw: bytes) -> dict[str, Any]:
        id = f"{_PREFIX[collection]}{len(self._made) + 1:06d}"
        given = self._given(request, raw)
        upload = given.pop("file", None) if isinstance(given, dict) else None
        if isinstance(upload, Upload):
            self._bytes[id] = upload.data
            given = {"filename": upload.filename, "bytes": len(upload.data), **given}
        self._made[id] = {**given, "id": id, "object": collection, "created_at": 0, "status": "ok"}
        return self._made[id]

    @staticmethod
    def _given(request: Request, raw: bytes) -> Any:
        declared = request.headers.get("content-type", "")
        if is_form(declared):
            return dict(read(raw, declared))
        return json.loads(raw or b"{}")

    @staticmethod
    def _heard(request: Request, raw: bytes) -> Response:
        form: Form = read(raw, request.headers.get("content-type", ""))
        said = f"You said: {form.get('prompt', '')}"
        if form.get("response_format") == "text":
            return Response(said, media_type="text/plain")
        return JSONResponse({"text": said})
