"""The OpenAI wire, read strictly: a field is honoured, or has no effect by its value, or is a 400.

Source: https://platform.openai.com/docs/api-reference/chat and …/completions (November 2026).
Messages name fields that are known; they never repeat text that a caller sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sovereign.types import JSON

__all__ = ["BadRequest", "Request", "parse_chat", "parse_completion", "read_json"]


class BadRequest(Exception):
    """The answer is this status with an OpenAI-shaped error body."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str = "invalid_value",
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status
        self.kind = kind

    def body(self) -> dict[str, JSON]:
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asked for. Exactly one of ``messages`` and ``prompt`` is set."""

    messages: tuple[dict[str, str], ...] | None = field(repr=False)
    prompt: str | None = field(repr=False)
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...] = field(repr=False)
    stream: bool
    include_usage: bool


def read_json(raw: bytes) -> dict[str, JSON]:
    """One JSON object: UTF-8, no duplicate key, no NaN. Raises :class:`BadRequest`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError
        return made

    def reject(_: str) -> None:
        raise ValueError

    try:
        text = raw.decode("utf-8")
        body = json.loads(text, object_pairs_hook=unique, parse_constant=reject)
    except (ValueError, RecursionError):
        raise BadRequest(
            "the body is not one JSON value in UTF-8 with distinct keys", code="invalid_json"
        ) from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object", code="invalid_json")
    # A null is an absent field: clients send both.
    return {k: v for k, v in body.items() if v is not None}


# ---- fields ------------------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _words("model stream stream_options max_tokens temperature top_p seed stop n")
_CHAT = _COMMON | {"messages", "max_completion_tokens"}
_COMPLETION = _COMMON | {"prompt"}

# Labels for the hosted service's own bookkeeping: no answer depends on them, and they go nowhere.
_WITHOUT_EFFECT: Mapping[str, Callable[[JSON], bool]] = {
    "user": lambda v: isinstance(v, str),
    "safety_identifier": lambda v: isinstance(v, str),
    "metadata": lambda v: (
        isinstance(v, dict) and len(v) <= 16 and all(isinstance(x, str) for x in v.values())
    ),
}


def _is(*values: JSON) -> Callable[[JSON], bool]:
    # `type(v) is type(x)`, because True == 1 in Python and not in JSON.
    return lambda v: any(v == x and isinstance(v, bool) == isinstance(x, bool) for x in values)


# Fields that this engine cannot honour, with the values at which there is nothing to honour.
_NEUTRAL: Mapping[str, Callable[[JSON], bool]] = {
    "frequency_penalty": _is(0),
    "presence_penalty": _is(0),
    "logit_bias": _is({}),
    "logprobs": _is(False),
    "response_format": _is({"type": "text"}),
    "service_tier": _is("auto", "default"),
    "store": _is(False),
    "modalities": _is(["text"]),
    "best_of": _is(1),
    "echo": _is(False),
}
_UNSUPPORTED = _words(
    "audio function_call functions moderation parallel_tool_calls prediction prompt_cache_key "
    "prompt_cache_retention reasoning_effort suffix tool_choice tools top_logprobs verbosity "
    "web_search_options"
)
# Not OpenAI's, but common enough that naming them helps.
_FOREIGN = _words(
    "add_generation_prompt chat_template chat_template_kwargs guided_choice guided_grammar "
    "guided_json guided_regex ignore_eos length_penalty min_p min_tokens num_beams num_ctx options "
    "prompt_logprobs repetition_penalty skip_special_tokens stop_token_ids structured_outputs "
    "system top_k truncate_prompt_tokens use_beam_search"
)


def _check_fields(body: Mapping[str, JSON], honoured: frozenset[str]) -> None:
    for at, (key, value) in enumerate(body.items()):
        if key in honoured:
            continue
        if key in _WITHOUT_EFFECT:
            if not _WITHOUT_EFFECT[key](value):
                raise BadRequest(f"{key} has the wrong type", param=key, code="invalid_type")
        elif key in _NEUTRAL:
            if not _NEUTRAL[key](value):
                raise BadRequest(
                    f"{key} is not supported by this engine with this value",
                    param=key,
                    code="unsupported_value",
                )
        elif key in _UNSUPPORTED | _FOREIGN | _CHAT | _COMPLETION:
            raise BadRequest(
                f"{key} is not supported here", param=key, code="unsupported_parameter"
            )
        else:
            raise BadRequest(
                f"field {at + 1} of the body is not known to this engine",
                code="unknown_parameter",
            )


def _number(body: Mapping[str, JSON], key: str, default: float, low: float, high: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{key} must be a number", param=key, code="invalid_type")
    if not math.isfinite(value) or not low <= value <= high:
        raise BadRequest(f"{key} must be from {low:g} to {high:g}", param=key)
    return float(value)


def _integer(body: Mapping[str, JSON], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{key} must be an integer", param=key, code="invalid_type")
    if not low <= value <= high:
        raise BadRequest(f"{key} must be from {low} to {high}", param=key)
    return value


def _flag(body: Mapping[str, JSON], key: str, where: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{where} must be true or false", param=where, code="invalid_type")
    return value


def _stop(body: Mapping[str, JSON]) -> tuple[str, ...]:
    value = body.get("stop", [])
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise BadRequest(
            "stop must be a string or a list of strings", param="stop", code="invalid_type"
        )
    if len(stops) > 4 or not all(0 < len(s) <= 256 for s in stops):
        raise BadRequest("stop takes at most 4 strings of 1 to 256 characters", param="stop")
    return tuple(stops)


def _streaming(body: Mapping[str, JSON]) -> tuple[bool, bool]:
    stream = _flag(body, "stream", "stream")
    options = body.get("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise BadRequest("stream_options needs stream", param="stream_options")
    if not isinstance(options, dict):
        raise BadRequest("stream_options must be an object", param="stream_options")
    options = {k: v for k, v in options.items() if v is not None}
    if options.keys() - {"include_usage", "include_obfuscation"}:
        raise BadRequest(
            "stream_options holds a field that is not known to this engine",
            param="stream_options",
            code="unknown_parameter",
        )
    # Obfuscation pads chunks against eavesdroppers on the wire; this wire has none.
    if _flag(options, "include_obfuscation", "stream_options.include_obfuscation"):
        raise BadRequest(
            "include_obfuscation is not supported here",
            param="stream_options.include_obfuscation",
            code="unsupported_parameter",
        )
    return stream, _flag(options, "include_usage", "stream_options.include_usage")


def _request(
    body: Mapping[str, JSON],
    served: str,
    messages: tuple[dict[str, str], ...] | None,
    prompt: str | None,
    max_tokens: int | None,
) -> Request:
    model = body.get("model")
    if not isinstance(model, str):
        raise BadRequest("model must be a string", param="model", code="invalid_type")
    if model != served:
        raise BadRequest(
            f"this engine serves {served} only", param="model", code="model_not_found", status=404
        )
    if _integer(body, "n", 1, 128) not in (None, 1):
        raise BadRequest("n must be 1 here", param="n", code="unsupported_value")
    top_p = _number(body, "top_p", 1.0, 0.0, 1.0)
    if top_p == 0:
        raise BadRequest("top_p must be over 0", param="top_p")
    stream, include_usage = _streaming(body)
    return Request(
        messages=messages,
        prompt=prompt,
        max_tokens=max_tokens,
        temperature=_number(body, "temperature", 1.0, 0.0, 2.0),
        top_p=top_p,
        seed=_integer(body, "seed", -(2**63), 2**63 - 1),
        stop=_stop(body),
        stream=stream,
        include_usage=include_usage,
    )


_MAX_TOKENS = 10_000_000


def parse_chat(body: Mapping[str, JSON], served: str) -> Request:
    """The body of ``POST /v1/chat/completions``. Raises :class:`BadRequest`."""
    _check_fields(body, _CHAT)
    old = _integer(body, "max_tokens", 1, _MAX_TOKENS)
    new = _integer(body, "max_completion_tokens", 1, _MAX_TOKENS)
    if old is not None and new is not None and old != new:
        raise BadRequest(
            "max_tokens and max_completion_tokens differ", param="max_completion_tokens"
        )
    return _request(body, served, _messages(body), None, new if old is None else old)


def parse_completion(body: Mapping[str, JSON], served: str) -> Request:
    """The body of ``POST /v1/completions``. Raises :class:`BadRequest`."""
    _check_fields(body, _COMPLETION)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRequest(
            "prompt must be one string; token ids and several prompts are not supported here",
            param="prompt",
            code="unsupported_value",
        )
    if not prompt:
        raise BadRequest("prompt must not be empty", param="prompt")
    limit = _integer(body, "max_tokens", 1, _MAX_TOKENS)
    # 16 is the wire's documented default for this endpoint.
    return _request(body, served, None, prompt, 16 if limit is None else limit)


def _messages(body: Mapping[str, JSON]) -> tuple[dict[str, str], ...]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    return tuple(_message(m, f"messages[{i}]") for i, m in enumerate(messages))


def _message(message: JSON, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise BadRequest(f"{where} must be an object", param=where, code="invalid_type")
    role = message.get("role")
    # A system message by another name since 2024.
    role = "system" if role == "developer" else role
    if role not in ("system", "user", "assistant"):
        raise BadRequest(
            f"{where}.role must be system, developer, user or assistant here",
            param=f"{where}.role",
            code="unsupported_value",
        )
    # Clients send back an assistant's message as they got it: with empty fields.
    extra = [k for k, v in message.items() if k not in ("role", "content") and v not in (None, [])]
    if extra:
        raise BadRequest(
            f"{where} may hold role and content only",
            param=where,
            code="unsupported_parameter",
        )
    return {"role": role, "content": _content(message.get("content"), f"{where}.content")}


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
