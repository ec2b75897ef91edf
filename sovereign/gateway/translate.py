"""Anthropic messages on the way to a model that speaks the OpenAI wire, and back.

Only for local models. What the other wire cannot carry is refused by its name, never dropped.
"""

from __future__ import annotations

from sovereign.errors import Unsupported, UpstreamFailed
from sovereign.types import JSON

__all__ = ["EventTranslator", "reply_back", "request_out"]

Named = tuple[str | None, JSON]

_SAME = ("model", "max_tokens", "temperature", "top_p", "stream")
# Hints that change no answer of a model that runs inside.
_NO_EFFECT = frozenset({"metadata", "service_tier"})
_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def request_out(body: JSON) -> JSON:
    """``/v1/messages`` as ``/v1/chat/completions``. Raises :class:`Unsupported`."""
    out: dict[str, JSON] = {name: body[name] for name in _SAME if name in body}
    messages: list[JSON] = []
    for name, value in body.items():
        if name == "system":
            messages.insert(0, {"role": "system", "content": _text(value, "system")})
        elif name == "messages":
            if not isinstance(value, list):
                raise _cannot("messages that are not a list")
            messages.extend(_message(m) for m in value)
        elif name == "stop_sequences":
            out["stop"] = value
        elif name in ("tools", "thinking", "tool_choice") and _is_off(value):
            continue
        elif name not in _SAME and name not in _NO_EFFECT:
            raise _cannot(_known(name))
    if messages and messages[-1]["role"] == "assistant":
        raise _cannot("a last message of the assistant's (prefill)")
    out["messages"] = messages
    return out


def _message(message: JSON) -> JSON:
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
        raise _cannot("a message whose role is neither user nor assistant")
    if message.keys() - {"role", "content"}:
        raise _cannot("a message with more than role and content")
    return {"role": message["role"], "content": _text(message.get("content"), "messages")}


def _text(content: JSON, where: str) -> str:
    """Text, or blocks of text, as one text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _cannot(f"content in {where} that is neither text nor blocks")
    texts = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind != "text" or not isinstance(block.get("text"), str):
            raise _cannot(f"a block in {where} that is not text")
        if block.keys() - {"type", "text", "cache_control"}:
            raise _cannot(f"a text block in {where} with more than text")
        texts.append(block["text"])
    return "\n".join(texts)


def _is_off(value: JSON) -> bool:
    return value in (None, []) or (isinstance(value, dict) and value.get("type") == "disabled")


def _known(name: str) -> str:
    """The name of a field that Anthropic's wire knows; any other is text of the caller's."""
    known = {"tools", "tool_choice", "thinking", "top_k", "container", "mcp_servers"}
    return name if name in known else "a field that is not known"


def _cannot(what: str) -> Unsupported:
    return Unsupported(
        f"a local model cannot be asked with {what} over the Anthropic wire",
        hint="leave it out, or call the local model at /v1/chat/completions",
    )


def reply_back(body: JSON, request: str) -> JSON:
    """A ``chat.completion`` as a ``message``. Raises :class:`UpstreamFailed`."""
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"] or ""
        if not isinstance(text, str) or choice["message"].get("tool_calls"):
            raise TypeError
        return {
            **_empty(request, body.get("model")),
            "content": [{"type": "text", "text": text}],
            **_stop(choice),
            "usage": _usage(body),
        }
    except (LookupError, TypeError, AttributeError):
        raise _not_a_reply() from None


class EventTranslator:
    """The chunks of one streamed ``chat.completion`` as the events of a ``message``."""

    def __init__(self, request: str) -> None:
        self._request = request
        self._started = False
        self._ended: dict[str, JSON] = {"stop_reason": "end_turn", "stop_sequence": None}
        self._usage: JSON = {"input_tokens": 0, "output_tokens": 0}

    def feed(self, chunk: JSON) -> list[Named]:
        """The events that ``chunk`` stands for. Raises :class:`UpstreamFailed`."""
        try:
            events = [] if self._started else self._start(chunk.get("model"))
            if chunk.get("usage"):
                self._usage = _usage(chunk)
            for choice in chunk["choices"]:
                delta = choice.get("delta") or {}
                text = delta.get("content")
                if delta.get("tool_calls") or not (text is None or isinstance(text, str)):
                    raise TypeError
                if text:
                    shown = {"type": "text_delta", "text": text}
                    events.append(_event("content_block_delta", index=0, delta=shown))
                if choice.get("finish_reason"):
                    self._ended = _stop(choice)
        except (LookupError, TypeError, AttributeError):
            raise _not_a_reply() from None
        return events

    def finish(self) -> list[Named]:
        """The events that end the message."""
        events = [] if self._started else self._start(None)
        events.append(_event("content_block_stop", index=0))
        events.append(_event("message_delta", delta=self._ended, usage=self._usage))
        events.append(_event("message_stop"))
        return events

    def _start(self, model: JSON) -> list[Named]:
        self._started = True
        message = {
            **_empty(self._request, model),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage,
        }
        block = {"type": "text", "text": ""}
        return [
            _event("message_start", message=message),
            _event("content_block_start", index=0, content_block=block),
        ]


def _event(kind: str, **fields: JSON) -> Named:
    return kind, {"type": kind, **fields}


def _empty(request: str, model: JSON) -> dict[str, JSON]:
    return {
        "id": f"msg_{request.removeprefix('req_')}",
        "type": "message",
        "role": "assistant",
        "model": model if isinstance(model, str) else "local",
        "content": [],
    }


def _stop(choice: JSON) -> dict[str, JSON]:
    """vLLM and our own engine name the stop string that ended the text in ``stop_reason``."""
    matched = choice.get("stop_reason")
    if choice.get("finish_reason") == "stop" and isinstance(matched, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": matched}
    reason = _STOPS.get(choice.get("finish_reason"), "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(body: JSON) -> JSON:
    usage = body.get("usage") or {}
    return {
        "input_tokens": int(usage.get("prompt_tokens", 0)),
        "output_tokens": int(usage.get("completion_tokens", 0)),
    }


def _not_a_reply() -> UpstreamFailed:
    return UpstreamFailed("the local model's answer is not a chat completion of text")
