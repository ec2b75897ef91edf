"""Turns between processes: fair, bounded, and never held by the dead."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from sovereign.audit.store.turn import Turn

HOLD = """
import sys, time
from pathlib import Path
from sovereign.audit.store.turn import Turn
turn = Turn(Path(sys.argv[1]), patience=5)
with turn:
    print("held", flush=True)
    time.sleep(60)
"""
GREEDY = """
import sys, time
from pathlib import Path
from sovereign.audit.store.turn import Turn
turn = Turn(Path(sys.argv[1]), patience=5)
print("held", flush=True)
while True:
    with turn:
        time.sleep(0.01)
"""


def other(code: str, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def took(turn: Turn) -> float:
    start = time.monotonic()
    with turn:
        pass
    return time.monotonic() - start


def test_a_turn_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """It is a courtesy: past its patience the caller goes on to the real lock."""
    process = other(HOLD, tmp_path / "turn")
    try:
        turn = Turn(tmp_path / "turn", patience=0.3)
        assert took(turn) >= 0.3
        process.kill()
        process.wait()
        assert took(turn) < 0.3, "a dead process kept its turn"
        turn.close()
    finally:
        process.kill()
        process.communicate()


def test_who_waits_gets_the_next_turn(tmp_path: Path) -> None:
    """A process that takes turn after turn lets another in between: twenty turns against one that
    holds for 10 ms each take about as long as twenty of those, not seconds each."""
    process = other(GREEDY, tmp_path / "turn")
    try:
        turn = Turn(tmp_path / "turn", patience=20)
        waits = sorted(took(turn) for _ in range(20))
        assert waits[10] < 1.0
        assert waits[-1] < 5.0
        turn.close()
    finally:
        process.kill()
        process.communicate()
