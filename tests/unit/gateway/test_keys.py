"""The key file: hashes only, private, replaced whole, and seen at once by whoever reads it."""

from __future__ import annotations

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sovereign.errors import ConfigError, GatewayError, NotAuthenticated, NotPermitted
from sovereign.gateway.keys import KeyRing


def _ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "deep" / "keys.json", clock=lambda: 1_790_000_000.0)


def test_a_created_key_opens_and_a_revoked_one_does_not(tmp_path: Path) -> None:
    """A second ring on the same file, as the gateway's is, sees both changes without a restart."""
    ring, gateway = _ring(tmp_path), _ring(tmp_path)
    new = ring.prepare("cardiology", ["gpt-*"])
    with pytest.raises(NotAuthenticated):
        gateway.authenticate(new.secret)
    ring.add(new.key)
    assert gateway.authenticate(new.secret) == new.key
    revoked = ring.revoke(new.key.id)
    assert revoked.revoked == "2026-09-21T14:13:20Z"
    with pytest.raises(NotAuthenticated):
        gateway.authenticate(new.secret)


def test_a_clock_that_is_set_back_brings_no_key_back_to_life(tmp_path: Path) -> None:
    """Once its time was over here, it is over; also for a ring that reads the file anew."""
    now = [1_790_000_000.0]
    ring = KeyRing(tmp_path / "keys.json", clock=lambda: now[0])
    new = ring.prepare("cardiology", expires_s=60)
    ring.add(new.key)
    assert ring.authenticate(new.secret) == new.key
    now[0] += 61
    with pytest.raises(NotAuthenticated):
        ring.authenticate(new.secret)
    now[0] -= 3600
    with pytest.raises(NotAuthenticated):
        ring.authenticate(new.secret)
    (tmp_path / "keys.json").write_bytes((tmp_path / "keys.json").read_bytes())
    with pytest.raises(NotAuthenticated):
        ring.authenticate(new.secret)


def test_the_file_holds_no_secret_and_is_private(tmp_path: Path) -> None:
    """A copy of the file opens nothing: it holds SHA-256 of 256 random bits."""
    ring = _ring(tmp_path)
    new = ring.prepare("it")
    ring.add(new.key)
    file = tmp_path / "deep" / "keys.json"
    assert new.secret not in file.read_text()
    assert new.secret not in repr(new)
    assert hashlib.sha256(new.secret.encode()).hexdigest() in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in file.parent.iterdir()) == ["keys.json", "keys.json.lock"]


@pytest.mark.parametrize("presented", [None, "", "sk-sovereign-", "\ud800", "x" * 100_000])
def test_nothing_else_opens(tmp_path: Path, presented: str | None) -> None:
    """Nonsense is refused, not crashed on."""
    ring = _ring(tmp_path)
    ring.add(ring.prepare("it").key)
    with pytest.raises(NotAuthenticated):
        ring.authenticate(presented)


def test_a_key_may_use_its_models_only(tmp_path: Path) -> None:
    """Names and patterns; a key without any may use every model."""
    ring = _ring(tmp_path)
    some, every = ring.prepare("it", ["gpt-4o", "llama-*"]).key, ring.prepare("it").key
    assert some.may_use("llama-3")
    assert not some.may_use("gpt-4o-mini")
    assert every.may_use("anything")
    with pytest.raises(NotPermitted) as refused:
        some.require("secret-project")
    assert "secret-project" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.write_text("{"),
        lambda f: f.write_text('{"v": 2, "keys": []}'),
        lambda f: f.write_text('{"v": 1, "keys": [{"id": 1}]}'),
        lambda f: f.chmod(0o644),
    ],
    ids=["cut", "another version", "another shape", "readable by others"],
)
def test_a_damaged_file_closes_the_door(tmp_path: Path, damage: object) -> None:
    """The keys of before are not used on: one of them may be what somebody tried to revoke."""
    ring = _ring(tmp_path)
    new = ring.prepare("it")
    ring.add(new.key)
    ring.authenticate(new.secret)
    damage(tmp_path / "deep" / "keys.json")  # type: ignore[operator]
    for _ in range(2):
        with pytest.raises((GatewayError, NotAuthenticated)) as refused:
            ring.authenticate(new.secret)
        assert str(tmp_path) not in refused.value.message + refused.value.hint


def test_writers_do_not_lose_each_others_keys(tmp_path: Path) -> None:
    """Each writer takes the lock and replaces the whole file."""
    made = [_ring(tmp_path).prepare(f"team-{n}").key for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: _ring(tmp_path).add(key), made))
    assert {k.id for k in _ring(tmp_path).entries()} == {k.id for k in made}


def test_bad_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """They would have to go into every audit record."""
    for team, models in [("Dr. Müller", []), ("", []), ("it", ["a b"])]:
        with pytest.raises(ConfigError):
            _ring(tmp_path).prepare(team, models)
    with pytest.raises(ConfigError):
        _ring(tmp_path).revoke("key_none")
    assert not (tmp_path / "deep" / "keys.json").exists()


def test_revoking_twice_says_so(tmp_path: Path) -> None:
    """The first time of revoking is kept."""
    ring = _ring(tmp_path)
    new = ring.prepare("it")
    ring.add(new.key)
    ring.revoke(new.key.id)
    with pytest.raises(ConfigError, match="revoked already"):
        ring.revoke(new.key.id)
    assert json.loads((tmp_path / "deep" / "keys.json").read_text())["keys"][0]["revoked"]
