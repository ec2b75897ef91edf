"""From files to the rows that are trained on and the rows that are asked: read, pass the gate,
deduplicate, split. Each step is counted; torch is not needed.

One person is never on both sides: rows of a ``group`` stay together, and a row that is asked is
never trained on.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import dedup
from sovereign.tune.roll import content_of
from sovereign.tune.rows import Row, iter_rows, spooled

if TYPE_CHECKING:
    from sovereign.tune.gate import Found, Gate
    from sovereign.tune.recipe import Recipe

__all__ = ["Prepared", "each_answer", "prepare"]


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """``train`` and ``held_out`` as the model gets them; ``source`` are the rows of ``train`` as
    they stand in the file; ``general`` are those of ``[general]``. ``counts`` holds numbers only.
    """

    train: Sequence[Row]
    source: Sequence[Row]
    held_out: Sequence[Row]
    sha256: str
    eval_sha256: str | None
    counts: dict[str, int]
    found: Found
    general: Sequence[Row] = ()
    general_sha256: str | None = None

    def __repr__(self) -> str:
        return f"Prepared(train={len(self.train)}, held_out={len(self.held_out)})"

    def private(self, gate: Gate, recipe: Recipe) -> dict[str, Any]:
        """For the record: what the gate saw, in numbers."""
        return {
            "action": recipe.private.action,
            "reason": recipe.private.reason or None,
            "policy": gate.policy,
            "guard_build": gate.build,
            "rows": len(self.found.lines),
            "entities": self.found.entities,
        }


def prepare(recipe: Recipe, gate: Gate) -> Prepared:
    """One row after the other: in memory stay what tells rows apart, and what a spool holds there.
    Raises :class:`TuneError`, which names file and line."""
    digest, counts = hashlib.sha256(), {}
    seen: Counter[str] = Counter()
    rows = _count(seen, "read", iter_rows(recipe.train_file, digest))
    rows = _count(seen, "distinct", dedup.exact(rows))
    if recipe.data.near_duplicates is not None:
        rows = dedup.near(rows, recipe.data.near_duplicates)
    train, asked = spooled(), spooled()
    for row in _count(seen, "unlike", rows):
        (asked if _is_held_out(row, recipe) else train).append(row)
    counts["read"] = seen["read"]
    twice = seen["read"] - seen["distinct"]
    # Two rows that say the same would have twice the epsilon: a private run drops none silently.
    if recipe.data.duplicates == "drop" and recipe.privacy is None:
        counts["duplicates"] = twice
    elif twice:
        raise TuneError(
            f"{recipe.train_file}: {twice} rows are there twice",
            hint='data.duplicates = "drop" keeps the first of each',
        )
    if recipe.data.near_duplicates is not None:
        counts["near_duplicates"] = seen["distinct"] - seen["unlike"]
    eval_digest = hashlib.sha256()
    if recipe.eval_file is not None:
        asked.extend(iter_rows(recipe.eval_file, eval_digest))
    if asked:
        _apart(train, asked, recipe.eval_file or recipe.train_file)
    general: Sequence[Row] = ()
    general_digest = hashlib.sha256()
    if recipe.general is not None and recipe.general.rows is not None:
        file = recipe.resolve(recipe.general.rows)
        every = spooled(iter_rows(file, general_digest))  # to its end: the digest is of the file
        general = list(islice(every, recipe.general.limit))
        _apart(train, general, file)
        general = gate.pass_(general, recipe.private, str(file)).rows
        if len(general) < 2:
            raise TuneError(f"{file}: {len(general)} rows say nothing of what is forgotten")
    if not train:
        raise TuneError(f"{recipe.train_file}: no row is left to train on")
    found = gate.pass_(train, recipe.private, str(recipe.train_file))
    counts["private_dropped"] = found.dropped
    held_out: Sequence[Row] = ()
    if asked:
        where = str(recipe.eval_file or recipe.train_file)
        held_out = gate.pass_(asked, recipe.private, where).rows
    counts["held_out"] = len(held_out)
    each = recipe.data.turns == "each"
    return Prepared(
        train=spooled(each_answer(found.rows)) if each else found.rows,
        # Only stand-ins change what a row says, and they drop none.
        source=train if recipe.private.action == "pseudonymize" else found.rows,
        held_out=held_out,
        sha256=digest.hexdigest(),
        eval_sha256=None if recipe.eval_file is None else eval_digest.hexdigest(),
        counts=counts,
        found=found,
        general=general,
        general_sha256=general_digest.hexdigest() if general else None,
    )


def each_answer(rows: Iterable[Row]) -> Iterator[Row]:
    """A row for every answer, which ends with it and learns nothing else: some templates show an
    earlier answer otherwise than it was asked for."""
    for row in rows:
        for end, message in enumerate(row.messages, 1):
            if message["role"] == "assistant":
                yield replace(row, messages=row.messages[:end], last=True)
        if row.is_text:
            yield row


def _count(seen: Counter[str], name: str, rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        seen[name] += 1
        yield row


def _is_held_out(row: Row, recipe: Recipe) -> bool:
    """By a hash of the group, or of the row: another row in the file moves no other."""
    if not recipe.data.eval_share:
        return False
    key = b"sovereign/split/%d" % recipe.train.seed
    name = content_of(row) if row.group is None else row.group.encode()
    drawn = int.from_bytes(hmac.digest(key, name, "sha256")[:8], "big") / 2**64
    return drawn < recipe.data.eval_share


def _apart(rows: Iterable[Row], asked: Iterable[Row], file: Path) -> None:
    groups: set[str] = set()
    names: set[bytes] = set()
    for row in rows:
        names.add(dedup.name_of(row))
        if row.group is not None:
            groups.add(row.group)
    for row in asked:
        where = f"{file}:{row.line}"
        if row.group in groups:
            raise TuneError(
                f"{where}: its group is trained on too",
                hint="an answer about a person that was learnt says nothing of other persons",
            )
        if dedup.name_of(row) in names:
            raise TuneError(f"{where}: is trained on too", hint="hold it out of data.train")
