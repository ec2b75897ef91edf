"""LiteLLM's generic guardrail API: their proxy shows us each request and reply, and we answer what
may go on. Nothing is sent from here.

The contract is that of litellm 1.110, ``guardrail_hooks/generic_guardrail_api``: POST of ``texts``,
``structured_messages``, ``tools``, ``images``, ``tool_calls``; answer ``NONE``, ``BLOCKED`` or
``GUARDRAIL_INTERVENED``. Whatever fails here is answered as ``BLOCKED`` with status 200, because
their proxy can be told to go on without a guardrail that answers with an error. So is what their
proxy was seen to send as it was after we had changed it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from sovereign.audit.tokens import TokenKeyFile
from sovereign.errors import (
    AuditError,
    LogUnavailable,
    NotPermitted,
    Refused,
    SovereignError,
    UnknownEndpoint,
    Unreadable,
)
from sovereign.gateway.asked import Asked, ClientGone, Receive, Scope, Send, read_body, respond
from sovereign.gateway.clear import Cleared
from sovereign.gateway.inside import CHAT
from sovereign.gateway.keys import KeyRing
from sovereign.gateway.recorder import Recorder
from sovereign.gateway.standing import Standing
from sovereign.gateway.upstreams import Upstream
from sovereign.gateway.wires import credential
from sovereign.gateway.workers import Workers
from sovereign.guard import Guard, Restorer
from sovereign.guard.endpoints import match
from sovereign.types import JSON, Action, Destination

__all__ = ["PATH", "SCOPE", "Guardrail"]

LOGGER = logging.getLogger("sovereign.gateway")

PATH = "/beta/litellm_basic_guardrail_api"
SCOPE = "guardrail/litellm"
"""What a key must name among its models. A key for models does not open this door, nor this key
theirs."""

ENDPOINT = "litellm.guardrail"
TO = Destination("litellm", "hosted")
_CALL = match("POST", "/v1/chat/completions")
_UPSTREAM = Upstream(destination=TO, wire="openai", base_url="", models=(), timeout_s=0.0)

OPEN_S = 600.0
MOST_OPEN = 10_000
_SHOWN = ("texts", "structured_messages", "tools", "images", "tool_calls")


@dataclass(frozen=True, slots=True)
class _Open:
    """A request whose reply may still be shown to us."""

    asked: Asked
    restorer: Restorer
    at: float


class Guardrail:
    """An ASGI application for one path. Belongs to one event loop: with several workers, a reply
    that comes to another one than its request keeps its surrogates."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        standing: Standing,
        recorder: Recorder,
        workers: Workers,
        max_body_bytes: int,
        token_key: TokenKeyFile | None,
    ) -> None:
        self._keys = keys
        self._standing = standing
        self._recorder = recorder
        self._workers = workers
        self._max_body_bytes = max_body_bytes
        self._token_key = token_key
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._start = secrets.token_hex(10)
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked.from_scope(scope, f"grd_{self._start}{next(self._numbers):08x}")
        asked.endpoint = ENDPOINT
        try:
            answer = await self._answer(asked, receive)
        except ClientGone as e:
            await self._refused(asked, e)
            return
        except SovereignError as e:
            answer = await self._refused(asked, e)
        except Exception as e:  # noqa: BLE001 - the door stays shut on what nobody thought of
            # The type only: a message or a traceback may hold what the caller sent.
            LOGGER.error("request %s failed on %s", asked.id, type(e).__name__)
            answer = await self._refused(asked, SovereignError("the guard failed on this request"))
        await respond(asked, send, answer)

    async def _answer(self, asked: Asked, receive: Receive) -> JSON:
        key = asked.key = self._keys.authenticate(
            credential(asked.headers, asked.wire), certificate=asked.certificate
        )
        if SCOPE not in key.models:
            raise NotPermitted(
                "this key may not ask the guardrail",
                hint=f"`sovereign keys create --team NAME --models {SCOPE}` makes one that may",
            )
        key.require_destination(TO.name)
        if asked.method != "POST":
            raise UnknownEndpoint("the guardrail is asked by POST")
        raw = await read_body(asked, receive, self._max_body_bytes)
        guard = self._standing.now.guard
        asked.guard_build = guard.build
        body = guard.read(
            raw,
            content_encoding=asked.header("content-encoding"),
            content_type=asked.header("content-type"),
        )
        call, kind = _envelope(body)
        if kind == "response":
            return self._reply(asked, (key.id, call), body)
        asked.model, asked.destination = SCOPE, TO
        cleared, answer = await self._workers.run(self._clear, asked, guard, body, call)
        await self._recorder.intent(asked, cleared).landed()
        if call:
            self._keep((key.id, call), _Open(asked, cleared.restorer, time.monotonic()))
        else:
            self._recorder.result(asked, "ok", 200)
        return answer

    def _clear(
        self, asked: Asked, guard: Guard, body: dict[str, JSON], call: str
    ) -> tuple[Cleared, JSON]:
        """Inspect what was shown, decide, transform, and check what is left; and the answer."""
        assert asked.key is not None
        shown = {name: body[name] for name in _SHOWN if body.get(name)}
        if "structured_messages" in shown:
            shown["messages"] = shown.pop("structured_messages")
        inspection = guard.inspect(shown, to=TO, shape=CHAT.name, tenant=asked.key.team)
        asked.verdict = verdict = inspection.verdict
        key = None if self._token_key is None else self._token_key.current()
        if key is not None:
            asked.tokens = key.tokens(asked.key.team, inspection.values, time.time())
        if verdict.action >= Action.LOCAL:
            verbs = (Action.LOCAL.verb, Action.BLOCK.verb)
            kinds = [e for e, by in verdict.entities.items() if any(v in by for v in verbs)]
            raise Refused(
                "the policy lets nothing of this kind go on",
                hint=f"found: {', '.join(kinds) or 'something that cannot be read'}",
            )
        out = inspection.body
        answer: JSON = {"action": "NONE"} if out == shown else _changes(shown, out, call)
        raw = inspection.encode()
        inspection.check_residual(raw=raw)
        assert _CALL is not None
        cleared = Cleared(
            upstream=_UPSTREAM,
            endpoint=_CALL.endpoint,
            shape=CHAT,
            url="",
            headers={},
            raw=raw,
            sha256=hashlib.sha256(raw).hexdigest(),
            stream=False,
            translation=None,
            rerouted=False,
            verdict=verdict,
            restorer=inspection.restorer,
        )
        return cleared, answer

    def _reply(self, asked: Asked, name: tuple[str, str], body: dict[str, JSON]) -> JSON:
        """The texts of a reply, restored for the request that they answer. A stream is shown again
        and again, each time from its beginning."""
        texts = body.get("texts") or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Unreadable('"texts" is not a list of texts')
        known = self._open.get(name)
        if known is None:
            return {"action": "NONE"}
        asked.destination, asked.verdict = TO, known.asked.verdict
        asked.receipt = known.asked.receipt
        known.asked.bytes_in = max(known.asked.bytes_in, sum(map(len, texts)))
        self._recorder.result(known.asked, "ok", 200)
        restored = [known.restorer.text(text) for text in texts]
        held = [known.restorer.held(text) for text in texts]
        if restored == texts and not any(held):
            return {"action": "NONE"}
        return {
            "action": "GUARDRAIL_INTERVENED",
            "texts": restored,
            "stream_holdback_chars": held,
        }

    def _keep(self, name: tuple[str, str], opened: _Open) -> None:
        self._open[name] = opened
        self._open.move_to_end(name)
        oldest = time.monotonic() - OPEN_S
        while self._open:
            first = next(iter(self._open.values()))
            if len(self._open) <= MOST_OPEN and first.at > oldest:
                break
            # Their proxy shows no reply of an embedding or of a call that failed. We don't know how
            # it ended, and an intent without a result says so: it may have left.
            self._open.popitem(last=False)

    async def _refused(self, asked: Asked, error: SovereignError) -> JSON:
        """The answer to what may not go on, after that was recorded."""
        if asked.intended:
            self._recorder.result(asked, "error", error.status)
        else:
            try:
                await self._recorder.refusal(asked, error)
            except AuditError:
                error = LogUnavailable("the audit log cannot take a record")
        hint = f" (hint: {error.hint})" if error.hint else ""
        return {"action": "BLOCKED", "blocked_reason": f"{error.message}{hint}"}


def _changes(shown: dict[str, JSON], out: dict[str, JSON], call: str) -> JSON:
    """The answer that puts ``out`` in the place of ``shown``. Raises :class:`Refused` where their
    proxy would take no notice of it, and send what it has."""
    rows, texts = "messages" in shown, shown.get("texts")
    if out.get("images") != shown.get("images"):
        raise Refused("an image would have to be changed, which this API cannot do")
    if out.get("tool_calls") != shown.get("tool_calls") and not rows:
        raise Refused("a tool call would have to be changed, which this API cannot do")
    if not call:  # an image's prompt, a file's line; seen with their proxy 1.110.2
        raise Refused("a request without an id would have to be changed, which LiteLLM does not do")
    if not rows and isinstance(texts, list) and any(map(_is_object, texts)):
        raise Refused("a request's whole body would have to be changed, which LiteLLM does not do")
    answer: dict[str, JSON] = {"action": "GUARDRAIL_INTERVENED", "texts": out.get("texts", [])}
    if rows:
        answer["structured_messages"] = out["messages"]
    if "tools" in out:
        answer["tools"] = out["tools"]
    return answer


def _is_object(text: JSON) -> bool:
    """Whether a text is a JSON object: so a pass-through shows its body, and only to have it
    checked."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _envelope(body: JSON) -> tuple[str, str]:
    """(their id of the call, "request" or "response")."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not a JSON object")
    kind, call = body.get("input_type"), body.get("litellm_call_id") or ""
    if kind not in ("request", "response"):
        raise Unreadable('"input_type" is neither request nor response')
    if not isinstance(call, str) or len(call) > 256:
        raise Unreadable('"litellm_call_id" is not a text of 256 characters or less')
    return call, kind
