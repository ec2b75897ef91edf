"""Ordinary requests to a model, with nothing personal: short, imperative, full of words that are
also somebody's name. Without them, a lone word in a short text is taken for a person."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
from pathlib import Path

__all__ = ["Ordinary"]

GROUPS = ("fruit", "colour", "animal", "plant", "thing", "sport", "tool", "brand", "place", "time")
GROUPS += ("virtue",)

FORMS = (
    "{verb} these by {by}: {list}.", "{verb}: {list}", "{verb} {list} by {by}.", "{verb} the following by {by}: {list}",
    "{work}: {sentence}.", "{work}: {sentence}", "{work} this: {sentence}.", "{work} {text}.", "{work} {text} in plain words",
    "{work} {text}: {sentence}.", "{work} to {lang}: {sentence}", "Translate to {lang}: {sentence}", "Translate '{sentence}' into {lang}.",
    "Explain {subject}.", "Explain {subject} to a child.", "What is {subject}?", "Define {subject}", "How does {subject} work?", "tell me about {subject}",
    "Is a {one} a {two}?", "Is {one} better than {two}?", "Compare {one} and {two}.", "{one} or {two}?", "{one} vs {two}", "difference between {one} and {two}",
    "{one} and {two} are {kind}s.", "{one} is a {kind}.", "{one} and {two} are {kind}s; {three} is one too.", "Write a haiku about {one}.", "Write a poem about {one} and {two}",
    "Give me synonyms of {one}", "What rhymes with {one}?", "Name three {kind}s other than {one}.", "Draw a {one} in ASCII", "Where is {place}?", "Plan a weekend in {place} in {time}.",
    "What is the capital of {place}?", "How is the weather in {place} in {time}?", "Best {sport} clubs in {place}", "Write a {tool} function that sorts {fruit}s", "Install {tool} on {tool}",
    "Why is {tool} slow?", "How do I call {tool} from {tool}?", "Migrate from {tool} to {tool}.", "{brand} shares rose in {time}.", "{brand} and {brand} report earnings in {time}", "We switched from {brand} to {brand}.",
    "it will be ready in {time}", "See you in {time}!", "{sentence}.", "{one}", "{one}, {two}", "{list}", "- {one}\n- {two}\n- {three}", "1. {one}\n2. {two}\n3. {three}", "{one}: {two}", "{text}: {sentence}",
    "Act as a {thing} and explain {subject}.", "You are a {tool} expert. {work} {text}.", "Reply with one word: {one} or {two}?", "{verb} {text}", "{subject}", "{work} my {thing}", "the {thing} of {place}",
)  # fmt: skip


class Ordinary:
    """Draws one ordinary request. ``file``: the words, by kind."""

    def __init__(self, rng: random.Random, file: Path) -> None:
        self.rng = rng
        lines = file.read_text(encoding="utf-8").splitlines()
        pairs = (line.split("|", 1) for line in lines if line and line[0] != "#")
        self.words = {kind: words.split(";") for kind, words in pairs}

    def text(self) -> str:
        """In its usual case, or as people type: lower, or with the first letter alone."""
        r = self.rng
        kind = r.choice(GROUPS)
        several = r.sample(sorted(set(self.words[kind])), 6)
        values = {k: r.choice(w) for k, w in self.words.items()}
        values |= dict(zip(("one", "two", "three"), several, strict=False), kind=kind)
        listed = several[: r.randint(2, 6)]
        values["list"] = r.choice((", ", ", ", "; ", " ")).join(listed)
        made = r.choice(FORMS).format_map(values)
        if r.random() < 0.25:
            made = made.lower()
        elif r.random() < 0.3:
            made = made[:1].upper() + made[1:]
        return made if r.random() < 0.8 else f"{made} {r.choice(FORMS).format_map(values)}"
