"""Texts that look as if they held names and identifiers, and hold none: formats, variables,
constants, and words that nobody is called."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random

from tagger.values import Values

__all__ = ["Lookalikes"]


class Lookalikes:
    """Draws one of them. ``labs``: names of laboratory values."""

    def __init__(self, values: Values, rng: random.Random, labs: list[str]) -> None:
        self.v, self.rng, self.labs = values, rng, labs
        self.words = ["Roof"]  # words that nobody is called; see Sources

    def words_of_both(self) -> list[str]:
        """Words that nobody is called, or common ones."""
        return self.words if self.rng.random() < 0.5 else self.v.names.words

    def formats(self) -> str:
        """What a number must look like, and numbers that look like somebody's and are nobody's."""
        r = self.rng
        digits = r.choice(("123456789", "000000000", "987654321", "111111111", "555000123"))
        shape = r.choice(
            (
                "###-##-###",
                "###-##-####",
                "##-###-####",
                "####-####-####",
                "###-###-####",
                "###-##",
                "#####-####",
                "A###-####",
                "##/##/####",
            )
        )
        at = iter(digits * 3)
        dummy = "".join(next(at) if c == "#" else c for c in shape)
        void = r.choice(("000-", "666-", "900-", "987-")) + self.v.pattern("##-####")
        gene = r.choice(
            (
                "rs",
                "chr",
                "ENSG",
                "NM_",
                "LOINC ",
                "SNOMED ",
                "GO:",
                "CHEBI:",
                "PMID ",
                "doi:10.",
                "ISBN ",
                "ISSN ",
                "EC ",
                "CAS ",
                "RFC ",
                "CVE-20",
            )
        ) + self.v.pattern(r.choice(("#######", "##", "####-#", "###-##-#", "########", "#####.#")))
        return r.choice((
            "Format: {shape}, for example {dummy}.", "Enter it as {dummy} or {shape}.", "e.g. {dummy}", "The pattern is {shape} (e.g. {dummy}).", "Numbers like {void} are never issued.", "{void} is not a valid number.",
            "Test with {dummy}; {void} must be rejected.", "assert not valid('{dummy}')", "assert not is_valid('{void}')", "'{dummy}' -> False\n'{void}' -> False", "dummy value {dummy}", "placeholder={dummy}", "mask: {shape}", "{gene}, {gene}", "{gene} was associated with {dx} (p = 0.{num})", "See {gene} and {gene}.",
            "Use {dummy} in examples only", "invalid: {void}, {dummy}", "regex matches {dummy}", "{gene}: {shape}", "Replace every digit by #: {shape}", "\"code\": \"{gene}\", \"display\": \"{lab}\"", "{lab}: {num} ({gene})",
        )).replace("{shape}", shape.replace("A", "N")).replace("{dummy}", dummy).replace("{void}", void).replace("{gene}", gene).replace("{lab}", r.choice(self.labs)).replace("{dx}", self.v.filler("dx")).replace("{num}", self.v.filler("num"))  # fmt: skip

    def letters(self) -> str:
        """Single letters are variables, options, notes and grades."""
        r = self.rng
        some = r.sample("ABCDEFGHKMNPQRSTXYZ", r.randint(2, 6))
        if r.random() < 0.3:
            some = [c.lower() for c in some]
        return r.choice((
            "Options: {}", "Answer {}", "nodes {}", "Let {} be sets.", "({})", "{}", "columns {}", "alleles {}", "Is it {}?", "chords {}", "teams {}", "from {}", "points {} lie on a line", "def f({}):", "tasks {} depend on it", "graph edges: {}", "grade {}", "vitamins {}",
        )).replace("{}", r.choice((", ", " ", "/", " and ", " or ", "-", "->", ",", "; ")).join(some))  # fmt: skip

    def constants(self) -> str:
        """Locales, encodings, flags and versions in programs."""
        r, word = self.rng, self.words_of_both()

        def name() -> str:
            a, b = r.choice(word).upper(), r.choice(word).upper()
            return r.choice((
                f"{r.choice(('en', 'de', 'lo', 'la', 'lv', 'pt', 'zh', 'sr', 'tt', 'uk'))}_{r.choice(('US', 'LA', 'LT', 'RS', 'RU', 'BR', 'LV'))}", f"ISO-8859-{r.randint(1, 16)}", f"cp{r.randint(400, 1258)}", f"ibm_cp{r.randint(400, 1258)}", f"{a}_{b}", f"{a[:3]}_{b}_V{r.randint(1, 4)}",
                f"{a}{b}", f"OP_{a}", f"utf_{r.choice((7, 8, 16, 32))}", f"x{r.randint(10, 99)}", f"{a.lower()}{r.randint(1, 99)}", f"v{r.randint(1, 9)}.{r.randint(0, 30)}", f"{a.lower()}.{b.lower()}", f"k{a.title()}{b.title()}", f"{a.lower()}_{b.lower()}_{r.randint(1, 9)}", f"_{a.lower()}",
            ))  # fmt: skip

        return r.choice((
            "'{}': '{}',\n'{}': '{}',", "{} = {}", "{} | {} | {}", "'{}.{}', '{}.{}'", "if x in ('{}', '{}'):", "flags = {} | {}", "getattr(x, '{}')", "from {} import {}", "encoding='{}'", "{}({}, {}={})", "canvas.{}({})", "'{}', '{}', '{}', '{}'", "case {}: return {};", "#ifdef {}\n{}\n#endif", "{}::{}",
        )).format(*(name() for _ in range(6)))  # fmt: skip

    def small_talk(self) -> str:
        """Words that nobody is called, in a row and in any case, with numbers between."""
        r = self.rng
        words = [r.choice(self.words) for _ in range(r.randint(1, 14))]
        case = r.choice((str.lower, str.lower, str.lower, str.title, str.capitalize))
        said = r.choice((" ", " ", " ", ", ", " and ", " the ")).join(words)
        tail = r.choice(
            (
                "",
                "",
                ".",
                "!",
                "?",
                f" {self.v.filler('num')}",
                f" {self.v.filler('ver')}",
                f" by {self.v.filler('day')}",
                f" {self.v.filler('code')}",
            )
        )
        lead = r.choice(
            (
                "",
                "",
                "",
                "the ",
                "about ",
                "no ",
                "um so ",
                "is ",
                "[info] ",
                "fix: ",
                "feat: ",
                "* ",
                "re ",
                f"{self.v.filler('time')} ",
                f"{self.v.filler('date')} ",
            )
        )
        return lead + case(said) + tail
