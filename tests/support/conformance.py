"""The OpenAI wire as a suite of checks: requests as data, and what has to be true of each answer.

Any unmodified client runs them: it makes the calls and hands back what it saw as JSON, so that one
judge serves all clients. Any server can be asked: ``SOVEREIGN_CONFORMANCE_URL`` points the suite at
vLLM or another one (tests/e2e/test_conformance.py).

Long because: it is one table, and each check is a line of it.

Source: https://platform.openai.com/docs/api-reference (November 2026).
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema

__all__ = ["Check", "checks", "fold"]

Seen = dict[str, Any]
ASK = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a story about a fox."}]
KEYS = {"id", "object", "created", "model", "choices", "usage"}


@dataclass(frozen=True)
class Check:
    """``call`` is chat, completions, embeddings, models or model. ``holds`` raises
    :class:`AssertionError`."""

    name: str
    call: str
    body: dict[str, Any]
    holds: Callable[[Seen], None]


def fold(chunks: list[Any]) -> Seen:
    """A stream put together: texts, calls, log-probabilities and ends, by choice."""
    made: dict[int, Any] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            one = made.setdefault(
                choice["index"],
                {"text": "", "calls": {}, "scored": [], "finish": None, "role": None},
            )
            delta = choice.get("delta") or {}
            one["text"] += delta.get("content") or choice.get("text") or ""
            one["role"] = one["role"] or delta.get("role")
            one["finish"] = one["finish"] or choice.get("finish_reason")
            one["scored"] += (choice.get("logprobs") or {}).get("content") or []
            for call in delta.get("tool_calls") or []:
                kept = one["calls"].setdefault(call["index"], {"name": "", "arguments": ""})
                kept["id"] = kept.get("id") or call.get("id")
                kept["name"] += call["function"].get("name") or ""
                kept["arguments"] += call["function"].get("arguments") or ""
    return {"choices": made}


# ---- judges --------------------------------------------------------------------------------------


def ok(seen: Seen) -> Any:
    assert "error" not in seen, seen
    return seen["body"]


def choice(seen: Seen) -> Any:
    return ok(seen)["choices"][0]


def text(seen: Seen) -> str:
    one = choice(seen)
    found: str = one["message"]["content"] if "message" in one else one["text"]
    return found


def refused(status: int, param: str | None = None) -> Callable[[Seen], None]:
    def holds(seen: Seen) -> None:
        error = seen.get("error")
        assert error, f"answered {seen}"
        assert error["status"] == status, error
        assert error["class"] == {400: "BadRequestError", 404: "NotFoundError"}[status]
        if param is not None:
            assert error["param"] == param, error

    return holds


def streamed(seen: Seen) -> Any:
    chunks = seen["chunks"]
    assert all(c["object"] in ("chat.completion.chunk", "text_completion") for c in chunks)
    assert len({c["id"] for c in chunks}) == 1
    return fold(chunks)["choices"]


def _shape(seen: Seen) -> None:
    body = ok(seen)
    assert body.keys() >= KEYS
    usage = body["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    for at, one in enumerate(body["choices"]):
        assert one["index"] == at
        assert one["finish_reason"] in ("stop", "length", "tool_calls")


def _is(check: Callable[[Seen], Any]) -> Callable[[Seen], None]:
    def holds(seen: Seen) -> None:
        assert check(seen), seen

    return holds


def _finish(reason: str) -> Callable[[Seen], None]:
    return _is(lambda s: choice(s)["finish_reason"] == reason)


def _json(schema: Any) -> Callable[[Seen], None]:
    def holds(seen: Seen) -> None:
        if choice(seen)["finish_reason"] == "stop":
            jsonschema.validate(json.loads(text(seen)), schema)
        else:  # cut by its limit, as the wire has it
            assert text(seen)[:1] in '{["-0123456789tfn'

    return holds


def _scored(top: int) -> Callable[[Seen], None]:
    def holds(seen: Seen) -> None:
        content = choice(seen)["logprobs"]["content"]
        assert bytes(itertools.chain(*(t["bytes"] for t in content))).decode() == text(seen)
        for token in content:
            assert -9999 <= token["logprob"] <= 0
            assert len(token["top_logprobs"]) == top
            best = [t["logprob"] for t in token["top_logprobs"]]
            assert best == sorted(best, reverse=True)
            assert not top or math.isclose(best[0], token["logprob"], abs_tol=1e-6)

    return holds


def _calls(names: set[str], least: int, most: int) -> Callable[[Seen], None]:
    def holds(seen: Seen) -> None:
        calls = choice(seen)["message"].get("tool_calls") or []
        assert least <= len(calls) <= most
        assert len({c["id"] for c in calls}) == len(calls)
        for call in calls:
            assert call["type"] == "function"
            assert call["function"]["name"] in names
            jsonschema.validate(
                json.loads(call["function"]["arguments"]), SCHEMAS[call["function"]["name"]]
            )
        if calls:
            assert choice(seen)["finish_reason"] in ("tool_calls", "length")

    return holds


# ---- requests ------------------------------------------------------------------------------------

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}
SUM = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "minimum": 0, "maximum": 99},
        "b": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
}
SCHEMAS = {"weather": CITY, "add": SUM}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
        }
    ],
}
FORMATS: dict[str, Any] = {
    "object": CITY,
    "integers": SUM,
    "enum": {"enum": ["red", "green", "blue"]},
    "const": {"const": {"a": [1, None]}},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": 10, "maximum": 20},
    "number": {"type": "number", "minimum": 0, "maximum": 1},
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"},
    "date": {"type": "string", "format": "date"},
    "any of": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    "reference": {
        "$defs": {"x": {"type": "boolean"}},
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/x"}},
        "required": ["x"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {"at": {"type": "array", "items": CITY, "minItems": 1, "maxItems": 1}},
        "required": ["at"],
        "additionalProperties": False,
    },
}


def checks(model: str) -> list[Check]:
    """All of them, for a server of ``model``."""
    return [
        *_models(model),
        *_plain(model),
        *_bounds(model),
        *_sampled(model),
        *_streams(model),
        *_logprobs(model),
        *_formats(model),
        *_tools(model),
        *_completions(model),
        *_embeddings(model),
    ]


def _chat(model: str, **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": ASK, "temperature": 0, "max_tokens": 4, **fields}
    return {k: v for k, v in body.items() if v != "absent"}


def _models(model: str) -> Iterator[Check]:
    def listed(seen: Seen) -> None:
        assert model in {m["id"] for m in ok(seen)["data"]}
        assert all(m["object"] == "model" for m in ok(seen)["data"])

    yield Check("models are listed", "models", {}, listed)
    yield Check("a model is told", "model", {"model": model}, _is(lambda s: ok(s)["id"] == model))
    yield Check("a model that is not there", "model", {"model": "no-such"}, refused(404))
    for call, more in (
        ("chat", {"messages": ASK}),
        ("completions", {"prompt": "x"}),
        ("embeddings", {"input": "x"}),
    ):
        yield Check(
            f"{call} of a model that is not there", call, {"model": "no-such", **more}, refused(404)
        )


def _plain(model: str) -> Iterator[Check]:
    yield Check("a whole answer has its shape", "chat", _chat(model), _shape)
    yield Check(
        "the answer knows the capital",
        "chat",
        _chat(model, max_tokens=16),
        _is(lambda s: "Paris" in text(s)),
    )
    yield Check(
        "the answer names the model", "chat", _chat(model), _is(lambda s: ok(s)["model"] == model)
    )
    yield Check(
        "ids tell the endpoint",
        "chat",
        _chat(model),
        _is(lambda s: ok(s)["id"].startswith("chatcmpl-")),
    )
    yield Check(
        "the role is assistant",
        "chat",
        _chat(model),
        _is(lambda s: choice(s)["message"]["role"] == "assistant"),
    )
    for role in ("system", "developer"):
        told = [{"role": role, "content": "Be brief."}, *ASK]
        yield Check(f"{role} messages are taken", "chat", _chat(model, messages=told), _shape)
    parts = [
        {"role": "user", "content": [{"type": "text", "text": t} for t in ("What is", "1+1?")]}
    ]
    yield Check("text parts are taken", "chat", _chat(model, messages=parts), _shape)
    turns = [
        *ASK,
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ]
    yield Check(
        "earlier turns are taken",
        "chat",
        _chat(model, messages=turns, max_tokens=16),
        _is(lambda s: "Spain" in text(s) or "Madrid" in text(s)),
    )
    yield Check(
        "unicode goes through",
        "chat",
        _chat(model, messages=[{"role": "user", "content": "Zürich 北京 😀"}]),
        _shape,
    )
    for field, value in (
        ("user", "u-1"),
        ("metadata", {"a": "b"}),
        ("store", False),
        ("service_tier", "auto"),
        ("seed", 7),
        ("n", 1),
    ):
        yield Check(f"{field} is taken", "chat", _chat(model, **{field: value}), _shape)


def _bounds(model: str) -> Iterator[Check]:
    for name in ("max_tokens", "max_completion_tokens"):
        limited = _chat(model, **{"max_tokens": "absent", name: 3})
        yield Check(f"{name} ends with length", "chat", limited, _finish("length"))
        yield Check(
            f"{name} counts exactly",
            "chat",
            limited,
            _is(lambda s: ok(s)["usage"]["completion_tokens"] == 3),
        )
    yield Check(
        "a stop string ends with stop",
        "chat",
        _chat(model, max_tokens=24, stop="Paris"),
        _finish("stop"),
    )
    yield Check(
        "a stop string is not told",
        "chat",
        _chat(model, max_tokens=24, stop=["Paris"]),
        _is(lambda s: "Paris" not in text(s)),
    )
    yield Check(
        "four stop strings",
        "chat",
        _chat(model, max_tokens=24, stop=["q", "x", "Par", "z"]),
        _is(lambda s: "Par" not in text(s)),
    )
    huge = [{"role": "user", "content": "word " * 9000}]
    yield Check(
        "a prompt over the context", "chat", _chat(model, messages=huge), refused(400, "messages")
    )
    wrong: list[tuple[str, Any]] = [
        ("temperature", 2.5),
        ("temperature", -1),
        ("temperature", "hot"),
        ("top_p", 1.5),
        ("top_p", -0.1),
        ("max_tokens", 0),
        ("max_tokens", "many"),
        ("n", 0),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("logit_bias", {"1": 200}),
        ("seed", 1.5),
        ("top_logprobs", 21),
        ("tool_choice", "required"),
        ("messages", []),
        ("stream_options", {"include_usage": True}),
    ]
    for field, value in wrong:
        yield Check(
            f"{field}={value!r} is refused"[:60],
            "chat",
            _chat(model, **{field: value}),
            refused(400),
        )
    for name, message in (
        ("a role that is none", {"role": "root", "content": "x"}),
        ("a result of no call", {"role": "tool", "tool_call_id": "x", "content": "y"}),
        ("a message without content", {"role": "user"}),
    ):
        yield Check(f"{name} is refused", "chat", _chat(model, messages=[message]), refused(400))


def _sampled(model: str) -> Iterator[Check]:
    for temperature, top_p in ((0, 1), (0.7, 0.9), (1, 0.1), (2, 1)):
        body = _chat(model, temperature=temperature, top_p=top_p)
        yield Check(f"temperature {temperature}, top_p {top_p}", "chat", body, _shape)
    several = _chat(model, messages=STORY, n=3, temperature=1, seed=5, max_tokens=8)
    yield Check(
        "n gives n answers",
        "chat",
        several,
        _is(lambda s: [c["index"] for c in ok(s)["choices"]] == [0, 1, 2]),
    )
    yield Check(
        "n answers differ",
        "chat",
        several,
        _is(lambda s: len({c["message"]["content"] for c in ok(s)["choices"]}) > 1),
    )
    yield Check(
        "n answers are counted",
        "chat",
        several,
        _is(lambda s: 3 < ok(s)["usage"]["completion_tokens"] <= 24),
    )
    yield Check(
        "a bias of -100 forbids",
        "chat",
        _chat(model, logit_bias={"504": -100}),
        _is(lambda s: not text(s).startswith("The")),
    )
    for field, value in (("frequency_penalty", 2), ("presence_penalty", -2)):
        yield Check(f"{field} is taken", "chat", _chat(model, **{field: value}), _shape)


def _streams(model: str) -> Iterator[Check]:
    plain = _chat(model, stream=True, max_tokens=12)
    yield Check(
        "a stream says the answer", "chat", plain, _is(lambda s: "Paris" in streamed(s)[0]["text"])
    )
    yield Check(
        "a stream begins with the role",
        "chat",
        plain,
        _is(lambda s: s["chunks"][0]["choices"][0]["delta"]["role"] == "assistant"),
    )
    yield Check(
        "a stream ends with a reason",
        "chat",
        plain,
        _is(lambda s: streamed(s)[0]["finish"] in ("stop", "length")),
    )
    yield Check("a stream comes in pieces", "chat", plain, _is(lambda s: len(s["chunks"]) > 4))
    yield Check(
        "without usage unless asked",
        "chat",
        plain,
        _is(lambda s: not any(c.get("usage") for c in s["chunks"])),
    )
    counted = {**plain, "stream_options": {"include_usage": True}}
    yield Check(
        "usage comes last, with no choice",
        "chat",
        counted,
        _is(
            lambda s: (
                s["chunks"][-1]["choices"] == []
                and s["chunks"][-1]["usage"]["completion_tokens"] > 0
            )
        ),
    )
    yield Check(
        "a stop string is held back",
        "chat",
        {**plain, "max_tokens": 24, "stop": "Paris"},
        _is(lambda s: "Par" not in streamed(s)[0]["text"] and streamed(s)[0]["finish"] == "stop"),
    )
    yield Check(
        "n streams in one",
        "chat",
        {**plain, "n": 2, "temperature": 1},
        _is(lambda s: set(streamed(s)) == {0, 1}),
    )
    yield Check("a refusal is no stream", "chat", {**plain, "temperature": 9}, refused(400))
    yield Check(
        "completions stream",
        "completions",
        {
            "model": model,
            "prompt": "The capital of France is",
            "max_tokens": 4,
            "stream": True,
            "temperature": 0,
        },
        _is(lambda s: "Paris" in streamed(s)[0]["text"]),
    )


def _logprobs(model: str) -> Iterator[Check]:
    yield Check(
        "logprobs are null unless asked",
        "chat",
        _chat(model),
        _is(lambda s: choice(s).get("logprobs") is None),
    )
    for top in (0, 1, 5, 20):
        body = _chat(model, logprobs=True, top_logprobs=top)
        yield Check(f"logprobs with {top} others", "chat", body, _scored(top))
    yield Check("logprobs alone", "chat", _chat(model, logprobs=True), _scored(0))
    stopped = _chat(model, logprobs=True, max_tokens=24, stop=" Paris")
    yield Check("logprobs up to the stop string", "chat", stopped, _scored(0))
    flow = _chat(model, logprobs=True, top_logprobs=2, stream=True)
    yield Check(
        "logprobs stream with their text",
        "chat",
        flow,
        _is(
            lambda s: (
                "".join(t["token"] for t in streamed(s)[0]["scored"]) == streamed(s)[0]["text"]
            )
        ),
    )


def _formats(model: str) -> Iterator[Check]:
    yield Check(
        "response_format text", "chat", _chat(model, response_format={"type": "text"}), _shape
    )
    yield Check(
        "response_format json_object",
        "chat",
        _chat(model, response_format={"type": "json_object"}, max_tokens=40),
        _json({"type": "object"}),
    )
    for name, schema in FORMATS.items():
        asked = {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": schema, "strict": True},
        }
        yield Check(
            f"a schema: {name}",
            "chat",
            _chat(model, response_format=asked, max_tokens=40),
            _json(schema),
        )
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}
    yield Check(
        "a schema streams",
        "chat",
        _chat(model, response_format=asked, max_tokens=40, stream=True),
        _is(lambda s: "city" in json.loads(streamed(s)[0]["text"])),
    )
    yield Check(
        "a schema holds at temperature 2",
        "chat",
        _chat(model, response_format=asked, max_tokens=60, temperature=2, seed=3),
        _json(CITY),
    )
    for name, broken in (
        ("no name", {"schema": CITY}),
        ("no schema", {"name": "x"}),
        ("no such type", {"name": "x", "schema": {"type": "nothing"}}),
    ):
        yield Check(
            f"a schema with {name} is refused",
            "chat",
            _chat(model, response_format={"type": "json_schema", "json_schema": broken}),
            refused(400, "response_format"),
        )
    yield Check(
        "a format that is none is refused",
        "chat",
        _chat(model, response_format={"type": "yaml"}),
        refused(400, "response_format"),
    )


def _tools(model: str) -> Iterator[Check]:
    every = set(SCHEMAS)
    for choice_, names, least, most in (
        ("auto", every, 0, 9),
        ("none", every, 0, 0),
        ("required", every, 1, 9),
        ({"type": "function", "function": {"name": "add"}}, {"add"}, 1, 1),
        ({"type": "function", "function": {"name": "weather"}}, {"weather"}, 1, 1),
    ):
        body = _chat(
            model, tools=TOOLS, tool_choice=choice_, max_tokens=48, parallel_tool_calls=False
        )
        yield Check(f"tool_choice {choice_}"[:60], "chat", body, _calls(names, least, most))
    forced = _chat(
        model, tools=TOOLS, tool_choice="required", max_tokens=48, parallel_tool_calls=False
    )
    yield Check(
        "a forced call has no text",
        "chat",
        forced,
        _is(lambda s: not choice(s)["message"]["content"]),
    )
    yield Check("a call ends with tool_calls", "chat", forced, _finish("tool_calls"))
    yield Check(
        "a call streams",
        "chat",
        {**forced, "stream": True},
        _is(
            lambda s: (
                json.loads(streamed(s)[0]["calls"][0]["arguments"]) is not None
                and streamed(s)[0]["calls"][0]["id"]
            )
        ),
    )
    yield Check(
        "a streamed call ends with tool_calls",
        "chat",
        {**forced, "stream": True},
        _is(lambda s: streamed(s)[0]["finish"] == "tool_calls"),
    )
    yield Check(
        "a call at temperature 2",
        "chat",
        {**forced, "temperature": 2, "seed": 1},
        _calls(every, 1, 1),
    )
    results = [*ASK, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"}]
    yield Check(
        "a result is taken",
        "chat",
        _chat(model, messages=results, tools=TOOLS, tool_choice="none"),
        _shape,
    )
    yield Check("a result without the tools", "chat", _chat(model, messages=results), _shape)
    for name, tools in (
        ("of no type", [{"function": {"name": "f"}}]),
        ("without a name", [{"type": "function", "function": {}}]),
        (
            "with a broken schema",
            [{"type": "function", "function": {"name": "f", "parameters": {"type": "nothing"}}}],
        ),
    ):
        yield Check(f"a tool {name} is refused", "chat", _chat(model, tools=tools), refused(400))
    unknown = {"type": "function", "function": {"name": "other"}}
    yield Check(
        "a choice that is not offered",
        "chat",
        _chat(model, tools=TOOLS, tool_choice=unknown),
        refused(400, "tool_choice"),
    )


def _completions(model: str) -> Iterator[Check]:
    def body(**more: Any) -> dict[str, Any]:
        return {
            "model": model,
            "prompt": "The capital of France is",
            "max_tokens": 4,
            "temperature": 0,
            **more,
        }

    yield Check("a completion has its shape", "completions", body(), _shape)
    yield Check("a completion goes on", "completions", body(), _is(lambda s: "Paris" in text(s)))
    yield Check(
        "several prompts",
        "completions",
        body(prompt=["The capital of France is", "A b c"]),
        _is(lambda s: "Paris" in text(s) and len(ok(s)["choices"]) == 2),
    )
    yield Check(
        "several prompts, several answers",
        "completions",
        body(prompt=["a", "b"], n=2),
        _is(lambda s: [c["index"] for c in ok(s)["choices"]] == [0, 1, 2, 3]),
    )
    yield Check(
        "sixteen tokens unless said",
        "completions",
        {"model": model, "prompt": "The capital of France is"},
        _is(lambda s: ok(s)["usage"]["completion_tokens"] <= 16),
    )

    def told(seen: Seen) -> None:
        scored = choice(seen)["logprobs"]
        assert "".join(scored["tokens"]) == text(seen)
        assert len(scored["token_logprobs"]) == len(scored["text_offset"]) == len(scored["tokens"])
        assert all(len(t) == 2 for t in scored["top_logprobs"])

    yield Check("logprobs of a completion", "completions", body(logprobs=2), told)
    yield Check(
        "a stop string in a completion",
        "completions",
        body(stop="Paris", max_tokens=9),
        _is(lambda s: "Paris" not in text(s)),
    )
    for field, value in (("prompt", ""), ("max_tokens", -1), ("logprobs", 9), ("suffix", "x")):
        yield Check(
            f"{field}={value!r} of a completion",
            "completions",
            body(**{field: value}),
            refused(400, field),
        )


def _embeddings(model: str) -> Iterator[Check]:
    def unit(seen: Seen) -> None:
        for at, one in enumerate(ok(seen)["data"]):
            assert (one["index"], one["object"]) == (at, "embedding")
            vector = one["embedding"]
            if isinstance(vector, str):
                raw = base64.b64decode(vector)
                vector = struct.unpack(f"<{len(raw) // 4}f", raw)
            assert math.isclose(math.fsum(x * x for x in vector), 1, abs_tol=1e-3)

    for name, more in (
        ("a text", {"input": "hello"}),
        ("two texts", {"input": ["hello", "world"]}),
        ("as numbers", {"input": "hello", "encoding_format": "float"}),
        ("as base64", {"input": "hello", "encoding_format": "base64"}),
    ):
        yield Check(f"embeddings: {name}", "embeddings", {"model": model, **more}, unit)
    yield Check(
        "embeddings: tokens are counted",
        "embeddings",
        {"model": model, "input": "hello"},
        _is(lambda s: ok(s)["usage"]["prompt_tokens"] >= 1),
    )
    for name, more in (
        ("nothing", {"input": []}),
        ("an empty text", {"input": ""}),
        ("a format that is none", {"input": "x", "encoding_format": "int8"}),
    ):
        yield Check(
            f"embeddings: {name} is refused", "embeddings", {"model": model, **more}, refused(400)
        )
