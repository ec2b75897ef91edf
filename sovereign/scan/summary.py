"""A scan in numbers: for a terminal, for a program, and for the report. Tokens and counts only."""

from __future__ import annotations

from dataclasses import asdict

from sovereign.scan.estimate import estimate
from sovereign.scan.state import State
from sovereign.types import JSON

__all__ = ["lines", "summarise"]

MOST = 12  # rows of a table on a terminal


def summarise(state: State, *, known: frozenset[tuple[str, str]] | None = None) -> dict[str, JSON]:
    """Everything that is told of a scan. ``known`` are (entity, token) of an earlier one: what is
    not among them is new."""
    totals = state.totals()
    sent = state.tally("direction", "provider", "host", "model", "entity", "verb")
    entities: dict[str, dict[str, JSON]] = {}
    for (entity, direction, verb), n in state.tally("entity", "direction", "verb"):
        one = entities.setdefault(
            str(entity), {"verb": verb, "sent": 0, "received": 0, "stored": 0}
        )
        one[str(direction)] += n
    for (entity, _), _n in state.tally("entity", "token"):
        entities[str(entity)]["values"] = entities[str(entity)].get("values", 0) + 1
    for one in entities.values():
        n = one["sent"] + one["received"] + one["stored"]
        guess = estimate(n, totals.looked, totals.characters)
        one["findings"] = n
        if totals.looked < totals.characters:
            one["estimate"] = {k: round(v) for k, v in asdict(guess).items()}
    months, untimed = state.months()
    told: dict[str, JSON] = {
        "totals": asdict(totals),
        "entities": dict(sorted(entities.items(), key=lambda e: -e[1]["findings"])),
        "sent_to": _sent(sent),
        "files": [{"file": file, "findings": n} for (file,), n in state.tally("file")[:100]],
        "unread": [
            {"path": path, "member": member, "number": number, "reason": reason}
            for path, member, number, reason in state.unread()
        ],
        "callers": [
            {"caller": caller, "findings": n}
            for (caller,), n in state.tally("caller")[:100]
            if caller is not None
        ],
        "months": months,
        "untimed": untimed,
        "held_back": sum(n for (verb,), n in state.tally("verb") if verb != "allow"),
    }
    if known is not None:
        told["new"] = sum(
            n
            for (entity, token), n in state.tally("entity", "token")
            if (str(entity), str(token)) not in known
        )
    return told


def _sent(rows: list[tuple[tuple[JSON, ...], int]]) -> list[JSON]:
    """What left, by where it went."""
    places: dict[tuple[JSON, ...], dict[str, JSON]] = {}
    for (direction, provider, host, model, entity, _), n in rows:
        if direction != "sent":
            continue
        key = (provider, host, model)
        one = places.setdefault(
            key, {"provider": provider, "host": host, "model": model, "findings": 0, "entities": {}}
        )
        one["findings"] += n
        one["entities"][str(entity)] = one["entities"].get(str(entity), 0) + n
    return sorted(places.values(), key=lambda p: -p["findings"])


def lines(told: dict[str, JSON]) -> list[str]:
    """The summary for a terminal."""
    totals = told["totals"]
    out = [
        f"{totals['done']:,} of {totals['files']:,} files, {totals['bytes'] / 1e6:,.1f} MB, "
        f"{totals['records']:,} records"
    ]
    if totals["looked"] < totals["characters"]:
        share = totals["looked"] / max(1, totals["characters"])
        out.append(f"a sample: {share:.1%} of the text was looked at; ranges are 95 % intervals")
    if told["entities"]:
        out += ["", *_entities(told["entities"])]
    for place in told["sent_to"][:MOST]:
        where = place["host"] or place["provider"] or "a hosted API"
        model = f" ({place['model']})" if place["model"] else ""
        kinds = ", ".join(f"{n:,} {e}" for e, n in list(place["entities"].items())[:4])
        out.append(f"sent to {where}{model}: {kinds}")
    if told["entities"] and not totals["calls"]:
        out += ["", "these files record no calls to model APIs: they do not tell whether it left"]
    if "new" in told:
        out.append(f"{told['new']:,} findings are not in the baseline")
    unread = told["unread"]
    if unread:
        out += ["", f"not read: {len(unread):,}"]
        for one in unread[:MOST]:
            at = one["path"] + (f"!/{one['member']}" if one["member"] else "")
            number = f", {one['number']}" if one["number"] is not None else ""
            out.append(f"  {at}{number}: {one['reason']}")
        if len(unread) > MOST:
            out.append(f"  … and {len(unread) - MOST:,} more")
    return out


def _entities(entities: dict[str, JSON]) -> list[str]:
    rows = [("", "findings", "values", "sent", "stored", "policy")]
    for entity, one in entities.items():
        n = f"{one['findings']:,}"
        if "estimate" in one:
            n += f" (in all {one['estimate']['low']:,}–{one['estimate']['high']:,})"
        inside = one["stored"] + one["received"]
        rows.append(
            (entity, n, f"{one['values']:,}", f"{one['sent']:,}", f"{inside:,}", one["verb"])
        )
    wide = [max(len(r[i]) for r in rows) for i in range(6)]
    return [
        "  ".join(
            [
                r[0].ljust(wide[0]),
                *(c.rjust(w) for c, w in zip(r[1:5], wide[1:5], strict=True)),
                r[5],
            ]
        ).rstrip()
        for r in rows
    ]
