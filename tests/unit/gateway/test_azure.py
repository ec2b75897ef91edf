"""Azure as a destination: its paths, its version, its key header."""

from __future__ import annotations

import pytest

from sovereign.gateway.upstreams import Upstream
from sovereign.guard.endpoints import match
from sovereign.types import Destination


def azure(version: str) -> Upstream:
    return Upstream(
        Destination("azure", "hosted"),
        "openai",
        "https://clinic.openai.azure.com",
        ("gpt-4o",),
        1.0,
        key="secret",
        azure=version,
    )


@pytest.mark.parametrize(
    ("version", "path", "query", "url"),
    [
        ("v1", "/v1/chat/completions", "", "/openai/v1/chat/completions"),
        ("v1", "/v1/files", "limit=2", "/openai/v1/files?limit=2"),
        (
            "2024-10-21",
            "/v1/chat/completions",
            "",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        ),
        (
            "2024-10-21",
            "/v1/audio/speech",
            "",
            "/openai/deployments/gpt-4o/audio/speech?api-version=2024-10-21",
        ),
        (
            "2024-10-21",
            "/v1/batches/b_1",
            "limit=2",
            "/openai/batches/b_1?api-version=2024-10-21&limit=2",
        ),
    ],
)
def test_its_paths(version: str, path: str, query: str, url: str) -> None:
    """The deployment is the model's name; what knows no deployment stands beside them."""
    got = azure(version).url(path, model="gpt-4o", query=query)
    assert got == "https://clinic.openai.azure.com" + url


def test_its_key_goes_into_its_own_header() -> None:
    """And into no other."""
    headers = azure("v1").headers("req_1", stream=False, version=None)
    assert headers["Api-Key"] == "secret"
    assert "Authorization" not in headers


def test_endpoints_are_allowed_and_refused_per_destination() -> None:
    """What is kept local by default can be allowed by name, and anything can be taken away."""
    tuning = match("POST", "/v1/fine_tuning/jobs")
    files = match("GET", "/v1/files")
    assert tuning is not None
    assert files is not None
    hosted = Upstream(Destination("o", "hosted"), "openai", "https://h/v1", ("m",), 1.0)
    inside = Upstream(Destination("i", "local"), "openai", "http://h/v1", ("m",), 1.0)
    assert not hosted.takes(tuning.endpoint)
    assert inside.takes(tuning.endpoint)
    open_ = Upstream(
        Destination("o", "hosted"),
        "openai",
        "https://h/v1",
        ("m",),
        1.0,
        allow=("openai.fine_tuning.*",),
        refuse=("openai.files.*",),
    )
    assert open_.takes(tuning.endpoint)
    assert not open_.takes(files.endpoint)
