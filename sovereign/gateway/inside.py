"""Which model inside answers in the place of a hosted one, and how a destination is asked."""

from __future__ import annotations

from sovereign.config import GatewayConfig
from sovereign.errors import Refused, Unsupported
from sovereign.fields import Role
from sovereign.gateway.translate import TRANSLATIONS
from sovereign.gateway.upstreams import Route, Upstream, Upstreams
from sovereign.guard.endpoints import Endpoint
from sovereign.guard.form import Form
from sovereign.guard.shapes import SHAPES, Shape
from sovereign.types import JSON

__all__ = ["CHAT", "CHAT_PATH", "fallback", "fit", "renamed"]

CHAT = SHAPES["openai.chat"]
CHAT_PATH = "/v1/chat/completions"

_ROLES: dict[str, Role] = {
    "openai.chat": "chat",
    "openai.responses": "chat",
    "anthropic.messages": "chat",
    "openai.completions": "completions",
    "openai.embeddings": "embeddings",
    "openai.images.generate": "images",
    "openai.audio.transcribe": "transcriptions",
    "openai.audio.speech": "speech",
}
"""Endpoints that a model inside can answer, and what for."""

_OF_TEXT = frozenset({"chat", "completions", "embeddings"})
"""What ``local_model`` is asked for where ``local_models`` names nobody."""


def fallback(endpoint: Endpoint, inside: GatewayConfig, upstreams: Upstreams, found: str) -> Route:
    """Who answers what the policy keeps inside; ``found`` says why it does. Raises
    :class:`Refused` if nobody does."""
    role = _ROLES.get(endpoint.name)
    if role is None:
        raise Refused(
            "the policy keeps this inside, and no model inside answers this endpoint",
            hint=f"found: {found}",
        )
    model = inside.local_models.get(role, inside.local_model if role in _OF_TEXT else None)
    if model is None:
        setting = "local_model, or " if role in _OF_TEXT else ""
        raise Refused(
            "the policy keeps this request inside, and no local model is there to answer it",
            hint=f"set {setting}local_models.{role}, under [gateway] in sovereign.toml",
        )
    return upstreams.route(model)


def renamed(body: JSON, model: str) -> JSON:
    """``body``, JSON or a form, as it asks ``model``."""
    changed = {**body, "model": model}
    return Form(changed) if isinstance(body, Form) else changed


def fit(path: str, shape: Shape, upstream: Upstream, body: JSON) -> tuple[JSON, Shape]:
    """``body`` as ``upstream`` can be asked with it. Raises :class:`Unsupported`."""
    same = shape.name.partition(".")[0] == upstream.wire
    if same and upstream.has(path):
        return body, shape
    translation = TRANSLATIONS.get(shape.name)
    inside = upstream.destination.side == "local"
    if translation is not None and inside and upstream.has(CHAT_PATH):
        return translation.request(body), CHAT
    if upstream.paths:
        raise Unsupported(
            f"the local model {upstream.destination.name!r} has no such endpoint",
            hint=f"it answers {' and '.join(upstream.paths)}",
        )
    raise Unsupported(
        f"destination {upstream.destination.name!r} speaks the {upstream.wire} wire, "
        "and the request came on another",
        hint=f"use an SDK of the {upstream.wire} wire for this model",
    )
