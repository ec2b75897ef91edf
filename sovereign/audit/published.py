"""Checks a whole published chain: every log of it, and that each goes on from the one before."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sovereign.audit.chain import name_of
from sovereign.audit.note import Checkpoint, Verifier
from sovereign.audit.shelf import Shelf
from sovereign.audit.tiles import Checked, Tiles, check
from sovereign.errors import LogTampered

__all__ = ["check_chain"]


def check_chain(
    shelf: Shelf, verifier: Verifier, old: Sequence[Checkpoint] = ()
) -> list[tuple[int, Checked]]:
    """What :func:`sovereign.audit.tiles.check` finds in each log, by its number; ``verifier`` is
    the first one's. ``old`` checkpoints are held against the log that they name."""
    found: list[tuple[int, Checked]] = []
    number = 1
    while number == 1 or shelf.under(str(number)).get("checkpoint") is not None:
        at = shelf if number == 1 else shelf.under(str(number))
        key = Verifier(name_of(verifier.name, number), verifier.key)
        checked = check(at.get, key, [c for c in old if c.origin == key.name])
        if number > 1:
            checked.problems += _link(at, checked, found[-1][1])
        found.append((number, checked))
        number += 1
    named = {name_of(verifier.name, n) for n, _ in found}
    found[-1][1].problems += [
        f"checkpoint {c.size} of {c.origin}: that log is not here"
        for c in old
        if c.origin not in named
    ]
    return found


def _link(shelf: Shelf, checked: Checked, before: Checked) -> list[str]:
    if checked.checkpoint is None or before.checkpoint is None:
        return []  # said already
    final = before.checkpoint
    try:
        first = json.loads(Tiles(shelf.get, checked.checkpoint.size).entries(0)[0])
        link = (first["type"], first["previous"], first["size"], first["root"])
    except (LogTampered, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ["record 0: it does not say which log this one goes on from"]
    if link != ("log.begin", final.origin, final.size, final.root.hex()):
        return [f"record 0: it does not go on from the {final.size} records of {final.origin}"]
    return []
