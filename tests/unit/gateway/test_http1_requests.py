"""What is written towards a destination: a head that is one head, and goes where its URL says."""

from __future__ import annotations

import pytest

from sovereign.gateway.http1 import Origin, head_of


def test_a_request_is_written_as_it_is_meant() -> None:
    """Host, length, and a target that holds nothing but what a target may."""
    origin = Origin.of("http://m\u00fcller.example:8080/v1")
    target = origin.target("http://m\u00fcller.example:8080/v1/a b?x=%20&y=\u00e4\r\n")
    raw = head_of("POST", target, origin, {"A": "b"}, 0)
    assert raw == (
        b"POST /v1/a%20b?x=%20&y=%C3%A4%0D%0A HTTP/1.1\r\nHost: xn--mller-kva.example:8080\r\n"
        b"A: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert b"Content-Length" not in head_of("GET", "/", origin, {}, 0)
    assert Origin.of("https://[::1]").port == 443
    assert Origin.of("https://[::1]").host == "::1"
    assert Origin.of("http://x").target("http://x") == "/"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\0"])
def test_a_header_that_would_end_early_is_refused(value: str) -> None:
    """It could be another header, or another request."""
    with pytest.raises(ValueError, match="line"):
        head_of("GET", "/", Origin.of("http://x"), {"A": value}, 0)


@pytest.mark.parametrize("url", ["http://user@x", "ftp://x", "http://", "x"])
def test_what_names_no_host_is_no_origin(url: str) -> None:
    """A password in a URL would be sent to nobody, and logged by somebody."""
    with pytest.raises(ValueError, match="host"):
        Origin.of(url)


def test_a_url_of_another_host_is_not_asked_here() -> None:
    """The bytes go where the URL says, or nowhere."""
    with pytest.raises(ValueError, match="another host"):
        Origin.of("http://x/v1").target("http://y/v1")
