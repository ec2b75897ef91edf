"""``sovereign scan`` as people run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOVEREIGN = Path(sys.executable).with_name("sovereign")


def scan(
    *arguments: str | Path, cwd: Path, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """By the policy ``direct``; its exit status is the caller's to judge."""
    return subprocess.run(
        [SOVEREIGN, "scan", *arguments, "--policy", "direct"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def alive(session: int) -> list[int]:
    """Processes of the session that are not dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, _, _, its = text.rpartition(")")[2].split()[:4]
        if int(its) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found
