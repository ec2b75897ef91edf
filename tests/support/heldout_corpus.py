"""The held-out documents: tests/vectors/heldout/*.txt with their marks, as texts and spans.

A file is documents between lines `---`. A document opens with `# id language domain style`; what
follows is its text, in which `[[TYPE|value]]` marks a value and `[[TYPE:check|value]]` one whose
check digits follow a rule of check_digits.py. The set is CC0: see LICENSE beside the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "TIERS", "Document", "Span", "documents", "gold"]

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "heldout"
MARK = re.compile(r"\[\[([A-Z_]+)(?::(\w+))?\|(.+?)\]\]", re.S)
HEADER = re.compile(r"# (\S+) ([a-z]{2}) (\S+) (\S+)")

CORE = (
    "PERSON ADDRESS PHONE FAX EMAIL SSN NATIONAL_ID ACCOUNT IBAN ROUTING CARD MRN MEMBER_ID"
    " POLICY_ID CLAIM_ID CASE_ID EMPLOYEE_ID LICENSE PASSPORT PLATE VIN DEVICE IP MAC URL USERNAME"
    " SECRET TAX_ID PROVIDER_ID BIOMETRIC CRYPTO"
)
TIERS = {
    **dict.fromkeys(CORE.split(), "core"),
    **dict.fromkeys(("ORG", "PLACE", "DATE", "AGE"), "quasi"),
    **dict.fromkeys(("TITLE", "JOB", "NAME"), "ignore"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A marked value: characters `start` to `end` of the text."""

    start: int
    end: int
    type: str
    check: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A text without its marks, and the marks as spans in reading order."""

    id: str
    language: str
    domain: str
    style: str
    text: str
    spans: tuple[Span, ...]


def documents(folder: Path = FOLDER) -> Iterator[Document]:
    """Every document of every file. Raises ValueError at a malformed one, with its file."""
    for path in sorted(folder.glob("*.txt")):
        for block in re.split(r"^---\n", path.read_text(encoding="utf-8"), flags=re.M):
            head, _, body = block.partition("\n")
            header = HEADER.fullmatch(head)
            if header is None:
                raise ValueError(f"{path.name}: not a header: {head!r}")
            yield Document(*header.groups(), *_read(body.removesuffix("\n")))


def gold(document: Document) -> dict[str, object]:
    """The row of a scorer: `{"id", "text", "spans": [{"s", "e", "t", "tier"}]}`."""
    spans = [{"s": x.start, "e": x.end, "t": x.type, "tier": TIERS[x.type]} for x in document.spans]
    return {"id": document.id, "text": document.text, "spans": spans}


def _read(marked: str) -> tuple[str, tuple[Span, ...]]:
    text, at, spans = "", 0, []
    for mark in MARK.finditer(marked):
        text += marked[at : mark.start()]
        spans.append(Span(len(text), len(text) + len(mark[3]), mark[1], mark[2]))
        text, at = text + mark[3], mark.end()
    return text + marked[at:], tuple(spans)
