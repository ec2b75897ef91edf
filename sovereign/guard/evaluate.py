"""How well a guard finds what people have labelled: recall by entity, documents that leak or pass
untouched, false alarms, each with its 95 % confidence interval.

Only letters and digits count, and the entity that a finding names does not: what is found is held
back, whatever it is called. A span is caught when 80 % of it is covered by findings that the policy
acts on. Spans have a tier: ``core`` (must be found), ``quasi`` (dates, places: finding one is
right, missing one no leak), ``ignore``.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError, SovereignError
from sovereign.guard.inspect import Guard
from sovereign.types import Action, Destination

__all__ = ["Document", "Missed", "Rate", "Report", "Span", "Tally", "evaluate", "read", "wilson"]

CAUGHT = 0.8
Z = 1.959963984540054  # 95 %, two-sided


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch: code points of the text."""

    start: int
    end: int
    entity: str
    tier: str = "core"


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what people found in it. ``repr`` shows no text."""

    id: str
    text: str
    spans: tuple[Span, ...]

    def __repr__(self) -> str:
        return f"Document({len(self.text)} characters, {len(self.spans)} spans)"


@dataclass(frozen=True, slots=True)
class Rate:
    """``hits`` of ``total``, with Wilson's interval."""

    hits: int
    total: int

    @property
    def share(self) -> float | None:
        """In [0, 1]; ``None`` of nothing."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the share."""
        return wilson(self.hits, self.total)

    def as_json(self) -> dict[str, Any]:
        """Counts, and per cent with one decimal."""
        low, high = self.interval
        share = None if self.share is None else round(100 * self.share, 1)
        return {
            "hits": self.hits,
            "total": self.total,
            "percent": share,
            "interval": [round(100 * low, 1), round(100 * high, 1)],
        }


@dataclass(frozen=True, slots=True)
class Missed:
    """A span that was not caught. ``text`` is the value itself: confidential. ``repr`` hides it."""

    document: str
    start: int
    end: int
    entity: str
    covered: float
    text: str
    before: str
    after: str

    def __repr__(self) -> str:
        return f"Missed({self.entity}, {self.end - self.start} characters)"


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run. ``recall`` and ``precision`` count characters, the rest spans or
    documents. ``missed`` is filled only if asked for."""

    recall: Rate
    precision: Rate
    leak: Rate
    gate_miss: Rate
    false_alarm: Rate
    entities: Mapping[str, Rate]
    documents: int
    refused: int
    missed: tuple[Missed, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For machines. With missed spans, it says that it is confidential."""
        out: dict[str, Any] = {
            "recall": self.recall.as_json(),
            "precision": self.precision.as_json(),
            "leak": self.leak.as_json(),
            "gate_miss": self.gate_miss.as_json(),
            "false_alarm": self.false_alarm.as_json(),
            "entities": {name: rate.as_json() for name, rate in self.entities.items()},
            "documents": self.documents,
            "refused": self.refused,
        }
        if self.missed:
            out["confidential"] = True
            out["missed"] = [
                {
                    "document": m.document,
                    "start": m.start,
                    "end": m.end,
                    "entity": m.entity,
                    "covered": round(m.covered, 2),
                    "text": m.text,
                }
                for m in self.missed
            ]
        return out


def wilson(hits: int, total: int, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval (1927); of nothing, all of [0, 1]. It holds near 0 and 1, where the
    textbook's interval does not."""
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == total else min(1.0, centre + half)
    return low, high


@dataclass(slots=True)
class Tally:
    """Adds up documents one by one; keeps no text unless ``show_missed``."""

    show_missed: bool = False
    around: int = 30
    refused: int = 0
    documents: int = 0
    _core: list[int] = field(default_factory=lambda: [0, 0])
    _found: list[int] = field(default_factory=lambda: [0, 0])
    _leaks: list[int] = field(default_factory=lambda: [0, 0, 0])
    _clean: list[int] = field(default_factory=lambda: [0, 0])
    _entities: dict[str, list[int]] = field(default_factory=dict)
    _missed: list[Missed] = field(default_factory=list)

    def add(self, document: Document, found: Iterable[Sequence[int]]) -> None:
        """``found``: start and end of each finding that is acted on."""
        text = document.text
        self.documents += 1
        counts = bytes(c.isalnum() for c in text)
        mark, gold = bytearray(len(text)), bytearray(len(text))
        hits = 0
        for span in found:
            s, e = max(0, span[0]), min(len(text), span[1])
            if s < e:
                mark[s:e] = b"\1" * (e - s)
                hits += sum(counts[s:e]) >= 2
        core = leaks = sensitive = False
        for label in document.spans:
            s, e = label.start, min(label.end, len(text))
            gold[s:e] = b"\1" * (e - s)
            sensitive |= label.tier != "ignore"
            size = sum(counts[s:e])
            if label.tier != "core" or not size:
                continue
            core = True
            covered = sum(m and c for m, c in zip(mark[s:e], counts[s:e], strict=True))
            caught = covered >= CAUGHT * size
            self._core[0] += covered
            self._core[1] += size
            entity = self._entities.setdefault(label.entity, [0, 0])
            entity[0] += caught
            entity[1] += 1
            leaks |= not caught
            if not caught and self.show_missed:
                self._missed.append(self._miss(document, label, covered / size))
        for m, c, g in zip(mark, counts, gold, strict=True):
            if m and c:
                self._found[1] += 1
                self._found[0] += g
        if core:
            self._leaks[0] += leaks
            self._leaks[1] += hits == 0
            self._leaks[2] += 1
        if not sensitive:
            self._clean[0] += hits > 0
            self._clean[1] += 1

    def report(self) -> Report:
        """The figures so far."""
        return Report(
            recall=Rate(*self._core),
            precision=Rate(*self._found),
            leak=Rate(self._leaks[0], self._leaks[2]),
            gate_miss=Rate(self._leaks[1], self._leaks[2]),
            false_alarm=Rate(*self._clean),
            entities={name: Rate(*n) for name, n in sorted(self._entities.items())},
            documents=self.documents,
            refused=self.refused,
            missed=tuple(self._missed),
        )

    def _miss(self, document: Document, label: Span, covered: float) -> Missed:
        text, s, e = document.text, label.start, label.end
        before, after = text[max(0, s - self.around) : s], text[e : e + self.around]
        return Missed(document.id, s, e, label.entity, covered, text[s:e], before, after)


def read(path: Path) -> Iterator[Document]:
    """Labelled lines, gzip or not: ``{"id", "text", "spans": [{"s", "e", "t", "tier"}]}``, or
    spans as ``[start, end, entity]``. Raises :class:`ConfigError` that names the line, never its
    text."""
    seen = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    seen += 1
                    yield _document(path, number, line.decode("utf-8"))
    except (OSError, EOFError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: cannot be read ({type(e).__name__})") from None
    if not seen:
        raise ConfigError(f"{path}: no document in it")


def evaluate(
    guard: Guard, documents: Iterable[Document], to: Destination, *, show_missed: bool = False
) -> Report:
    """Inspect each document as a message on its way to ``to``. A document that the guard cannot
    read counts as one in which nothing was found, and as refused."""
    tally = Tally(show_missed)
    for document in documents:
        tally.add(document, found_in(guard, document, to, tally))
    return tally.report()


def found_in(
    guard: Guard, document: Document, to: Destination, tally: Tally
) -> list[tuple[int, int]]:
    """Start and end of what the policy acts on."""
    # Half a surrogate pair cannot be sent, but it can be measured: one character for another.
    text = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in document.text)
    body = {"messages": [{"role": "user", "content": text}]}
    try:
        done = guard.inspect(body, to=to, shape="openai.chat")
    except SovereignError:
        tally.refused += 1
        return []
    return [
        (f.start, f.end)
        for f, action in zip(done.findings, done.verdict.actions, strict=True)
        if action is not Action.ALLOW
    ]


def _document(path: Path, number: int, line: str) -> Document:
    try:
        row = json.loads(line)
        text = row["text"]
        if not isinstance(text, str):
            raise TypeError
        spans = tuple(_span(s, len(text)) for s in row["spans"])
        return Document(str(row.get("id", number)), text, spans)
    except (ValueError, KeyError, TypeError, IndexError):
        raise ConfigError(
            f"{path}: line {number} is no labelled document",
            hint='{"text", "spans": [{"s", "e", "t", "tier"}]}, or spans as [start, end, type]',
        ) from None


def _span(raw: Any, size: int) -> Span:
    if isinstance(raw, dict):
        span = Span(raw["s"], raw["e"], raw["t"], raw.get("tier", "core"))
    else:
        start, end, entity = raw
        span = Span(start, end, entity)
    whole = type(span.start) is int and type(span.end) is int
    if not whole or not 0 <= span.start <= span.end or span.start > size:
        raise ValueError
    if span.tier not in ("core", "quasi", "ignore") or not isinstance(span.entity, str):
        raise ValueError
    return span
