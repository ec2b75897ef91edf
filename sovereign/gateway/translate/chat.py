"""What an OpenAI chat completion says, as both translations read it."""

from __future__ import annotations

from sovereign.errors import UpstreamFailed
from sovereign.types import JSON

__all__ = ["delta_text", "not_a_reply", "said"]


def said(body: JSON) -> tuple[JSON, str, list[JSON]]:
    """The first choice of a ``chat.completion``, its text, and its tool calls. Raises
    :class:`LookupError`, :class:`TypeError` or :class:`AttributeError` if it is none."""
    choice = body["choices"][0]
    message = choice["message"]
    calls = message.get("tool_calls") or []
    text = (message.get("content") if calls else message["content"]) or ""
    if not isinstance(text, str):
        raise TypeError
    return choice, text, calls


def delta_text(delta: JSON) -> str | None:
    """The text of one chunk's delta. Raises :class:`TypeError` if it is something else."""
    text = delta.get("content")
    if not (text is None or isinstance(text, str)):
        raise TypeError
    return text


def not_a_reply() -> UpstreamFailed:
    """The local model answered with something else."""
    return UpstreamFailed("the local model's answer is not a chat completion")
