"""What a caller of each wire expects around a request: where its key is, and how an error looks.

A wire here is a protocol that applications already speak: OpenAI's, or Anthropic's messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal

from sovereign.errors import SovereignError
from sovereign.guard.body import compact
from sovereign.types import JSON

__all__ = [
    "Wire",
    "credential",
    "dumps",
    "error_body",
    "error_event",
    "model_body",
    "models_body",
    "should_retry",
    "upstream_error",
    "wire_of",
]

Wire = Literal["openai", "anthropic"]

MAX_MESSAGE = 2000
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")

_TYPES: dict[Wire, dict[int, str]] = {
    "openai": {
        401: "authentication_error",
        403: "permission_error",
        429: "rate_limit_error",
    },
    "anthropic": {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    },
}

_TRANSIENT = frozenset(
    {
        *("overloaded", "audit_unavailable", "upstream_failed", "engine_down"),
        *("rate_limited", "limits_unavailable"),
    }
)


def wire_of(path: str, headers: Mapping[bytes, bytes]) -> Wire:
    """The wire of a request, even of one that no endpoint takes: its error must be readable."""
    anthropic = path.startswith("/v1/messages") or b"anthropic-version" in headers
    return "anthropic" if anthropic else "openai"


def credential(headers: Mapping[bytes, bytes], wire: Wire) -> str | None:
    """The key that came with a request. Both headers are known on both wires."""
    bearer = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, token = bearer.partition(" ")
    from_bearer = token.strip() if scheme.lower() == "bearer" else ""
    from_header = headers.get(b"x-api-key", b"").decode("latin-1").strip()
    if wire == "anthropic":
        return from_header or from_bearer or None
    return from_bearer or from_header or None


def dumps(body: JSON) -> bytes:
    """An answer as compact UTF-8 JSON. :class:`ValueError` for NaN and infinities."""
    text = compact(body)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A streamed emoji may come in halves, which JSON can say and UTF-8 cannot.
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def error_body(wire: Wire, error: SovereignError) -> JSON:
    """``error`` as the SDKs of ``wire`` read it. The hint goes into the message: SDKs show that."""
    message = f"{error.message} (hint: {error.hint})" if error.hint else error.message
    return _shaped(wire, error.status, message, code=error.code)


def error_event(wire: Wire, body: JSON) -> tuple[str | None, JSON]:
    """The server-sent event that carries an error body once a stream has begun."""
    return ("error" if wire == "anthropic" else None), body


def upstream_error(wire: Wire, status: int, body: JSON, restore: Callable[[str], str]) -> JSON:
    """A destination's own error for the caller: known fields only, its message restored."""
    inner = body.get("error") if isinstance(body, dict) else None
    error = inner if isinstance(inner, dict) else body if isinstance(body, dict) else {}
    said = error.get("message", inner if isinstance(inner, str) else None)
    message = f"the destination answered {status}"
    if isinstance(said, str) and said.strip():
        message += f": {restore(said[:MAX_MESSAGE])}"
    return _shaped(
        wire,
        status,
        message,
        kind=_word(error.get("type")),
        code=_word(error.get("code")),
        param=_word(error.get("param")),
    )


def should_retry(error: SovereignError) -> bool:
    """Whether the same request may be taken later. SDKs would retry every 5xx if not told."""
    return error.code in _TRANSIENT


def models_body(wire: Wire, models: dict[str, str]) -> JSON:
    """The answer to GET /v1/models: ``models`` is name to destination."""
    data = [model_body(wire, m, d) for m, d in models.items()]
    if wire == "anthropic":
        first, last = next(iter(models), None), next(reversed(models), None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}
    return {"object": "list", "data": data}


def model_body(wire: Wire, model: str, destination: str) -> JSON:
    """The answer to GET /v1/models/MODEL."""
    if wire == "anthropic":
        shown = {"display_name": model, "created_at": "1970-01-01T00:00:00Z"}
        return {"type": "model", "id": model, **shown}
    return {"id": model, "object": "model", "created": 0, "owned_by": destination}


def _shaped(
    wire: Wire,
    status: int,
    message: str,
    *,
    kind: str | None = None,
    code: str | None = None,
    param: str | None = None,
) -> JSON:
    default = "invalid_request_error"
    if status >= 500:
        default = "api_error" if wire == "anthropic" else "server_error"
    shown = kind or _TYPES[wire].get(status, default)
    if wire == "anthropic":
        return {"type": "error", "error": {"type": shown, "message": message}}
    return {"error": {"message": message, "type": shown, "param": param, "code": code}}


def _word(value: JSON) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
