"""From files to the rows that are trained on and the rows that are asked: read, pass the gate,
deduplicate, split. Each step is counted; torch is not needed.

One person is never on both sides: rows of a ``group`` stay together, and a row that is asked is
never trained on.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sovereign.errors import TuneError
from sovereign.tune import dedup
from sovereign.tune.roll import content_of
from sovereign.tune.rows import Row, read_rows

if TYPE_CHECKING:
    from sovereign.tune.gate import Found, Gate
    from sovereign.tune.recipe import Recipe

__all__ = ["Prepared", "each_answer", "prepare"]


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """``train`` and ``held_out`` as the model gets them; ``source`` are the rows of ``train`` as
    they stand in the file. ``counts`` holds numbers only."""

    train: tuple[Row, ...]
    source: tuple[Row, ...]
    held_out: tuple[Row, ...]
    sha256: str
    eval_sha256: str | None
    counts: dict[str, int]
    found: Found

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
    """Raises :class:`TuneError`, which names file and line."""
    rows, sha256 = read_rows(recipe.train_file)
    asked: list[Row] = []
    eval_sha256 = None
    if recipe.eval_file is not None:
        asked, eval_sha256 = read_rows(recipe.eval_file)
    counts = {"read": len(rows)}
    # Two rows that say the same would have twice the epsilon: a private run drops none silently.
    if recipe.data.duplicates == "drop" and recipe.privacy is None:
        rows = _counted(counts, "duplicates", rows, dedup.exact(rows))
    elif len(dedup.exact(rows)) < len(rows):
        raise TuneError(
            f"{recipe.train_file}: {len(rows) - len(dedup.exact(rows))} rows are there twice",
            hint='data.duplicates = "drop" keeps the first of each',
        )
    if recipe.data.near_duplicates is not None:
        near = dedup.near(rows, recipe.data.near_duplicates)
        rows = _counted(counts, "near_duplicates", rows, near)
    if recipe.data.eval_share:
        rows, asked = _split(rows, recipe)
    _apart(rows, asked, recipe)
    if not rows:
        raise TuneError(f"{recipe.train_file}: no row is left to train on")
    # Sources by line: the gate may drop rows, and changes what they say.
    source = {row.line: row for row in rows}
    found = gate.pass_(rows, recipe.private, str(recipe.train_file))
    counts["private_dropped"] = found.dropped
    if asked:
        where = str(recipe.eval_file or recipe.train_file)
        asked = list(gate.pass_(asked, recipe.private, where).rows)
    counts["held_out"] = len(asked)
    return Prepared(
        train=tuple(each_answer(found.rows)) if recipe.data.turns == "each" else found.rows,
        source=tuple(source[row.line] for row in found.rows),
        held_out=tuple(asked),
        sha256=sha256,
        eval_sha256=eval_sha256,
        counts=counts,
        found=found,
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


def _counted(counts: dict[str, int], name: str, was: list[Row], now: list[Row]) -> list[Row]:
    counts[name] = len(was) - len(now)
    return now


def _split(rows: list[Row], recipe: Recipe) -> tuple[list[Row], list[Row]]:
    """By a hash of the group, or of the row: another row in the file moves no other."""
    key = b"sovereign/split/%d" % recipe.train.seed
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        name = content_of(row) if row.group is None else row.group.encode()
        drawn = int.from_bytes(hmac.digest(key, name, "sha256")[:8], "big") / 2**64
        sides[drawn < recipe.data.eval_share].append(row)
    return sides


def _apart(rows: list[Row], asked: list[Row], recipe: Recipe) -> None:
    groups = {r.group for r in rows if r.group is not None}
    contents = {content_of(r) for r in rows}
    for row in asked:
        where = f"{recipe.eval_file or recipe.train_file}:{row.line}"
        if row.group in groups:
            raise TuneError(
                f"{where}: its group is trained on too",
                hint="an answer about a person that was learnt says nothing of other persons",
            )
        if content_of(row) in contents:
            raise TuneError(f"{where}: is trained on too", hint="hold it out of data.train")
