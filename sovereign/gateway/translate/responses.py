"""OpenAI responses as OpenAI chat, and back: text, images, functions, structured output, streams.

For engines that have no ``/v1/responses``. Nothing is stored: a conversation that continues one by
its id is refused, and so is every tool that the hosted API would run itself.
"""

from __future__ import annotations

import copy
import itertools
import time

from sovereign.errors import Unsupported
from sovereign.gateway.translate import chat
from sovereign.types import JSON

__all__ = ["ResponseEvents", "reply_back", "request_out"]

Named = tuple[str | None, JSON]

_SAME = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "user", "seed", "stop")
# Hints that change no answer of a model that runs inside, or that ask for what is done anyway.
_NO_EFFECT = frozenset(
    {"metadata", "service_tier", "store", "truncation", "prompt_cache_key", "safety_identifier"}
)
_OFF: tuple[JSON, ...] = (None, [], "", False)


def request_out(body: JSON) -> JSON:
    """``/v1/responses`` as ``/v1/chat/completions``. Raises :class:`Unsupported`."""
    out: dict[str, JSON] = {name: body[name] for name in _SAME if name in body}
    messages: list[JSON] = []
    for name, value in body.items():
        if name in _SAME or name in _NO_EFFECT:
            continue
        if name == "input":
            messages.extend(_input(value))
        elif name == "instructions" and isinstance(value, str):
            messages.insert(0, {"role": "system", "content": value})
        elif name == "max_output_tokens":
            out["max_tokens"] = value
        elif name == "tools" and isinstance(value, list):
            out |= {"tools": [_tool(tool) for tool in value]} if value else {}
        elif name == "tool_choice":
            out["tool_choice"] = _choice(value)
        elif name == "text":
            out.update(_format(value))
        elif name in ("reasoning", "include") or value in _OFF:
            continue  # a model without thoughts to show shows none
        else:
            raise _cannot(_known(name))
    if out.get("stream"):
        out["stream_options"] = {"include_usage": True}
    if "tools" not in out:
        out.pop("tool_choice", None)
        out.pop("parallel_tool_calls", None)
    out["messages"] = messages
    return out


def _input(value: JSON) -> list[JSON]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise _cannot("input that is neither text nor items")
    messages: list[JSON] = []
    for item in value:
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            messages.append({"role": _role(item), "content": _content(item.get("content"))})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            last = messages[-1] if messages else {}
            if last.get("role") == "assistant":  # one turn's calls stand together
                last.setdefault("tool_calls", []).append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            output = _content(item.get("output"))
            result = {"tool_call_id": item.get("call_id"), "content": output}
            messages.append({"role": "tool", **result})
        elif kind != "reasoning":  # what another model thought on earlier turns is for itself
            raise _cannot("an item that is neither a message nor a function call")
    return messages


def _role(item: JSON) -> str:
    role = item.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        raise _cannot("a message whose role is not known")
    return "system" if role == "developer" else str(role)


def _content(content: JSON) -> JSON:
    """One text if there is nothing else, or text and images in order."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _cannot("content that is neither text nor parts")
    parts = [_part(part) for part in content]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: JSON) -> JSON:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text") and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    raise _cannot("a part that is neither text nor an image")


def _tool(tool: JSON) -> JSON:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise _cannot("a tool that the hosted API runs itself")
    if tool.keys() - {"type", "name", "description", "parameters", "strict"}:
        raise _cannot("a tool with fields that are not known")
    function = {k: v for k, v in tool.items() if k != "type" and v is not None}
    return {"type": "function", "function": function}


def _choice(choice: JSON) -> JSON:
    if choice in ("auto", "none", "required"):
        return choice
    if isinstance(choice, dict) and choice.keys() == {"type", "name"}:
        return {"type": "function", "function": {"name": choice["name"]}}
    raise _cannot("tool_choice")


def _format(text: JSON) -> dict[str, JSON]:
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(text, dict) or text.keys() - {"format", "verbosity"}:
        raise _cannot("text settings that are not known")
    if form is None or form.get("type") == "text":
        return {}
    if form.get("type") == "json_object":
        return {"response_format": {"type": "json_object"}}
    if form.get("type") != "json_schema":
        raise _cannot("a text format that is not known")
    schema = {k: v for k, v in form.items() if k != "type" and v is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _known(name: str) -> str:
    """The name of a field that the wire knows; any other is text of the caller's."""
    known = {"previous_response_id", "conversation", "background", "prompt", "max_tool_calls"}
    return name if name in known | {"top_logprobs"} else "a field that is not known"


def _cannot(what: str) -> Unsupported:
    return Unsupported(
        f"a local model cannot be asked with {what} over the responses wire",
        hint="leave it out, or call the local model at /v1/chat/completions",
    )


def reply_back(body: JSON, request: str) -> JSON:
    """A ``chat.completion`` as a ``response``. Raises :class:`UpstreamFailed`."""
    try:
        choice, text, calls = chat.said(body)
        output = [_message(request, 0, text)] if text or not calls else []
        for call in calls:
            function = call["function"]
            output.append(
                _call(
                    request, len(output), call["id"], function["name"], function["arguments"] or ""
                )
            )
        whole = _response(request, body.get("model"), output, choice.get("finish_reason"))
        return {**whole, "usage": _usage(body)}
    except (LookupError, TypeError, AttributeError):
        raise chat.not_a_reply() from None


class ResponseEvents:
    """The chunks of one streamed ``chat.completion`` as the events of a ``response``."""

    def __init__(self, request: str) -> None:
        self._request = request
        self._numbers = itertools.count()
        self._model: JSON = None
        self._started = False
        self._output: list[dict[str, JSON]] = []
        self._open: tuple[str, JSON] | None = None  # the item's kind, and which tool call it is
        self._finish: JSON = None
        self._usage: JSON = _usage({})

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
                    events += self._text(text)
                for call in delta.get("tool_calls") or ():
                    events += self._called(call)
                self._finish = choice.get("finish_reason") or self._finish
        except (LookupError, TypeError, AttributeError):
            raise chat.not_a_reply() from None
        return events

    def finish(self) -> list[Named]:
        """The events that end the response."""
        events = [] if self._started else self._start(None)
        if not self._output:
            events += self._text("")
        events += self._close()
        whole = _response(self._request, self._model, self._output, self._finish)
        kind = f"response.{whole['status']}"
        return [*events, self._event(kind, response={**whole, "usage": self._usage})]

    def _start(self, model: JSON) -> list[Named]:
        self._started, self._model = True, model
        begun = {**_response(self._request, model, [], None), "status": "in_progress"}
        kinds = ("response.created", "response.in_progress")
        return [self._event(kind, response={**begun, "usage": None}) for kind in kinds]

    def _text(self, text: str) -> list[Named]:
        events = []
        if self._open != ("message", None):
            item = _message(self._request, len(self._output), "")
            part = item["content"].pop()
            events = self._add(("message", None), item)
            item["content"].append(part)
            events.append(self._of_item("response.content_part.added", part=dict(part)))
        if text:
            self._output[-1]["content"][0]["text"] += text
            events.append(self._of_item("response.output_text.delta", delta=text, logprobs=[]))
        return events

    def _called(self, call: JSON) -> list[Named]:
        function = call.get("function") or {}
        which = ("function_call", call.get("index", 0))
        events = []
        if self._open != which:
            at = len(self._output)
            events = self._add(
                which, _call(self._request, at, call["id"], function.get("name"), "")
            )
        arguments = function.get("arguments")
        if arguments:
            self._output[-1]["arguments"] += arguments
            kind = "response.function_call_arguments.delta"
            events.append(self._of_item(kind, delta=arguments))
        return events

    def _add(self, which: tuple[str, JSON], item: dict[str, JSON]) -> list[Named]:
        events = self._close()
        self._open = which
        self._output.append(item)
        begun = {**copy.deepcopy(item), "status": "in_progress"}
        at = len(self._output) - 1
        return [*events, self._event("response.output_item.added", output_index=at, item=begun)]

    def _close(self) -> list[Named]:
        if self._open is None:
            return []
        item, at = self._output[-1], len(self._output) - 1
        if self._open[0] == "message":
            part = item["content"][0]
            events = [
                self._of_item("response.output_text.done", text=part["text"], logprobs=[]),
                self._of_item("response.content_part.done", part=dict(part)),
            ]
        else:
            done = {"arguments": item["arguments"], "name": item["name"]}
            events = [self._of_item("response.function_call_arguments.done", **done)]
        self._open = None
        last = copy.deepcopy(item)
        return [*events, self._event("response.output_item.done", output_index=at, item=last)]

    def _of_item(self, kind: str, **fields: JSON) -> Named:
        item, at = self._output[-1], len(self._output) - 1
        place = {"item_id": item["id"], "output_index": at}
        if item["type"] == "message":
            place["content_index"] = 0
        return self._event(kind, **place, **fields)

    def _event(self, kind: str, **fields: JSON) -> Named:
        return kind, {"type": kind, "sequence_number": next(self._numbers), **fields}


def _response(request: str, model: JSON, output: JSON, finish: JSON) -> dict[str, JSON]:
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    return {
        "id": f"resp_{request.removeprefix('req_')}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "model": model if isinstance(model, str) else "local",
        "output": copy.deepcopy(output),
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
    }


def _message(request: str, at: int, text: str) -> dict[str, JSON]:
    return {
        "id": f"msg_{request.removeprefix('req_')}_{at}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
    }


def _call(request: str, at: int, call_id: JSON, name: JSON, arguments: str) -> dict[str, JSON]:
    return {
        "id": f"fc_{request.removeprefix('req_')}_{at}",
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def _usage(body: JSON) -> JSON:
    usage = body.get("usage") or {}
    asked, said = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }
