"""A conversation with calls of tools, and how a model's own chat template is told of it.

Whoever serves and whoever trains renders through here, so that what is learnt is what is asked. A
template that marks calls with ``<tool_call>`` (Qwen, Hermes, SmolLM2 1.7B and others) is told in
its own words. Any other is told in plain roles and texts in the same form, which is the one most
open models were taught.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sovereign.types import JSON

__all__ = ["BEGIN", "END", "Call", "Message", "Role", "Tool", "described", "for_template", "wire"]

BEGIN, END = "<tool_call>", "</tool_call>"

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model called. ``arguments`` is the text of a JSON object."""

    id: str
    name: str = field(repr=False)
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    content: str = field(repr=False)
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. ``parameters`` is a JSON schema of an object."""

    name: str = field(repr=False)
    description: str = field(repr=False)
    parameters: JSON = field(repr=False)

    def wire(self) -> dict[str, JSON]:
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


def for_template(
    messages: Sequence[Message], tools: Sequence[Tool], template: str
) -> tuple[list[Message], list[JSON] | None]:
    """The conversation as a tokenizer with ``template`` is told of it: its turns, for :func:`wire`,
    and its ``tools``."""
    if not (BEGIN in template and "tools" in template):
        return described(messages, tools), None
    return list(messages), [t.wire() for t in tools] or None


def wire(message: Message, content: str | None = None) -> dict[str, JSON]:
    """One turn for ``apply_chat_template``, with ``content`` in place of its own if given."""
    turn: dict[str, JSON] = {
        "role": message.role,
        "content": message.content if content is None else content,
    }
    if message.calls:
        turn["tool_calls"] = [
            {
                "id": c.id,
                "type": "function",
                "function": {"name": c.name, "arguments": json.loads(c.arguments)},
            }
            for c in message.calls
        ]
    return turn


# ---- telling a model whose template has no words for tools ---------------------------------------

_SYSTEM = """You may call functions to help with the user's request. These are their signatures:
<tools>
{signatures}
</tools>
To call one, answer with a JSON object of its name and arguments between <tool_call> tags:
<tool_call>
{{"name": NAME, "arguments": ARGUMENTS}}
</tool_call>"""


def described(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """The conversation in plain roles and texts: tools in a system message, calls and results as
    tagged text. Results that follow each other become one turn, as templates ask for."""
    plain: list[Message] = []
    if tools:
        signatures = "\n".join(json.dumps(t.wire(), ensure_ascii=False) for t in tools)
        plain.append(Message("system", _SYSTEM.format(signatures=signatures)))
    results = False
    for message in messages:
        turn = message
        if message.role == "tool":
            turn = Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
        elif message.calls:
            said = [message.content] if message.content else []
            turn = Message("assistant", "\n".join(said + [_tagged(c) for c in message.calls]))
        joins = (results and message.role == "tool") or (
            message.role == "system" and len(plain) == 1 and plain[0].role == "system"
        )
        if joins and plain:
            plain[-1] = replace(plain[-1], content=f"{plain[-1].content}\n\n{turn.content}")
        else:
            plain.append(turn)
        results = message.role == "tool"
    return plain


def _tagged(call: Call) -> str:
    body = {"name": call.name, "arguments": json.loads(call.arguments)}
    return f"{BEGIN}\n{json.dumps(body, ensure_ascii=False)}\n{END}"
