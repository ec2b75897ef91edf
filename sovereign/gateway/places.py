"""Where a request goes that is about something left at a destination before: a file, a batch, a
conversation. Only who left it may name it; for everybody else it does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from sovereign.errors import (
    NotFound,
    NotPermitted,
    Refused,
    UnknownEndpoint,
    UnknownModel,
    Unreadable,
    Unsupported,
)
from sovereign.gateway.asked import Asked
from sovereign.gateway.keys import Key
from sovereign.gateway.ledger import Ledger
from sovereign.gateway.upstreams import Route, Upstream, Upstreams
from sovereign.guard.body import strict_json
from sovereign.guard.endpoints import CURSORS, Call, Endpoint, match
from sovereign.guard.form import Upload
from sovereign.guard.opaque import KEPT
from sovereign.types import JSON

__all__ = ["Places", "models_inside"]

HEADER = "x-sovereign-destination"


class Places:
    """Destinations and the ledger together. Safe to use from several threads."""

    def __init__(self, upstreams: Upstreams, ledger: Ledger) -> None:
        self._upstreams = upstreams
        self._ledger = ledger

    def held(self, key: Key, upstream: Upstream) -> Callable[[str], bool]:
        """What tells whether an id is of this caller's team at this destination."""
        return partial(self._mine, key.team, upstream.destination.name)

    def _mine(self, team: str, destination: str, id: str) -> bool:
        return self._ledger.mine(id, team, destination)

    def route(self, asked: Asked, call: Call, body: JSON, cursors: list[str]) -> Route:
        """By what it names: ids, then a model, then a header, then the only one there is.

        Raises :class:`NotFound` for what is not the caller's, and :class:`Unsupported` if nothing
        says where it goes.
        """
        assert asked.key is not None
        key = asked.key
        names = {self._owned(id, key) for id in (*call.ids[:1], *cursors, *_references(body))}
        if len(names) > 1:
            raise Unsupported("the request names things that are at different destinations")
        model = body.get("model") if isinstance(body, dict) else None
        if isinstance(model, str):
            key.require(model)
            route = self._upstreams.route(model)
        elif names:
            route = _without_model(self._named(next(iter(names))))
        else:
            route = _without_model(self._chosen(asked, call.endpoint))
        if names and route.upstream.destination.name not in names:
            raise NotFound("what the request names is not at the destination of its model")
        if not any(key.may_use(m) for m in route.upstream.models):
            raise NotPermitted("this key may not use this destination")
        return route

    def _owned(self, id: str, key: Key) -> str:
        owner = self._ledger.owner(id)
        if owner is None or owner.team != key.team:
            raise NotFound(
                "the request names something that this team did not leave through this gateway",
                hint="files, batches and conversations belong to the team that made them here",
            )
        return owner.destination

    def _named(self, name: str) -> Upstream:
        for upstream in self._upstreams.all:
            if upstream.destination.name == name:
                return upstream
        raise NotFound("no destination has that name")

    def _chosen(self, asked: Asked, endpoint: Endpoint) -> Upstream:
        named = asked.header(HEADER)
        fit = [
            u
            for u in self._upstreams.all
            if u.wire == endpoint.wire and u.socket is None and u.takes(endpoint)
            and (named is None or u.destination.name == named)
        ]  # fmt: skip
        hosted = [u for u in fit if u.destination.side == "hosted"]
        for found in (fit, hosted):
            if len(found) == 1:
                return found[0]
        raise Unsupported(
            "nothing in the request says which destination it is for",
            hint=f"name one in the header {HEADER}" if fit else "none of them takes it",
        )


def _without_model(upstream: Upstream) -> Route:
    return Route(upstream, "", "none", True)


def _references(body: JSON) -> Iterator[str]:
    """Every id in ``body`` of something that a destination has."""
    stack = [body]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                if key in KEPT:
                    named = item.get("id") if isinstance(item, dict) else item
                    ids = named if isinstance(named, list) else [named]
                    yield from (id for id in ids if isinstance(id, str) and id)
                stack.append(item)
        elif isinstance(value, list):
            stack.extend(value)


def cursors(pairs: list[tuple[str, str]]) -> list[str]:
    """The ids in a query string."""
    return [value for name, value in pairs if name in CURSORS]


def models_inside(endpoint: Endpoint, body: JSON) -> list[tuple[Endpoint, str]]:
    """The endpoints and models of the requests that a batch holds. Raises :class:`Unreadable` or
    :class:`UnknownEndpoint` for a batch that is not built as one."""
    if endpoint.name == "anthropic.batches.create":
        call = match("POST", "/v1/messages")
        assert call is not None
        requests = body.get("requests") if isinstance(body, dict) else None
        params = [r.get("params") for r in requests or () if isinstance(r, dict)]
        return [(call.endpoint, _model(p)) for p in params]
    if endpoint.name != "openai.files.create" or body.get("purpose") != "batch":
        return []
    held = body.get("file")
    if not isinstance(held, Upload):
        raise Unreadable("the form holds no file")
    return [_line(line) for line in held.data.split(b"\n") if line.strip()]


def _line(raw: bytes) -> tuple[Endpoint, str]:
    """One request of a batch file."""
    try:
        line = strict_json(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unreadable("a line of the batch is not one JSON value in UTF-8") from None
    if not isinstance(line, dict) or not isinstance(line.get("url"), str):
        raise Unreadable("a line of the batch names no endpoint")
    call = match(str(line.get("method")), line["url"], "openai")
    if call is None or call.endpoint.does != "inspected" or call.endpoint.body != "json":
        raise UnknownEndpoint("a line of the batch is for an endpoint that nobody inspects")
    return call.endpoint, _model(line.get("body"))


def _model(body: JSON) -> str:
    model = body.get("model") if isinstance(body, dict) else None
    if not isinstance(model, str):
        raise UnknownModel("a request of the batch names no model")
    return model


def not_taken(endpoint: Endpoint, upstream: Upstream) -> Refused:
    """Why ``upstream`` is not asked there."""
    hint = f"{endpoint.why}; `allow` under upstream.{upstream.destination.name} lifts it"
    return Refused(
        f"{endpoint.name} is not sent to {upstream.destination.name!r}",
        hint=hint,
    )
