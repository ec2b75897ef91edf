"""The tables of sovereign.toml that say how the gateway runs: listener, destinations, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sovereign.fields import EnvName, FilePath, HttpUrl, Models, Name, Names, Role, Seconds, Words
from sovereign.toml import StrictModel

__all__ = [
    "Allowance",
    "GatewayConfig",
    "KeysConfig",
    "LimitsConfig",
    "Price",
    "Prices",
    "TelemetryConfig",
    "TlsConfig",
    "UpstreamConfig",
]


class UpstreamConfig(StrictModel):
    """``[upstream.NAME]``: a destination that is reached by URL."""

    side: Literal["hosted", "local"] = Field(
        description='"hosted": somebody else\'s machines; "local": inside your own fence'
    )
    wire: Literal["openai", "anthropic", "azure"] = Field(
        "openai",
        description="what it speaks; \"azure\" is OpenAI's with Azure's paths and key header",
    )
    api_version: str | None = Field(
        None,
        pattern=r"^(v1|\d{4}-\d{2}-\d{2}(-preview)?)$",
        description='Azure only: such as "2024-10-21"; without it, or with "v1", its /openai/v1',
    )
    allow: Words = Field(
        (), description='endpoints that are kept local by default, such as "openai.fine_tuning.*"'
    )
    refuse: Words = Field(
        (), description='endpoints that this destination is not asked, such as "openai.files.*"'
    )
    base_url: HttpUrl = Field(description='such as "https://api.openai.com/v1"')
    api_key_env: EnvName | None = Field(
        None, description="the environment variable that holds its key"
    )
    models: Models = Field(description='the models it serves, such as ["gpt-*", "o3"]')
    timeout_s: Seconds = Field(120.0, description="from sending to the last byte of the answer")
    connect_s: Seconds = Field(10.0, description="to reach it, a free connection included")
    first_byte_s: Seconds = Field(120.0, description="from sending to the first byte of the answer")
    idle_s: Seconds = Field(60.0, description="between two pieces of an answer")
    retries: int = Field(
        1,
        ge=0,
        le=5,
        description="further tries when it cannot be reached, or says 429 or 503 with Retry-After; "
        "never once an answer has begun",
    )
    retry_within_s: Seconds = Field(5.0, description="a longer Retry-After is passed on instead")
    max_connections: int = Field(256, gt=0, description="at once, from each worker")
    cache_salt: bool = Field(
        False, description="it is vLLM: send a salt for its prefix cache, another for each team"
    )
    ca_file: FilePath | None = Field(
        None, description="authorities (PEM) that it is checked against, instead of the system's"
    )
    cert_file: FilePath | None = Field(None, description="our certificate for it (PEM), for mTLS")
    key_file: FilePath | None = Field(None, description="the private key of cert_file (PEM)")

    @model_validator(mode="after")
    def _tls(self) -> UpstreamConfig:
        if self.cache_salt and (self.side, self.wire) != ("local", "openai"):
            raise ValueError('cache_salt needs side = "local" and wire = "openai"')
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if not self.base_url.startswith("https:") and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need an https:// base_url")
        return self


class GatewayConfig(StrictModel):
    """``[gateway]``: where applications connect, and who answers what must stay inside."""

    host: str = Field("127.0.0.1", description="the address to listen at")
    port: int = Field(8080, ge=0, le=65535, description="the port to listen at; 0 takes a free one")
    local_model: str | None = Field(
        None, description="the model that answers requests the policy keeps local"
    )
    local_models: dict[Role, str] = Field(
        {},
        description='[gateway.local_models] embeddings = "NAME": who answers instead of '
        "local_model, by what is asked for",
    )
    ledger: FilePath = Field(
        Path(".sovereign/held.db"),
        description="which team left which file, batch or conversation where; only ids",
    )
    kept_file: FilePath = Field(
        Path(".sovereign/kept.sqlite"),
        description="keyed hashes of conversations that were kept inside, so that they stay there",
    )
    max_concurrent: int = Field(
        256, gt=0, description="more requests at once, in one worker, are told to retry"
    )
    workers: int = Field(1, gt=0, le=256, description="processes that share the listener")
    drain_delay_s: float = Field(
        1.0,
        ge=0,
        le=600,
        description="after SIGTERM, /readyz says 503 for so long before the listener closes",
    )
    drain_s: Seconds = Field(30.0, description="running answers then get so long to end")
    log_format: Literal["text", "json"] = Field("text", description="of the lines on stderr")
    log_requests: bool = Field(False, description="a line for each request, without its content")


class TlsConfig(StrictModel):
    """``[tls]``: the listener's certificate, read again when it changes. TLS 1.2 or newer."""

    cert_file: FilePath = Field(description="certificate chain (PEM)")
    key_file: FilePath | None = Field(None, description="its private key, if not in cert_file")
    client_ca_file: FilePath | None = Field(
        None, description="callers must show a certificate of these authorities (mTLS)"
    )


Count = Annotated[int, Field(gt=0, le=2**53)]


class Allowance(StrictModel):
    """How much a key, or all keys of a team together, may use. What is not named is not limited."""

    requests_per_minute: Count | None = Field(None, description="in any sixty seconds")
    tokens_per_minute: Count | None = Field(None, description="in any sixty seconds, both ways")
    concurrent: Count | None = Field(None, description="requests under way at once")
    requests_per_month: Count | None = Field(None, description="in a calendar month, UTC")
    tokens_per_month: Count | None = Field(None, description="in a calendar month, both ways")
    money_per_month: float | None = Field(
        None, gt=0, le=1e9, description="in the currency of the price file"
    )


class LimitsConfig(StrictModel):
    """``[limits]``: quotas and rates, exact over all workers."""

    file: FilePath = Field(
        Path(".sovereign/usage.db"), description="what was used, shared by the workers"
    )
    prices: FilePath | None = Field(None, description="a file that says what tokens cost")
    each_key: Allowance = Field(Allowance(), description="for a key that has no limits of its own")
    each_team: Allowance = Field(Allowance(), description="for a team that is not named")
    team: dict[Name, Allowance] = Field({}, description="[limits.team.NAME]: for this team")


class TelemetryConfig(StrictModel):
    """``[telemetry]``: traces in OpenTelemetry's format (OTLP over HTTP, JSON), without content."""

    endpoint: HttpUrl = Field(description='such as "http://collector:4318/v1/traces"')
    sample: float = Field(1.0, ge=0, le=1, description="the part of the requests that is traced")
    service: Name = Field("sovereign-gateway", description="service.name")
    propagate_to: Names = Field((), description="local destinations that get a traceparent header")


class KeysConfig(StrictModel):
    """``[keys]``: who may come through the door. Only hashes are stored."""

    file: FilePath = Field(Path(".sovereign/keys.json"), description="`sovereign keys` writes it")


Rate = Annotated[float, Field(ge=0, le=1e6)]


class Price(StrictModel):
    """What a million tokens cost."""

    input: Rate = Field(description="per million tokens that go in")
    output: Rate = Field(description="per million tokens that come out")


class Prices(StrictModel):
    """A whole price file: ``currency``, and ``[model."NAME or pattern"]`` tables."""

    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217")
    model: dict[str, Price] = Field({}, description='[model."gpt-4o"] with input and output')
