"""sovereign.toml as frozen models. The only configuration: no globals, no hidden defaults files.

Secrets are named (``api_key_env``), never stored. Relative paths are relative to the file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from sovereign import toml
from sovereign.fields import FilePath, Name, Paths, Seconds, Words
from sovereign.running import (
    GatewayConfig,
    KeysConfig,
    LimitsConfig,
    TelemetryConfig,
    TlsConfig,
    UpstreamConfig,
)
from sovereign.toml import StrictModel
from sovereign.types import Destination

__all__ = [
    "AuditConfig",
    "Config",
    "GatewayConfig",
    "GuardConfig",
    "KeysConfig",
    "LimitsConfig",
    "ModelConfig",
    "PolicyConfig",
    "TelemetryConfig",
    "TlsConfig",
    "UpstreamConfig",
    "WeightsConfig",
    "load_config",
]


class PolicyConfig(StrictModel):
    """``[policy]``: which kinds of data may go where. A preset, or a file that may extend one."""

    preset: str | None = Field(None, description='a shipped policy, such as preset = "hipaa"')
    file: FilePath | None = Field(None, description='a policy file, such as file = "policy.toml"')

    @model_validator(mode="after")
    def _one(self) -> PolicyConfig:
        if (self.preset is None) == (self.file is None):
            raise ValueError("needs either preset or file")
        return self


class GuardConfig(StrictModel):
    """``[guard]``: the recognisers, their bounds, and the key of the surrogates."""

    ner: str = Field(
        "tagger",
        description='who finds names: "tagger" (ships with us), "spacy:PACKAGE", or "none"',
    )
    presidio: bool = Field(
        False, description="also run every pattern recogniser that presidio-analyzer ships"
    )
    plugins: Words = Field((), description="entry points of sovereign.recognizers to load")
    key_file: FilePath = Field(
        Path(".sovereign/surrogate.key"), description="32 random bytes; `sovereign init` makes it"
    )
    roster: Paths = Field(
        (), description="indexes of known persons that `sovereign guard roster build` wrote"
    )
    roster_key_file: FilePath | None = Field(
        None, description="the key of the rosters, if it is not key_file"
    )
    deadline_s: Seconds = Field(10.0, description="one request's recognisers may take this long")
    max_body_bytes: int = Field(10_000_000, gt=0, description="a larger body is refused")
    max_depth: int = Field(64, gt=0, le=256, description="a deeper JSON value is refused")
    max_leaves: int = Field(200_000, gt=0, description="a body with more leaves is refused")


class ModelConfig(StrictModel):
    """``[models.NAME]``: a model that this toolkit runs, in a process of its own."""

    base: str = Field(description="a name in the weights store: `sovereign weights ls`")
    adapter: FilePath | None = Field(None, description="a folder that `sovereign tune run` wrote")
    engine: str = Field(
        "transformers", description='"transformers", or a plugin of sovereign.engines'
    )
    max_context: int = Field(
        2048, gt=0, description="tokens; a longer prompt is refused, never cut"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes what is free")


class AuditConfig(StrictModel):
    """``[audit]``: the log, and the key that signs it."""

    path: FilePath = Field(Path(".sovereign/audit"), description="the log's folder")
    key_file: FilePath = Field(
        Path(".sovereign/audit.key"), description="Ed25519 seed; `sovereign init` makes it"
    )
    token_key_file: FilePath = Field(
        Path(".sovereign/token.key"),
        description="32 random bytes: with it, and only with it, the log can be searched by value",
    )
    origin: str = Field(
        "sovereign.local/audit",
        pattern=r"^[a-z0-9.\-]+(/[A-Za-z0-9._\-/]+)?$",
        description="the log's name in checkpoints: a host and path without a scheme",
    )
    patience_s: Seconds = Field(
        5.0, description="a request waits so long for a sequencer that is away, then is refused"
    )
    heartbeat_s: Seconds = Field(60.0, description="each source says so often that it lives")


class WeightsConfig(StrictModel):
    """``[weights]``: the store of verified weights, and its lock."""

    store: FilePath = Field(Path(".sovereign/weights"), description="the store's folder")
    lock: FilePath = Field(Path("sovereign.lock"), description="the lockfile, kept in git")


class Config(StrictModel):
    """A whole sovereign.toml."""

    policy: PolicyConfig = Field(description='[policy] with preset = "hipaa", for example')
    guard: GuardConfig = GuardConfig()
    upstream: dict[Name, UpstreamConfig] = Field({}, description="[upstream.NAME] tables")
    models: dict[Name, ModelConfig] = Field({}, description="[models.NAME] tables")
    gateway: GatewayConfig = GatewayConfig()
    tls: TlsConfig | None = Field(None, description="[tls]: the listener's certificate")
    keys: KeysConfig = KeysConfig()
    limits: LimitsConfig = LimitsConfig()
    telemetry: TelemetryConfig | None = Field(None, description="[telemetry]: traces")
    audit: AuditConfig = AuditConfig()
    weights: WeightsConfig = WeightsConfig()

    _path: Path = Path("sovereign.toml")

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        both = self.upstream.keys() & self.models.keys()
        if both:
            raise ValueError(f"{min(both)!r} is both an upstream and a model; names must differ")
        if self.telemetry is not None:
            inside = {d.name for d in self.destinations() if d.side == "local"}
            unknown = set(self.telemetry.propagate_to) - inside
            if unknown:  # a trace id can be a caller's: to a hosted API it would be unread text
                raise ValueError(
                    f"telemetry.propagate_to: {min(unknown)!r} is no local destination"
                )
        fallback = self.gateway.local_model
        if fallback is not None and fallback not in self.local_names():
            there = ", ".join(self.local_names()) or "none"
            raise ValueError(
                f"gateway.local_model {fallback!r} is not a local model; there are: {there}"
            )
        return self

    @property
    def file(self) -> Path:
        """The file this was read from."""
        return self._path

    def resolve(self, path: Path) -> Path:
        """``path`` as the file means it: relative to the file's own folder."""
        return path if path.is_absolute() else self._path.parent / path

    def local_names(self) -> list[str]:
        """The model names that are answered inside."""
        names = list(self.models)
        for upstream in self.upstream.values():
            if upstream.side == "local":
                names.extend(m for m in upstream.models if "*" not in m)
        return names

    def destinations(self) -> list[Destination]:
        """Every place that a request can go, hosted ones first."""
        found = [Destination(name, u.side) for name, u in self.upstream.items()]
        found += [Destination(name, "local") for name in self.models]
        return sorted(found, key=lambda d: (d.side != "hosted", d.name))


def load_config(path: Path | str = "sovereign.toml") -> Config:
    """The configuration at ``path``. Raises :class:`ConfigError`, which names file and key."""
    file = Path(path)
    config = toml.read(file, Config)
    config._path = file.resolve()
    return config
