"""Waiting between restarts, on a clock that the test moves."""

from __future__ import annotations

from sovereign.serve.backoff import Backoff


def test_waits_double_up_to_the_most() -> None:
    """An engine that cannot start must not eat the machine."""
    backoff = Backoff(lambda: 0.0, first=0.5, most=3)
    assert [backoff.failed() for _ in range(5)] == [0.5, 1, 2, 3, 3]


def test_a_start_that_held_begins_anew() -> None:
    """One crash a day is answered at once, each time."""
    now = [0.0]
    backoff = Backoff(lambda: now[0], first=0.5, settled=60)
    assert [backoff.failed(), backoff.failed()] == [0.5, 1]
    backoff.started()
    now[0] = 60
    assert backoff.failed() == 0.5


def test_a_start_that_did_not_hold_goes_on_doubling() -> None:
    """Healthy for a second, dead again: that is the same failure."""
    now = [0.0]
    backoff = Backoff(lambda: now[0], first=0.5, settled=60)
    backoff.failed()
    backoff.started()
    now[0] = 59
    assert backoff.failed() == 1
