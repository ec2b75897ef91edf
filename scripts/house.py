"""House rules that no linter knows: file sizes, mirrored tests, no paths of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MOST_LINES = 400
REASON = "Long because:"


def problems(root: Path) -> list[str]:
    """Every broken rule as one line."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = root / name
        if not path.is_file() or path.suffix not in {".py", ".sh", ""}:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = text.count("\n")
        if path.suffix == ".py" and lines > MOST_LINES and REASON not in text[:2000]:
            found.append(f"{name}: {lines} lines; split it, or say '{REASON} …' in its head")
        if name != "scripts/house.py":
            found += [
                f"{name}:{number}: a path of one machine"
                for number, line in enumerate(text.splitlines(), 1)
                if re.search(r"(?<![\w.])/(work|farm|root)/", line)
            ]
    found += _mirror(root)
    return found


def _mirror(root: Path) -> list[str]:
    """tests/unit mirrors sovereign/: every test folder there names a room."""
    rooms = {
        p.relative_to(root / "sovereign") for p in (root / "sovereign").rglob("*") if p.is_dir()
    }
    return [
        f"{folder.relative_to(root)}: no such room in sovereign/"
        for folder in sorted((root / "tests" / "unit").rglob("*"))
        if folder.is_dir()
        and folder.name != "__pycache__"
        and folder.relative_to(root / "tests" / "unit") not in rooms
    ]


if __name__ == "__main__":
    broken = problems(Path(__file__).resolve().parent.parent)
    for line in broken:
        print(line)
    sys.exit(bool(broken))
