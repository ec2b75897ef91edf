"""The OpenAI wire, read strictly: a field is honoured, or has no effect by its value, or is a 400.

Source: https://platform.openai.com/docs/api-reference, chat, completions and embeddings (November
2026). Messages name fields that are known; they never repeat text that a caller sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sovereign.serve.engines.constrain import parse_format
from sovereign.serve.engines.fields import BadRequest, flag, integer, number
from sovereign.serve.engines.messages import Message, parse_messages
from sovereign.serve.engines.sampling import Sampling
from sovereign.serve.engines.tools import Tools, parse_tools
from sovereign.types import JSON

__all__ = ["EmbedRequest", "Request", "parse_chat", "parse_completion", "parse_embeddings"]

_MAX_TOKENS = 10_000_000
_MOST_CHOICES = 8
_MOST_INPUTS = 256


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asked for: ``messages``, or ``prompts``, and ``n`` answers to each."""

    model: str
    messages: tuple[Message, ...] | None = field(repr=False)
    prompts: tuple[str, ...] = field(repr=False)
    max_tokens: int | None
    n: int
    sampling: Sampling
    stop: tuple[str, ...] = field(repr=False)
    stream: bool
    include_usage: bool
    logprobs: int | None = None
    """How many alternatives to tell beside each token; None tells of no token at all."""
    schema: JSON | None = field(default=None, repr=False)
    tools: Tools | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed. ``encoding`` ``base64`` is little-endian float32."""

    model: str
    inputs: tuple[str, ...] = field(repr=False)
    encoding: Literal["float", "base64"]


# ---- fields ------------------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _words(
    "model stream stream_options max_tokens temperature top_p seed stop n logprobs "
    "frequency_penalty presence_penalty logit_bias"
)
_CHAT = _COMMON | _words(
    "messages max_completion_tokens top_logprobs response_format tools tool_choice "
    "parallel_tool_calls"
)
_COMPLETION = _COMMON | {"prompt"}
_EMBEDDING = _words("model input encoding_format")

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
    "service_tier": _is("auto", "default"),
    "store": _is(False),
    "modalities": _is(["text"]),
    "best_of": _is(1),
    "echo": _is(False),
}
_UNSUPPORTED = _words(
    "audio dimensions function_call functions input moderation prediction prompt_cache_key "
    "prompt_cache_retention reasoning_effort suffix verbosity web_search_options"
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
    stream = flag(body, "stream", "stream")
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
    if flag(options, "include_obfuscation", "stream_options.include_obfuscation"):
        raise BadRequest(
            "include_obfuscation is not supported here",
            param="stream_options.include_obfuscation",
            code="unsupported_parameter",
        )
    return stream, flag(options, "include_usage", "stream_options.include_usage")


def _model(body: Mapping[str, JSON], served: Collection[str]) -> str:
    model = body.get("model")
    if not isinstance(model, str):
        raise BadRequest("model must be a string", param="model", code="invalid_type")
    if model not in served:
        raise BadRequest(
            f"this engine serves {', '.join(served)} only",
            param="model",
            code="model_not_found",
            status=404,
        )
    return model


def _sampling(body: Mapping[str, JSON]) -> Sampling:
    top_p = number(body, "top_p", 1.0, 0.0, 1.0)
    if top_p == 0:
        raise BadRequest("top_p must be over 0", param="top_p")
    return Sampling(
        temperature=number(body, "temperature", 1.0, 0.0, 2.0),
        top_p=top_p,
        seed=integer(body, "seed", -(2**63), 2**63 - 1),
        frequency_penalty=number(body, "frequency_penalty", 0.0, -2.0, 2.0),
        presence_penalty=number(body, "presence_penalty", 0.0, -2.0, 2.0),
        bias=_bias(body),
    )


def _bias(body: Mapping[str, JSON]) -> tuple[tuple[int, float], ...]:
    """Pairs of token id and what is added to its logit. Ids that the model does not have are for
    :class:`~sovereign.serve.engines.app` to refuse: only it knows the vocabulary."""
    value = body.get("logit_bias", {})
    if not isinstance(value, dict) or len(value) > 1024:
        raise BadRequest(
            "logit_bias must be an object of at most 1024 token ids", param="logit_bias"
        )
    pairs = []
    for key, amount in value.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise BadRequest("the keys of logit_bias must be token ids", param="logit_bias")
        pairs.append((int(key), number({"logit_bias": amount}, "logit_bias", 0.0, -100.0, 100.0)))
    return tuple(sorted(pairs))


def _choices(body: Mapping[str, JSON], prompts: int) -> int:
    n = integer(body, "n", 1, 128) or 1
    if n * prompts > _MOST_CHOICES:
        raise BadRequest(
            f"this engine gives at most {_MOST_CHOICES} answers to a request", param="n"
        )
    return n


# ---- endpoints ---------------------------------------------------------------------------------


def parse_chat(body: Mapping[str, JSON], served: Collection[str]) -> Request:
    """The body of ``POST /v1/chat/completions``. Raises :class:`BadRequest`."""
    _check_fields(body, _CHAT)
    old = integer(body, "max_tokens", 1, _MAX_TOKENS)
    new = integer(body, "max_completion_tokens", 1, _MAX_TOKENS)
    if old is not None and new is not None and old != new:
        raise BadRequest(
            "max_tokens and max_completion_tokens differ", param="max_completion_tokens"
        )
    top = integer(body, "top_logprobs", 0, 20)
    told = flag(body, "logprobs", "logprobs")
    if top is not None and not told:
        raise BadRequest("top_logprobs needs logprobs", param="top_logprobs")
    tools, schema = parse_tools(body), parse_format(body)
    if tools is not None and schema is not None:
        raise BadRequest(
            "tools and a response_format together are not supported here",
            param="response_format",
            code="unsupported_value",
        )
    stream, include_usage = _streaming(body)
    return Request(
        model=_model(body, served),
        messages=parse_messages(body),
        prompts=(),
        max_tokens=new if old is None else old,
        n=_choices(body, 1),
        sampling=_sampling(body),
        stop=_stop(body),
        stream=stream,
        include_usage=include_usage,
        logprobs=(top or 0) if told else None,
        schema=schema,
        tools=tools,
    )


def parse_completion(body: Mapping[str, JSON], served: Collection[str]) -> Request:
    """The body of ``POST /v1/completions``. Raises :class:`BadRequest`."""
    _check_fields(body, _COMPLETION)
    prompts = _texts(body, "prompt", _MOST_CHOICES)
    limit = integer(body, "max_tokens", 1, _MAX_TOKENS)
    # `false` is what some clients send for "none".
    absent = body.get("logprobs") is False
    told = None if absent else integer(body, "logprobs", 0, 5)
    stream, include_usage = _streaming(body)
    return Request(
        model=_model(body, served),
        messages=None,
        prompts=prompts,
        # 16 is the wire's documented default for this endpoint.
        max_tokens=16 if limit is None else limit,
        n=_choices(body, len(prompts)),
        sampling=_sampling(body),
        stop=_stop(body),
        stream=stream,
        include_usage=include_usage,
        logprobs=told,
    )


def parse_embeddings(body: Mapping[str, JSON], served: Collection[str]) -> EmbedRequest:
    """The body of ``POST /v1/embeddings``. Raises :class:`BadRequest`."""
    _check_fields(body, _EMBEDDING)
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise BadRequest("encoding_format must be float or base64", param="encoding_format")
    return EmbedRequest(_model(body, served), _texts(body, "input", _MOST_INPUTS), encoding)


def _texts(body: Mapping[str, JSON], key: str, most: int) -> tuple[str, ...]:
    value = body.get(key)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise BadRequest(
            f"{key} must be a string or a list of strings; token ids are not supported here",
            param=key,
            code="unsupported_value",
        )
    if not 1 <= len(texts) <= most:
        raise BadRequest(f"{key} takes 1 to {most} texts", param=key)
    if not all(texts):
        raise BadRequest(f"{key} must not be empty", param=key)
    return tuple(texts)
