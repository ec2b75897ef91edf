"""What the stand-in answers: the text it was given, in the shapes of each wire."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["WIRES", "embeddings"]

PIECE = 7
"""Streamed answers come in pieces of this many characters, so that names are cut in two."""
TOKEN = 3
"""Each piece has tokens of this many characters, where log-probabilities are asked for."""


def _pieces(text: str) -> Iterator[str]:
    for i in range(0, len(text), PIECE):
        yield text[i : i + PIECE]


def _tokens(text: str) -> list[dict[str, Any]]:
    """What the tokens of ``text`` are scored with, as chat and responses say it."""
    tokens = [p[i : i + TOKEN] for p in _pieces(text) for i in range(0, len(p), TOKEN)]
    told = [{"token": t, "logprob": -0.25, "bytes": list(t.encode())} for t in tokens]
    return [{**one, "top_logprobs": [one]} for one in told]


def _columns(text: str, offset: int) -> dict[str, Any]:
    """The same, as completions say it; ``offset`` characters were said before."""
    tokens = [one["token"] for one in _tokens(text)]
    return {
        "tokens": tokens,
        "token_logprobs": [-0.25] * len(tokens),
        "top_logprobs": [{token: -0.25} for token in tokens],
        "text_offset": [offset + sum(map(len, tokens[:i])) for i in range(len(tokens))],
    }


def _data(body: Any, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


_USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def _tool_call(text: str) -> dict[str, Any]:
    arguments = json.dumps({"about": text})
    function = {"name": "look_up", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function}


def _chat(model: str, said: str, tool: str | None, scored: bool = False) -> Any:
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if tool is not None:
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(tool)]}
    reason = "stop" if tool is None else "tool_calls"
    logprobs = {"content": _tokens(said), "refusal": None} if scored and tool is None else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
    return {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": _USAGE,
    }


def _chat_events(model: str, said: str, tool: str | None, scored: bool = False) -> Iterator[bytes]:
    def chunk(delta: Any, reason: str | None = None, told: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": told, "finish_reason": reason}
        return _data(
            {
                "id": "chatcmpl-standin",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": model,
                "choices": [choice],
            }
        )

    yield chunk({"role": "assistant", "content": ""})
    if tool is None:
        for piece in _pieces(said):
            told = {"content": _tokens(piece), "refusal": None} if scored else None
            yield chunk({"content": piece}, told=told)
    else:
        call = _tool_call(tool)
        arguments = call["function"].pop("arguments")
        call["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": 0, **call}]})
        for piece in _pieces(arguments):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield chunk({}, "stop" if tool is None else "tool_calls")
    yield b"data: [DONE]\n\n"


def _completion(model: str, said: str, tool: str | None, scored: bool = False) -> Any:
    told = _columns(said, 0) if scored else None
    choice = {"index": 0, "text": said, "finish_reason": "stop", "logprobs": told}
    return {
        "id": "cmpl-standin",
        "object": "text_completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": _USAGE,
    }


def _completion_events(
    model: str, said: str, tool: str | None, scored: bool = False
) -> Iterator[bytes]:
    offset = 0
    for piece in (*_pieces(said), ""):
        chunk = {k: v for k, v in _completion(model, piece, None).items() if k != "usage"}
        if piece:
            told = _columns(piece, offset) if scored else None
            chunk["choices"][0] |= {"finish_reason": None, "logprobs": told}
        offset += len(piece)
        yield _data(chunk)
    yield b"data: [DONE]\n\n"


def _message(model: str, said: str, tool: str | None, scored: bool = False) -> Any:
    block: dict[str, Any] = {"type": "text", "text": said}
    if tool is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"about": tool}}
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": "end_turn" if tool is None else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }


def _message_events(
    model: str, said: str, tool: str | None, scored: bool = False
) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return _data({"type": kind, **fields}, kind)

    start = {**_message(model, "", None), "content": [], "stop_reason": None}
    yield event("message_start", message=start)
    block: dict[str, Any] = {"type": "text", "text": ""}
    if tool is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
    yield event("content_block_start", index=0, content_block=block)
    yield event("ping")
    for piece in _pieces(said if tool is None else json.dumps({"about": tool})):
        delta = {"type": "text_delta", "text": piece}
        if tool is not None:
            delta = {"type": "input_json_delta", "partial_json": piece}
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    reason = "end_turn" if tool is None else "tool_use"
    stop = {"stop_reason": reason, "stop_sequence": None}
    yield event("message_delta", delta=stop, usage={"output_tokens": 5})
    yield event("message_stop")


def _response(model: str, said: str, tool: str | None, scored: bool = False) -> Any:
    told = {"logprobs": _tokens(said)} if scored else {}
    item: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": said, "annotations": [], **told}],
    }
    if tool is not None:
        call = _tool_call(tool)["function"]
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", **call}
    return {
        "id": "resp_standin",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8},
    }


def _response_events(
    model: str, said: str, tool: str | None, scored: bool = False
) -> Iterator[bytes]:
    number = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return _data({"type": kind, "sequence_number": next(number), **fields}, kind)

    whole = _response(model, said, tool, scored)
    item = whole["output"][0]
    yield event("response.created", response={**whole, "status": "in_progress", "output": []})
    what, text = "output_text", said
    if tool is not None:
        what, text = "function_call_arguments", item["arguments"]
        begun = {**item, "arguments": ""}
    else:
        begun = {**item, "content": []}
    yield event("response.output_item.added", output_index=0, item=begun)
    for piece in _pieces(text):
        at: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
        if tool is None:
            at["content_index"] = 0
            at["logprobs"] = _tokens(piece) if scored else []
        yield event(f"response.{what}.delta", **at, delta=piece)
    last: dict[str, Any] = {"arguments": text}
    if tool is None:
        last = {"text": text, "logprobs": _tokens(text) if scored else []}
    yield event(f"response.{what}.done", **{**at, **last})
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=whole)


WIRES: dict[str, Any] = {
    "/chat/completions": (_chat, _chat_events),
    "/completions": (_completion, _completion_events),
    "/messages": (_message, _message_events),
    "/responses": (_response, _response_events),
}
"""Path to (a whole reply, a streamed one): each of model, text, a tool call's text or none, and
whether tokens are scored."""


def embeddings(body: Any) -> Any:
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    data = [{"object": "embedding", "index": i, "embedding": [0.25, -0.5]} for i in range(count)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": str(body.get("model")), "usage": usage}
