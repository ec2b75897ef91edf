"""What every engine's HTTP side shares: bounded bodies, and errors in OpenAI's shape."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from sovereign.serve.engines.fields import BadRequest

__all__ = ["busy", "no_memory", "read", "refusal"]


def refusal(bad: BadRequest) -> JSONResponse:
    """The answer that ``bad`` is. A 503 says when to come back."""
    headers = {"Retry-After": "1"} if bad.status == 503 else None
    return JSONResponse(bad.body(), bad.status, headers)


def busy() -> BadRequest:
    """Too many wait already."""
    return BadRequest(
        "too many requests wait; try again", code="overloaded", status=503, kind="server_error"
    )


def no_memory() -> BadRequest:
    """A request took more memory than there is."""
    return BadRequest(
        "the engine ran out of memory; send less, or fewer at once",
        code="out_of_memory",
        status=503,
        kind="server_error",
    )


async def read(request: Request, media: str, most: int) -> bytes:
    """The whole body, of type ``media`` and at most ``most`` bytes. Raises :class:`BadRequest`."""
    if "origin" in request.headers:
        raise BadRequest("browsers are not served here", code="origin_refused", status=403)
    # A page in a browser can send a form or text here without asking; JSON it cannot, and every
    # such request of a browser carries an Origin.
    if request.headers.get("content-type", "").partition(";")[0].strip() != media:
        raise BadRequest(
            f"the content type must be {media}", code="unsupported_media_type", status=415
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise BadRequest(
            "compressed bodies are not read here", code="unsupported_media_type", status=415
        )
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise BadRequest(f"the body is over {most} bytes", code="body_too_large", status=413)
    return bytes(body)
