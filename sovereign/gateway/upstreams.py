"""Destinations as things that can be sent to, and which of them answers which model.

Headers are built here and nowhere else, from a closed list; nothing of the caller's passes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

from sovereign import __version__
from sovereign.config import Config
from sovereign.errors import UnknownModel, UpstreamFailed
from sovereign.gateway.tls import client_context
from sovereign.gateway.wires import Wire
from sovereign.guard.endpoints import Endpoint
from sovereign.types import Destination

__all__ = ["ANTHROPIC_VERSIONS", "TEXT_PATHS", "Route", "Upstream", "Upstreams"]

_DEPLOYED = ("/chat/completions", "/completions", "/embeddings", "/images/", "/audio/")
"""Paths that Azure has below a deployment."""
TEXT_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
"""Where an engine that this toolkit runs may be asked, if it does not hear or draw."""
_OTHER_PATHS = {
    "diffusers": ("/v1/images/generations",),
    "whisper": ("/v1/audio/transcriptions",),
}
_WILD = re.compile(r"[*?\[\]]+")
ENGINE_S = 600.0
ANTHROPIC_VERSIONS = ("2023-06-01", "2026-10-21")
"""The values of anthropic-version that may leave. Without one the first is sent: the API's own
documentation promises that a version keeps its shapes."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One destination. ``socket`` and ``paths``, all that it may be asked, are set for engines that
    this toolkit runs."""

    destination: Destination
    wire: Wire
    base_url: str
    models: tuple[str, ...]
    timeout_s: float
    key: str | None = None
    key_env: str | None = None
    socket: Path | None = None
    paths: tuple[str, ...] = ()
    azure: str | None = None
    allow: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    connect_s: float = 10.0
    first_byte_s: float = ENGINE_S
    idle_s: float = ENGINE_S
    retries: int = 0
    retry_within_s: float = 5.0
    max_connections: int = 256
    tls: ssl.SSLContext | None = None
    salt_key: bytes | None = None

    def __repr__(self) -> str:
        return f"Upstream({self.destination.name!r})"

    @property
    def lacks_key(self) -> bool:
        """Whether its key is named by the configuration, and is not in the environment."""
        return self.key_env is not None and self.key is None

    def salt(self, team: str) -> str | None:
        """What keeps ``team``'s prompts apart from others' in vLLM's prefix cache, where an answer
        that comes sooner says that somebody asked the same (CVE-2025-46570). The same in every
        worker; None where nobody wants one."""
        if self.salt_key is None:
            return None
        made = hmac.new(self.salt_key, b"cache-salt\0" + team.encode(), hashlib.sha256)
        return made.hexdigest()[:32]

    def url(self, path: str, *, model: str = "", query: str = "") -> str:
        """Where ``path``, one of the gateway's own such as ``/v1/messages``, is at this upstream.

        ``base_url`` is what an SDK of that wire would be given: with ``/v1`` for OpenAI's, without
        for Anthropic's; for Azure the resource, without a path. There ``model`` is the deployment.
        """
        rest = path.removeprefix("/v1")
        if self.wire == "anthropic":
            url = self.base_url.removesuffix("/v1") + path
        elif self.azure == "v1":
            url = f"{self.base_url}/openai/v1{rest}"
        elif self.azure is not None:
            deployed = model and rest.startswith(_DEPLOYED)
            at = f"/deployments/{quote(model, safe='')}" if deployed else ""
            version = f"api-version={self.azure}"
            query = f"{version}&{query}" if query else version
            url = f"{self.base_url}/openai{at}{rest}"
        else:
            url = self.base_url + rest
        return f"{url}?{query}" if query else url

    def has(self, path: str) -> bool:
        """Whether ``path`` is one of its wire that it can be asked at."""
        return not self.paths or path in self.paths

    def takes(self, endpoint: Endpoint) -> bool:
        """Whether this destination may be asked there at all."""
        if any(fnmatchcase(endpoint.name, p) for p in self.refuse):
            return False
        return (
            endpoint.does == "inspected"
            or self.destination.side == "local"
            or any(fnmatchcase(endpoint.name, p) for p in self.allow)
        )

    def headers(
        self,
        request: str,
        *,
        stream: bool,
        version: str | None,
        content_type: str = "application/json",
    ) -> dict[str, str]:
        """Every header that leaves, but for Host and Content-Length. ``version`` is one of
        :data:`ANTHROPIC_VERSIONS`, or none. Raises :class:`UpstreamFailed` without its key."""
        if self.lacks_key:
            raise UpstreamFailed(
                f"destination {self.destination.name!r} has no key",
                hint=f"export {self.key_env}=… where the gateway runs, and start it again",
            )
        headers = {
            "Content-Type": content_type,
            "Accept": "text/event-stream" if stream else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"sovereign/{__version__}",
            "X-Request-Id": request,
        }
        if self.wire == "anthropic":
            headers["Anthropic-Version"] = version or ANTHROPIC_VERSIONS[0]
        if self.key is not None:
            if self.wire == "anthropic":
                headers["X-Api-Key"] = self.key
            elif self.azure is not None:
                headers["Api-Key"] = self.key
            else:
                headers["Authorization"] = f"Bearer {self.key}"
        return headers


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request for a model goes. ``listed`` is the configuration's own word for the model:
    its name, or the pattern that took it. ``exact`` says which."""

    upstream: Upstream
    model: str
    listed: str
    exact: bool

    @property
    def recorded(self) -> str:
        """The word for the log: never a caller's own spelling; ``gpt-*`` is ``gpt-@`` there."""
        return _WILD.sub("@", self.listed)


class Upstreams:
    """Every destination of one configuration, and which model each of them answers."""

    def __init__(self, upstreams: tuple[Upstream, ...]) -> None:
        self._all = upstreams

    @classmethod
    def from_config(cls, config: Config, sockets: Mapping[str, Path]) -> Upstreams:
        """``sockets`` says where the engine of each ``[models.NAME]`` listens.

        An upstream whose key the environment lacks is there, and every request to it is refused:
        one key that is not set must not close the door to everything else.
        """
        salted = {name for name, m in config.models.items() if m.engine == "vllm"}
        salted |= {name for name, u in config.upstream.items() if u.cache_salt}
        # Of the stand-ins' key, which all workers and replicas share.
        key = config.resolve(config.guard.key_file).read_bytes() if salted else None
        engines = tuple(
            Upstream(
                destination=Destination(name, "local"),
                wire="openai",
                base_url="http://engine/v1",
                models=(name, *(f"{name}:{key}" for key in config.models[name].adapters)),
                timeout_s=ENGINE_S,
                socket=socket,
                paths=_OTHER_PATHS.get(config.models[name].engine, TEXT_PATHS),
                salt_key=key if name in salted else None,
            )
            for name, socket in sockets.items()
        )
        remote = tuple(
            Upstream(
                destination=Destination(name, u.side),
                wire="anthropic" if u.wire == "anthropic" else "openai",
                base_url=u.base_url,
                azure=(u.api_version or "v1") if u.wire == "azure" else None,
                allow=u.allow,
                refuse=u.refuse,
                models=u.models,
                timeout_s=u.timeout_s,
                key=os.environ.get(u.api_key_env) or None if u.api_key_env else None,
                key_env=u.api_key_env,
                connect_s=u.connect_s,
                first_byte_s=u.first_byte_s,
                idle_s=u.idle_s,
                retries=u.retries,
                retry_within_s=u.retry_within_s,
                max_connections=u.max_connections,
                salt_key=key if u.cache_salt else None,
                tls=client_context(config, name, u) if u.base_url.startswith("https:") else None,
            )
            for name, u in config.upstream.items()
        )
        return cls(engines + remote)

    @property
    def all(self) -> tuple[Upstream, ...]:
        """In the order of the file, engines first."""
        return self._all

    def route(self, model: str) -> Route:
        """Who answers ``model``: who lists its name, else the first whose pattern takes it.

        Raises :class:`UnknownModel`.
        """
        for upstream in self._all:
            if model in upstream.models and not _WILD.search(model):
                return Route(upstream, model, model, True)
        for upstream in self._all:
            for pattern in upstream.models:
                if _WILD.search(pattern) and fnmatchcase(model, pattern):
                    return Route(upstream, model, pattern, False)
        raise UnknownModel(
            "no destination serves the model that was asked for",
            hint="GET /v1/models lists what there is; sovereign.toml says who serves it",
        )

    def names(self) -> dict[str, str]:
        """Every model that is named in full, and the destination that serves it."""
        named: dict[str, str] = {}
        for upstream in self._all:
            for model in upstream.models:
                if not _WILD.search(model):
                    named.setdefault(model, upstream.destination.name)
        return named
