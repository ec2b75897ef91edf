"""What a conversation of a row may be: roles in their order, texts, calls of tools and their
results. Knows no files. What is wrong is told in words that quote nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from sovereign.turns import Call, Message, Tool

__all__ = [
    "Wrong",
    "check_text",
    "conversation",
    "loads",
    "spoken",
    "structured",
    "texts_of",
    "tools_of",
    "turn_of",
]

ROLES = ("system", "user", "assistant", "tool")
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEYS = {"assistant": {"tool_calls"}, "tool": {"tool_call_id"}}


class Wrong(ValueError):
    """A row is not one. Its text holds nothing of the row."""


def conversation(messages: Sequence[Any], tools: Sequence[Tool]) -> tuple[dict[str, Any], ...]:
    """``messages`` in one form, whichever of the usual ones they are in: what is null is left out,
    and arguments are the text of a JSON object. Raises :class:`Wrong`."""
    made = tuple(_message(m, f"message {i}") for i, m in enumerate(messages, 1))
    _take_turns(made, {tool.name for tool in tools})
    return made


def tools_of(value: Any) -> tuple[Tool, ...]:
    """The tools that a row offers: a list of functions, or its text. Raises :class:`Wrong`."""
    if value is None:
        return ()
    value = _parsed(value, "tools")
    if not isinstance(value, list):
        raise Wrong("tools are no list")
    tools = tuple(_tool(tool, f"tool {i}") for i, tool in enumerate(value, 1))
    if len({tool.name for tool in tools}) < len(tools):
        raise Wrong("two tools have one name")
    return tools


def turn_of(message: dict[str, Any]) -> Message:
    """A message of :func:`conversation` as templates are told of it."""
    made = [
        Call(c["id"], c["function"]["name"], c["function"]["arguments"])
        for c in message.get("tool_calls", ())
    ]
    return Message(message["role"], message["content"], tuple(made))


def spoken(message: dict[str, Any]) -> str:
    """What else of ``message`` a template may render beside its content: calls, as JSON."""
    calls = message.get("tool_calls", ())
    return json.dumps([c["function"] for c in calls], ensure_ascii=False) if calls else ""


def texts_of(messages: Sequence[dict[str, Any]]) -> str:
    """All that is said in a conversation: contents and calls."""
    return " ".join(f"{m['content']} {spoken(m)}" for m in messages)


def structured(row: dict[str, Any]) -> bool:
    """Whether a row holds tools or arguments as anything but text."""
    if not isinstance(row.get("tools", ""), str):
        return True
    messages = row.get("messages")
    for message in messages if isinstance(messages, list) else ():
        for call in message.get("tool_calls") or () if isinstance(message, dict) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
                return True
    return False


def loads(text: str) -> Any:
    """One JSON value in which no key stands twice. Raises :class:`ValueError`."""
    return json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_constant)


def check_text(value: Any, where: str, *, empty: bool = False) -> str:
    """Raises :class:`Wrong` unless ``value`` is a text that can be written as UTF-8."""
    if not isinstance(value, str) or not (empty or value.strip()):
        raise Wrong(f"{where} has no text")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise Wrong(f"{where} holds half a surrogate pair")
    return value


def _message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise Wrong(f"{where} is not a role and a content")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise Wrong(f"{where} has a role other than system, user, assistant and tool")
    said = {k: v for k, v in message.items() if v is not None}
    more = KEYS.get(role, set())
    if not said.keys() <= {"role", "content"} | more:
        raise Wrong(f"{where} is not a role and a content")
    made: dict[str, Any] = {"role": role}
    calls = said.get("tool_calls", [])
    # A call needs no words, and a tool may have none to give back.
    content = said.get("content", "" if calls else None)
    made["content"] = check_text(content, where, empty=bool(calls) or role == "tool")
    if role == "tool":
        made["tool_call_id"] = check_text(said.get("tool_call_id"), f"{where}: its call")
    if calls:
        if not isinstance(calls, list):
            raise Wrong(f"{where}: its calls are no list")
        made["tool_calls"] = [_call(c, f"{where}: call {i}") for i, c in enumerate(calls, 1)]
    return made


def _call(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if (
        not isinstance(call, dict)
        or not isinstance(function, dict)
        or not call.keys() <= {"id", "type", "function"}
        or function.keys() != {"name", "arguments"}
        or call.get("type", "function") != "function"
    ):
        raise Wrong(f"{where} is not an id and a function with name and arguments")
    arguments = _parsed(function["arguments"], where)
    if not isinstance(arguments, dict):
        raise Wrong(f"{where}: its arguments are no JSON object")
    text = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": check_text(call.get("id"), f"{where}: its id"),
        "type": "function",
        "function": {
            "name": check_text(function["name"], f"{where}: its name"),
            "arguments": check_text(text, f"{where}: its arguments"),
        },
    }


def _tool(value: Any, where: str) -> Tool:
    function = value.get("function") if isinstance(value, dict) else None
    if (
        not isinstance(value, dict)
        or not isinstance(function, dict)
        or not value.keys() <= {"type", "function"}
        or not function.keys() <= {"name", "description", "parameters"}
        or value.get("type", "function") != "function"
    ):
        raise Wrong(f"{where} is not a function with name, description and parameters")
    name, about = function.get("name"), function.get("description", "")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Wrong(f"{where}: its name is not 1 to 64 letters, digits, _ and -")
    if not isinstance(parameters, dict):
        raise Wrong(f"{where}: its parameters are no JSON schema of an object")
    check_text(about, where, empty=True)
    check_text(json.dumps(parameters, ensure_ascii=False), where)
    return Tool(name, about, parameters)


def _parsed(value: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return loads(value)
    except (ValueError, RecursionError):
        raise Wrong(f"{where}: its JSON cannot be read") from None


def _take_turns(messages: Sequence[dict[str, Any]], offered: set[str]) -> None:
    waiting: set[str] = set()  # calls without a result
    known: set[str] = set()
    was = ""
    for i, message in enumerate(messages, 1):
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                raise Wrong(f"message {i} is the result of no call before it, or a second one")
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise Wrong(f"message {i} comes before the result of a call")
        elif role not in FOLLOWS[was]:
            raise Wrong("user and assistant do not take turns")
        for call in message.get("tool_calls", ()):
            if call["function"]["name"] not in offered:
                raise Wrong(f"message {i} calls a tool that the row does not offer")
            if call["id"] in known:
                raise Wrong(f"message {i} uses the id of another call")
            known.add(call["id"])
            waiting.add(call["id"])
        was = role
    if was != "assistant":
        raise Wrong("does not end with the assistant's answer")


FOLLOWS = {
    "": {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user"},
    "tool": {"assistant"},
}


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(items)
    if len(table) != len(items):
        raise ValueError("a key stands twice")
    return table


def _no_constant(_: str) -> Any:
    raise ValueError("NaN and infinities are not JSON")
