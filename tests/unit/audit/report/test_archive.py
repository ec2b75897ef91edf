"""The archive, and the program in it that checks it with none of ours."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import logs
import pytest
import reports
import traffic

from sovereign.audit.note import Signer, open_checkpoint
from sovereign.audit.report.gather import Period

KEY = str(logs.verifier())
SECOND = Period("2026-07-02T00:00:00.000Z", "2026-07-03T00:00:00.000Z")


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def made(busy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of one day in the middle of the log."""
    out = tmp_path_factory.mktemp("archive") / "evidence.zip"
    reports.zipped(busy, out, period=SECOND)
    return out


def test_it_opens_and_verifies_without_the_toolkit(made: Path, run: Run) -> None:
    """Only `cryptography`: signatures, records, proofs, and the counts counted again."""
    done = run(made, "--key", KEY)
    assert done.returncode == 0, done.stderr
    assert "counted again, they give the report's counts" in done.stdout
    assert done.stdout.endswith("ok: the report is what the log signed\n")
    with zipfile.ZipFile(made) as zipped:
        proofs = [n for n in zipped.namelist() if n.endswith(".tlog-proof")]
    assert f"{len(proofs)} proofs lead to it" in done.stdout


def test_its_files_run_one_by_one_too(made: Path, bare: Path, tmp_path: Path) -> None:
    """Unpacked, by `python -I check.py`; sha256sum takes the manifest's lines."""
    shutil.unpack_archive(made, tmp_path)
    program = (
        f"import sys; sys.path.append({str(bare)!r}); sys.argv = ['check.py', {str(made)!r}]; "
    )
    program += f"import runpy; runpy.run_path({str(tmp_path / 'check.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "give --key" in done.stdout
    lines = [
        line
        for line in (tmp_path / "manifest").read_text().splitlines(keepends=True)
        if "  " in line
    ]
    summed = subprocess.run(
        ["sha256sum", "-c", "--quiet"], input="".join(lines), text=True, cwd=tmp_path, check=False
    )
    assert summed.returncode == 0


def test_the_same_report_is_the_same_bytes(busy: Path, tmp_path: Path) -> None:
    """Whoever has the log can make it again and compare."""
    first = reports.zipped(busy, tmp_path / "evidence.zip")
    one = (tmp_path / "evidence.zip").read_bytes()
    assert reports.zipped(busy, tmp_path / "evidence.zip") == first
    assert (tmp_path / "evidence.zip").read_bytes() == one


def test_every_kind_of_tampering_is_found(made: Path, run: Run, tmp_path: Path) -> None:
    """Without the key none of it can be signed again; with a key of one's own, it is another's."""
    with zipfile.ZipFile(made) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    proof = next(name for name in files if name.endswith(".tlog-proof"))
    report = json.loads(files["report.json"])
    report["counts"]["refusals"] = {}
    fewer = json.dumps(report).encode()
    lines = files["records.jsonl"].splitlines(keepends=True)
    other = Signer.from_seed(logs.ORIGIN, bytes(32))
    ours = reports.SIGNER
    cases: dict[str, tuple[dict[str, bytes | None], Signer | None, str]] = {
        "a changed page": ({"report.html": b"<p>all is well"}, None, "report.html is not what"),
        "a file that was added": ({"extra.txt": b"x"}, None, "holds other files"),
        "a file that is gone": ({"report.html": None}, None, "holds other files"),
        "signed by another key": ({"report.html": b"x"}, other, "not signed by that key"),
        "other counts": ({"report.json": fewer}, ours, "other counts than the report: refusals"),
        "a record left out": ({"records.jsonl": b"".join(lines[:-1])}, ours, "not those that"),
        "a record changed": (
            {"records.jsonl": b"".join(lines).replace(b"billing", b"filling", 1)},
            ours,
            "not those that the checkpoint signed",
        ),
        "records swapped": (
            {"records.jsonl": b"".join([lines[1], lines[0], *lines[2:]])},
            ours,
            "not those that the checkpoint signed",
        ),
        "a proof of something else": (
            {proof: files[proof].replace(b"index ", b"index 1")},
            ours,
            f"{proof} does not lead",
        ),
        "another log's checkpoint": (
            {"checkpoint": other.sign(f"{logs.ORIGIN}\n5\n{'A' * 43}=\n").encode()},
            ours,
            "the checkpoint",
        ),
        "a report about a log that failed": (
            {"report.json": files["report.json"].replace(b'"ok": true', b'"ok": false')},
            ours,
            "says that the log is not what was signed",
        ),
    }
    for name, (change, sign, said) in cases.items():
        bad = reports.rewritten(made, tmp_path / "bad.zip", change, sign)
        done = run(bad, "--key", KEY, "--report-key", KEY)
        assert done.returncode == 1, f"{name}: {done.stdout}"
        assert said in done.stderr, f"{name}: {done.stderr}"


def test_a_name_that_is_twice_in_the_archive_is_refused(
    made: Path, run: Run, tmp_path: Path
) -> None:
    """One program reads the first, another the last."""
    bad = tmp_path / "bad.zip"
    shutil.copy(made, bad)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bad, "a") as zipped:
        zipped.writestr("report.html", b"<p>all is well")
    done = run(bad, "--key", KEY)
    assert (done.returncode, "twice" in done.stderr) == (1, True)


def test_bytes_that_belong_to_no_file_are_refused(made: Path, check: Run, tmp_path: Path) -> None:
    """Who reads from the beginning, as streams are, would find another page than the checker."""
    whole = made.read_bytes()
    aside = tmp_path / "aside.zip"
    with zipfile.ZipFile(aside, "w") as zipped:
        zipped.writestr("report.html", b"<p>all is well")
        page = zipped.start_dir
    forged = aside.read_bytes()[:page]
    end = whole.rindex(b"PK\x05\x06")
    start = int.from_bytes(whole[end + 16 : end + 20], "little")
    name = whole.index(b"report.html")  # in its own head
    cases = {
        "before": forged + whole,
        "between": whole[:start]
        + forged
        + whole[start : end + 16]
        + (start + len(forged)).to_bytes(4, "little")
        + whole[end + 20 :],
        "after": whole + forged,
        "in the comment": whole[:-2] + len(forged).to_bytes(2, "little") + forged,
        "another size in its head": whole[: name - 12]
        + (1).to_bytes(4, "little")
        + whole[name - 8 :],
    }
    for where, data in cases.items():
        (tmp_path / "bad.zip").write_bytes(data)
        done = check(tmp_path / "bad.zip", "--key", KEY)
        assert done.returncode != 0, where
        assert "Traceback" not in done.stderr, done.stderr


def test_another_name_for_other_programs_is_refused(made: Path, check: Run, tmp_path: Path) -> None:
    """Info-ZIP's Unicode path (0x7075) is a second name, which Python does not read."""
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(bad, "w") as new:
        for entry in old.infolist():
            other = zipfile.ZipInfo(entry.filename)
            if entry.filename == "README.txt":
                crc = zlib.crc32(b"README.txt")
                field = struct.pack("<HHBL", 0x7075, 5 + 11, 1, crc) + b"report.html"
                other.extra = field
            new.writestr(other, old.read(entry))
    done = check(bad, "--key", KEY)
    assert (done.returncode, "belong to none" in done.stderr) == (1, True)


@pytest.mark.parametrize("how", ["nested", "encrypted", "method", "too large"])
def test_an_archive_that_nobody_can_read_is_said(
    made: Path, check: Run, tmp_path: Path, how: str
) -> None:
    """No traceback, and no memory without end."""
    bad = tmp_path / "bad.zip"
    if how == "nested":
        reports.rewritten(made, bad, {"report.json": b"[" * 100_000}, reports.SIGNER)
    elif how == "too large":
        zipped = zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED)
        with zipped, zipped.open("manifest", "w") as file:
            for _ in range(200):
                file.write(bytes(1 << 20))
    else:
        data = bytearray(reports.rewritten(made, bad, {}).read_bytes())
        at = data.index(b"PK\x01\x02")
        for one in (at, data.index(b"PK\x01\x02", at + 1)):
            offset = 8 if how == "encrypted" else 10
            data[one + offset] = 1 if how == "encrypted" else 99
        bad.write_bytes(data)
    done = check(bad, "--key", KEY)
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    if how == "too large":
        assert "manifest is too large" in done.stderr


def test_what_is_no_archive_is_said(check: Run, made: Path, tmp_path: Path) -> None:
    """Exit status 2 if nothing could be checked."""
    (tmp_path / "not.zip").write_bytes(b"PK nothing")
    done = check(tmp_path / "not.zip")
    assert (done.returncode, done.stderr) == (2, "error: File is not a zip file\n")
    bad = reports.rewritten(made, tmp_path / "bad.zip", {"manifest": b"nothing"})
    assert check(bad).returncode == 1


def test_signed_by_a_key_of_its_own_the_log_still_speaks_for_itself(
    busy: Path, run: Run, tmp_path: Path
) -> None:
    """Whoever made the report need not be whoever signs the log."""
    signer = Signer.from_seed("auditor.example/reports", b"r" * 32)
    out = tmp_path / "evidence.zip"
    reports.zipped(busy, out, signer=signer)
    done = run(out, "--key", KEY, "--report-key", str(signer.verifier))
    assert done.returncode == 0, done.stderr
    assert "compare it" not in done.stdout
    assert "that key came with the archive" in run(out, "--key", KEY).stdout
    assert run(out, "--report-key", KEY).returncode == 1
    with zipfile.ZipFile(out) as zipped:
        assert "--report-key" in zipped.read("README.txt").decode()


def test_without_records_the_proofs_remain(busy: Path, run: Run, tmp_path: Path) -> None:
    """And what cannot be done then is said."""
    out = tmp_path / "evidence.zip"
    reports.zipped(busy, out, records=False)
    done = run(out, "--key", KEY)
    assert done.returncode == 0, done.stderr
    assert "cannot be counted again" in done.stdout
    with zipfile.ZipFile(out) as zipped:
        assert "records.jsonl" not in zipped.namelist()


def test_a_checkpoint_kept_elsewhere_is_in_it_with_its_proof(tmp_path: Path, run: Run) -> None:
    """The log begins with what it signed, and the archive shows it."""
    folder = tmp_path / "log"
    traffic.grow(folder, days=1, per_day=10)
    note = (folder / "checkpoint").read_text()
    traffic.grow(folder, days=1, per_day=10, start=traffic.START + 2 * traffic.DAY)
    old = open_checkpoint(note, logs.verifier())
    out = tmp_path / "evidence.zip"
    reports.zipped(folder, out, kept=((note, old),))
    done = run(out, "--key", KEY)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(out) as zipped:
        assert zipped.read(f"kept/{old.size}").decode() == note
    later = (folder / "checkpoint").read_bytes()
    bad = reports.rewritten(out, tmp_path / "bad.zip", {f"kept/{old.size}": later}, reports.SIGNER)
    done = run(bad, "--key", KEY)
    assert (done.returncode, "does not lead" in done.stderr) == (1, True)


def test_an_empty_period_proves_its_neighbours(busy: Path, run: Run, tmp_path: Path) -> None:
    """That there is nothing between two records is a claim too."""
    out = tmp_path / "evidence.zip"
    reports.zipped(busy, out, period=Period("2020-01-01T00:00:00.000Z", "2020-01-02T00:00:00.000Z"))
    done = run(out, "--key", KEY)
    assert done.returncode == 0, done.stderr
    assert "0 records, none before 0" in done.stdout


def test_only_its_owner_reads_it_and_a_failure_leaves_nothing(
    busy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of teams and models are in it."""
    out = tmp_path / "evidence.zip"
    reports.zipped(busy, out)
    assert out.stat().st_mode & 0o777 == 0o600
    before = out.read_bytes()
    monkeypatch.setattr("sovereign.audit.report.gather.Tree.prove", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reports.zipped(busy, out)
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]
