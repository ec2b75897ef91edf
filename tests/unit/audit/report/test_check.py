"""The archive's own checker over a period that several logs of a chain have."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import logs
import pytest
import reports
import traffic

from sovereign.audit.report.gather import Period

Run = Callable[..., subprocess.CompletedProcess[str]]
KEY = str(logs.verifier())
SPAN = Period("2026-07-02T00:00:00.000Z", "2026-07-06T00:00:00.000Z")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four logs, each ended by the real code after two days."""
    folder = tmp_path_factory.mktemp("chain") / "log"
    assert traffic.grow_chain(folder) == 4
    return folder


@pytest.fixture(scope="module")
def spanning(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a period that begins in the first log and ends in the third."""
    out = tmp_path_factory.mktemp("spanning") / "evidence.zip"
    reports.zipped(chain, out, period=SPAN)
    return out


def test_a_period_over_rotations_is_one_archive(
    chain: Path, spanning: Path, run: Run, tmp_path: Path
) -> None:
    """Each log's records, checkpoint and proofs, and the links between them; the auditor has the
    first log's key and needs no other. The counts are those of the same requests in one log."""
    done = run(spanning, "--key", KEY)
    assert done.returncode == 0, done.stderr
    for said in (
        "its first record holds the checkpoint of log 1",
        "its first record holds the checkpoint of log 2",
        "counted again, they give the report's counts",
    ):
        assert said in done.stdout
    traffic.grow(tmp_path / "one", days=6)
    one = reports.document(tmp_path / "one", period=SPAN)
    with zipfile.ZipFile(spanning) as zipped:
        made = json.loads(zipped.read("report.json"))
        html = zipped.read("report.html").decode()
    assert [part["log"] for part in made["parts"]] == [1, 2, 3]
    assert made["totals"] == one["totals"]
    assert made["counts"]["teams"] == one["counts"]["teams"]
    assert made["counts"]["numbers_missing"] == 0
    first, last = made["counts"]["spans"]["decisions"][1:]
    assert isinstance(first, int)
    assert last.startswith("3/")
    assert f"first record {first}, last {last}" in html
    for part in made["parts"]:  # on the first page, each log's
        assert f"log {part['log']}, {part['size']} records, root" in html
        assert part["root"] in html
    bare_report = tmp_path / "without.zip"
    reports.zipped(chain, bare_report, period=SPAN, records=False)
    done = run(bare_report, "--key", KEY)
    assert done.returncode == 0, done.stderr
    assert "the checkpoint of log 2" in done.stdout


def test_tampering_between_logs_is_found(spanning: Path, run: Run, tmp_path: Path) -> None:
    """Whoever holds the archive's key, but not what the log signed, can hide no log or stretch."""
    with zipfile.ZipFile(spanning) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    report = json.loads(files["report.json"])
    proof = "logs/0002/proofs/0.tlog-proof"
    # The first records of another log 2, which the same key signed: its begin names another log 1.
    other = tmp_path / "other"
    traffic.grow_chain(other, per_day=5)
    reports.zipped(other, tmp_path / "other.zip", period=SPAN)
    with zipfile.ZipFile(tmp_path / "other.zip") as zipped:
        forked = {n: zipped.read(n) for n in zipped.namelist() if n.startswith("logs/0002/")}
        parts = json.loads(zipped.read("report.json"))["parts"]
    gone = {name: None for name in files if name.startswith("logs/0002/")}

    def changed(**parts_: object) -> bytes:
        return json.dumps(report | parts_).encode()

    short = [dict(part) for part in report["parts"]]
    short[0]["stop"] -= 1
    cut = json.loads(files["range.json"])
    cut["stop"] -= 1
    lines = files["records.jsonl"].splitlines(keepends=True)
    cases: dict[str, tuple[dict[str, bytes | None], str]] = {
        "a log in between left out": (
            gone | {"report.json": changed(parts=[report["parts"][0], report["parts"][2]])},
            "log 3 does not follow log 1",
        ),
        "another log in its place": (
            gone
            | forked
            | {"report.json": changed(parts=[report["parts"][0], parts[1], report["parts"][2]])},
            "log 2, record 0: log 1 is not the one that this one goes on from",
        ),
        "the link's record changed": (
            {proof: files[proof].replace(b"extra ", b"extra AAAA", 1)},
            "does not hold a final checkpoint that log 1 signed",
        ),
        "another record in the link's place": (
            {proof: files["logs/0003/proofs/0.tlog-proof"]},
            "does not hold a final checkpoint that log 1 signed",
        ),
        "the end of a log left out": (
            {
                "report.json": changed(parts=short),
                "range.json": json.dumps(cut).encode(),
                "records.jsonl": b"".join(lines[:-1]),
            },
            "not those that the checkpoint signed",
        ),
        "a later log's record changed": (
            {"logs/0002/records.jsonl": files["logs/0002/records.jsonl"].replace(b"o", b"0", 1)},
            "not those that the checkpoint signed",
        ),
    }
    for name, (change, said) in cases.items():
        bad = reports.rewritten(spanning, tmp_path / "bad.zip", change, reports.SIGNER)
        done = run(bad, "--key", KEY)
        assert done.returncode == 1, f"{name}: {done.stdout}"
        assert said in done.stderr, f"{name}: {done.stderr}"


LEFT_OUT = {
    "the end of the first log": (0, 0, -1, "the period has a hole between log 1 and log 2"),
    "the beginning of the period": (0, 1, 0, "of log 1 is of the period and was left out"),
    "the end of the period": (2, 0, -1, "of log 3 is of the period and was left out"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_a_stretch_cannot_be_left_out_with_its_proof(
    chain: Path, run: Run, tmp_path: Path, what: str
) -> None:
    """An archive that is right in each log, made by one who begins late or stops early."""
    at, late, early, said = LEFT_OUT[what]
    from dataclasses import replace

    from sovereign.audit.report import archive
    from sovereign.audit.report.document import build
    from sovereign.audit.report.gather import gather
    from sovereign.audit.report.tally import Tally

    out = tmp_path / "evidence.zip"
    with gather(chain, logs.verifier(), SPAN, key_from="the test") as found:
        part = found.parts[at]
        first = part.range.first + late
        before = part.range.before.extend(
            leaf for _, _, leaf in part.stored.entries(part.range.first, first)
        )
        part.range = replace(part.range, first=first, stop=part.range.stop + early, before=before)
        found.tally = Tally(SPAN.since, SPAN.until, len("2026-07-02"))
        for part in found.parts:
            for index, data, _ in part.stored.entries(part.range.first, part.range.stop):
                found.tally.add(part.past.place(index), data)
        made = build(
            found,
            "hipaa",
            verifier=logs.verifier(),
            key_from="the test",
            made=reports.MADE,
            version="0.0.0",
        )
        archive.write(out, made, found, html="", pdf=None, signer=reports.SIGNER)
    done = run(out, "--key", KEY)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_key_that_is_none_is_not_the_archives_fault(spanning: Path, run: Run) -> None:
    """Said of the option, and as something that was not checked."""
    for options in (("--key", "nope"), ("--key", KEY, "--report-key", "a+b+c")):
        done = run(spanning, *options)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {options[-2]} holds no verifier key: ")
