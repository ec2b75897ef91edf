"""Anthropic messages as OpenAI chat, and back: text, images, tools, streams."""

from __future__ import annotations

import json

from sovereign.errors import Unsupported
from sovereign.gateway.translate import chat
from sovereign.types import JSON

__all__ = ["MessageEvents", "reply_back", "request_out"]

Named = tuple[str | None, JSON]

_SAME = ("model", "max_tokens", "temperature", "top_p", "stream")
# Hints that change no answer of a model that runs inside.
_NO_EFFECT = frozenset({"metadata", "service_tier"})
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


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
            for message in value:
                messages.extend(_message(message))
        elif name == "stop_sequences":
            out["stop"] = value
        elif name in ("tools", "thinking", "tool_choice") and _is_off(value):
            continue
        elif name == "tools":
            out["tools"] = [_tool(tool) for tool in value]
        elif name == "tool_choice":
            out.update(_choice(value))
        elif name not in _SAME and name not in _NO_EFFECT:
            raise _cannot(_known(name))
    if messages and messages[-1]["role"] == "assistant":
        raise _cannot("a last message of the assistant's (prefill)")
    out["messages"] = messages
    return out


def _message(message: JSON) -> list[JSON]:
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
        raise _cannot("a message whose role is neither user nor assistant")
    if message.keys() - {"role", "content"}:
        raise _cannot("a message with more than role and content")
    role, content = message["role"], message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = _blocks(content, "messages")
    if role == "assistant":
        return [_assistant(blocks)]
    results = [b for b in blocks if b.get("type") == "tool_result"]
    rest = [b for b in blocks if b.get("type") != "tool_result"]
    out: list[JSON] = [_result(block) for block in results]
    if rest or not results:
        out.append({"role": "user", "content": _parts(rest)})
    return out


def _assistant(blocks: list[dict[str, JSON]]) -> JSON:
    texts, calls = [], []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            arguments = json.dumps(block.get("input", {}), ensure_ascii=False)
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind not in ("thinking", "redacted_thinking"):
            # What another model thought on earlier turns is for itself; its own API drops it, too.
            texts.append(_text([block], "messages"))
    message: dict[str, JSON] = {"role": "assistant", "content": "\n".join(texts) or None}
    return {**message, "tool_calls": calls} if calls else {**message, "content": "\n".join(texts)}


def _parts(blocks: list[dict[str, JSON]]) -> JSON:
    """One text if there is nothing else, or text and images in order."""
    if all(block.get("type") == "text" for block in blocks):
        return _text(blocks, "messages")
    return [
        _image(block)
        if block.get("type") == "image"
        else {"type": "text", "text": _text([block], "messages")}
        for block in blocks
    ]


def _image(block: dict[str, JSON]) -> JSON:
    source = block.get("source")
    if not isinstance(source, dict) or block.keys() - {"type", "source", "cache_control"}:
        raise _cannot("an image without a source")
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return {"type": "image_url", "image_url": {"url": source["url"]}}
    data, media = source.get("data"), source.get("media_type")
    if source.get("type") != "base64" or not isinstance(data, str) or not isinstance(media, str):
        raise _cannot("an image that is neither base64 nor at a URL")
    return {"type": "image_url", "image_url": {"url": f"data:{media};base64,{data}"}}


def _result(block: dict[str, JSON]) -> JSON:
    if block.keys() - {"type", "tool_use_id", "content", "is_error", "cache_control"}:
        raise _cannot("a tool's result with fields that are not known")
    text = _text(block.get("content", ""), "a tool's result")
    failed = "error: " if block.get("is_error") else ""
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": failed + text}


def _tool(tool: JSON) -> JSON:
    kind = tool.get("type", "custom") if isinstance(tool, dict) else None
    if kind != "custom":
        raise _cannot("a tool that the hosted API runs itself")
    if tool.keys() - {"type", "name", "description", "input_schema", "cache_control", "strict"}:
        raise _cannot("a tool with fields that are not known")
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema", {})}
    function |= {k: tool[k] for k in ("description", "strict") if k in tool}
    return {"type": "function", "function": function}


def _choice(choice: JSON) -> dict[str, JSON]:
    kind = choice.get("type") if isinstance(choice, dict) else None
    out: dict[str, JSON] = {}
    if kind == "tool" and isinstance(choice.get("name"), str):
        out["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind in _CHOICES:
        out["tool_choice"] = _CHOICES[kind]
    else:
        raise _cannot("tool_choice")
    if choice.get("disable_parallel_tool_use"):
        out["parallel_tool_calls"] = False
    return out


def _blocks(content: JSON, where: str) -> list[dict[str, JSON]]:
    if not isinstance(content, list) or not all(isinstance(b, dict) for b in content):
        raise _cannot(f"content in {where} that is neither text nor blocks")
    return content


def _text(content: JSON, where: str) -> str:
    """Text, or blocks of text, as one text."""
    if isinstance(content, str):
        return content
    texts = []
    for block in _blocks(content, where):
        if block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise _cannot(f"a block in {where} that is not text")
        if block.keys() - {"type", "text", "cache_control"}:
            raise _cannot(f"a text block in {where} with more than text")
        texts.append(block["text"])
    return "\n".join(texts)


def _is_off(value: JSON) -> bool:
    return value in (None, []) or (isinstance(value, dict) and value.get("type") == "disabled")


def _known(name: str) -> str:
    """The name of a field that Anthropic's wire knows; any other is text of the caller's."""
    known = {"thinking", "top_k", "container", "mcp_servers"}
    return name if name in known else "a field that is not known"


def _cannot(what: str) -> Unsupported:
    return Unsupported(
        f"a local model cannot be asked with {what} over the Anthropic wire",
        hint="leave it out, or call the local model at /v1/chat/completions",
    )


def reply_back(body: JSON, request: str) -> JSON:
    """A ``chat.completion`` as a ``message``. Raises :class:`UpstreamFailed`."""
    try:
        choice, text, calls = chat.said(body)
        content: list[JSON] = [{"type": "text", "text": text}] if text else []
        for call in calls:
            function = call["function"]
            content.append(
                {
                    "type": "tool_use",
                    "id": call["id"],
                    "name": function["name"],
                    "input": json.loads(function["arguments"] or "{}"),
                }
            )
        return {
            **_empty(request, body.get("model")),
            "content": content or [{"type": "text", "text": ""}],
            **_stop(choice),
            "usage": _usage(body),
        }
    except (LookupError, TypeError, AttributeError, ValueError):
        raise chat.not_a_reply() from None


class MessageEvents:
    """The chunks of one streamed ``chat.completion`` as the events of a ``message``."""

    def __init__(self, request: str) -> None:
        self._request = request
        self._started = False
        self._block = -1  # the content block that is open, by its index
        self._open: tuple[str, JSON] | None = None  # its kind, and which tool call it is
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
                text = chat.delta_text(delta)
                if text:
                    events += self._to("text", None, {"type": "text", "text": ""})
                    events.append(self._delta({"type": "text_delta", "text": text}))
                for call in delta.get("tool_calls") or ():
                    events += self._call(call)
                if choice.get("finish_reason"):
                    self._ended = _stop(choice)
        except (LookupError, TypeError, AttributeError):
            raise chat.not_a_reply() from None
        return events

    def _call(self, call: JSON) -> list[Named]:
        function = call.get("function") or {}
        block = {
            "type": "tool_use",
            "id": call.get("id"),
            "name": function.get("name"),
            "input": {},
        }
        events = self._to("tool_use", call.get("index", 0), block)
        if function.get("arguments"):
            part = {"type": "input_json_delta", "partial_json": function["arguments"]}
            events.append(self._delta(part))
        return events

    def finish(self) -> list[Named]:
        """The events that end the message."""
        events = [] if self._started else self._start(None)
        if self._block < 0:
            events += self._to("text", None, {"type": "text", "text": ""})
        events.append(_event("content_block_stop", index=self._block))
        events.append(_event("message_delta", delta=self._ended, usage=self._usage))
        events.append(_event("message_stop"))
        return events

    def _to(self, kind: str, call: JSON, block: JSON) -> list[Named]:
        """The events that end the open block and open ``block``, if it is not that."""
        if self._open == (kind, call):
            return []
        events = [_event("content_block_stop", index=self._block)] if self._open else []
        self._open = (kind, call)
        self._block += 1
        return [*events, _event("content_block_start", index=self._block, content_block=block)]

    def _delta(self, delta: JSON) -> Named:
        return _event("content_block_delta", index=self._block, delta=delta)

    def _start(self, model: JSON) -> list[Named]:
        self._started = True
        message = {
            **_empty(self._request, model),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage,
        }
        return [_event("message_start", message=message)]


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
