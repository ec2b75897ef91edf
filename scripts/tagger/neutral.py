"""Texts full of numbers, codes, eponyms and placeholders, and nothing personal."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
import re
from pathlib import Path

from tagger.lookalikes import Lookalikes
from tagger.ordinary import Ordinary
from tagger.texts import Text
from tagger.values import PATTERNS, Values

__all__ = ["Neutral"]

STATEMENTS = (

    "Members aged {num} or over pay {amt}.", "Your plan covers {num} visits; after that you pay {amt}.", "Form {code} must be filed by {date}.",
    "See section {num}.{num} and schedule {code}.", "Up {num} percent on {mon}, {num} basis points", "{num} of {num} wards, {num} beds, {num} staff",
    "Take {num} tablets every {num} hours for {num} days.", "Retry in {num} ms (attempt {num}/{num})", "Chapter {num}: {num} questions, {num} points",
     "It was built in {num} and holds {num} people.", "Call 911 in an emergency or 988 for help.",
    "Between the ages of {age} and {age}, {num} in {num} people have {dx}.", "v{ver} fixes {num} bugs; v{ver} adds {prod}.",
)  # fmt: skip


class Neutral:
    """Draws texts without spans."""

    def __init__(self, values: Values, rng: random.Random, file: Path) -> None:
        self.v, self.rng = values, rng
        self.ordinary = Ordinary(rng, file.with_name("ordinary.txt")).text
        self.w = {
            kind: words.split(";")
            for kind, _, words in (
                line.partition("|") for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
            )
        }  # fmt: skip
        like = self.like = Lookalikes(values, rng, self.w["lab"])
        self.makers = (
            self.labelled, self.labelled, self.measures, self.measures, self.eponyms, self.goods, self.lists, self.numbers, self.settings, self.statement,
            like.formats, self.eponyms, like.letters, like.small_talk, like.small_talk, like.small_talk, like.constants, self.titles, self.titles, self.identifiers, self.identifiers, *(self.ordinary for _ in range(7)),
        )  # fmt: skip

    def text(self) -> Text:
        """One text."""
        t = Text()
        t.add(self.rng.choice(self.makers)())
        return t

    def holder(self) -> str:
        """What stands where a value was taken out or not yet put in."""
        r = self.rng
        if r.random() < 0.7:
            return r.choice(self.w["holder"])
        thing = r.choice(
            (
                "key",
                "token",
                "password",
                "secret",
                "name",
                "id",
                "account",
                "user",
                "e-mail",
                "phone",
                "number",
                "API key",
                "client secret",
                "value",
            )
        )
        made = r.choice(
            (
                f"your {thing}",
                f"your {thing} here",
                f"insert {thing}",
                f"my {thing}",
                f"put {thing} here",
                f"enter {thing}",
                f"{thing} goes here",
                f"<your {thing}>",
                f"some {thing}",
                f"{thing} here",
                f"replace me {thing}",
                f"sample {thing}",
            )
        )
        return r.choice(
            (
                made,
                made.replace(" ", "-"),
                made.replace(" ", "_"),
                made.upper().replace(" ", "_"),
                made.title().replace(" ", ""),
            )
        )

    def code(self) -> str:
        """A code that looks as identifiers do: only the label tells."""
        r = self.rng
        if r.random() < 0.4:
            return self.v.pattern(r.choice(PATTERNS))
        return self.v.filler(r.choice(("code", "ver", "num", "code", "num", "hex", "uuid")))

    def measure(self) -> str:
        r = self.rng
        a = r.choice((str(r.randint(1, 999)), f"{r.randint(0, 99)}.{r.randint(0, 99)}"))
        if r.random() < 0.3:
            a += r.choice(("-", "–", " to ", "/")) + str(r.randint(1, 999))
        return a + r.choice((" ", " ", "")) + r.choice(self.w["unit"])

    def labelled(self) -> str:
        r, out = self.rng, []
        for _ in range(r.randint(1, 5)):
            label = r.choice(self.w["label"])
            label = r.choice((label, label, label.lower(), label.upper()))
            out.append(label + r.choice((" ", " ", ": ", "=", "-", " #", ":")) + self.code())
        return r.choice((", ", "; ", "\n", ". ", " | ", " and ")).join(out)

    def measures(self) -> str:
        r = self.rng
        parts = [
            r.choice(self.w["lead"])
            + r.choice((" ", ": ", " = ", "=", " < ", " > ", " ("))
            + self.measure()
            for _ in range(r.randint(1, 6))
        ]
        return r.choice((", ", "; ", "\n", ". ", " / ", " | ")).join(parts) + r.choice(
            ("", ".", f" give {self.measure()}", f" at {self.v.filler('time')}")
        )

    def eponyms(self) -> str:
        r = self.rng
        frame = r.choice(self.w["frame"])
        while "{e}" in frame:
            frame = frame.replace("{e}", r.choice(self.w["eponym"]), 1)
        frame = frame.replace("{E}", r.choice(self.w["eponym"]).upper())
        for slot in ("drug", "dx", "num"):
            while "{" + slot + "}" in frame:
                frame = frame.replace("{" + slot + "}", self.v.filler(slot), 1)
        return frame

    def goods(self) -> str:
        r, mark = self.rng, self.rng.choice((",", ";", "\t", " | ", ", "))
        case = r.choice((str, str.title, str.upper, str.capitalize))
        head = [
            r.choice(("sku", "code", "part", "id", "item", "lot")),
            r.choice(("name", "desc", "title", "product")),
            r.choice(("qty", "stock", "price", "size")),
        ]
        rows = [mark.join(head)] if r.random() < 0.8 else []
        for _ in range(r.randint(1, 6)):
            rows.append(
                mark.join(
                    (
                        self.code(),
                        case(f"{r.choice(self.w['adj'])} {r.choice(self.w['noun'])}"),
                        r.choice((self.v.filler("num"), self.v.filler("amt"))),
                    )
                )
            )
        return "\n".join(rows)

    def lists(self) -> str:
        r = self.rng
        quote = r.choice(("'", '"', "", "`"))
        words = [quote + r.choice(self.w["words"]) + quote for _ in range(r.randint(2, 9))]
        body = r.choice((", ", ",", " ", " -> ", " | ")).join(words)
        return r.choice(
            (
                "[{}]",
                "({})",
                "{}",
                "sort({})",
                ">>> f([{}])\n{}",
                "words = [{}]",
                "Say {}",
                "assert g({}) == {}",
            )
        ).replace("{}", body)

    def titles(self) -> str:
        """Headings, list items and cells of plain words: capitals alone make no name."""
        r, words = self.rng, self.like.words_of_both()
        case = r.choice((str.title, str.capitalize, str.capitalize, str.upper, str.lower))
        if r.random() < 0.15:
            words = self.w["slang"]
        items = [
            case(" ".join(r.choice(words) for _ in range(r.randint(1, 4))))
            for _ in range(r.randint(1, 6))
        ]
        dress = r.randrange(8)
        if dress == 0:
            return "\n".join(f"{i + 1}. {x}" for i, x in enumerate(items))
        if dress == 1:
            return "\n".join("- " + x for x in items)
        if dress == 2:
            return "\n".join(f"| {x} | {self.measure()} | {self.v.filler('num')} |" for x in items)
        if dress == 3:
            return r.choice((", ", " | ", ": ", " - ", "/", " > ", "... ", "\n", "! ")).join(items)
        if dress == 4:
            return "\n".join(f"{x}: {r.choice(words)} {r.choice(words)}" for x in items)
        if dress == 5:
            return (
                "# "
                + items[0]
                + "\n\n"
                + " ".join(r.choice(words).lower() for _ in range(r.randint(3, 14))).capitalize()
                + "."
            )
        if dress == 6:
            return '"' + '", "'.join(items) + '"'
        return items[0] + r.choice((".", "!", "?", "...", ":", "", " " + self.v.filler("num")))

    def identifiers(self) -> str:
        """Names of things in programs, made of plain words."""
        r, words = self.rng, self.like.words_of_both()

        def name() -> str:
            w = [r.choice(words).lower() for _ in range(r.choice((1, 1, 1, 2, 2, 3)))]
            if r.random() < 0.15:
                w = [
                    "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(1, 4)))
                ]
            return r.choice(
                (
                    "_".join(w),
                    "_".join(w),
                    w[0] + "".join(x.title() for x in w[1:]),
                    "".join(x.title() for x in w),
                    "_".join(w).upper(),
                    "".join(w),
                )
            )

        line = r.choice((
            "{} = {}.{}", "{} = {}({}, {})", "self.{} = {}", "'{}': 1, '{}': 0, '{}': 1", "import {}\nfrom {} import {}", "def {}({}, {}):\n    return {}",
            "if {} <= {}: {}.{}()", "{}('{}') == '{}'", ">>> {}.{}\n'{}'", "{}[{}:{}]", "for {} in {}: {}({})", "<{} {}=\"{}\">", "raise {}('{}')", "I(name='{}', code={})",
            "'{}', '{}', '{}'", "{} -> {}", "class {}({}):", "usage: {} [--{} {}]", "{}: {}\n{}: {}", "{}::{}({});", "#define {} {}", "{{'{}': '{}', '{}': '{}'}}", "sys.{}.startswith('{}')",
        ))  # fmt: skip
        while "{}" in line:
            line = line.replace("{}", name(), 1)
        return line

    def numbers(self) -> str:
        r = self.rng
        many = [
            str(
                r.choice(
                    (
                        r.randint(-20, 100),
                        r.randint(0, 99999),
                        round(r.random() * 100, r.randint(1, 9)),
                        r.randint(10**8, 10**10),
                    )
                )
            )
            for _ in range(r.randint(2, 12))
        ]
        body = r.choice((", ", " ", ",", " - ", " + ", "\n", " | ", "/")).join(many)
        return r.choice(
            (
                "{}",
                "[{}]",
                "f({}) -> {}",
                "x = {}",
                "({})",
                "The values are {}.",
                "{} = ?",
                "return {}",
                "Is {} prime?",
                "0x{}",
                "#{};",
            )
        ).replace("{}", body)

    def settings(self) -> str:
        r = self.rng
        keys = (
            "port",
            "timeout",
            "retries",
            "color",
            "margin",
            "font",
            "max_age",
            "workers",
            "level",
            "region",
            "bucket",
            "host",
            "user",
            "password",
            "api_key",
            "name",
            "email",
            "token",
            "path",
            "image",
        )
        mark = r.choice((": ", "=", " = ", ":"))
        rows = []
        for key in r.sample(keys, r.randint(1, 6)):
            if key in ("user", "password", "api_key", "name", "email", "token"):
                value = r.choice(
                    (
                        self.holder(),
                        "${" + key.upper() + "}",
                        "os.environ['" + key.upper() + "']",
                        "''",
                        "null",
                        "root" if key == "user" else self.holder(),
                        f"args.{key}",
                        f"self.{key}",
                        f"row['{key}']",
                    )
                )
            else:
                value = r.choice(
                    (
                        self.v.filler("num"),
                        self.measure(),
                        "#" + self.v.pattern("a#a#a#"),
                        "true",
                        "localhost:" + self.v.pattern("####"),
                        "us-east-1",
                        f"/var/{key}",
                        self.v.filler("ver"),
                    )
                )
            rows.append(r.choice((key, key.upper(), f'"{key}"')) + mark + value)
        return r.choice(("\n", ", ", "; ", " ")).join(rows)

    def statement(self) -> str:
        r = self.rng
        if r.random() < 0.5:
            return self.bare()
        frame = r.choice(STATEMENTS)
        return re.sub(r"\{(\w+)\}", lambda m: self.v.filler(m[1]), frame)

    def bare(self) -> str:
        r = self.rng
        kinds = ("num", "amt", "time", "date", "age", "code", "ver", "mon")
        lead = r.choice(
            (
                "About",
                "Up to",
                "Over",
                "At",
                "From",
                "Page",
                "Within",
                "Nearly",
                "Step",
                "Since",
                "Version",
                "Under",
                "Approximately",
                "Every",
            )
        )
        tail = r.choice(
            (
                "people",
                "days",
                "patients",
                "units",
                "members",
                "visits",
                "per cent",
                "euros",
                "rows",
                "requests",
                "beds",
                "claims",
                "hours",
                "pages",
            )
        )
        middle = [self.v.filler(r.choice(kinds)) for _ in range(r.randint(1, 3))]
        return (
            f"{lead} {' '.join(middle)} {tail} {r.choice(('were affected', 'are covered', 'remain', 'are due', 'were tested', 'failed', 'each', 'in total', ''))}".strip()
            + r.choice((".", "", "\n"))
        )
