"""The report as one JSON document. Page and PDF draw this and nothing else, so whoever has the
document has all that they say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sovereign.audit.cosign import WitnessKey, cosignatures
from sovereign.audit.history import parse_place
from sovereign.audit.note import Verifier
from sovereign.audit.report import framework as catalogues
from sovereign.audit.report.gather import Gathered, Part
from sovereign.entities import describe

__all__ = ["FORMAT", "REFUSALS", "build", "place", "ranges"]

FORMAT = "sovereign.report/3"
MOST_PROBLEMS = 100

REFUSALS: dict[str, str] = {
    "audit_unavailable": "the log could not take a record",
    "budget_spent": "the budget of the key or its team was spent",
    "client_gone": "the caller hung up before the request was decided on",
    "engine_down": "the model inside did not run",
    "gateway": "the request did not arrive whole, or was not a request",
    "guard": "it could not be decided on",
    "invalid_api_key": "no key, or one that is unknown, expired or revoked",
    "limits_unavailable": "the limits of the key could not be read",
    "model_not_found": "no destination serves the model",
    "not_found": "a file, batch or conversation that the team does not have here",
    "not_permitted": "the key may not use the model or the destination",
    "overloaded": "the gateway had too much to do",
    "rate_limited": "the key or its team had used what it may for now",
    "recognizer_failed": "a recogniser failed or took too long",
    "refused_by_policy": "the policy blocks what was in it",
    "residual_found": "the check of the outgoing bytes found a value that was held back",
    "too_large": "larger than the gateway inspects",
    "unknown_endpoint": "an endpoint that nobody inspects here",
    "unreadable": "it could not be read",
    "unsupported": "the destination's wire cannot carry it",
    "upstream_failed": "the destination could not be asked",
}
"""The codes of refusals in words; a test holds them against those that the gateway has."""


def build(
    gathered: Gathered,
    framework: str,
    *,
    verifier: Verifier,
    key_from: str,
    made: str,
    version: str,
    kept_elsewhere: int = 0,
    witnesses: tuple[WitnessKey, ...] = (),
) -> dict[str, Any]:
    """The document. ``made`` is when, ``version`` the toolkit's; ``kept_elsewhere`` is how many
    checkpoints from outside the log agreed with it."""
    control_set = catalogues.load(framework)
    counts = gathered.tally.as_dict()
    verification = gathered.verification.as_dict()
    problems = verification["problems"]
    verification |= {
        "problems": problems[:MOST_PROBLEMS],
        "problems_in_all": len(problems),
        "ok": gathered.ok,
        "unreadable": len(gathered.faults),
    }
    last = gathered.parts[-1]
    cosigned = cosignatures(last.note, list(witnesses)) if last.note else []
    document: dict[str, Any] = {
        "format": FORMAT,
        "made": made,
        "toolkit": version,
        "period": asdict(gathered.period),
        "log": {
            "origin": verifier.name,
            "key": str(verifier),
            "fingerprint": hashlib.sha256(verifier.key.public_bytes_raw()).hexdigest(),
            "key_from": key_from,
            "oldest": gathered.oldest,
            "newest": last.newest,
        },
        "verification": verification,
        "checkpoint": None
        if last.checkpoint is None
        else {
            "size": last.checkpoint.size,
            "root": last.checkpoint.root.hex(),
            "cosigned": [{"witness": c.witness, "seconds": c.seconds} for c in cosigned],
            "not_cosigned": sorted({w.name for w in witnesses} - {c.witness for c in cosigned}),
            "kept_elsewhere": kept_elsewhere,
        },
        "parts": [_part(part) for part in gathered.parts],
        "uncovered": sum(part.uncovered for part in gathered.parts),
        "counts": counts,
        "entities_in_words": {name: describe(name) for name in counts["entities"]},
        "refusals_in_words": {code: REFUSALS.get(code, "") for code in counts["refusals"]},
        "totals": _totals(counts),
    }
    document["framework"] = {
        "id": framework,
        "name": control_set.name,
        "source": control_set.source,
        "edition": control_set.edition,
        "note": control_set.note,
        "catalogue_sha256": catalogues.digest(framework),
    }
    document["controls"] = [_control(c, document) for c in control_set.control]
    document["note"] = last.note
    document["proofs"] = _proofs(document) if gathered.ok else []
    document["gaps"] = [
        *_found_gaps(document),
        *(f"This log cannot show {g}." for g in control_set.gaps),
    ]
    return document


def _totals(counts: dict[str, Any]) -> dict[str, int]:
    spans = counts["spans"]
    return {
        name: spans.get(name, [0])[0]
        for name in ("decisions", "allowed", "changed", "kept_local", "local", "refused", "results")
    }


def _control(control: catalogues.Control, document: dict[str, Any]) -> dict[str, Any]:
    evidence = [_evidence(name, document) for name in control.evidence]
    if not document["verification"]["ok"]:
        state = "not verified"
    elif any(e["count"] for e in evidence):
        state = "evidence"
    else:
        state = "none in this period"
    return {
        "id": control.id,
        "title": control.title,
        "asks": control.asks,
        "shows": control.shows,
        "state": state,
        "evidence": evidence,
        "gaps": list(control.gaps),
    }


def _evidence(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """A count with the indices of its first and last record, or a sentence with a count of 0."""
    if name in catalogues.SPECIAL:
        text, good = {
            "verification": _verified,
            "completeness": _complete,
            "retention": _retained,
        }[name](document)
        return {"name": name, "text": text, "count": int(good), "first": None, "last": None}
    count, first, last = document["counts"]["spans"].get(name, (0, None, None))
    return {
        "name": name,
        "text": catalogues.LABELS[name],
        "count": count,
        "first": first,
        "last": last,
    }


def _proofs(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Which records the archive proves one by one: the first and last of each evidence, and those
    at the edges of the period."""
    why: dict[tuple[int, int], list[str]] = {}
    parts = document["parts"]
    if parts[0]["first"]:
        before = parts[0]["log"], parts[0]["first"] - 1
        why.setdefault(before, []).append("the record before the period")
    for part in parts[1:]:
        words = f"it goes on from log {part['log'] - 1}, and holds that log's final checkpoint"
        why.setdefault((part["log"], 0), []).append(words)
    if parts[-1]["stop"] < parts[-1]["size"]:
        after = parts[-1]["log"], parts[-1]["stop"]
        why.setdefault(after, []).append("the record after the period")
    for control in document["controls"]:
        for evidence in control["evidence"]:
            for named in (evidence["first"], evidence["last"]):
                if named is None:
                    continue
                log, index = parse_place(str(named))
                reasons = why.setdefault((log or 1, index), [])
                if evidence["text"] not in reasons:
                    reasons.append(evidence["text"])
    folders = {part["log"]: part["folder"] for part in parts}
    return [
        {
            "log": log,
            "index": index,
            "place": index if log == 1 else f"{log}/{index}",
            "why": "; ".join(words),
            "file": f"{folders[log]}proofs/{index}.tlog-proof",
        }
        for (log, index), words in sorted(why.items())
    ]


def _part(part: Part) -> dict[str, Any]:
    """One log of the period; its files in the archive lie in ``folder``, as they do in the chain's.
    A log whose checkpoint cannot be believed has no root."""
    number, checkpoint = part.past.number, part.checkpoint
    return {
        "log": number,
        "folder": "" if number == 1 else f"logs/{number:04}/",
        "origin": part.past.verifier.name,
        "size": checkpoint.size if checkpoint is not None else 0,
        "root": checkpoint.root.hex() if checkpoint is not None else None,
        "first": part.range.first,
        "stop": part.range.stop,
    }


def place(named: int | str) -> str:
    """A record's number for people; in a later log, both."""
    return f"{named:,}" if isinstance(named, int) else named


def ranges(document: Mapping[str, Any]) -> str:
    """Which records were read, in words; empty if there is none."""
    said = []
    for part in document["parts"]:
        if part["first"] < part["stop"]:
            log = "" if part["log"] == 1 else f"{part['log']}/"
            said.append(f"{log}{part['first']:,} to {log}{part['stop'] - 1:,}")
    return ", ".join(said)


def _verified(document: dict[str, Any]) -> tuple[str, bool]:
    v, checkpoint = document["verification"], document["checkpoint"]
    if not v["ok"]:
        return "the log failed verification", False
    return (
        f"all {v['size']:,} records recomputed; {v['covered']:,} are under checkpoints, those"
        f" of the period under the one with root {checkpoint['root'][:16]}…"
        + (" and the final ones before it, linked" if len(document["parts"]) > 1 else ""),
        True,
    )


def _complete(document: dict[str, Any]) -> tuple[str, bool]:
    v, counts = document["verification"], document["counts"]
    lost, missing = v["declared_lost"], counts["numbers_missing"]
    if not v["ok"]:
        return "cannot be said of a log that failed verification", False
    if lost or missing:
        return f"{lost:,} records are declared lost in the whole log, see Completeness", False
    return (
        f"{v['sources']:,} processes wrote the log and numbered their records: no number is"
        f" missing in the whole log; records read: {ranges(document) or 'none'}",
        True,
    )


def _retained(document: dict[str, Any]) -> tuple[str, bool]:
    oldest = document["log"]["oldest"]
    return (f"the oldest record is of {oldest[:10]}" if oldest else "the log is empty"), bool(
        oldest
    )


def _found_gaps(document: dict[str, Any]) -> list[str]:
    """What is missing in this log and this period, most serious first."""
    v, counts, log = document["verification"], document["counts"], document["log"]
    period, checkpoint = document["period"], document["checkpoint"]
    gaps = []
    deleted = any(part["state"] == "deleted" for part in v["logs"])
    begins = "Older records were deleted; what is left" if deleted else "The log"
    if not v["ok"]:
        gaps.append(
            "The log is not what was signed. No count in this report is vouched for by anybody."
        )
    if v["unreadable"]:
        gaps.append(f"{v['unreadable']:,} records could not be read, and are in no count.")
    if not counts["records"]:
        gaps.append("The log has no record of this period at all, not even a heartbeat.")
    elif log["oldest"] > period["since"]:
        gaps.append(
            f"{begins} begins at {log['oldest']}: of the period before it, it shows nothing."
        )
    if log["newest"] < period["until"]:
        gaps.append(
            f"The last record read is of {log['newest'] or '(none)'}; the period ends later."
        )
    if counts["lost"]:
        gaps.append(f"{counts['lost']:,} records were lost in this period, as log.gap declares.")
    if counts["numbers_missing"]:
        gaps.append(f"{counts['numbers_missing']:,} numbers of sources are missing in the range.")
    if counts["silences"]:
        seconds, start, _ = counts["silences"][0]
        gaps.append(
            "There are silences in which no source wrote anything, not even a heartbeat; the"
            f" longest is {duration(seconds)} from {start}. Nothing ran then, or what ran did not"
            " write."
        )
    if document["uncovered"]:
        gaps.append(
            f"{document['uncovered']:,} records of this period are not yet under a checkpoint, and"
            " are in no count."
        )
    if counts["strays"]:
        gaps.append(
            f"{counts['strays']:,} records stand between those of this period, but their clocks say"
            " another time; they are in no count."
        )
    unsearchable = document["totals"]["decisions"] - sum(
        counts["spans"].get(name, [0])[0] for name in ("with_tokens", "refused_before")
    )
    if unsearchable:
        gaps.append(
            f"{unsearchable:,} decisions carry no tokens (made without the token key): a search by"
            " value cannot answer for them."
        )
    unanswered = document["totals"]["decisions"] - document["totals"]["refused"]
    unanswered -= document["totals"]["results"]
    if unanswered > 0:
        gaps.append(
            f"{unanswered:,} requests have no recorded result in this period: they may have been"
            " sent, and how they ended is not known."
        )
    for name in checkpoint["not_cosigned"] if checkpoint is not None else ():
        gaps.append(f"The witness {name} has not cosigned the newest checkpoint.")
    if checkpoint is not None and not checkpoint["kept_elsewhere"] and not checkpoint["cosigned"]:
        gaps.append(
            "No checkpoint kept elsewhere and no witness's key was given: whether the whole log"
            " was rolled back, or rewritten by the holder of its key, was not checked."
        )
    return gaps


def duration(seconds: int) -> str:
    """The two largest units."""
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        n, seconds = divmod(seconds, size)
        if n:
            parts.append(f"{n} {unit}")
    return " ".join(parts[:2]) or "0 s"
