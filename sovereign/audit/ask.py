"""Asks a witness for its cosignature of the newest checkpoint, and keeps it beside the log.

Specification: c2sp.org/tlog-witness#add-checkpoint, the client's side.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from sovereign.audit.anchor import COSIGNED
from sovereign.audit.cosign import Cosignature, WitnessKey, cosignatures
from sovereign.audit.durable import locked, write_whole
from sovereign.audit.note import Checkpoint, split_note
from sovereign.audit.proof import Extension
from sovereign.audit.stored import Stored
from sovereign.audit.tree import consistency_path
from sovereign.errors import AuditError, ConfigError, LogTampered, LogUnavailable

__all__ = ["ask"]

SECONDS = 10.0
MOST_ANSWER = 1 << 16
TRIES = 3


def ask(stored: Stored, folder: Path, url: str, witness: WitnessKey) -> tuple[int, Cosignature]:
    """Have ``witness`` at ``url`` cosign the newest checkpoint; its size and the cosignature.

    The file ``cosigned`` in the log's folder then has its line. Raises :class:`LogTampered` if the
    witness has seen more of this log than there is, or another log of that size.
    """
    note, newest = stored.checkpoint()
    kept = stored.cosigned()
    old = kept[1].size if kept is not None and kept[1].size <= newest.size else 0
    for _ in range(TRIES):
        status, kind, answer = _post(url, str(_extension(stored, old, note, newest)).encode())
        if status != http.client.CONFLICT:
            break
        seen = _size(kind, answer)
        if seen > newest.size:
            raise LogTampered(
                f"{witness.name} has cosigned {seen} records of this log, and here are"
                f" {newest.size} that were signed",
                index=newest.size,
                hint="this log was rolled back: an old copy was put back, or records were removed",
            )
        if seen == old:
            raise LogTampered(
                f"{witness.name} has cosigned other records for the size {seen}",
                hint="the log was forked: two histories were signed with its key",
            )
        old = seen
    if status == http.client.UNPROCESSABLE_ENTITY:
        raise LogTampered(
            f"{witness.name} refuses: the log does not follow what it cosigned before",
            hint="the log was forked or rewritten; `sovereign audit verify`",
        )
    if status != http.client.OK:
        raise AuditError(
            f"{witness.name} answered {status}",
            hint="403 or 404: it was not told this log's key (`sovereign audit key`)",
        )
    return newest.size, _keep(folder, note, answer, witness)


def _extension(stored: Stored, old: int, note: str, newest: Checkpoint) -> Extension:
    inner = 0 < old < newest.size
    hashes = consistency_path(stored.root_of, old, newest.size) if inner else []
    return Extension(old, tuple(hashes), note)


def _keep(folder: Path, note: str, answer: bytes, witness: WitnessKey) -> Cosignature:
    """Add the witness's own line to ``note``; whatever else it answered is dropped."""
    try:
        joined = note + answer.decode("utf-8")
        text, _ = split_note(joined)
    except (UnicodeDecodeError, LogTampered):
        raise AuditError(f"{witness.name} answered with something else than a signature") from None
    if text != split_note(note)[0]:
        raise AuditError(f"{witness.name} answered with something else than a signature")
    lines = [line for line in joined[len(note) :].splitlines(keepends=True) if line]
    for line in lines:
        if made := cosignatures(f"{text}\n{line}", [witness]):
            break
    else:
        raise LogTampered(f"the answer has no cosignature of {witness.name}")
    theirs = f"— {witness.name} "
    kept = [old for old in note[len(text) + 1 :].splitlines(keepends=True) if theirs not in old]
    with locked(folder):
        write_whole(folder / COSIGNED, f"{text}\n{''.join([*kept, line])}".encode(), mode=0o600)
    return made[0]


def _size(kind: str, answer: bytes) -> int:
    """A conflict's body: "the tree size of the latest cosigned checkpoint in decimal"."""
    digits = answer.removesuffix(b"\n")
    if kind != "text/x.tlog.size" or not digits.isdigit() or len(digits) > 19:
        raise AuditError("the witness answered a conflict without saying its size")
    return int(digits)


def _post(url: str, body: bytes) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise ConfigError("a witness is at an http or https URL")
    try:
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=SECONDS)
    except ValueError:
        raise ConfigError("a witness is at an http or https URL") from None
    try:
        path = parts.path.rstrip("/") + "/add-checkpoint"
        connection.request("POST", path, body, {"Content-Type": "text/plain; charset=utf-8"})
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read(MOST_ANSWER)
    except (OSError, http.client.HTTPException) as e:
        raise LogUnavailable(f"witness at {parts.netloc}: {type(e).__name__}") from None
    finally:
        connection.close()
