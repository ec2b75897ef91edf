"""Builds a roster's index from a table, in bounded memory: rows are hashed as they are read, hashes
spill into partitions by their leading bits, and each partition is sorted alone. Nothing clear is
written, not even to a temporary file, and the index appears when it is whole."""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.roster import MAGIC, VERSION, Hasher, seal
from sovereign.guard.recognizers.roster_forms import (
    FULL,
    INITIAL,
    MAIL,
    MAILS,
    PART,
    VALUE,
    code_of,
    name_forms,
    phone_forms,
)

__all__ = ["Built", "Column", "build", "columns"]

PARTITIONS: Final = 64
SPILL: Final = 1 << 20
"""Entries that are held before they spill: 9 MB."""

_RECORD = np.dtype([("hash", "<u8"), ("kind", "u1")])
_PER_BUCKET = 4
_PARTS: Final = 200_000

ENTITIES: Final[Mapping[str, str]] = {
    "name": "PERSON",
    "full_name": "PERSON",
    "patient": "PERSON",
    "patient_name": "PERSON",
    "mrn": "MEDICAL_RECORD_NUMBER",
    "medical_record_number": "MEDICAL_RECORD_NUMBER",
    "patient_id": "MEDICAL_RECORD_NUMBER",
    "phone": "PHONE_NUMBER",
    "mobile": "PHONE_NUMBER",
    "tel": "PHONE_NUMBER",
    "email": "EMAIL_ADDRESS",
    "mail": "EMAIL_ADDRESS",
    "ssn": "US_SSN",
    "member_id": "MEMBER_ID",
    "policy_number": "POLICY_NUMBER",
    "claim_number": "CLAIM_NUMBER",
    "account": "ACCOUNT_NUMBER",
    "account_number": "ACCOUNT_NUMBER",
    "iban": "IBAN_CODE",
    "card": "CREDIT_CARD",
    "employee_id": "EMPLOYEE_ID",
    "case_number": "CASE_NUMBER",
    "address": "STREET_ADDRESS",
    "street": "STREET_ADDRESS",
    "username": "USERNAME",
    "license_plate": "IDENTIFIER",
}
"""What a column is by its name, unless ``--columns name=ENTITY`` says so."""

_NOBODY = frozenset({"DATE_OF_BIRTH", "DATE_TIME", "AGE", "GENDER", "LOCATION", "US_POSTAL_CODE"})


@dataclass(frozen=True, slots=True)
class Column:
    """One or more columns of the table, read as one value, and what it is."""

    names: tuple[str, ...]
    entity: str


@dataclass(slots=True)
class Built:
    """What came of a build. ``skipped`` counts values that would point at nobody, by column."""

    rows: int = 0
    entries: int = 0
    size: int = 0
    values: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def columns(spec: str) -> tuple[Column, ...]:
    """``"name,mrn,first+last=PERSON"`` as columns. Raises :class:`ConfigError`."""
    found = []
    for part in filter(None, (p.strip() for p in spec.split(","))):
        left, given, entity = part.partition("=")
        names = tuple(n.strip() for n in left.split("+"))
        if not given:
            key = "name" if len(names) > 1 else re.sub(r"\W+", "_", names[0].lower())
            if key not in ENTITIES:
                raise ConfigError(
                    f"column {left!r}: what is it?", hint=f"--columns {left}=PERSON, for example"
                )
            entity = ENTITIES[key]
        if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", entity) is None:
            raise ConfigError(f"column {left!r}: {entity!r} is no entity", hint="such as PERSON")
        if entity in _NOBODY:
            raise ConfigError(
                f"column {left!r}: a {entity} alone points at nobody, and would flag every text",
                hint="leave it out; a policy's [[combination]] is for these",
            )
        found.append(Column(names, entity))
    if not found:
        raise ConfigError("--columns names no column", hint="--columns name,mrn,phone")
    return tuple(found)


def build(
    source: Path,
    wanted: Sequence[Column],
    out: Path,
    key: bytes,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Built:
    """Write the index ``out`` of the CSV table ``source``. Raises :class:`ConfigError` that names
    the line, never its text."""
    hasher = Hasher(key)
    report = Built()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        spill = _Spill(Path(folder), hasher)
        for row in _rows(source, wanted, progress):
            report.rows += 1
            for column in wanted:
                value = " ".join(row[n] for n in column.names if row[n]).strip()
                if value:
                    forms = _forms(value, column.entity)
                    (report.values if forms else report.skipped)["+".join(column.names)] += 1
                    spill.add(forms, column.entity)
        report.entries = spill.finish()
        if not report.entries:
            raise ConfigError(
                f"{source}: no value that points at anybody",
                hint="names of two words or more; numbers of six characters or more, with a digit",
            )
        report.size = _write(out, Path(folder), spill, hasher, report.entries)
    return report


def _rows(
    source: Path, wanted: Sequence[Column], progress: Callable[[str, int, int], None] | None
) -> Iterator[dict[str, str]]:
    try:
        total = source.stat().st_size
        with source.open(encoding="utf-8-sig", newline="") as file:
            sample = file.readline()
            separator = max(",;\t|", key=sample.count)
            head = next(csv.reader([sample], delimiter=separator), [])
            names = [h.strip() for h in head]
            for name in {n for c in wanted for n in c.names}:
                if name not in names:
                    there = ", ".join(names[:20])
                    raise ConfigError(f"{source}: no column {name!r}", hint=f"columns: {there}")
            # Counted here: a text file that is iterated cannot tell where it is.
            done = len(sample)
            for number, cells in enumerate(csv.reader(file, delimiter=separator), 2):
                if len(cells) != len(names):
                    if not cells:
                        continue
                    raise ConfigError(
                        f"{source}: line {number} has {len(cells)} cells, the head {len(names)}"
                    )
                done += sum(map(len, cells)) + len(cells)
                if progress is not None and number % 5000 == 0:
                    progress(source.name, min(done, total), total)
                yield dict(zip(names, cells, strict=True))
    except OSError as e:
        raise ConfigError(f"{source}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: not UTF-8", hint="iconv -t UTF-8") from None
    except csv.Error as e:
        raise ConfigError(f"{source}: no CSV ({e})") from None


def _forms(value: str, entity: str) -> list[tuple[str, str]]:
    if entity == "PERSON":
        return name_forms(value)
    if entity == "EMAIL_ADDRESS":
        return [(MAIL, value.casefold())] if MAILS.fullmatch(value) else []
    if entity == "PHONE_NUMBER":
        digits = "".join(c for c in value if c.isdecimal())
        plus = value.lstrip().startswith("+")
        return [(VALUE, f) for f in dict.fromkeys(phone_forms(digits, plus)) if 6 <= len(f) <= 16]
    code = code_of(value)
    return [(VALUE, code)] if code else []


class _Spill:
    """Hashes on their way to disk, by partition."""

    def __init__(self, folder: Path, hasher: Hasher) -> None:
        self.folder, self._hash = folder, hasher
        self.kinds: dict[tuple[str, str], int] = {}
        self.lengths: set[int] = set()
        self.tokens = 0
        self._hashes: list[int] = []
        self._kinds: list[int] = []
        self._parts: set[str] = set()

    def path(self, partition: int) -> Path:
        return self.folder / f"{partition}.part"

    def add(self, forms: Sequence[tuple[str, str]], entity: str) -> None:
        for kind, form in forms:
            if kind == PART:
                if form in self._parts:
                    continue
                if len(self._parts) < _PARTS:  # most parts are few names: no need to sort them all
                    self._parts.add(form)
            elif kind in (FULL, INITIAL):
                self.tokens = max(self.tokens, form.count(" ") + 1)
            elif kind == VALUE:
                self.lengths.add(len(form))
            number = self.kinds.setdefault((kind, entity), len(self.kinds))
            if number > 255:
                raise ConfigError("a roster has at most 255 kinds of values")
            self._hashes.append(self._hash(kind, form))
            self._kinds.append(number)
        if len(self._hashes) >= SPILL:
            self._flush()

    def _flush(self) -> None:
        block = np.empty(len(self._hashes), _RECORD)
        block["hash"] = np.array(self._hashes, np.uint64)
        block["kind"] = self._kinds
        self._hashes, self._kinds = [], []
        where = (block["hash"] >> np.uint64(58)).astype(np.int64)
        order = np.argsort(where, kind="stable")
        block, where = block[order], where[order]
        edges = np.searchsorted(where, np.arange(PARTITIONS + 1))
        for p in range(PARTITIONS):
            if edges[p] < edges[p + 1]:
                with self.path(p).open("ab") as file:
                    file.write(block[edges[p] : edges[p + 1]].tobytes())

    def finish(self) -> int:
        """Sort each partition, without doubles; how many entries are left."""
        self._flush()
        self._parts = set()
        total = 0
        for p in range(PARTITIONS):
            block = _distinct(self.read(p))
            total += len(block)
            self.path(p).write_bytes(block.tobytes())
        return total

    def read(self, partition: int) -> Any:
        path = self.path(partition)
        return np.fromfile(path, _RECORD) if path.exists() else np.empty(0, _RECORD)


def _distinct(block: Any) -> Any:
    """Sorted by hash, without doubles. As ``np.unique``, ten times as fast on records."""
    block = block[np.lexsort((block["kind"], block["hash"]))]
    new = np.ones(len(block), np.bool_)
    new[1:] = block["hash"][1:] != block["hash"][:-1]
    new[1:] |= block["kind"][1:] != block["kind"][:-1]
    return block[new]


def _write(out: Path, folder: Path, spill: _Spill, hasher: Hasher, entries: int) -> int:
    """Header, then arrays; first to a temporary file beside ``out``. Returns the size."""
    bits = min(26, max(8, (entries // _PER_BUCKET).bit_length()))
    header: dict[str, Any] = {
        "version": VERSION,
        "entries": entries,
        "bits": bits,
        "kinds": [list(k) for k in spill.kinds],
        "lengths": sorted(spill.lengths),
        "tokens": spill.tokens,
        "check": hasher.check,
    }
    header["digest"] = seal(hasher, header, _body(spill, bits))
    raw = json.dumps(header, sort_keys=True).encode()
    part = folder / "whole"
    with part.open("wb") as file:
        file.write(MAGIC + len(raw).to_bytes(4, "little") + raw)
        for block in _body(spill, bits):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    size = part.stat().st_size
    part.replace(out)
    return size


def _body(spill: _Spill, bits: int) -> Iterator[bytes]:
    """The arrays, block by block."""
    counts = np.zeros((1 << bits) + 1, np.uint32)
    shift = np.uint64(64 - bits)
    for p in range(PARTITIONS):
        buckets = (spill.read(p)["hash"] >> shift).astype(np.int64) + 1
        if len(buckets):
            base = int(buckets[0])
            some = np.bincount(buckets - base)
            counts[base : base + len(some)] += some.astype(np.uint32)
    yield np.cumsum(counts, dtype=np.uint32).astype("<u4").tobytes()
    for p in range(PARTITIONS):
        rest = (spill.read(p)["hash"] >> np.uint64(32 - bits)) & np.uint64(0xFFFFFFFF)
        yield rest.astype("<u4").tobytes()
    for p in range(PARTITIONS):
        yield spill.read(p)["kind"].tobytes()
