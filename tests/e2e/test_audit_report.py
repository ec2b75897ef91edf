"""A regulator's archive, of a log that a running gateway wrote, opened where nothing of ours is."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SSN = "536-90-4399"


def test_what_was_asked_and_what_became_of_it(tiny: Any, tmp_path: Path) -> None:
    """Changed, kept inside and refused are counted as they happened; the archive verifies alone;
    and none of what was asked is in it."""
    before = _report(tiny, tmp_path / "before.json")["totals"]
    asked = {
        "changed": f"The patient's SSN is {SSN}.",
        "kept_local": "KEEPINSIDE, please.",
        "refused": "This is TOPSECRET.",
        "allowed": "Good morning.",
    }
    for text in asked.values():
        tiny.ask({"model": "gpt-test", "messages": [{"role": "user", "content": text}]})
    tiny.ask(key="sk-nobody")
    key = (tiny.folder / "audit" / "log.pub").read_text().strip()
    archive = tmp_path / "evidence.zip"
    made = _report(tiny, archive)
    added = {name: made["totals"][name] - before[name] for name in made["totals"]}
    assert added["decisions"] == 5
    assert {name: added[name] for name in asked} == dict.fromkeys(asked, 1) | {"refused": 2}
    assert made["counts"]["entities"]["US_SSN"]["pseudonymize"] >= 1
    assert made["uncovered"] == 0
    checked = subprocess.run(
        [sys.executable, "-I", str(archive), "--key", key],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "counted again, they give the report's counts" in checked.stdout
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            data = zipped.read(name)
            assert SSN.encode() not in data
            assert b"TOPSECRET" not in data
    record = [r for r in tiny.records() if r["type"] == "log.report"][-1]
    assert record["outcome"] == "ok"
    assert tiny.run("audit", "verify").returncode == 0


def _report(gateway: Any, out: Path) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    period = ("--from", "2026-01-01", "--to", max(today, "2026-01-02"))
    done = gateway.run(
        "audit", "report", *period, "--framework", "hipaa", "--no-pdf", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    if out.suffix == ".json":
        document: dict[str, Any] = json.loads(out.read_text())
        return document
    with zipfile.ZipFile(out) as zipped:
        return json.loads(zipped.read("report.json"))
