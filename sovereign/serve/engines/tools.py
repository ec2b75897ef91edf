"""Tools: what a caller offers, and the calls in what a model says.

How a model is told of them is in :mod:`sovereign.turns`. A grammar holds the calls: a call has the
name of a tool that was offered, and arguments that its schema accepts.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sovereign.serve.engines.fields import BadRequest, flag
from sovereign.serve.engines.text import overlap
from sovereign.turns import BEGIN, END, Call, Tool
from sovereign.types import JSON

__all__ = ["BEGIN", "END", "CallFilter", "Tool", "Tools", "parse_tools"]

_MOST = 128
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Tools:
    """What may be called now. ``choice`` is ``required`` where the model has to call something."""

    offered: tuple[Tool, ...]
    callable: tuple[Tool, ...]
    choice: Literal["auto", "required"]
    parallel: bool


def parse_tools(body: Mapping[str, JSON]) -> Tools | None:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``; None if nothing may be called.
    Raises :class:`BadRequest`."""
    value = body.get("tools")
    choice = body.get("tool_choice")
    if value is None or value == []:
        if choice not in (None, "none", "auto"):
            raise BadRequest("tool_choice needs tools", param="tool_choice")
        return None
    if not isinstance(value, list) or len(value) > _MOST:
        raise BadRequest(f"tools must be a list of at most {_MOST}", param="tools")
    tools = tuple(_tool(t, f"tools[{i}]") for i, t in enumerate(value))
    if len({t.name for t in tools}) != len(tools):
        raise BadRequest("two tools have one name", param="tools")
    parallel = flag(
        {"parallel_tool_calls": True, **body}, "parallel_tool_calls", "parallel_tool_calls"
    )
    if choice == "none":
        return None
    if choice in (None, "auto"):
        return Tools(tools, tools, "auto", parallel)
    if choice == "required":
        return Tools(tools, tools, "required", parallel)
    wanted = [t for t in tools if choice == {"type": "function", "function": {"name": t.name}}]
    if not wanted:
        raise BadRequest(
            "tool_choice must be none, auto, required, or a function that is among the tools",
            param="tool_choice",
        )
    return Tools(tools, tuple(wanted), "required", False)


def _tool(value: JSON, where: str) -> Tool:
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or value.get("type") != "function":
        raise BadRequest(f"{where} must be of type function", param=where, code="unsupported_value")
    if any(v is not None for k, v in value.items() if k not in ("type", "function")):
        raise BadRequest(
            f"{where} holds a field that is not known to this engine",
            param=where,
            code="unknown_parameter",
        )
    # `strict` asks for what is done here always: arguments that the schema accepts.
    if function.keys() - {"name", "description", "parameters", "strict"}:
        raise BadRequest(
            f"{where}.function holds a field that is not known to this engine",
            param=where,
            code="unknown_parameter",
        )
    name, about = function.get("name"), function.get("description") or ""
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadRequest(
            f"{where}.function.name must be 1 to 64 letters, digits, _ and -",
            param=f"{where}.function.name",
        )
    if not isinstance(about, str) or not isinstance(parameters, dict):
        raise BadRequest(
            f"{where}.function needs a text as description and an object as parameters",
            param=where,
            code="invalid_type",
        )
    return Tool(name, about, parameters)


# ---- hearing what it calls -----------------------------------------------------------------------


class CallFilter:
    """Splits what a model says into text and calls, for any chunking of it. White space after a
    call is the template's, not the model's word."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._after = False
        self._looked = 0

    def feed(self, text: str) -> list[str | Call]:
        """The texts and calls that are complete now, in their order."""
        self._held += text
        out: list[str | Call] = []
        while True:
            if self._inside:
                call = self._call()
                if call is None:
                    break
                out.append(call)
            else:
                before, found, after = self._held.partition(BEGIN)
                if not found:
                    break
                out.append(self._said(before))
                self._held = after
            self._inside = not self._inside
            self._after = not self._inside
        if not self._inside:
            keep = overlap(self._held, BEGIN)
            cut = len(self._held) - keep
            out.append(self._said(self._held[:cut]))
            self._held = self._held[cut:]
        return [part for part in out if isinstance(part, Call) or part]

    def _call(self) -> Call | None:
        """The call at the start of what is held, once it is whole. The closing tag may stand in an
        argument too, where no JSON ends."""
        at = self._held.find(END, self._looked)
        while at >= 0:
            call = _call(self._held[:at])
            self._looked = at + len(END)
            if call is not None:
                self._held, self._looked = self._held[self._looked :], 0
                return call
            at = self._held.find(END, self._looked)
        return None

    def _said(self, text: str) -> str:
        text = text.lstrip() if self._after else text
        self._after = self._after and not text
        return text

    def flush(self) -> str:
        """What may still be sent at the end. A call that was cut off is not: nobody can make it."""
        held, self._held = self._held, ""
        return "" if self._inside else self._said(held)


def _call(text: str) -> Call | None:
    # The grammar holds it: an object with the name of a tool and its arguments.
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return Call(
        f"call_{secrets.token_hex(12)}",
        body["name"],
        json.dumps(body["arguments"], ensure_ascii=False),
    )
