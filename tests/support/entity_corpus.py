"""Reads ``tests/vectors/entities.txt``: sentences for each entity, the value in brackets."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CORPUS", "Entry", "corpus"]

CORPUS = Path(__file__).resolve().parent.parent / "vectors" / "entities.txt"

Entry = tuple[str, str, int, int]
"""Entity, sentence, and where the value begins and ends."""


def corpus() -> list[Entry]:
    """Every line that is no comment."""
    found = []
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        entity, marked = line.split("\t")
        start, end = marked.index("[["), marked.index("]]") - 2
        found.append((entity, marked.replace("[[", "").replace("]]", ""), start, end))
    return found
