"""Conversations as the wire sends them: texts, calls of tools and their results. Nothing else.

Messages name fields; they never repeat text that a caller sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sovereign.serve.engines.fields import BadRequest
from sovereign.turns import Call, Message, Role
from sovereign.types import JSON

__all__ = ["Call", "Message", "parse_messages"]

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",  # by another name since 2024
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def parse_messages(body: Mapping[str, JSON]) -> tuple[Message, ...]:
    """``messages`` of a body. Raises :class:`BadRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    asked: set[str] = set()
    parsed = []
    for i, message in enumerate(messages):
        made = _message(message, f"messages[{i}]", asked)
        asked |= {call.id for call in made.calls}
        parsed.append(made)
    return tuple(parsed)


def _message(message: JSON, where: str, asked: set[str]) -> Message:
    if not isinstance(message, dict):
        raise BadRequest(f"{where} must be an object", param=where, code="invalid_type")
    role = message.get("role")
    role = _ROLES.get(role) if isinstance(role, str) else None
    if role is None:
        raise BadRequest(
            f"{where}.role must be system, developer, user, assistant or tool here",
            param=f"{where}.role",
            code="unsupported_value",
        )
    # Clients send back an assistant's message as they got it: with empty fields.
    known = {"assistant": {"tool_calls"}, "tool": {"tool_call_id"}}.get(role, set())
    known |= {"role", "content"}
    extra = [k for k, v in message.items() if k not in known and v not in (None, [])]
    if extra:
        raise BadRequest(
            f"{where} may hold {' and '.join(sorted(known))} only",
            param=where,
            code="unsupported_parameter",
        )
    calls = _calls(message.get("tool_calls"), f"{where}.tool_calls")
    answered = message.get("tool_call_id")
    if role == "tool" and not (isinstance(answered, str) and answered in asked):
        raise BadRequest(
            f"{where}.tool_call_id must be the id of a call before it",
            param=f"{where}.tool_call_id",
        )
    content = message.get("content")
    if content is None and calls:
        return Message(role, "", calls)
    return Message(role, _content(content, f"{where}.content"), calls)


def _calls(value: JSON, where: str) -> tuple[Call, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRequest(f"{where} must be a list", param=where, code="invalid_type")
    return tuple(_call(call, f"{where}[{i}]") for i, call in enumerate(value))


def _call(value: JSON, where: str) -> Call:
    function = value.get("function") if isinstance(value, dict) else None
    if (
        not isinstance(value, dict)
        or not isinstance(function, dict)
        or value.get("type", "function") != "function"
        or not isinstance(value.get("id"), str)
        or not isinstance(function.get("name"), str)
        or not isinstance(function.get("arguments"), str)
    ):
        raise BadRequest(
            f"{where} must hold an id, the type function, and a function with name and arguments",
            param=where,
        )
    try:
        whole = isinstance(json.loads(function["arguments"] or "{}"), dict)
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise BadRequest(
            f"{where}.function.arguments must be the text of a JSON object",
            param=f"{where}.function.arguments",
        )
    return Call(value["id"], function["name"], function["arguments"] or "{}")


def _content(content: JSON, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise BadRequest(
            f"{where} must be a string or a list of parts", param=where, code="invalid_type"
        )
    texts: list[str] = []
    for i, part in enumerate(content):
        if (
            not isinstance(part, dict)
            or part.get("type") != "text"
            or part.keys() != {"type", "text"}
            or not isinstance(part["text"], str)
        ):
            raise BadRequest(
                f"{where}[{i}] must be a part of type text here",
                param=f"{where}[{i}]",
                code="unsupported_value",
            )
        texts.append(part["text"])
    return "\n".join(texts)
