"""What tells of a call to a model API, wherever it stands: in a line, a row, a span, a HAR entry.

One JSON object is judged at a time, by the names that it has; every reader asks here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sovereign.scan.readers.hosts import inside, provider_of, provider_of_model, split
from sovereign.scan.record import Call, Direction

__all__ = ["BOTH", "HINT", "Heard", "Shape", "judge", "may_tell", "of_url"]

HINT = re.compile(
    rb'"(?:messages|prompt|prompts|input|inputs|contents|choices|candidates|completion|output|params'
    rb"|spend|call_type|custom_id|model|url|uri|host|api_base|base_url|endpoint|upstream)"
    rb'\\?"|gen_ai|llm\.|openai|anthropic|"event: |content_block'
)
"""What a line must hold for it to be worth judging."""

_words = str.split  # a list of names is easier to read as one string

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED


@dataclass(frozen=True, slots=True)
class Shape:
    """What an object tells. ``parts`` are of a :class:`Call`; the direction of a member is that of
    its name, or else ``rest``; None: what it was before."""

    parts: Mapping[str, str]
    names: Mapping[str, Direction]
    rest: Direction | None = None


class Heard:
    """What the objects of one record told of its call, the outermost first."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._any = False
        self.body = ""  # the first one that stands in the record as it was sent, in hex

    def add(self, shape: Shape) -> None:
        self._any = True
        for name, value in shape.parts.items():
            if value and not self._parts.get(name):
                self._parts[name] = value

    @property
    def inside(self) -> bool:
        """Whether the call went to a host of the house: then nothing left."""
        host = self._parts.get("host", "")
        return not provider_of(host) and inside(host)

    def call(self) -> Call | None:
        if not self._any:
            return None
        parts = dict(self._parts)
        host, model = parts.get("host", ""), parts.get("model", "")
        known = provider_of(host) or parts.get("provider") or provider_of_model(model)
        parts["provider"] = "local" if self.inside else known or host or "unknown"
        parts["body_sha256"] = self.body
        return Call(**parts)


_ANSWER = dict.fromkeys(
    _words(
        "response responses response_body response_text responseBody resp completion completions "
        "output outputs output_text choices candidates answer reply result generation generations "
        "resBody response_content"
    ),
    RECEIVED,
)
_ASKED = dict.fromkeys(
    _words(
        "request request_body requestBody req reqBody body payload messages message prompt prompts "
        "input inputs contents system instructions query question params postData "
        "proxy_server_request request_kwargs request_headers requestHeaders headers url uri data "
        "tools documents request_content input_text kwargs variables queryString file files"
    ),
    SENT,
)
BOTH = {**_ASKED, **_ANSWER}
_PLACES = tuple(
    _words(
        "url uri request_url requestUrl full_url api_base base_url host hostname upstream "
        "upstream_host upstream_addr server_name target endpoint authority :authority http.url "
        "url.full server.address net.peer.name peer destination destination_host dest_host "
        "http_host sni api_url remote_host"
    )
)
_USAGE = frozenset(
    _words(
        "n_requests num_model_requests num_requests n_context_tokens_total input_tokens "
        "usage_input_tokens uncached_input_tokens prompt_tokens total_tokens "
        "usage_input_tokens_no_cache n_generated_tokens_total api_requests output_tokens"
    )
)
_CALLERS = tuple(
    _words(
        "user end_user user_id user_email userId email safety_identifier caller api_key_alias "
        "api_key_id api_key enduser.id user.id requester"
    )
)
_ANSWER_OBJECTS = ("chat.completion", "text_completion", "response", "embedding", "realtime.")
_ANSWER_TYPES = ("content_block_", "message_", "response.")


def judge(seen: Mapping[str, Any]) -> Shape | None:
    """What one object tells by itself; None if nothing."""
    return (
        _event(seen)
        or _attributes(seen)
        or _exchange(seen)
        or _row(seen)
        or _answer(seen)
        or _request(seen)
        or _observation(seen)
        or _place(seen)
        or _usage(seen)
    )


def may_tell(names: Collection[str]) -> bool:
    """Whether an object with these names may tell anything at all, whatever its values are."""
    there = frozenset(names)
    return (
        not _BY_ITSELF.isdisjoint(there)
        or any(one <= there for one in _TOGETHER)
        or any(name.startswith(_SPOKEN) for name in there)
    )


def of_url(url: str) -> Call | None:
    """The call that a URL of a hosted API tells of."""
    host, path = split(url)
    provider = provider_of(host)
    return Call(provider, host=host, endpoint=path) if provider else None


def _exchange(seen: Mapping[str, Any]) -> Shape | None:
    """Request and response side by side with the URL in the request: an entry of a HAR file."""
    request = _object(seen.get("request"))
    url = _text(request.get("url")) if request else ""
    if not url or "method" not in request or "response" not in seen:
        return None
    host, path = split(url)
    if not provider_of(host):
        return None
    return Shape({"host": host, "endpoint": path}, {"request": SENT, "response": RECEIVED})


def _row(seen: Mapping[str, Any]) -> Shape | None:
    """A row of LiteLLM's spend log, or a line of a batch's input or output."""
    if "call_type" in seen and ("spend" in seen or "request_id" in seen):
        host, path = split(_text(seen.get("api_base")))
        parts = {
            "provider": _text(seen.get("custom_llm_provider")),
            "model": _text(seen.get("model")),
            "host": host,
            "endpoint": path or _text(seen.get("call_type")),
            "request_id": _text(seen.get("request_id")),
            "caller": _caller(seen),
        }
        return Shape(parts, BOTH)
    if "custom_id" in seen and {"body", "params", "response", "result"} & seen.keys():
        parts = {"request_id": _text(seen["custom_id"]), "endpoint": _text(seen.get("url"))}
        if "params" in seen or "result" in seen:
            parts["provider"] = "anthropic"
        elif "url" in seen or "response" in seen:
            parts["provider"] = "openai"
        return Shape(parts, {**BOTH, "error": RECEIVED})
    return None


def _request(seen: Mapping[str, Any]) -> Shape | None:
    """The body of a request: a model, and what it is asked. Everything of it was sent, the
    assistant's earlier turns too."""
    model = _text(seen.get("model"))
    asked = isinstance(seen.get("messages"), list) or isinstance(seen.get("contents"), list)
    named = "prompt" in seen or "input" in seen or "messages" in seen
    if not (model and (asked or named)):
        return None
    provider = "anthropic" if "anthropic_version" in seen else ""
    parts = {"model": model, "provider": provider, "caller": _caller(seen)}
    host, path = _host(seen)
    return Shape({**parts, "host": host, "endpoint": path}, _ANSWER, SENT)


def _answer(seen: Mapping[str, Any]) -> Shape | None:
    """The body of a response, or an event of a streamed one."""
    kind, type_ = _text(seen.get("object")), _text(seen.get("type"))
    provider = ""
    if isinstance(seen.get("choices"), list) and "messages" not in seen and "prompt" not in seen:
        known = kind.startswith(_ANSWER_OBJECTS) or "usage" in seen or "created" in seen
    elif type_ == "message" and seen.get("role") == "assistant" and "content" in seen:
        known, provider = "model" in seen or "stop_reason" in seen, "anthropic"
    elif type_.startswith(_ANSWER_TYPES):
        known = bool({"delta", "message", "content_block", "response"} & seen.keys())
    else:
        known = kind == "response" and "output" in seen
        known = known or (isinstance(seen.get("candidates"), list) and "usageMetadata" in seen)
    if not known:
        return None
    model, number = _text(seen.get("model")), _text(seen.get("id"))
    return Shape({"model": model, "request_id": number, "provider": provider}, {}, RECEIVED)


def _observation(seen: Mapping[str, Any]) -> Shape | None:
    """A generation as Langfuse and its like export it."""
    if (
        "input" in seen
        and "output" in seen
        and ("model" in seen or _text(seen.get("type")).upper() == "GENERATION")
    ):
        parts = {"model": _text(seen.get("model")), "caller": _caller(seen)}
        return Shape(parts, {"input": SENT, "output": RECEIVED})
    return None


def _place(seen: Mapping[str, Any]) -> Shape | None:
    """A record of a proxy or an application that names a hosted API as where it went."""
    host, path = _host(seen)
    if not provider_of(host):
        return None
    parts = {"host": host, "endpoint": path, "model": _text(seen.get("model"))}
    return Shape({**parts, "caller": _caller(seen)}, BOTH)


def _usage(seen: Mapping[str, Any]) -> Shape | None:
    """A row of a usage export: that calls were made, not what was in them."""
    model = _text(seen.get("model")) or _text(seen.get("model_version"))
    if not model or not (_USAGE & seen.keys()) or not provider_of_model(model):
        return None
    return Shape({"model": model, "caller": _caller(seen)}, {})


# -- OpenTelemetry and OpenInference ---------------------------------------------------------------

_OUT = re.compile(
    r"gen_ai\.(?:output\.messages|completion|choice|content\.completion|response\.text"
    r"|assistant\.output)|llm\.(?:output_messages|completions|response)|output\.value"
    r"|traceloop\.entity\.output|ai\.response\."
)
_IN = re.compile(
    r"gen_ai\.(?:input\.messages|system_instructions|prompt|content\.prompt|tool\.|request\.messages"
    r"|(?:user|system|assistant|tool)\.message|embeddings\.input|retrieval\.)"
    r"|llm\.(?:input_messages|prompts|tools|prompt_template|request\.functions)|input\.value"
    r"|traceloop\.entity\.input|ai\.prompt|http\.request\.body"
)
_PARTS = {
    "gen_ai.provider.name": "provider",
    "gen_ai.system": "provider",
    "llm.provider": "provider",
    "llm.system": "provider",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model",
    "llm.model_name": "model",
    "ai.model.id": "model",
    "gen_ai.operation.name": "endpoint",
    "gen_ai.response.id": "request_id",
    "enduser.id": "caller",
    "user.id": "caller",
}
_SPOKEN = ("gen_ai.", "llm.", "ai.prompt", "ai.response")


def _event(seen: Mapping[str, Any]) -> Shape | None:
    """``{"key": …, "value": …}`` of an OTLP attribute, or an event that is a message."""
    key = _text(seen.get("key"))
    name = key if "value" in seen else ""
    if not name:
        name = _text(seen.get("eventName")) or _text(seen.get("name"))
        name = name or _text(seen.get("event.name"))
        if not name.startswith("gen_ai.") or not {"attributes", "body"} & seen.keys():
            return None
    direction = _direction(name)
    return Shape({}, {}, direction) if direction else None


def _attributes(seen: Mapping[str, Any]) -> Shape | None:
    """A span or a log record by its attributes: OTLP's list, or a plain object, or itself."""
    held = seen.get("attributes")
    flat: dict[str, Any] = {}
    if isinstance(held, list):
        for item in map(_object, held):
            value = _object(item.get("value"))
            flat[_text(item.get("key"))] = next(iter(value.values()), None)
    else:
        flat = dict(_object(held) or seen)
    if not any(name.startswith(_SPOKEN) for name in flat):
        return None
    parts: dict[str, str] = {}
    for name, part in _PARTS.items():
        parts[part] = parts.get(part) or _text(flat.get(name))
    host, _ = _host(flat)
    names = {name: way for name in flat if (way := _direction(name))}
    return Shape({**parts, "host": host}, names)


def _direction(name: str) -> Direction | None:
    if _OUT.match(name):
        return RECEIVED
    return SENT if _IN.match(name) else None


_BY_ITSELF = frozenset(
    _words("attributes call_type custom_id model model_version choices candidates")
).union(_PLACES)
_TOGETHER = tuple(
    frozenset(_words(both))
    for both in (
        *("key value", "request response", "input output", "object output", "role content"),
        *("type delta", "type message", "type content_block", "type response"),
        *(f"{name} {held}" for name in ("eventName", "name", "event.name")
          for held in ("attributes", "body")),
    )
)  # fmt: skip
"""Names without which nothing above tells anything."""


# -- small things ----------------------------------------------------------------------------------


def _host(seen: Mapping[str, Any]) -> tuple[str, str]:
    """The first place that is a hosted API, or else one of the house."""
    other = ("", "")
    for name in _PLACES:
        value = seen.get(name)
        if isinstance(value, str) and ("." in value or value == "localhost"):
            host, path = split(_text(value))
            if provider_of(host):
                return host, path
            if not other[0] and inside(host):
                other = host, path
    return other


def _caller(seen: Mapping[str, Any]) -> str:
    for name in _CALLERS:
        if value := _text(seen.get(name)):
            return value
    return ""


def _text(value: Any) -> str:
    return str(value)[:200] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple):
        return dict(value)
    return {}
