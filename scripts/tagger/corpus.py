"""The labelled sets of ``ner_train`` as texts with partial labels, without what we measure on."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tagger.compose import BIT
from tagger.names import Names, Person
from tagger.texts import Text

__all__ = ["HELD_OUT", "WEIGHT", "Sample", "address", "read", "swap"]

HELD_OUT = {"btc-g", "wnut17-dev", "meddocan-dev"}
"""Sources that are also in ``detection/``: measuring sets, never trained on."""

WEIGHT = {
    "litbank": 0.5, "sgd_dialogues": 0.3, "europeana_de": 0.2, "europeana_fr": 0.2, "europeana_nl": 0.2, "synth_addresses": 0.35,
    "nerkor_hu": 0.4, "turku_fi": 0.4, "lener_br": 0.5, "hwu64_home": 0.5, "neg_chat": 0.5, "restaurant8k": 0.4, "snips": 0.4,
    "stockmark_ja": 0.4, "uner_pt": 0.5, "uner_hr": 0.5, "meddocan": 1.0, "neg_code": 1.2, "ronec_ro": 0.6, "btc": 2.6, "wnut17": 3.2,
}  # fmt: skip
"""Share of a set that an epoch sees; sets not named are seen whole."""

MAIL = re.compile(r"[\w.+\-]{1,64}@[\w\-]+(?:\.[\w\-]+)+")
NUMBER = re.compile(
    r"(?:NHC|NASS|CIPA|N\.?º ?Col|NºCol|Nº Col|CIP|Episodio|N\.? ?Col)[.:º ]{1,4}((?=[\w/ \-]*\d)[\w/\-]+(?: \d+)*)"
)
"""What the sets do not label, but say so plainly that a pattern sees it."""

TYPES = {"PERSON": "PERSON", "ADDRESS": "ADDRESS", "ORG": "ORG", "LOC": "LOC"}
CODES = BIT["ID"] | BIT["SECRET"] | BIT["PHONE"] | BIT["EMAIL"] | BIT["USERNAME"]
LANG = {
    "de": "de",
    "fr": "fr",
    "es": "es",
    "pt": "pt",
    "pt-BR": "pt",
    "nl": "nl",
    "fi": "fi",
    "hu": "hu",
    "ro": "ro",
    "ru": "ru",
    "da": "da",
    "sv": "sv",
}


class Sample(Text):
    """A text of a real set. ``rest`` is what other words may be, ``coded`` what words with digits
    or after an at sign may be besides."""

    __slots__ = ("coded", "name", "rest")

    def __init__(self, name: str, text: str, lang: str, rest: int, coded: int) -> None:
        super().__init__(text, [], lang)
        self.name, self.rest, self.coded = name, rest, coded


def read(folder: Path) -> Iterator[Sample]:
    """Every record of every set that we may train on."""
    for entry in json.loads((folder / "manifest.json").read_text()):
        name, complete = entry["name"], set(entry["complete_types"])
        missing = sum(BIT[t] for t in TYPES if t not in complete and not name.startswith("neg_"))
        lang = LANG.get(entry["langs"], "en")
        code = name in ("neg_code", "neg_chat", "restaurant8k", "hwu64_home")
        rest = BIT["O"] | (missing & ~BIT["ADDRESS"])
        coded = BIT["EMAIL"] if code else CODES
        with gzip.open(folder / name / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                r = json.loads(line)
                if r["src"] in HELD_OUT:
                    continue
                s = Sample(name, r["text"], lang, rest, coded)
                s.spans += [(m.start(), m.end(), BIT["EMAIL"]) for m in MAIL.finditer(r["text"])]
                if name == "meddocan":
                    s.spans += [
                        (m.start(1), m.end(1), BIT["ID"]) for m in NUMBER.finditer(r["text"])
                    ]
                home = -1000
                for x in r["spans"]:
                    a, b, t = x["s"], x["e"], x["t"]
                    mask = BIT.get(t, BIT["O"] | BIT["ORG"] | BIT["LOC"])
                    if t == "ADDRESS":
                        home = b
                    elif t == "LOC" and name == "meddocan":
                        lead = r["text"][max(0, a - 24) : a].lower()
                        near = (
                            a - home < 60
                            or "localidad" in lead
                            or "cp:" in lead
                            or "provincia" in lead
                        )
                        mask = BIT["ADDRESS"] if near else BIT["LOC"]
                        home = b if near else home
                    elif (
                        t == "LOC"
                        and "ADDRESS" not in complete
                        and any(c.isdigit() for c in r["text"][a:b])
                    ):
                        mask |= BIT["ADDRESS"]
                    if t == "PERSON" and a and r["text"][:a].rstrip().endswith("@"):
                        mask |= BIT["USERNAME"]
                    s.spans.append((a, b, mask))
                yield s


PRONOUN = re.compile(
    r"\b(?:he|she|him|He|She|HE|SHE|this guy|that guy|this man|my friend|my boss|my sister|my brother|my mom|my dad|this girl|bro)\b"
)


CHAT = (
    "{u}: ",
    "<{u}> ",
    "[{t}] {u}: ",
    "{u}  {t}\n",
    "@{u} ",
    "{u} — {t}\n",
    "{u} wrote:\n",
    "({t}) {u}: ",
    "{t} {u} ",
    "{u}\n",
)
"""How a post is led by who wrote it."""


def address(
    s: Sample, names: Names, rng: random.Random, user: Callable[[Person], str], slang: list[str]
) -> Sample:
    """``s`` with somebody named in it: where a pronoun stood, or spoken to before or after."""
    out = Sample(s.name, "", s.lang, s.rest, s.coded)
    end, person, small = (
        0,
        BIT["PERSON"],
        not any(c.isupper() for c in s.text) or rng.random() < 0.1,
    )

    def name() -> str:
        p = names.person("en")
        x = rng.random()
        n = p.first if x < 0.55 else p.last if x < 0.8 else f"{p.first} {p.last}"
        if small and (p.first in names.words or p.last in names.words):
            return name()
        return n.lower() if small else n

    if rng.random() < 0.15:
        lead, _, tail = (
            rng.choice(CHAT)
            .replace("{t}", f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}")
            .partition("{u}")
        )
        out.add(lead)
        if rng.random() < 0.7:
            out.add(user(names.person("en")), BIT["USERNAME"])
        else:
            out.add(name(), person)
        out.add(tail)

    places = [
        m
        for m in PRONOUN.finditer(s.text)
        if not any(a < m.end() and m.start() < b for a, b, _ in s.spans)
    ]
    before = not places or rng.random() < 0.1
    if before and rng.random() < 0.55:
        out.add(
            rng.choice(
                (
                    "",
                    "",
                    "",
                    "",
                    "hey ",
                    "Hi ",
                    "@ ",
                    "thanks ",
                    "lol ",
                    "So ",
                    "no ",
                    "Poor ",
                    "RT ",
                )
            )
        )
        out.add(name(), person)
        out.add(rng.choice((", ", " ", ": ", "! ", "... ", "? ", " - ", ". ")))
        before = False
    edits = [
        (m.start(), m.end(), person, name())
        if rng.random() < 0.75
        else (m.start(), m.end(), 0, rng.choice(slang))
        for m in places
        if rng.random() < 0.6
    ]
    todo = sorted([(a, b, m, "") for a, b, m in s.spans] + edits)
    for a, b, mask, new in todo:
        if a < end:
            continue
        out.add(s.text[end:a])
        out.add(new or s.text[a:b], mask)
        end = b
    out.add(s.text[end:])
    if before:
        out.add(rng.choice((" ", ", ", "! ", " @ ", "... ", " ty ", " - ", " / via ")))
        if rng.random() < 0.25:
            word = rng.choice(slang if rng.random() < 0.6 else names.words)
            out.add(rng.choice((word, word.lower(), word.title(), word.upper())))
        else:
            out.add(name(), person)
        out.add(rng.choice(("", "", "!", "!!", "?", ".", " lol")))
    return out


def swap(s: Sample, names: Names, rng: random.Random) -> Sample:
    """``s`` with other persons in it: names of the same length in words, one for one."""
    out = Sample(s.name, "", s.lang, s.rest, s.coded)
    end, seen = 0, {}
    for a, b, mask in sorted(s.spans):
        if a < end:
            continue
        old = s.text[a:b]
        out.add(s.text[end:a])
        if mask == BIT["PERSON"] and old and old[0].isalpha() and ord(old[0]) < 0x250:
            if old not in seen:
                p, words = names.person(s.lang), old.split()
                new = (
                    (p.first if rng.random() < 0.55 else p.last) if len(words) == 1 else f"{p.first} {p.last}" if len(words) == 2
                    else f"{p.first} {p.middle} {p.last}" if len(words) == 3 else old
                )  # fmt: skip
                seen[old] = (
                    new.lower()
                    if old.islower()
                    else new.upper()
                    if old.isupper() and len(old) > 3
                    else new
                )
            out.add(seen[old], mask)
        else:
            out.add(old, mask)
        end = b
    out.add(s.text[end:])
    return out
