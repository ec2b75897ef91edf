"""Labelled texts from carriers and forms: text, spans, and what each span may be.

A mask is a set of labels, bit i for ``LABELS[i]``; a span of several labels is a partial label:
the loss asks only that their probabilities sum to one.
"""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tagger.fields import Fields, key
from tagger.names import CASES, OTHER, Person, inflect
from tagger.neutral import Neutral
from tagger.texts import Text
from tagger.values import Values

from sovereign.guard.recognizers.tagger.net import LABELS

__all__ = ["BIT", "Composer", "Text", "carriers"]

BIT = {label: 1 << i for i, label in enumerate(LABELS)}
O = BIT["O"]  # noqa: E741
UNSURE = O | BIT["ID"]
SLOT = re.compile(r"\{(last4|[LK]|[a-z]+)(\d*)\}")
KINDS = ("id", "ref", "neutral", "phone", "user", "pw", "key", "email", "dob", "name", "street")
KIND_WEIGHTS = (58, 8, 17, 3, 4, 4, 3, 2, 1, 1, 1)
"""What a sentence's label may be about, and how often."""
PUT_TOGETHER = ("id", "ref", "neutral")
PERSONAL = {"n", "f", "l", "m", "i", "lf", "li", "in", "t", "tt", "u", "e"}
TITLES = {
    "en": ("Dr.", "Mr.", "Mrs.", "Ms.", "Dr", "Mr", "Ms", "Prof."), "de": ("Herr", "Frau", "Dr.", "Herrn", "Prof. Dr."),
    "fr": ("M.", "Mme", "Dr", "Monsieur", "Madame"), "es": ("Sr.", "Sra.", "Dr.", "Dra.", "D.", "Doña"),
    "it": ("Sig.", "Sig.ra", "Dott.", "Dr."), "pt": ("Sr.", "Sra.", "Dr.", "Dra."), "nl": ("dhr.", "mevr.", "dr.", "mevrouw"),
    "pl": ("Pan", "Pani", "dr", "lek."),
}  # fmt: skip


def carriers(file: Path) -> list[tuple[str, str]]:
    """(language, text) of a carrier file."""
    out = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("# "):
            continue
        lang, sep, text = line.partition("|")
        if not sep or len(lang) != 2:
            lang, text = "en", line
        out.append((lang, text.replace("\\n", "\n").replace("\\t", "\t")))
    return out


class Composer:
    """Fills carriers and builds forms."""

    def __init__(self, values: Values, neutral: Neutral, rng: random.Random, labels: Path) -> None:
        self.v, self.neutral, self.rng = values, neutral, rng
        self.fields = Fields(labels, rng)
        self.langs = [k for k in self.fields.listed if k != "en"]

    def fill(self, lang: str, carrier: str, *, firm: bool = True) -> Text:
        """``carrier`` with its slots filled. ``firm``: whether {id} is surely an identifier."""
        out, people, end = Text(lang=lang), defaultdict(lambda: self.v.names.person(lang)), 0
        caps = self.rng.random() < 0.05
        kinds: dict[str, str] = {}
        for m in SLOT.finditer(carrier):
            out.add(carrier[end : m.start()])
            end = m.end()
            if m[1] in "LKv":
                self._pair(out, m[1], m[2], kinds, people["holder"])
                continue
            self.slot(
                out, m[1], people[m[2] or str(m.start())] if m[1] in PERSONAL else None, firm, caps
            )
        out.add(carrier[end:])
        return out

    def _pair(self, out: Text, slot: str, index: str, kinds: dict[str, str], p: Person) -> None:
        """A label, or the value that belongs to it. A value without a label of its own is of the
        kind of the first."""
        r, lang = self.rng, out.lang
        if slot == "v":
            kind = kinds.get(index) or next(iter(kinds.values()), "id")
            if kind == "neutral":
                out.add(self.neutral.code())
            else:
                value, mask = self.value(kind, p, lang, home=True)
                out.add(value, mask)
            return
        kind = kinds.setdefault(index, r.choices(KINDS, KIND_WEIGHTS)[0])
        if slot == "K" and kind in PUT_TOGETHER and r.random() < 0.7:
            out.add(self.fields.key(kind))
            return
        label = self.fields.label(lang, kind)
        if slot == "K":
            label = key(label, r.randrange(6))
        elif label[1:2].islower() and r.random() < 0.6 and lang != "de":
            label = label[0].lower() + label[1:]
        elif r.random() < 0.08:
            label = label.upper()
        out.add(label)

    def _spelled(self, out: Text, name: str) -> None:
        """A name said letter by letter after it."""
        r = self.rng
        out.add(
            r.choice(
                (
                    ", that's ",
                    ", spelled ",
                    " (",
                    ", ",
                    " - ",
                    " spelled ",
                    " thats ",
                    " yes ",
                    " so ",
                )
            )
        )
        letters = [c for c in r.choice((name.upper(), name.lower(), name)) if c.isalpha()]
        mark = r.choice(("-", "-", " ", " ", ". ", ", ", " dash "))
        if r.random() < 0.2:
            letters = [
                f"{c} {r.choice(('as in', 'for', 'like'))} {r.choice(self.v.names.any_first).lower()}"
                if r.random() < 0.4
                else c
                for c in letters
            ]
        out.add(mark.join(letters), BIT["PERSON"])

    def slot(self, out: Text, kind: str, p: Person | None, firm: bool, caps: bool = False) -> None:
        """One slot's value, labelled."""
        r, v, lang = self.rng, self.v, out.lang
        person = BIT["PERSON"]
        if (
            p is not None
            and kind in ("n", "f", "l")
            and lang in CASES
            and r.random()
            < (0.25 if lang in ("pl", "cs", "hr", "ru", "uk", "fi", "hu", "tr") else 0.02)
        ):
            p = inflect(p, lang, r)
        if p is not None and kind in PERSONAL - {"u", "e"}:
            last = p.last.upper() if caps else p.last
            if kind in ("n", "m", "lf", "i", "li") and lang in ("ja", "zh", "ko"):
                out.add(last + r.choice(("", "", " ") if lang == "ja" else ("",)) + p.first, person)
            elif kind == "n":
                x = r.random()
                name = (
                    f"{p.first} {last}" if x < 0.86 else f"{p.first} {p.middle[0]}. {last}" if x < 0.92
                    else f"{p.first} {p.middle} {last}" if x < 0.97 else f"{p.first[0]}. {last}"
                )  # fmt: skip
                out.add(name, person)
            elif kind == "f":
                out.add(p.first, person)
            elif kind == "l":
                out.add(last, person)
            elif kind == "m":
                out.add(f"{p.first} {r.choice([p.middle, p.middle[0] + '.'])} {last}", person)
            elif kind == "i":
                out.add(f"{p.first[0]}{r.choice(['. ', '.', ' '])}{last}", person)
            elif kind == "lf":
                out.add(
                    f"{last}, {p.first}" + (f" {p.middle[0]}." if r.random() < 0.15 else ""), person
                )
            elif kind == "li":
                out.add(f"{last}, {p.first[0]}.", person)
            elif kind == "in":
                out.add(
                    r.choice(
                        (
                            f"{p.first[0]}.{p.last[0]}.",
                            f"{p.first[0]}{p.last[0]}",
                            f"{p.first[0]}. {p.last[0]}.",
                        )
                    ).upper(),
                    person,
                )
            else:
                out.add(r.choice(TITLES.get(lang, TITLES["en"])))
                if kind == "t":
                    out.add(" ")
                    out.add(r.choice((last, f"{p.first} {last}")), person)
            if kind in ("n", "f", "l") and r.random() < 0.012 and lang not in OTHER:
                self._spelled(out, p.first if kind == "f" else p.last)
        elif kind == "u" and p is not None:
            out.add(v.user(p), BIT["USERNAME"])
        elif kind == "e" and p is not None:
            out.add(v.email(p), BIT["EMAIL"])
        elif kind == "em":
            out.add(v.email(v.names.person(lang)), BIT["EMAIL"])
        elif kind == "adr":
            out.add(v.address(lang), BIT["ADDRESS"])
        elif kind == "str":
            out.add(v.street(lang), BIT["ADDRESS"])
        elif kind == "city":
            out.add(v.place(lang)[2] if r.random() < 0.5 else r.choice(v.cities), BIT["LOC"])
        elif kind == "org":
            out.add(v.org(), BIT["ORG"])
        elif kind in ("id", "pass", "vin", "plate"):
            value = {
                "id": v.ident, "plate": v.plate,
                "pass": lambda: v.pattern(r.choice(("A########", "AA#######", "#########", "A#AAA#####", "AA ######", "##AA#####"))),
                "vin": lambda: v.pattern("#AAAA##A#AA######" if r.random() < 0.5 else "AAAAA##A##A######"),
            }[kind]()  # fmt: skip
            out.add(value, BIT["ID"] if firm else UNSURE)
        elif kind == "pw":
            out.add(v.secret(), BIT["SECRET"])
        elif kind == "key":
            out.add(v.key(), BIT["SECRET"])
        elif kind == "ph":
            out.add(v.phone(), BIT["PHONE"])
        elif kind in ("last4", "ip"):
            out.add(v.filler(kind), UNSURE)
        else:
            out.add(v.filler(kind))

    def value(self, kind: str, p: Person, lang: str, *, home: bool) -> tuple[str, int]:
        """A form field's value and what it is."""
        v, r = self.v, self.rng
        t = Text(lang=lang)
        if kind == "name":
            self.slot(
                t, r.choice(("n", "n", "n", "n", "lf", "m", "i", "f")), p, True, r.random() < 0.1
            )
        elif kind in ("first", "last"):
            self.slot(t, kind[0], p, True, kind == "last" and r.random() < 0.08)
        elif kind == "addr":
            t.add(v.address(lang).replace("\n", ", "), BIT["ADDRESS"])
        elif kind in ("city", "zip"):
            _, code, town, _ = v.place(lang)
            t.add(town if kind == "city" else code, BIT["ADDRESS"] if home else BIT["LOC"] | O)
        elif kind in ("dob", "date"):
            t.add(v.date())
        elif kind == "dx":
            t.add(v.filler(r.choice(("dx", "drug"))))
        elif kind == "misc":
            t.add(
                r.choice(
                    (
                        "M",
                        "F",
                        v.filler("num"),
                        "active",
                        "high",
                        "open",
                        v.filler("code"),
                        "yes",
                        "none",
                        "EN",
                    )
                )
            )
        else:
            slot = {"street": "str", "phone": "ph", "email": "e", "user": "u"}.get(kind, kind)
            self.slot(t, slot, p, True)
        return t.text, t.spans[0][2] if t.spans else 0

    def form(self) -> Text:
        """A document of fields, in one of many dresses."""
        r = self.rng
        lang = "en" if r.random() < 0.5 else r.choice(self.langs)
        have = [k for k in self.fields.listed[lang] if k != "id"]
        n = r.randint(1, 8)
        chosen = r.sample(have, min(n, len(have))) + ["id"] * r.choice((0, 1, 1, 2, 3))
        if r.random() < 0.6 and "name" not in chosen:
            chosen.append("name")
        chosen += ["neutral"] * r.choice((0, 0, 0, 1, 1, 2))
        if r.random() < 0.05:
            chosen = ["neutral"] * r.randint(1, 4)
        r.shuffle(chosen)
        style = r.choice(self.STYLES)
        coded = style in (Composer.mapping, Composer.table) and r.random() < 0.6
        keys = [(k, self._label(lang, k, coded=coded)) for k in chosen]
        home = any(k in ("addr", "street", "name", "first", "last") for k in chosen)
        return style(self, lang, keys, home)

    def _label(self, lang: str, kind: str, *, coded: bool) -> str:
        if coded and kind in PUT_TOGETHER:
            return self.fields.key(kind)
        if kind == "neutral" and self.rng.random() < 0.5:
            return self.rng.choice(self.neutral.w["label"])
        return self.fields.label(lang, kind)

    def _fields(
        self, lang: str, keys: list[tuple[str, str]], home: bool
    ) -> list[tuple[str, str, int]]:
        p, r = self.v.names.person(lang), self.rng
        return [
            (label, self.neutral.code(), 0) if k == "neutral"
            else (label, self.neutral.holder(), 0) if r.random() < 0.06
            else (label, *self.value(k, p, lang, home=home))
            for k, label in keys
        ]  # fmt: skip

    def lines(self, lang: str, keys: list[tuple[str, str]], home: bool) -> Text:
        r, t = self.rng, Text(lang=lang)
        colon = r.choice((": ", ": ", ": ", ":", " : ", " = ", " - ", "\t", "  ", ":\n", " "))
        end = r.choice(("\n", "\n", "\n", "\n\n", "  ", ", ", "; ", " | ", ".\n", " "))
        before, after = r.choice(
            (("", ""),) * 6 + (("**", "**"), ("- ", ""), ("* ", ""), ("[", "]"), ("• ", ""))
        )
        case = r.choice((str, str, str, str, str.upper, str.lower, str.title))
        for label, value, mask in self._fields(lang, keys, home):
            t.add(before + case(label) + after + colon)
            t.add(value, mask)
            t.add(end)
        return t

    def mapping(self, lang: str, keys: list[tuple[str, str]], home: bool) -> Text:
        """JSON, YAML, XML, code, log pairs, queries."""
        r, t = self.rng, Text(lang=lang)
        style = r.randrange(6)
        dress = r.randrange(9)
        opening, between, closing = (
            ("{", ", ", "}"), ("{\n  ", ",\n  ", "\n}"), ("", "\n", "\n"), ("<record>", "", "</record>"), ("", " ", ""), ("?", "&", ""),
            ("record = dict(", ", ", ")"), ("", "\n", ""), ("  ", "\n  ", "\n"),
        )[dress]  # fmt: skip
        t.add(opening)
        for i, (label, value, mask) in enumerate(self._fields(lang, keys, home)):
            name = key(label, style)
            bare = mask or value.isalnum()
            left, right = (
                (f'"{name}": "', '"'), (f'"{name}": "', '"'), (f"{name}: ", ""), (f"<{name}>", f"</{name}>"),
                (f'{name}="', '"') if not bare or " " in value else (f"{name}=", ""), (f"{name}=", ""), (f'{name}="', '"'),
                (f"{name}='", "'"), (f"- {name}: " if i == 0 else f"  {name}: ", ""),
            )[dress]  # fmt: skip
            t.add((between if i else "") + left)
            t.add(json.dumps(value, ensure_ascii=False)[1:-1] if dress < 2 else value, mask)
            t.add(right)
        t.add(closing)
        return t

    def table(self, lang: str, keys: list[tuple[str, str]], home: bool) -> Text:
        """Rows under a header: CSV, TSV, Markdown, SQL."""
        r, t = self.rng, Text(lang=lang)
        dress, style = (
            r.choice((",", ",", ";", "\t", "|", " | ", "sql", "md", "html")),
            r.randrange(6),
        )
        header = [key(label, style) for _, label in keys]
        count = r.randint(1, 6)
        if dress == "sql":
            t.add(
                f"INSERT INTO {r.choice(['patients', 'clients', 'users', 'claims', 'people'])} ({', '.join(header)}) VALUES\n"
            )
        elif dress == "md":
            t.add("| " + " | ".join(header) + " |\n|" + "---|" * len(header) + "\n")
        elif dress == "html":
            t.add("<tr>" + "".join(f"<th>{h}</th>" for h in header) + "</tr>\n")
        elif r.random() < 0.9:
            t.add(dress.join(header) + "\n")
        for row in range(count):
            cells = self._fields(lang, keys, home)
            for i, (_, value, mask) in enumerate(cells):
                quote = (
                    "'"
                    if dress == "sql"
                    else '"'
                    if dress in ",;" and ("," in value or ";" in value)
                    else ""
                )
                lead = {
                    "sql": "(" if i == 0 else ", ",
                    "md": "| " if i == 0 else " | ",
                    "html": "<tr><td>" if i == 0 else "</td><td>",
                }
                t.add(lead.get(dress, "" if i == 0 else dress) + quote)
                t.add(value, mask)
                t.add(quote)
            t.add(
                {
                    "sql": ")" + (",\n" if row + 1 < count else ";"),
                    "md": " |\n",
                    "html": "</td></tr>\n",
                }.get(dress, "\n")
            )
        return t

    STYLES: tuple[Callable[[Composer, str, list[tuple[str, str]], bool], Text], ...] = (
        lines,
        lines,
        mapping,
        table,
    )
