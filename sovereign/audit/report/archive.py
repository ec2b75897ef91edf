"""The report, its proofs and what checks them, in one signed ZIP file that needs none of this.

The same log, period and moment give the same bytes. The manifest is a C2SP signed note over the
SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sovereign.audit import verify
from sovereign.audit.durable import staged
from sovereign.audit.export import oscal
from sovereign.audit.note import Checkpoint, Signer
from sovereign.audit.proof import Extension
from sovereign.audit.report import tally
from sovereign.audit.report.framework import load
from sovereign.audit.report.gather import Gathered, Part
from sovereign.errors import AuditError

__all__ = ["write", "write_json"]

CHECK = Path(__file__).with_name("check.py")
"""Never imported here: it is made to run without us."""

HEAD, SIGNED_BY, MANIFEST = "evidence archive of ", "signed by ", "manifest"

_MAIN = """import sys

import check

sys.exit(check.main(sys.argv))  # sys.argv[0] is this archive
"""
_README = """Evidence from the audit log {origin}
{framework}, {since} to {until}

report.html, report.pdf, report.json
    The report. The first two draw what report.json says; report.pdf may be missing.
oscal.json
    The same as OSCAL assessment results, for frameworks that have a catalogue in OSCAL.
checkpoint, log.pub
    Size and root of the log, signed (c2sp.org/tlog-checkpoint), and the log's verifier key.
proofs/
    One file per record (c2sp.org/tlog-proof): it was in the log that the checkpoint signed. And one
    per checkpoint that was kept elsewhere (kept/): the log still begins with what that one signed.
records.jsonl, range.json
    Every record of the period, byte for byte, one a line; and what proves that these are all of
    them, from the first to the last (see check.py). Missing if the report was made without them.
logs/0002/, …
    checkpoint, proofs/, records.jsonl and range.json again, for a later log of the chain: a log
    ends with its quarter, say, and the first record of the next one (proofs/0.tlog-proof) holds its
    final checkpoint. check.py checks those links, too.
manifest
    The SHA-256 of every other file, signed (c2sp.org/signed-note).
check.py, verify.py, tally.py, __main__.py
    What checks all of this, with Python 3.11 and the package cryptography, and nothing else.

To check the archive:

    python -I {name} --key VKEY{more}

where VKEY is the log's verifier key as you noted it when the log was begun, not the one in here.
Whoever sends you a report can send you a checker that agrees with it: check.py, verify.py and
tally.py are short and made to be read. Their SHA-256 are in the manifest, and are those of the same
files of sovereign {version}. Without Python: unzip, then

    grep -E '^[0-9a-f]{{64}}  ' manifest | sha256sum -c

checks the files against the manifest. To check the log itself, or a copy of it:

    python -I verify.py FOLDER --key VKEY --checkpoint checkpoint
"""


def write(
    file: Path,
    document: Mapping[str, Any],
    gathered: Gathered,
    *,
    html: str,
    pdf: bytes | None,
    signer: Signer,
    kept: Sequence[tuple[str, Checkpoint]] = (),
    records: bool = True,
) -> str:
    """Write the archive to ``file``, whole or not at all; its SHA-256 in hex.

    ``kept`` are checkpoints from elsewhere, as notes and what they say. Of a log that failed
    verification there are no proofs, and no records. Raises :class:`LogUnavailable`.
    """
    with staged(file) as opened:
        with zipfile.ZipFile(opened, "w", zipfile.ZIP_DEFLATED) as zipped:
            writer = _Writer(zipped)
            for name, data in _files(document, html, pdf, file.name, signer):
                writer.add(name, (data,))
            if gathered.ok:
                for name, data in _proofs(document, gathered, kept):
                    writer.add(name, (data,))
                for part, said in zip(gathered.parts, document["parts"], strict=True):
                    if not records:
                        continue
                    writer.add(f"{said['folder']}range.json", (_range(part),))
                    entries = part.stored.entries(part.range.first, part.range.stop)
                    lines = (line for _, data, _ in entries for line in (data, b"\n"))
                    writer.add(f"{said['folder']}records.jsonl", lines)
            origin = document["log"]["origin"]
            text = f"{HEAD}{origin}\n{SIGNED_BY}{signer.verifier}\nmade {document['made']}\n"
            # Its first line is no log's origin, and a checkpoint's is: nobody can take this
            # signature for one of a checkpoint, though the key may be the same.
            text += "".join(f"{digest}  {name}\n" for name, digest in writer.digests)
            writer.add(MANIFEST, (signer.sign(text).encode(),))
        opened.seek(0)
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_json(document: Mapping[str, Any]) -> bytes:
    """The document as a file."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _files(
    document: Mapping[str, Any],
    html: str,
    pdf: bytes | None,
    name: str,
    signer: Signer,
) -> Iterator[tuple[str, bytes]]:
    log = document["log"]
    more = "" if str(signer.verifier) == log["key"] else " --report-key THE-KEY-OF-WHO-SIGNED-THIS"
    readme = _README.format(
        origin=log["origin"],
        framework=document["framework"]["name"],
        **document["period"],
        name=name,
        more=more,
        version=document["toolkit"],
    )
    yield "README.txt", readme.encode()
    yield "report.html", html.encode()
    if pdf is not None:
        yield "report.pdf", pdf
    yield "report.json", write_json(document)
    if load(document["framework"]["id"]).oscal != "none":
        yield "oscal.json", oscal.build(document)
    yield "log.pub", f"{log['key']}\n".encode()
    yield "__main__.py", _MAIN.encode()
    for path in (CHECK, Path(tally.__file__), Path(verify.__file__)):
        yield path.name, path.read_bytes()


def _proofs(
    document: Mapping[str, Any], gathered: Gathered, kept: Sequence[tuple[str, Checkpoint]]
) -> Iterator[tuple[str, bytes]]:
    """Each log's checkpoint, and what leads to it."""
    for part, said in zip(gathered.parts, document["parts"], strict=True):
        assert part.checkpoint is not None  # it is verified
        folder, size, name = said["folder"], part.checkpoint.size, part.checkpoint.origin
        yield f"{folder}checkpoint", part.note.encode()
        for planned in document["proofs"]:
            if planned["log"] == said["log"]:
                proof = part.tree.prove(planned["index"], part.note, size)
                yield planned["file"], str(proof).encode()
        older = {c.size: (n, c) for n, c in kept if c.origin == name}
        for note, old in sorted(older.values(), key=lambda k: k[1].size):
            extension = Extension(old.size, part.tree.extends(old.size, size), part.note)
            yield f"{folder}kept/{old.size}", note.encode()
            yield f"{folder}proofs/from-{old.size}.consistency", str(extension).encode()


def _range(part: Part) -> bytes:
    """The frontier before the range, and that the checkpoint's tree begins with the one after it.

    Together with the leaves in between they lead to the signed root, and nothing else does: given
    a size, equal roots mean equal frontiers.
    """
    if part.checkpoint is None:
        raise AuditError("there is no checkpoint to prove a range against")
    where = part.range
    consistency = part.tree.extends(where.stop, part.checkpoint.size)
    return write_json(
        {
            "first": where.first,
            "stop": where.stop,
            "before": [peak.hex() for peak in where.before.peaks],
            "consistency": [h.hex() for h in consistency],
        }
    )


class _Writer:
    """Adds files in the order in which they come; nothing of this machine or moment is in them."""

    def __init__(self, zipped: zipfile.ZipFile) -> None:
        self._zip = zipped
        self.digests: list[tuple[str, str]] = []

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = 3  # Unix, whatever writes it
        entry.external_attr = 0o100644 << 16
        digest = hashlib.sha256()
        with self._zip.open(entry, "w", force_zip64=True) as file:
            for part in parts:
                digest.update(part)
                file.write(part)
        self.digests.append((name, digest.hexdigest()))
