"""Errors and keys as the SDKs of each wire send and read them."""

from __future__ import annotations

import json

import pytest

from sovereign.errors import NotAuthenticated, Overloaded, Refused, SovereignError, UpstreamFailed
from sovereign.gateway import wires


def test_either_header_holds_the_key_and_the_wires_own_wins() -> None:
    """OpenAI's SDK sends a bearer, Anthropic's x-api-key; people mix them."""
    both = {b"authorization": b"Bearer one", b"x-api-key": b"two"}
    assert wires.credential(both, "openai") == "one"
    assert wires.credential(both, "anthropic") == "two"
    assert wires.credential({b"x-api-key": b"two"}, "openai") == "two"
    assert wires.credential({b"authorization": b"bearer one"}, "anthropic") == "one"
    assert wires.credential({b"authorization": b"Basic one"}, "openai") is None
    assert wires.credential({}, "openai") is None


def test_error_bodies_hold_message_and_hint() -> None:
    """SDKs show people the message, so the hint is in it."""
    error = NotAuthenticated("no key", hint="make one")
    assert wires.error_body("openai", error) == {
        "error": {
            "message": "no key (hint: make one)",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    assert wires.error_body("anthropic", error) == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "no key (hint: make one)"},
    }


@pytest.mark.parametrize("body", [None, [], "x", {"error": 3}, {"error": {"message": [1]}}])
def test_an_upstream_error_of_any_shape_becomes_ours(body: object) -> None:
    """Only known fields pass, and only as words."""
    shaped = wires.upstream_error("openai", 500, body, str.upper)
    assert shaped["error"]["message"] == "the destination answered 500"
    assert shaped["error"]["type"] == "server_error"


def test_an_upstream_error_is_restored_and_bounded() -> None:
    """Its message may hold stand-ins; its type and code pass only if they are words."""
    said = {"error": {"message": "about x " * 999, "type": "a b", "code": "c.d", "more": "secret"}}
    shaped = wires.upstream_error("openai", 429, said, lambda s: s.replace("x", "Maria"))
    assert shaped["error"]["message"].startswith("the destination answered 429: about Maria")
    assert len(shaped["error"]["message"]) < 4000
    assert (shaped["error"]["type"], shaped["error"]["code"]) == ("rate_limit_error", "c.d")
    assert "secret" not in json.dumps(shaped)


def test_only_what_may_pass_later_is_worth_a_retry() -> None:
    """An SDK retries every 5xx unless it is told not to."""
    assert wires.should_retry(Overloaded(""))
    assert wires.should_retry(UpstreamFailed(""))
    assert not wires.should_retry(Refused(""))
    assert not wires.should_retry(SovereignError(""))


def test_halves_of_an_emoji_pass_and_infinities_do_not() -> None:
    """JSON can say the first, and nobody the second."""
    assert json.loads(wires.dumps({"a": "\ud83d"})) == {"a": "\ud83d"}
    assert wires.dumps({"a": "é"}) == '{"a":"é"}'.encode()
    with pytest.raises(ValueError):
        wires.dumps({"a": float("inf")})
