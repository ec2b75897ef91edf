"""Which destination takes a model, and what is sent to it beside the body."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sovereign.config import Config
from sovereign.errors import UnknownModel, UpstreamFailed
from sovereign.gateway.upstreams import Upstreams

HOSTED = {"side": "hosted", "base_url": "https://api.example.com/v1", "models": ["gpt-*", "o3"]}


def _config(**upstream: dict[str, object]) -> Config:
    return Config.model_validate({"policy": {"preset": "direct"}, "upstream": upstream})


def test_a_name_in_full_wins_over_any_pattern() -> None:
    """Whatever the order of the file, and engines are asked first."""
    inside = {"side": "local", "base_url": "http://vllm:8000/v1", "models": ["gpt-oss"]}
    config = Config.model_validate(
        {
            "policy": {"preset": "direct"},
            "upstream": {"openai": HOSTED, "inside": inside},
            "models": {"o3": {"base": "b", "adapters": {"cardiology": "runs/c/adapter"}}},
        }
    )
    upstreams = Upstreams.from_config(config, {"o3": Path("/run/o3.sock")})
    assert upstreams.route("o3:cardiology").upstream is upstreams.route("o3").upstream
    assert upstreams.route("gpt-oss").upstream.destination.name == "inside"
    assert upstreams.route("o3").upstream.socket == Path("/run/o3.sock")
    route = upstreams.route("gpt-4o")
    assert (route.upstream.destination.name, route.exact) == ("openai", False)
    assert route.recorded == "gpt-@"
    assert upstreams.names() == {"o3": "o3", "o3:cardiology": "o3", "gpt-oss": "inside"}
    with pytest.raises(UnknownModel) as refused:
        upstreams.route("Maria Keller")
    assert "Maria" not in refused.value.message + refused.value.hint


def test_urls_are_those_an_sdk_would_make() -> None:
    """OpenAI's base URL has /v1, Anthropic's has not; both are taken as their SDKs take them."""
    claude = {**HOSTED, "wire": "anthropic", "models": ["c"], "base_url": "https://a.example.com"}
    upstreams = Upstreams.from_config(_config(openai=HOSTED, claude=claude), {})
    openai, anthropic = (upstreams.route(m).upstream for m in ("o3", "c"))
    assert openai.url("/v1/chat/completions") == "https://api.example.com/v1/chat/completions"
    assert anthropic.url("/v1/messages") == "https://a.example.com/v1/messages"


def test_secrets_come_from_the_environment_and_stay_out_of_reprs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without one, nothing is sent there, and the error names the variable."""
    named = {**HOSTED, "api_key_env": "SOME_KEY"}
    monkeypatch.delenv("SOME_KEY", raising=False)
    upstream = Upstreams.from_config(_config(openai=named), {}).route("o3").upstream
    assert upstream.lacks_key
    with pytest.raises(UpstreamFailed, match="'openai' has no key") as caught:
        upstream.headers("r", stream=False, version=None)
    assert "SOME_KEY" in caught.value.hint
    monkeypatch.setenv("SOME_KEY", "hush")
    upstream = Upstreams.from_config(_config(openai=named), {}).route("o3").upstream
    assert upstream.headers("r", stream=False, version=None)["Authorization"] == "Bearer hush"
    assert "hush" not in repr(upstream)


def test_a_pattern_is_never_taken_for_a_name() -> None:
    """Who asks for the pattern itself has named no model; the log gets a word of its own."""
    upstreams = Upstreams.from_config(
        _config(openai={**HOSTED, "models": ["o[13]-*", "gpt-?"]}), {}
    )
    assert not upstreams.route("gpt-?").exact
    assert upstreams.route("o1-mini").recorded == "o@13@-@"
    assert upstreams.names() == {}


def test_only_vllm_inside_is_salted() -> None:
    """A hosted API refuses fields that it does not know."""
    with pytest.raises(ValidationError, match="cache_salt needs"):
        _config(openai={**HOSTED, "cache_salt": True})
    assert Upstreams.from_config(_config(openai=HOSTED), {}).all[0].salt("ward") is None
