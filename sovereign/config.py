"""sovereign.toml as frozen models. The only configuration: no globals, no hidden defaults files.

Secrets are named (``api_key_env``), never stored. Relative paths are relative to the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sovereign import toml
from sovereign.fields import EnvName, FilePath, HttpUrl, Name, Paths, Seconds, Words
from sovereign.running import (
    GatewayConfig,
    KeysConfig,
    LimitsConfig,
    TelemetryConfig,
    TlsConfig,
    UpstreamConfig,
)
from sovereign.serving import LlamaCppConfig, ModelConfig, VllmConfig
from sovereign.toml import StrictModel
from sovereign.types import Destination

__all__ = [
    "AuditConfig",
    "Config",
    "DocumentsConfig",
    "GatewayConfig",
    "GuardConfig",
    "KeysConfig",
    "LimitsConfig",
    "LlamaCppConfig",
    "ModelConfig",
    "PolicyConfig",
    "TelemetryConfig",
    "TlsConfig",
    "UpstreamConfig",
    "VllmConfig",
    "WeightsConfig",
    "load_config",
]


def _postgres_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError("must be a postgresql:// URL")
    if parts.password or "password" in parts.query:
        raise ValueError("must hold no password: name its variable in store_password_env")
    return url


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
        description='who finds names: "tagger" (ships with us), "spacy:PACKAGE", "engine:FILE" '
        "(an NLP engine configuration of Presidio: spaCy, Stanza, transformers), "
        '"onnx:FOLDER" (a token classifier), or "none"',
    )
    second_opinion: str | None = Field(
        None,
        description="who is asked where the tagger is unsure; the same values as ner",
    )
    presidio: bool = Field(
        False, description="also run every pattern recogniser that presidio-analyzer ships"
    )
    presidio_registry: FilePath | None = Field(
        None, description="a recogniser registry of presidio-analyzer (YAML) to load beside ours"
    )
    plugins: Words = Field((), description="entry points of sovereign.recognizers to load")
    surrogates: Literal["tags", "realistic"] = Field(
        "tags",
        description='what stands in for a value: "tags" (PERSON_K7Q2MX4D), or "realistic" names '
        "and numbers where they can be restored safely",
    )
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


def _host(name: str) -> str:
    if not re.fullmatch(r"\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*", name):
        raise ValueError('must be a host such as "cdn.example.org", "*.example.org", or "*"')
    return name


Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_host)], ...],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
]


class DocumentsConfig(StrictModel):
    """``[documents]``: how pictures, files and audio are read, and within which bounds. Each bound
    is for one document and everything inside it; what passes one cannot be read."""

    ocr: Literal["rapidocr", "tesseract", "none"] = Field(
        "rapidocr", description="who reads pictures; without its package none can be read"
    )
    redact: bool = Field(
        False, description="black out what a picture may not show, instead of refusing it"
    )
    transcriber: HttpUrl | None = Field(
        None,
        description='who reads audio: a server inside, such as "http://10.0.0.7:9000/v1"',
    )
    transcriber_model: str = Field("whisper-1", description="the model it is asked for")
    transcriber_key_env: EnvName | None = Field(
        None, description="the environment variable that holds its key"
    )
    url_hosts: Hosts = Field(
        (), description="hosts that a request may have the model fetch from; others are refused"
    )
    tokenizers: dict[str, FilePath] = Field(
        {}, description="tokenizer.json by model or pattern, to read prompts that are token ids"
    )
    processes: int = Field(1, gt=0, le=64, description="documents read at the same time")
    seconds: Seconds = Field(60.0, description="one document, waiting included")
    memory: int = Field(3_000_000_000, gt=100_000_000, description="bytes, of one reading process")
    max_pages: int = Field(50, gt=0, description="pages of a PDF")
    max_pixels: int = Field(40_000_000, gt=0, description="of one picture")
    max_unpacked: int = Field(100_000_000, gt=0, description="bytes that come out of containers")
    max_members: int = Field(2000, gt=0, description="files in containers")
    max_depth: int = Field(3, gt=0, le=16, description="documents in documents")


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
    otlp_endpoint: HttpUrl | None = Field(
        None,
        description="the only place that `sovereign audit export --push` may send to, such as"
        ' "https://collector.internal/v1/logs"',
    )
    otlp_token_env: EnvName | None = Field(
        None, description="the environment variable that holds the collector's bearer token"
    )
    heartbeat_s: Seconds = Field(60.0, description="each source says so often that it lives")
    store: Annotated[str, AfterValidator(_postgres_url)] | None = Field(
        None,
        description="a postgresql:// URL where machines share one log; without it, path has it",
    )
    store_password_env: EnvName | None = Field(
        None, description="the environment variable that holds the database's password"
    )
    rotate: Literal["month", "quarter", "year", "never"] = Field(
        "quarter", description="a log ends with its period (UTC), and the next one begins"
    )
    rotate_records: int = Field(
        20_000_000, ge=1000, description="or once it has so many records (about 0.7 kB each)"
    )
    retain_days: int | None = Field(
        None,
        gt=0,
        description="ended logs are kept so long, if the policy asks for no longer time",
    )


HUB_HOSTS = (
    "cdn-lfs.huggingface.co",
    "cdn-lfs-us-1.huggingface.co",
    "cdn-lfs.hf.co",
    "cdn-lfs-us-1.hf.co",
    "cdn-lfs-eu-1.hf.co",
    "cas-bridge.xethub.hf.co",
    "*.cdn.hf.co",
)
"""Where huggingface.co sends those who download large files."""


class WeightsConfig(StrictModel):
    """``[weights]``: the store of verified weights, and its lock."""

    store: FilePath = Field(Path(".sovereign/weights"), description="the store's folder")
    lock: FilePath = Field(Path("sovereign.lock"), description="the lockfile, kept in git")
    licences: Words = Field((), description="SPDX ids that may enter; empty: any")
    repositories: Words = Field((), description='"OWNER/NAME" or "OWNER/*"; empty: any')
    hosts: Hosts = Field(
        HUB_HOSTS, description="hosts that the Hub or a mirror may redirect a download to"
    )
    revoked: Words = Field((), description="commits and digests that are no longer to be used")


class TuneConfig(StrictModel):
    """``[tune]``: who signs the passports of adapters, and whose are believed."""

    key_file: FilePath = Field(
        Path(".sovereign/passport.key"),
        description="Ed25519 seed that signs passports; the first `sovereign tune run` makes it",
    )
    trust: Paths = Field(
        (), description="public keys (PEM) that are believed besides: `sovereign tune key`"
    )


class Config(StrictModel):
    """A whole sovereign.toml."""

    policy: PolicyConfig = Field(description='[policy] with preset = "hipaa", for example')
    guard: GuardConfig = GuardConfig()
    documents: DocumentsConfig = DocumentsConfig()
    upstream: dict[Name, UpstreamConfig] = Field({}, description="[upstream.NAME] tables")
    models: dict[Name, ModelConfig] = Field({}, description="[models.NAME] tables")
    gateway: GatewayConfig = GatewayConfig()
    tls: TlsConfig | None = Field(None, description="[tls]: the listener's certificate")
    keys: KeysConfig = KeysConfig()
    limits: LimitsConfig = LimitsConfig()
    telemetry: TelemetryConfig | None = Field(None, description="[telemetry]: traces")
    audit: AuditConfig = AuditConfig()
    weights: WeightsConfig = WeightsConfig()
    tune: TuneConfig = TuneConfig()

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
        named = {f"local_models.{role}": name for role, name in self.gateway.local_models.items()}
        if self.gateway.local_model is not None:
            named["local_model"] = self.gateway.local_model
        for field, fallback in named.items():
            if fallback not in self.local_names():
                there = ", ".join(self.local_names()) or "none"
                raise ValueError(
                    f"gateway.{field} {fallback!r} is not a local model; there are: {there}"
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
    missing = "`sovereign init` writes one; --config names one elsewhere"
    config = toml.read(file, Config, missing=missing)
    config._path = file.resolve()
    return config
