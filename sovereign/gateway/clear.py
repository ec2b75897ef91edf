"""From the bytes that came in to the bytes that may leave: the blocking middle of the road.

Runs in a worker thread. It returns what may be sent, or raises; it sends nothing.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from sovereign.audit.tokens import TokenKeyFile
from sovereign.config import GatewayConfig
from sovereign.errors import Refused, UnknownModel, Unreadable, Unsupported
from sovereign.gateway import places
from sovereign.gateway.asked import Asked
from sovereign.gateway.betas import betas
from sovereign.gateway.inside import CHAT_PATH, fallback, fit, renamed
from sovereign.gateway.kept import Kept, turns
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.places import Places
from sovereign.gateway.translate import TRANSLATIONS, Translation
from sovereign.gateway.upstreams import TEXT_PATHS, Route, Upstream, Upstreams
from sovereign.guard import Guard, Inspection, Restorer, TakesLong
from sovereign.guard import body as bodies
from sovereign.guard.endpoints import Call, Endpoint, match
from sovereign.guard.form import Form, Upload
from sovereign.guard.shapes import SHAPES, Shape
from sovereign.types import JSON, Action, Verdict

__all__ = ["Clearance", "Cleared"]

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_RELEASED = re.compile(
    r"[-@]20(?:2[2-9]|3[0-5])(-?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)"
)
"""The day of a model's release, as vendors write it. Recognisers take it for a telephone number or
for a patient's date, which from 2022 on it is hardly ever in the name of a model."""
_DIGIT = re.compile(r"\d")
QUICK = 8_192
"""Bytes of a body that takes milliseconds to read, if nothing in it needs more than recognisers."""
MAX_DIGITS = 8
"""Beside the date; enough for gpt-3.5-turbo-16k-0613, too few for the numbers of people."""

_OWN_HEADERS = frozenset(
    {"X-Request-Id", "Authorization", "X-Api-Key", "Api-Key", "User-Agent", "Accept-Encoding"}
)
"""Made before the body was read, from chance, the environment or nothing at all: they can carry
nothing out, and their random letters could look like a short value that was held back."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What may be sent, exactly, and how to read the answer."""

    upstream: Upstream
    shape: Shape
    url: str
    headers: dict[str, str]
    raw: bytes
    sha256: str
    stream: bool
    translation: Translation | None
    rerouted: bool
    verdict: Verdict
    restorer: Restorer
    endpoint: Endpoint
    makes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Cleared({self.upstream!r}, {len(self.raw)} bytes)"


class Clearance:
    """Guard and destinations together. Safe to use from several threads."""

    def __init__(
        self,
        guard: Guard,
        upstreams: Upstreams,
        inside: GatewayConfig,
        kept: Kept,
        token_key: TokenKeyFile | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """``inside`` names the models that answer what the policy keeps inside."""
        self._places = Places(upstreams, ledger or Ledger())
        self._guard = guard
        self._token_key = token_key
        self._upstreams = upstreams
        self._inside = inside
        self._kept = kept
        self._names: OrderedDict[tuple[str, str], None] = OrderedDict()

    def clear(self, asked: Asked, call: Call, raw: bytes, *, quick: bool = False) -> Cleared:
        """Read, route, inspect, decide, transform, and check what is left, in this order.

        Notes in ``asked`` what becomes known, so that a refusal can say it. Raises a
        :class:`sovereign.errors.GuardError` or :class:`sovereign.errors.GatewayError`. With
        ``quick``, :class:`TakesLong` unless all of it is work of a few milliseconds.
        """
        assert asked.key is not None
        endpoint = call.endpoint
        if quick and (endpoint.body != "json" or endpoint.routed == "state" or len(raw) > QUICK):
            raise TakesLong
        body = self._read(asked, endpoint, raw)
        stream = _stream(endpoint, body)
        route = self._route(asked, call, body)
        asked.model, asked.destination = route.recorded, route.upstream.destination
        asked.named = route.model
        if not route.upstream.takes(endpoint):
            raise places.not_taken(endpoint, route.upstream)
        if route.model:
            asked.key.require(route.model)
            self._clear_name(route, asked.key.team)
        if endpoint.name == "openai.files.create":
            _check_purpose(body, route.upstream)
        if endpoint.shape is None:
            return self._bodiless(asked, call, route)

        shape = SHAPES[endpoint.shape]
        form, sent_as = fit(asked.path, shape, route.upstream, body)
        inspection = self._inspect(form, sent_as, route, asked, quick=quick)
        verdict = self._kept_inside(inspection, asked.key.team, turns(form), quick=quick)
        asked.verdict = verdict
        key = None if self._token_key is None else self._token_key.current()
        if key is not None:  # the only use of the values; none of them is kept
            asked.tokens = key.tokens(asked.key.team, inspection.values, time.time())
        rerouted = verdict.action is Action.LOCAL and verdict.destination.side == "hosted"
        if rerouted:
            found = ", ".join(verdict.entities)
            route = fallback(endpoint, self._inside, self._upstreams, found)
            asked.destination, asked.named = route.upstream.destination, route.model
            body = renamed(body, route.model)
            form, sent_as = fit(asked.path, shape, route.upstream, body)
            inspection = self._inspect(form, sent_as, route, asked, quick=quick)
        if inspection.verdict.action is Action.BLOCK:
            asked.verdict = inspection.verdict
            raise Refused(
                f"the policy lets nothing of this kind go to {route.upstream.destination.name!r}",
                hint=f"found: {_kinds(inspection.verdict)}; `sovereign check` shows the policy",
            )

        path = CHAT_PATH if sent_as is not shape else call.path
        cleared = self._sendable(asked, call, route, inspection, path, stream=stream)
        kept = body.get("store", endpoint.name != "openai.chat") is not False
        return replace(
            cleared,
            shape=sent_as,
            translation=None if sent_as is shape else TRANSLATIONS[shape.name],
            rerouted=rerouted,
            verdict=verdict,
            makes=endpoint.makes if kept else (),
        )

    def _sendable(
        self,
        asked: Asked,
        call: Call,
        route: Route,
        inspection: Inspection,
        path: str,
        *,
        stream: bool,
        empty: bool = False,
    ) -> Cleared:
        """The exact bytes, after the last look at them."""
        assert asked.key is not None
        asked.key.require_destination(route.upstream.destination.name)
        out = b"" if empty else inspection.encode()
        url = route.upstream.url(path, model=route.model, query=urlencode(asked.pairs))
        headers = route.upstream.headers(
            asked.id, stream=stream, version=asked.version, content_type=inspection.content_type
        )
        headers.update(betas(call.endpoint, asked.header("anthropic-beta"), route.upstream.wire))
        if call.endpoint.reply != "json":
            headers["Accept"] = "*/*"
        checked = {k: v for k, v in headers.items() if k not in _OWN_HEADERS}
        inspection.check_residual(raw=out, url=url, headers=checked)
        salt = route.upstream.salt(asked.key.team)
        if salt is not None and path in TEXT_PATHS:
            # Made of a key and the team's name, whatever was asked: it carries nothing out, and as
            # our own headers it could look like a short value. A caller's own gives way to it.
            out = bodies.encode({**inspection.body, "cache_salt": salt})
        return Cleared(
            upstream=route.upstream,
            shape=SHAPES[call.endpoint.shape or "openai.chat"],
            url=url,
            headers=headers,
            raw=out,
            sha256=hashlib.sha256(out).hexdigest(),
            stream=stream,
            translation=None,
            rerouted=False,
            verdict=inspection.verdict,
            restorer=inspection.restorer,
            endpoint=call.endpoint,
            makes=call.endpoint.makes,
        )

    def _read(self, asked: Asked, endpoint: Endpoint, raw: bytes) -> JSON:
        """The body, of the type that its endpoint has."""
        if endpoint.body == "none":
            if raw not in (b"", b"{}", b"null"):
                raise Unreadable("this endpoint has no body")
            return {}
        body = self._guard.read(
            raw,
            content_encoding=asked.header("content-encoding"),
            content_type=asked.header("content-type"),
        )
        if isinstance(body, Form) != (endpoint.body == "form"):
            wanted = "multipart/form-data" if endpoint.body == "form" else "application/json"
            raise Unreadable(f"this endpoint takes {wanted}")
        if not isinstance(body, dict):
            raise Unreadable("the body is not a JSON object")
        return body

    def _route(self, asked: Asked, call: Call, body: JSON) -> Route:
        assert asked.key is not None
        endpoint = call.endpoint
        inside = places.models_inside(endpoint, body)
        if endpoint.routed == "state":
            if isinstance(body.get("model"), str):
                asked.key.require(body["model"])
            route = self._places.route(asked, call, body, places.cursors(asked.pairs))
        else:
            route = self._upstreams.route(inside[0][1] if inside else _model(body))
        for used, model in inside:
            asked.key.require(model)
            other = self._upstreams.route(model)
            if other.upstream is not route.upstream or not other.upstream.takes(used):
                raise Unsupported("a batch holds requests for more than one destination")
            self._clear_name(other, asked.key.team)
        return route

    def _bodiless(self, asked: Asked, call: Call, route: Route) -> Cleared:
        """What only asks for something, by an id that is the caller's own."""
        assert asked.key is not None
        to = route.upstream.destination
        if call.endpoint.wire != route.upstream.wire:
            raise Unsupported(f"destination {to.name!r} does not speak this wire")
        inspection = self._guard.inspect({}, to=to, tenant=asked.key.team)
        asked.verdict = inspection.verdict
        return self._sendable(asked, call, route, inspection, call.path, stream=False, empty=True)

    def _inspect(
        self, form: JSON, shape: Shape, route: Route, asked: Asked, *, quick: bool
    ) -> Inspection:
        assert asked.key is not None
        return self._guard.inspect(
            form,
            to=route.upstream.destination,
            shape=shape.name,
            tenant=asked.key.team,
            held=self._places.held(asked.key, route.upstream),
            quick=quick,
        )

    def _kept_inside(
        self, inspection: Inspection, team: str, said: list[JSON], *, quick: bool
    ) -> Verdict:
        """The verdict, which is ``local`` for a conversation that was: it stays inside."""
        verdict = inspection.verdict
        if verdict.destination.side != "hosted" or verdict.action is Action.BLOCK:
            return verdict
        first = 0
        if verdict.action is Action.LOCAL:
            first = _first_local(inspection)
        else:
            since = self._kept.since(team, said)
            if since is None:
                return verdict
            first = since
        if quick:  # a file that others write too
            raise TakesLong
        self._kept.keep(team, said, first)
        return replace(verdict, action=Action.LOCAL)

    def _clear_name(self, route: Route, team: str) -> None:
        """A name that only a pattern took is the caller's own text: it is read like any other."""
        known = (route.upstream.destination.name, route.model)
        if route.exact or known in self._names:
            return
        refused = UnknownModel(
            "the model's name fits a pattern, but cannot be told from personal data",
            hint=f"list it in full under upstream.{known[0]}.models in sovereign.toml",
        )
        undated = _RELEASED.sub("", route.model, count=1)
        if not _MODEL.fullmatch(undated) or len(_DIGIT.findall(undated)) > MAX_DIGITS:
            raise refused
        inspection = self._guard.inspect(
            {"input": undated}, to=route.upstream.destination, tenant=team
        )
        if inspection.verdict.action is not Action.ALLOW:
            raise refused
        self._names[known] = None
        while len(self._names) > 1024:
            self._names.popitem(last=False)


_TURNS = (("messages",), ("input",))


def _first_local(inspection: Inspection) -> int:
    """The first turn with something that keeps the conversation inside."""
    steps = [
        # An input that is one text has no turns.
        finding.path[1] if finding.path[:1] in _TURNS and len(finding.path) > 1 else 0
        for finding, action in zip(inspection.findings, inspection.verdict.actions, strict=True)
        if action is Action.LOCAL
    ]
    return min((step for step in steps if isinstance(step, int)), default=0)


def _model(body: JSON) -> str:
    model = body.get("model")
    if not isinstance(model, str):
        raise UnknownModel("the request names no model", hint='"model" is a text in the body')
    return model


def _stream(endpoint: Endpoint, body: JSON) -> bool:
    stream = body.get("stream")
    if stream is None or (isinstance(body, Form) and stream == "false"):
        return False
    if not isinstance(stream, bool):
        raise Unreadable('"stream" is neither true nor false')
    if stream and not endpoint.streams:
        raise Unsupported("this endpoint's answer is not streamed here", hint='"stream": false')
    return stream


def _check_purpose(body: JSON, upstream: Upstream) -> None:
    """An upload for tuning goes only where tuning may be asked for."""
    tuning = match("POST", "/v1/fine_tuning/jobs")
    assert tuning is not None
    if body.get("purpose") == "fine-tune" and not upstream.takes(tuning.endpoint):
        raise places.not_taken(tuning.endpoint, upstream)
    if not isinstance(body.get("file"), Upload):
        raise Unreadable("the form holds no file")


def _kinds(verdict: Verdict) -> str:
    """The entities that the verdict blocks."""
    names = [e for e, verbs in verdict.entities.items() if Action.BLOCK.verb in verbs]
    return ", ".join(names) or "something that cannot be read"
