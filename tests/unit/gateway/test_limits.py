"""Limits hold exactly, whoever asks and however many at once, and survive a worker's death."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sovereign.config import load_config
from sovereign.errors import BudgetSpent, ConfigError, LimitsUnavailable, NotPermitted, RateLimited
from sovereign.gateway.keys import Key
from sovereign.gateway.limits import Limits, Tokens
from sovereign.gateway.usage import Scope, UsageFile, Used
from sovereign.running import Allowance, LimitsConfig, Prices

START = 1_790_000_000  # 2026-09-21


class Clock:
    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


def _key(**fields: object) -> Key:
    return Key("key_1", "it", (), "0" * 64, "2026-01-01T00:00:00Z", **fields)  # type: ignore[arg-type]


def _scope(**allowed: object) -> tuple[Scope, ...]:
    return (Scope("key key_1", Allowance(**allowed)),)  # type: ignore[arg-type]


def test_a_rate_is_kept_in_any_sixty_seconds(tmp_path: Path) -> None:
    """Not in clock minutes: no burst of twice the rate at their border. Retry-After is the moment
    when enough has passed."""
    clock = Clock()
    file = UsageFile(tmp_path / "usage.db", clock=clock)
    scopes = _scope(requests_per_minute=3)
    for n, at in enumerate((0, 10, 55)):
        clock.now = START + at
        file.begin(f"r{n}", scopes)
    with pytest.raises(RateLimited) as raised:
        file.begin("r3", scopes)
    assert raised.value.retry_after == 5
    clock.now = START + 60
    file.begin("r3", scopes)
    with pytest.raises(RateLimited) as raised:
        file.begin("r4", scopes)
    assert raised.value.retry_after == 10


def test_a_clock_that_is_set_back_keeps_the_limit_and_locks_nobody_out(tmp_path: Path) -> None:
    """What was counted in a wrong year counts as of now: closed for a minute, not for a year."""
    clock = Clock()
    file = UsageFile(tmp_path / "usage.db", clock=clock)
    scopes = _scope(requests_per_minute=2)
    clock.now += 365 * 86400
    file.begin("a", scopes)
    file.begin("b", scopes)
    clock.now -= 365 * 86400
    with pytest.raises(RateLimited) as refused:
        file.begin("c", scopes)
    assert refused.value.retry_after <= 60
    clock.now += 61
    file.begin("d", scopes)
    file.close()


def test_tokens_are_reserved_and_settled(tmp_path: Path) -> None:
    """What a request may use counts until what it did use is known."""
    clock = Clock()
    file = UsageFile(tmp_path / "usage.db", clock=clock)
    scopes = _scope(tokens_per_minute=100, tokens_per_month=150)
    second = file.reserve(scopes, Used(80))
    with pytest.raises(RateLimited):
        file.reserve(scopes, Used(30))
    file.end("r", scopes, second, Used(80), Used(20))
    assert file.month("key key_1") == (0, Used(20))
    file.reserve(scopes, Used(80))
    clock.now += 61
    with pytest.raises(BudgetSpent) as raised:
        file.reserve(scopes, Used(51))
    assert raised.value.retry_after == 1_790_812_800 - START - 61  # the first of October
    clock.now = 1_790_812_800
    file.reserve(scopes, Used(100))


def test_a_limit_is_exact_across_processes(tmp_path: Path) -> None:
    """Four processes ask 40 times each for one of 50: exactly 50 get it."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from sovereign.errors import RateLimited
        from sovereign.gateway.usage import Scope, UsageFile
        from sovereign.running import Allowance
        file = UsageFile(Path(sys.argv[1]))
        scopes = (Scope("team it", Allowance(requests_per_month=50)),)
        won = 0
        for n in range(40):
            try:
                file.begin(f"{sys.argv[2]}.{n}", scopes)
                won += 1
            except RateLimited:
                pass
        print(won)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "usage.db")]
    running = [
        subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(4)
    ]
    assert sum(int(p.communicate(timeout=60)[0]) for p in running) == 50


def test_a_dead_workers_requests_are_not_under_way(tmp_path: Path) -> None:
    """kill -9 must not eat a team's places for ever."""
    script = (
        "import sys, os, signal; from pathlib import Path;"
        "from sovereign.gateway.usage import Scope, UsageFile;"
        "from sovereign.running import Allowance;"
        "file = UsageFile(Path(sys.argv[1]));"
        "file.begin('r0', (Scope('key key_1', Allowance(concurrent=1)),));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "usage.db")], check=False, timeout=60
    )
    assert done.returncode == -9
    file = UsageFile(tmp_path / "usage.db")
    scopes = _scope(concurrent=1)
    file.begin("r1", scopes)
    with pytest.raises(RateLimited):
        file.begin("r2", scopes)
    file.end("r1", scopes, None, Used(), Used())
    file.begin("r2", scopes)


def test_money_needs_a_price_and_is_counted_as_reported(tmp_path: Path) -> None:
    """A model without a price cannot be paid from a budget; one inside costs nothing."""
    prices = Prices.model_validate(
        {"currency": "EUR", "model": {"gpt-*": {"input": 2.5, "output": 10.0}}}
    )
    limits = Limits(LimitsConfig(), tmp_path / "usage.db", prices)
    key = _key(limits=Allowance(money_per_month=0.01))
    first = limits.admit("r1", key)
    assert first is not None
    with pytest.raises(NotPermitted):
        first.reserve(b"{}", "o3", "hosted")
    first.reserve(b"{}", "llama", "local")
    first.end(Tokens(), sent=False, bytes_in=0)
    second = limits.admit("r2", key)
    assert second is not None
    second.reserve(b'{"max_tokens":500}', "gpt-4o", "hosted")
    # 1,000 in and 750 out are 0.0025 + 0.0075: all of the cent.
    second.end(Tokens(1000, 750), sent=True, bytes_in=0)
    with pytest.raises(BudgetSpent, match=r"0\.01 of money"):
        limits.admit("r3", key)
    limits.close()


def test_without_limits_nothing_is_counted(tmp_path: Path) -> None:
    """And no file is made."""
    limits = Limits(LimitsConfig(), tmp_path / "usage.db")
    assert limits.admit("r1", _key()) is None
    assert not (tmp_path / "usage.db").exists()


def test_a_team_shares_and_a_key_has_its_own(tmp_path: Path) -> None:
    """The key's own allowance goes before [limits].each_key; the team's holds for all its keys."""
    config = LimitsConfig(
        each_key=Allowance(requests_per_minute=1), team={"it": Allowance(requests_per_minute=3)}
    )
    limits = Limits(config, tmp_path / "usage.db")
    generous = _key(limits=Allowance(requests_per_minute=10))
    limits.admit("r1", generous)
    limits.admit("r2", generous)
    other = Key("key_2", "it", (), "1" * 64, "2026-01-01T00:00:00Z")
    limits.admit("r3", other)
    with pytest.raises(RateLimited, match="this key has used its 1"):
        limits.admit("r4", other)
    with pytest.raises(RateLimited, match="team has used its 3"):
        limits.admit("r5", generous)


def test_a_file_that_cannot_count_refuses(tmp_path: Path) -> None:
    """Failing closed: a limit that cannot be counted is not a limit that is away."""
    (tmp_path / "usage.db").write_bytes(b"this is no database" * 100)
    limits = Limits(LimitsConfig(each_key=Allowance(concurrent=1)), tmp_path / "usage.db")
    with pytest.raises(LimitsUnavailable):
        limits.admit("r1", _key())


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{"usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}], (7, 5)),
        (
            [
                {"message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
                {"type": "message_delta", "usage": {"output_tokens": 30}},
            ],
            (9, 30),
        ),
        ([{"response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}], (3, 4)),
        ([{"usage": {"prompt_tokens": "many", "completion_tokens": -4}}, [], None], (0, 0)),
    ],
)
def test_usage_is_read_from_every_wire(events: list[object], expected: tuple[int, int]) -> None:
    """Chat, messages, responses; nonsense counts as nothing said."""
    tokens = Tokens()
    for event in events:
        tokens.note(event)
    assert (tokens.input, tokens.output) == expected


def test_budgets_in_money_need_a_price_file(tmp_path: Path) -> None:
    """Said at the start, not at the first request."""
    file = tmp_path / "sovereign.toml"
    file.write_text(
        '[policy]\npreset = "direct"\n[limits.team.it]\nmoney_per_month = 50.0\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="price file"):
        Limits.from_config(load_config(file))
