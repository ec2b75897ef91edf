"""Writes docs/faults.md from the tables of tests/e2e/test_faults.py; ``--check`` compares."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "e2e" / "test_faults.py"
PAGE = ROOT / "docs" / "faults.md"

HEAD = """# What happens when something breaks

Each row is a test that breaks it in running processes (`tests/e2e/test_faults.py`; other files are
named), and holds both the answer and the record of it. In every row nothing is sent that was not
recorded, and nothing that should be refused is passed. Made by `scripts/faults_doc.py`.
"""


def tables() -> dict[str, ast.expr]:
    """The module's assignments by name, read and not run: it needs what tests need."""
    found: dict[str, ast.expr] = {}
    for node in ast.parse(TESTS.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def rows(table: ast.expr) -> list[tuple[str, int, str]]:
    """(fault, status, record) of one dictionary of faults."""
    assert isinstance(table, ast.Dict)
    out = []
    for call in table.values:
        assert isinstance(call, ast.Call)
        what, status, record = (ast.literal_eval(argument) for argument in call.args[:3])
        out.append((what, status, record))
    return out


def page() -> str:
    """The whole page."""
    found = tables()
    parts = [HEAD]
    for name, title, who in (
        ("UPSTREAM", "A destination fails", "the destination"),
        ("GUARD", "The guard fails", ""),
        ("HERE", "Something around the gateway fails", ""),
    ):
        parts.append(f"\n## {title}\n\n| fault | the caller gets | the log says |\n|---|---|---|")
        for what, status, record in rows(found[name]):
            says = record.replace("result: ", "intent, then result ") or "–"
            got = "an error event in the stream" if status == 200 else str(status)
            parts.append(f"| {who} {what} | {got} | {says} |".replace("|  ", "| "))
    parts.append("\n## Tested elsewhere\n\n| fault | what holds | test |\n|---|---|---|")
    for what, holds, test in ast.literal_eval(found["ELSEWHERE"]):
        parts.append(f"| {what} | {holds} | `{test}` |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/faults.md is not current: run scripts/faults_doc.py")
    else:
        PAGE.write_text(text, encoding="utf-8")
