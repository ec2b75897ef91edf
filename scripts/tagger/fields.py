"""Labels as people and programs write them: listed ones, and heads put together with tails.

A label is of a kind: what it names decides what its value is, so the same sentence around "claim
number" and around "part number" teaches that the label tells, and not the sentence.
"""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path

__all__ = ["Fields", "key"]


class Fields:
    """``listed[lang][kind]``: whole labels. ``file`` also holds heads, tails and short forms."""

    def __init__(self, file: Path, rng: random.Random) -> None:
        self.rng = rng
        self.listed: dict[str, dict[str, list[str]]] = defaultdict(dict)
        self.parts: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for line in file.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                lang, kind, names = line.split("|", 2)
                into = (
                    self.parts
                    if kind in ("head", "thing", "paper", "tail", "key", "of")
                    else self.listed
                )
                into[lang][kind] = names.split(";")

    def label(self, lang: str, kind: str) -> str:
        """One label. Of ``id``, ``ref`` and ``neutral`` half are put together."""
        r = self.rng
        listed = self.listed[lang].get(kind) or self.listed["en"].get(kind, ["No."])
        part = {"id": "head", "ref": "paper", "neutral": "thing"}.get(kind)
        own = lang if kind in self.listed[lang] or part in self.parts[lang] else "en"
        heads = self.parts[own].get(part or "")
        if heads and r.random() < (0.5 if kind in self.listed[own] else 1.0):
            tail = r.choice(self.parts[own]["tail"])
            made = tail.replace("~", r.choice(heads))
            return made[0].upper() + made[1:] if r.random() < 0.5 else made
        return r.choice(listed)

    def key(self, kind: str) -> str:
        """The name of a field in a program, short forms and all: "acct_no", "mbrId", "CLM_NBR"."""
        r, parts = self.rng, self.parts["en"]
        part = {"id": "head", "ref": "paper", "neutral": "thing"}[kind]
        words = re.findall(r"[a-z0-9]+", r.choice(parts[part]).lower())
        short = {k: v.split(",") for k, _, v in (x.partition("=") for x in parts["key"])}
        words = [r.choice(short[w]) if w in short and r.random() < 0.55 else w for w in words]
        if r.random() < 0.12:
            words.insert(
                0,
                r.choice(
                    (
                        "from",
                        "to",
                        "src",
                        "dst",
                        "old",
                        "new",
                        "primary",
                        "debit",
                        "credit",
                        "payer",
                        "payee",
                        "linked",
                        "parent",
                        "current",
                        "holder",
                        "x",
                        "my",
                    )
                ),
            )
        if r.random() < 0.85:
            words.append(
                r.choice(
                    (
                        "id",
                        "no",
                        "num",
                        "number",
                        "nbr",
                        "nr",
                        "code",
                        "ref",
                        "key",
                        "identifier",
                        "id",
                        "no",
                    )
                )
            )
        return key(" ".join(words), r.randrange(6))


def key(label: str, style: int) -> str:
    """``label`` as a name in one of six styles."""
    words = re.findall(r"[^\W_]+", label.lower()) or ["x"]
    return (
        "_".join(words), words[0] + "".join(w.title() for w in words[1:]), "-".join(words), label, "".join(w.title() for w in words), "_".join(words).upper(),
    )[style]  # fmt: skip
