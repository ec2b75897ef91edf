#!/usr/bin/env python3
"""Check an evidence archive. To be read and run alone: Python 3.11, `cryptography`, nothing else.

    python -I ARCHIVE.zip [--key VKEY] [--report-key VKEY]      (the archive runs this file)
    python -I check.py ARCHIVE.zip [--key VKEY] [--report-key VKEY]

`verify.py` and `tally.py` have to lie beside it, as they do in the archive. They are the toolkit's
files of the same name, byte for byte. A checker that came with the evidence says what its sender
wants it to say: read it, or take these three files from where you trust them.

1. The manifest is signed by the key that was given, or by the one in it; it lists every file of the
   archive with its SHA-256, once, and there are no others, nor any other byte: a program that reads
   the archive from its beginning finds what one finds that reads it from its directory.
2. The checkpoint of each log that has the period is signed by the log's key. (A log that ended goes
   on in another: logs/0002/, under the same key and the name with /2.)
3. The records of the period are those that the checkpoint signed, all of them, in order; the record
   before the first and the one after the last are of another time.
4. Each proof leads from its record to that checkpoint. A consistency proof leads from an older one.
5. The records, counted again, give the counts of the report.
6. The report says that the log was verified, and over those very checkpoints.
7. Of several logs, each one's first record holds the signed checkpoint of the one before it; the
   records go on to the end of that one, and from the beginning of this one.

Exit status: 0 all of it holds, 1 something does not, 2 there is nothing that could be checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -I leaves it out

import tally
import verify
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["main"]

HEAD, SIGNED_BY = "evidence archive of ", "signed by "
LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9._/-]*)")
MANIFEST, RECORDS, REPORT = "manifest", "records.jsonl", "report.json"
MOST, LONGEST = 1 << 27, 1 << 20  # bytes of a file that is read whole, and of a record


class Wrong(Exception):
    """One thing that does not hold."""


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    if not 0 <= index < size:
        return False
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def extends(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2; the empty log is the beginning of every log."""
    if old == 0 or old == size:
        return not path and (old == 0 or old_root == root)
    if old > size or not path:
        return False
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = steps[0]
    for c in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == root


def signed(note: bytes, vkey: str) -> None:
    """c2sp.org/signed-note: that ``note`` has one signature of ``vkey``, and that it is right."""
    key = verify.Key(vkey)
    text, _, block = note.decode("utf-8").rpartition("\n\n")
    found = []
    for line in block.removesuffix("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        signature = verify.unbase64(encoded)
        if (dash, name, signature[:4]) == ("—", key.name, key.id):
            found.append(signature[4:])
    if len(found) != 1:
        raise Wrong("the manifest is not signed by that key")
    public = Ed25519PublicKey.from_public_bytes(verify.unbase64(key.vkey.split("+", 2)[2])[1:])
    try:
        public.verify(found[0], f"{text}\n".encode())
    except InvalidSignature:
        raise Wrong("the manifest's signature is wrong") from None


def digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while part := file.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def exact(zipped: zipfile.ZipFile) -> bool:
    """Whether the file is its members one after another, each under the head that the directory
    says, then the directory, and nothing before, between or after."""
    file, at, directory, large = zipped.fp, 0, 0, zipfile.ZIP64_LIMIT
    assert file is not None
    for entry in zipped.infolist():
        if entry.comment or (entry.extra and max(at, entry.file_size) <= large):
            return False
        directory += 46 + len(entry.filename) + len(entry.extra)
        entry.extra = b""
        heads = [entry.FileHeader(zip64) for zip64 in (None, True)]
        file.seek(at)
        found = file.read(max(map(len, heads)))
        head = next((head for head in heads if found.startswith(head)), None)
        if head is None:
            return False
        at += len(head) + entry.compress_size
    many = len(zipped.infolist()) > zipfile.ZIP_FILECOUNT_LIMIT
    end = at + directory + (98 if many or max(at, directory) > large else 22)
    return (at, file.seek(0, 2), zipped.comment) == (zipped.start_dir, end, b"")


class Archive:
    """Step 1: a ZIP file that holds what its manifest lists, signed by ``signer``."""

    def __init__(self, zipped: zipfile.ZipFile, signer: str | None) -> None:
        self._zip = zipped
        names = [entry.filename for entry in zipped.infolist()]
        if len(names) != len(set(names)):
            raise Wrong("a name is in the archive twice")
        note = self.read(MANIFEST)
        lines = note.decode("utf-8").rpartition("\n\n")[0].split("\n")
        if not lines[0].startswith(HEAD) or not lines[1].startswith(SIGNED_BY):
            raise Wrong("the manifest is not one")
        self.signer = signer or lines[1].removeprefix(SIGNED_BY)
        signed(note, self.signer)
        listed: dict[str, str] = {}
        for line in lines[3:]:
            found = LINE.fullmatch(line)
            if found is None or found[2] in listed:
                raise Wrong("the manifest has a line that names no file, or one twice")
            listed[found[2]] = found[1]
        if {*listed, MANIFEST} != set(names):
            raise Wrong("the archive holds other files than its manifest lists")
        for name, digest in listed.items():
            with zipped.open(name) as file:
                if digest_of(file) != digest:
                    raise Wrong(f"{name} is not what the manifest says")
        if not exact(zipped):
            raise Wrong("the archive holds bytes that belong to none of its files")
        self.names = list(listed)

    def read(self, name: str) -> bytes:
        if self._zip.getinfo(name).file_size > MOST:
            raise Wrong(f"{name} is too large")
        return self._zip.read(name)

    def lines(self, name: str) -> Iterator[bytes]:
        with self._zip.open(name) as file:
            while line := file.readline(LONGEST):
                yield line.removesuffix(b"\n")


def check(archive: Archive, key: str | None) -> Iterator[str]:
    """Steps 2 to 7; what holds, line by line. Raises :class:`Wrong`."""
    report = json.loads(archive.read(REPORT))
    if not report["verification"]["ok"]:
        raise Wrong("the report itself says that the log is not what was signed")
    first = verify.Key(key or archive.read("log.pub").decode())
    if report["log"]["key"] != first.vkey:
        raise Wrong("the report is about the log of another key")
    bucket = len(next(iter(report["counts"]["over_time"]), "2026-01-31"))
    counted = tally.Tally(report["period"]["since"], report["period"]["until"], bucket)
    parts, proofs, before = report["parts"], 0, None
    whole = any(name.endswith(RECORDS) for name in archive.names)
    for part in parts:
        number, folder = part["log"], folder_of(part["log"])
        log = first.of(number)
        try:
            size, root = log.open(archive.read(f"{folder}checkpoint"))
        except ValueError as e:
            raise Wrong(f"the checkpoint: {e}") from None
        if (part["size"], part["root"]) != (size, root.hex()):
            raise Wrong("the report is about another checkpoint")
        yield f"checkpoint of {size} records, signed by {log.vkey}"
        if before is not None:
            link(archive, number, first, before)
            if part["first"] != 0 or before.stop != before.size:
                raise Wrong(f"the period has a hole between log {number - 1} and log {number}")
            yield f"its first record holds the checkpoint of log {number - 1}"
        if whole:
            yield records(archive, part, size, root, counted)
        for name in archive.names:
            if name.startswith(f"{folder}proofs/"):
                prove(archive, folder, name, log, size, root)
                proofs += 1
        before = Before(number, size, root, log.name, part["stop"])
    said = report["checkpoint"]
    if before is None or (said["size"], said["root"]) != (before.size, before.root.hex()):
        raise Wrong("the report is about another checkpoint")
    if sum("proofs/" in name for name in archive.names) != proofs:
        raise Wrong("there are proofs of a log that the report does not name")
    edges(archive, parts, report["period"]["since"], report["period"]["until"])
    if whole:
        again = json.loads(json.dumps(counted.as_dict()))
        if again != report["counts"]:
            wrong = [name for name, value in again.items() if value != report["counts"].get(name)]
            raise Wrong(f"the records give other counts than the report: {', '.join(wrong)}")
        yield "counted again, they give the report's counts"
    else:
        yield "the records themselves are not in this archive: the counts cannot be counted again"
    yield f"{proofs} proofs lead to " + ("it" if len(parts) == 1 else "them")


class Before(NamedTuple):
    """The log before: its checkpoint, and where the period's records stopped."""

    number: int
    size: int
    root: bytes
    name: str
    stop: int


def folder_of(number: int) -> str:
    return "" if number == 1 else f"logs/{number:04}/"


def link(archive: Archive, number: int, first: verify.Key, before: Before) -> None:
    """Step 7. That the proof is one is checked with the others."""
    if number != before.number + 1:
        raise Wrong(f"log {number} does not follow log {before.number}")
    data = proven(archive, number, 0)
    final = verify._Final(before.size, before.root, before.name)
    for problem in verify._link(data, number, first, final):
        raise Wrong(f"log {number}, {problem}")


def proven(archive: Archive, number: int, index: int) -> bytes:
    """A record with a proof in the archive; that the proof is one is checked with the others."""
    name = f"{folder_of(number)}proofs/{index}.tlog-proof"
    if name not in archive.names:
        raise Wrong(f"there is no {name}")
    lines = archive.read(name).decode("utf-8").split("\n")
    if lines[2] != f"index {index}":
        raise Wrong(f"{name} is of another record")
    return bytes(verify.unbase64(lines[1].removeprefix("extra ")))


def edges(archive: Archive, parts: Sequence[dict[str, Any]], since: str, until: str) -> None:
    """Step 3, of the records around the period."""
    around = [(parts[0]["log"], parts[0]["first"] - 1)] if parts[0]["first"] else []
    if parts[-1]["stop"] < parts[-1]["size"]:
        around.append((parts[-1]["log"], parts[-1]["stop"]))
    for number, index in around:
        if since <= tally.time_of(proven(archive, number, index)) < until:
            raise Wrong(f"record {index} of log {number} is of the period and was left out")


def records(
    archive: Archive, part: dict[str, Any], size: int, root: bytes, counted: tally.Tally
) -> str:
    """Steps 3 and 5."""
    number = part["log"]
    proof = json.loads(archive.read(f"{folder_of(number)}range.json"))
    first, stop = proof["first"], proof["stop"]
    if (first, stop) != (part["first"], part["stop"]):
        raise Wrong("the records are of another range than the report")
    peaks = [bytes.fromhex(h) for h in proof["before"]]
    if not 0 <= first <= stop <= size or len(peaks) != first.bit_count():
        raise Wrong("range.json is not a proof")
    at = first
    for line in archive.lines(f"{folder_of(number)}{RECORDS}"):
        peaks = verify.grow(peaks, at, [verify.leaf_hash(line)])
        counted.add(at if number == 1 else f"{number}/{at}", line)
        at += 1
    path = [bytes.fromhex(h) for h in proof["consistency"]]
    if at != stop or not extends(stop, size, verify.root_of(peaks), root, path):
        raise Wrong("the records are not those that the checkpoint signed")
    where = f"{first} to {stop - 1}" if stop > first else f"none before {first}"
    return f"{at - first} records, {where}, are what it signed, all of them"


def prove(
    archive: Archive, folder: str, name: str, log: verify.Key, size: int, root: bytes
) -> None:
    """Step 4: c2sp.org/tlog-proof, or the body of c2sp.org/tlog-witness add-checkpoint."""
    head, _, note = archive.read(name).decode("utf-8").partition("\n\n")
    lines = head.split("\n")
    if note.encode() != archive.read(f"{folder}checkpoint"):
        raise Wrong(f"{name} is under another checkpoint")
    if name.endswith(".consistency"):
        kept = archive.read(name.replace("proofs/from-", "kept/").replace(".consistency", ""))
        old, old_root = log.open(kept)
        path = [verify.unbase64(line) for line in lines[1:]]
        good = lines[0] == f"old {old}" and extends(old, size, old_root, root, path)
    else:
        record = verify.unbase64(lines[1].removeprefix("extra "))
        index = int(lines[2].removeprefix("index "))
        path = [verify.unbase64(line) for line in lines[3:]]
        good = lines[0] == "c2sp.org/tlog-proof@v1" and included(
            verify.leaf_hash(record), index, size, path, root
        )
    if not good:
        raise Wrong(f"{name} does not lead to the checkpoint")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check an evidence archive.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--key", help="the log's verifier key, noted when the log was begun")
    parser.add_argument("--report-key", help="who signed the archive, if not the log's key")
    args = parser.parse_args(argv)
    for option, given in (("--key", args.key), ("--report-key", args.report_key)):
        try:
            if given is not None:
                verify.Key(given)
        except ValueError as e:
            sys.stderr.write(f"error: {option} holds no verifier key: {e}\n")
            return 2
    try:
        with zipfile.ZipFile(args.archive) as zipped:
            archive = Archive(zipped, args.report_key)
            said = [f"{len(archive.names)} files are what the manifest says"]
            said.append(f"the manifest is signed by {archive.signer}")
            if archive.signer not in (args.report_key, args.key):
                said.append("note: that key came with the archive; compare it with one you noted")
            if args.key is None:
                said.append("note: so did the log's key; give --key")
            for line in (*said, *check(archive, args.key)):
                sys.stdout.write(f"{line}\n")
    except Wrong as e:
        sys.stderr.write(f"error: {e}\n")
        return 1
    except (OSError, zipfile.BadZipFile) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    except Exception as e:  # noqa: BLE001 - nested JSON, encryption, methods that nobody has, …
        sys.stderr.write(f"error: the archive is not one of ours: {type(e).__name__}\n")
        return 1
    sys.stdout.write("ok: the report is what the log signed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
