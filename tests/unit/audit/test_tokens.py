"""Tokens say "the same value", to who has the key, and nothing to anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.audit.tokens import (
    MOST,
    TokenKey,
    TokenKeyFile,
    canonical,
    destroy,
    epoch_of,
    read_token_key,
)
from sovereign.config import Config, PolicyConfig
from sovereign.errors import ConfigError

KEY = TokenKey.of(bytes(range(32)))
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("entity", "spellings"),
    [
        ("US_SSN", ["123-45-6789", "123 45 6789", "123456789", "１２３-45-6789"]),
        ("CREDIT_CARD", ["4111 1111 1111 1111", "4111-1111-1111-1111"]),
        ("PHONE_NUMBER", ["+1 (415) 555-0100", "415.555.0100", "001 415 555 0100"]),
        ("EMAIL_ADDRESS", ["Maria@Example.com", "maria@example.com "]),
        ("PERSON", ["Maria  Lopez-Reyes", "MARIA LOPEZ REYES"]),
        ("IBAN_CODE", ["DE89 3704 0044 0532 0130 00", "de89370400440532013000"]),
        ("IP_ADDRESS", ["2001:db8::1", "2001:0DB8:0:0::1"]),
        ("MEDICAL_RECORD_NUMBER", ["MRN-00 123", "mrn00123"]),
    ],
)
def test_spellings_of_a_value_have_one_token(entity: str, spellings: list[str]) -> None:
    """Who searches writes a number in another way than who sent it."""
    assert len({KEY.token("t", entity, "2026-01", s) for s in spellings}) == 1


@pytest.mark.parametrize(
    ("entity", "one", "other"),
    [
        ("US_SSN", "123-45-6789", "123-45-6780"),
        ("EMAIL_ADDRESS", "a.b@example.com", "ab@example.com"),
        ("DATE_TIME", "1/11/2020", "11/1/2020"),
        ("PERSON", "Ann Lee", "Annlee"),
        ("SECRET", "aB-1", "ab-1"),
    ],
)
def test_other_values_have_other_tokens(entity: str, one: str, other: str) -> None:
    """Canonical spellings must not make two people one."""
    assert canonical(entity, one) != canonical(entity, other)


def test_tenant_entity_epoch_and_key_each_change_the_token() -> None:
    """Nobody can follow a value from team to team or month to month without the key."""
    tokens = {
        KEY.token("a", "US_SSN", "2026-01", "123-45-6789"),
        KEY.token("b", "US_SSN", "2026-01", "123-45-6789"),
        KEY.token("a", "US_ITIN", "2026-01", "123-45-6789"),
        KEY.token("a", "US_SSN", "2026-02", "123-45-6789"),
        TokenKey.of(bytes(32)).token("a", "US_SSN", "2026-01", "123-45-6789"),
        KEY.asked("US_SSN", "123-45-6789"),
    }
    assert len(tokens) == 6
    assert all(len(t) == 32 for t in tokens)


def test_a_record_holds_so_many_and_says_when_there_were_more() -> None:
    """A search that finds nothing must know that something may be missing."""
    few = KEY.tokens("t", [("PIN", str(n)) for n in range(MOST)] * 2, NOW)
    many = KEY.tokens("t", [("PIN", str(n)) for n in range(MOST + 1)], NOW)
    assert (len(few.tokens), few.cut) == (MOST, False)
    assert (len(many.tokens), many.cut) == (MOST, True)
    assert few.epoch == epoch_of(NOW) == "2026-09"


def test_strange_values_have_a_token_too() -> None:
    """Lone surrogates, emptiness and controls are values like any other: no crash, no gap."""
    for value in ("", "\ud800", "\0", "é" * 10_000, "\u200b", "…"):
        for entity in ("PERSON", "SECRET", "US_SSN", "IP_ADDRESS"):
            assert len(KEY.token("t", entity, "2026-01", value)) == 32


def test_the_key_file_is_read_only_if_nobody_else_can(tmp_path: Path) -> None:
    """No file: no tokens. A readable or short one: an error, not silence."""
    config = Config(policy=PolicyConfig(preset="hipaa"))
    config._path = tmp_path / "sovereign.toml"
    assert read_token_key(config) is None
    file = tmp_path / ".sovereign" / "token.key"
    file.parent.mkdir()
    file.write_bytes(bytes(range(32)))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others"):
        read_token_key(config)
    file.chmod(0o600)
    key = read_token_key(config)
    assert key is not None
    assert key.id == KEY.id
    assert "0001" not in repr(key)
    file.write_bytes(bytes(31))
    with pytest.raises(ConfigError, match="32 bytes"):
        read_token_key(config)


def test_a_value_whose_keys_were_destroyed_has_no_token_in_any_spelling() -> None:
    """For every tenant, entity and epoch, made before or later; every other value keeps its own."""
    other = KEY.token("t", "US_SSN", "2026-01", "999-99-9999")
    left, gone = KEY.without("123-45-6789")
    assert gone > 1
    for spelling in ("123-45-6789", "123 45 6789", "123456789"):
        assert left.token("t", "US_SSN", "2026-01", spelling) is None
        assert left.token("u", "US_ITIN", "2031-01", spelling) is None
    assert left.asked("US_SSN", "123-45-6789") is None
    assert left.token("t", "US_SSN", "2026-01", "999-99-9999") == other
    assert left.tokens("t", [("US_SSN", "123-45-6789")], NOW).tokens == ()
    assert left.erased("123-45-6789")
    assert not KEY.erased("123-45-6789")
    assert left.without("123-45-6789")[1] == 0
    assert left.id == KEY.id


def test_destruction_is_in_the_file_and_a_running_process_follows(tmp_path: Path) -> None:
    """The old bytes are not beside it; who held the key open makes no such token from then on."""
    file = tmp_path / "token.key"
    file.write_bytes(bytes(range(32)))
    file.chmod(0o600)
    running = TokenKeyFile(file)
    before = running.current()
    assert before is not None
    assert before.token("t", "US_SSN", "2026-01", "123-45-6789") is not None
    left, gone = destroy(file, "123-45-6789")
    assert gone
    now = running.current()
    assert now is not None
    assert now.token("t", "US_SSN", "2026-01", "123-45-6789") is None
    assert bytes(range(32)) not in file.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["token.key"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert destroy(file, "123-45-6789")[1] == 0
    assert now.id == left.id == KEY.id
    file.unlink()
    assert running.current() is None
    with pytest.raises(ConfigError, match="not there"):
        destroy(file, "x")


def test_a_key_that_cannot_be_reached_is_not_taken_for_none(tmp_path: Path) -> None:
    """A record without tokens would be the price of a folder's wrong mode."""
    assert TokenKeyFile(tmp_path / "none").current() is None
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        TokenKeyFile(tmp_path / "file" / "token.key")
