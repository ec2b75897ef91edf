"""A conversation that the policy kept inside stays inside, also when its beginning is cut off."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sovereign.errors import GatewayError
from sovereign.gateway.kept import DAYS, Kept, turns
from sovereign.types import JSON

KEY = b"k" * 32
LONG = "The therapy that was agreed on continues as before, with a check of all values in May. " * 2


def say(role: str, content: JSON) -> JSON:
    return {"role": role, "content": content}


TALK = [
    say("system", "You are a helpful assistant."),
    say("user", "SSN 512-47-3391, what now?"),
    say("assistant", LONG + "1"),
    say("user", LONG + "2"),
    say("assistant", LONG + "3"),
    say("user", "thanks"),
]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    found = Kept(tmp_path / "state" / "kept.sqlite", KEY)
    found.keep("cardiology", TALK, 1)
    return found


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_what_is_left_of_a_kept_conversation_is_known(kept: Kept, cut: int) -> None:
    """The turn that kept it inside is gone; those that were said since are not."""
    assert kept.since("cardiology", [*TALK[cut:], say("user", "and next?")]) == 0


def test_other_conversations_are_not(kept: Kept) -> None:
    """Neither another team's, nor one that shares what was said before, or pleasantries."""
    assert kept.since("oncology", TALK[2:]) is None
    assert (
        kept.since("cardiology", [TALK[0], say("user", "what is the capital of France?")]) is None
    )
    assert kept.since("cardiology", [say("user", "thanks"), say("assistant", "Welcome!")]) is None
    assert kept.since("cardiology", [say("user", "hello")]) is None


def test_text_is_the_same_as_a_string_and_as_parts(kept: Kept) -> None:
    """Frameworks write the same turn in either way."""
    parts = [say(t["role"], [{"type": "text", "text": t["content"]}]) for t in TALK[2:]]
    assert kept.since("cardiology", parts) == 0


def test_another_process_sees_it_and_nobody_reads_it(kept: Kept, tmp_path: Path) -> None:
    """Workers share the file; it holds hashes under a key, and is its owner's alone."""
    file = tmp_path / "state" / "kept.sqlite"
    assert Kept(file, KEY).since("cardiology", TALK[2:]) == 0
    assert Kept(file, b"j" * 32).since("cardiology", TALK[2:]) is None
    assert file.stat().st_mode & 0o077 == 0
    for part in file.parent.iterdir():
        assert b"therapy" not in part.read_bytes()


def test_it_forgets_after_some_months(tmp_path: Path) -> None:
    """A bounded file: nobody continues a conversation of last year."""
    now = 1_800_000_000.0
    file = tmp_path / "kept.sqlite"
    Kept(file, KEY, clock=lambda: now - DAYS * 86_400 - 1).keep("a", TALK, 1)
    later = Kept(file, KEY, clock=lambda: now)
    assert later.since("a", TALK[2:]) == 0
    later.keep("a", TALK[:1], 0)
    assert later.since("a", TALK[2:]) is None


def test_a_file_that_fails_closes_the_door(tmp_path: Path) -> None:
    """In doubt nothing leaves: the error is a 503, and names no text."""
    file = tmp_path / "kept.sqlite"
    file.write_bytes(b"this is no database, and was never one" * 100)
    with pytest.raises(GatewayError) as raised:
        Kept(file, KEY).since("a", TALK)
    assert raised.value.status == 503
    broken = Kept(tmp_path / "other.sqlite", KEY)
    broken.keep("a", TALK, 0)
    with sqlite3.connect(tmp_path / "other.sqlite") as db:
        db.execute("DROP TABLE kept")
    with pytest.raises(GatewayError):
        broken.since("a", TALK)


def test_turns_are_those_of_every_wire() -> None:
    """Chat and messages call them messages, responses call them input."""
    assert turns({"messages": TALK}) == TALK
    assert turns({"input": TALK}) == TALK
    assert turns({"input": "a text"}) == []
    assert turns(["no", "object"]) == []
