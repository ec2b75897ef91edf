"""Names of persons, real and invented, and the gazetteer that the tagger ships. No text, no labels.

Lists come from the gazetteers folder (licences beside them). 22 % of the names are invented, so
that the tagger learns what surrounds a name and does not only learn lists.
"""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import gzip
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sovereign.guard.recognizers.tagger.tokens import fingerprint, fold

__all__ = ["CASES", "OTHER", "Names", "Person", "gazetteer", "inflect", "rows"]

LANG = {
    "de": ("de_DE", "de_AT", "de_CH"), "fr": ("fr_FR", "fr_BE", "fr_CH", "fr_QC"),
    "es": ("es_ES", "es_MX", "es_CO", "es_AR", "es_CL"), "it": ("it_IT",),
    "pt": ("pt_BR", "pt_PT"), "nl": ("nl_NL", "nl_BE"), "pl": ("pl_PL",), "sv": ("sv_SE",),
    "da": ("da_DK",), "no": ("no_NO",), "fi": ("fi_FI",), "cs": ("cs_CZ", "sk_SK"),
    "ro": ("ro_RO",), "hu": ("hu_HU",), "tr": ("tr_TR", "az_AZ"), "ru": ("ru_RU",),
    "uk": ("uk_UA",), "ja": ("ja_JP",), "zh": ("zh_CN", "zh_TW"), "ko": ("ko_KR",), "el": ("el_GR",), "bg": ("bg_BG",),
    "hr": ("hr_HR", "sl_SI"), "ar": ("ar_SA",), "he": ("he_IL",), "hi": ("hi_IN",), "id": ("id_ID",), "vi": ("vi_VN",),
    "en": ("en_US", "en_US", "en_US", "en_GB", "en_IE", "en_NZ", "en_IN", "en_PK", "en_KE", "en"),
}  # fmt: skip
LATIN = re.compile(r"^[A-Za-zÀ-ɏḀ-ỿ'’ .\-]{2,24}$")
OTHER = {"ru", "uk", "ja", "zh", "ko", "el", "bg", "ar", "he", "hi"}
"""Languages whose names are not written in Latin letters."""
SCRIPT = re.compile(r"^[^A-Za-z0-9À-ɏ()]{1,24}$")


def rows(folder: Path, name: str) -> list[list[str]]:
    """The tab-separated rows of a gazetteer."""
    with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
        return [r.rstrip("\n").split("\t") for r in file if not r.startswith("#") and r.strip()]


@dataclass(frozen=True, slots=True)
class Person:
    """One person: given, middle and family name."""

    first: str
    middle: str
    last: str


class Names:
    """Draws persons by language."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        first: dict[str, list[str]] = defaultdict(list)
        last: dict[str, list[str]] = defaultdict(list)
        for name, locale, *_ in rows(folder, "faker_first_names"):
            first[locale].append(name)
        for name, locale, *_ in rows(folder, "faker_last_names"):
            last[locale].append(name)
        self.by_lang: dict[str, list[tuple[list[str], list[str]]]] = {}
        for lang, locales in LANG.items():
            ok = SCRIPT if lang in OTHER else LATIN
            pairs = []
            for locale in locales:
                f = [n for n in first[locale] if ok.match(n)]
                s = [n for n in last[locale] if ok.match(n)]
                if len(f) >= 20 and len(s) >= 8:
                    pairs.append((f, s))
            if pairs:
                self.by_lang[lang] = pairs
        us_first = [(r[0].title(), float(r[1])) for r in rows(folder, "first_names_us_census1990")]
        us_last = [(r[0].title(), float(r[1])) for r in rows(folder, "surnames_us_census1990")]
        self.us_first, self.us_first_w = [n for n, _ in us_first], _cumulate(us_first)
        self.us_last, self.us_last_w = [n for n, _ in us_last], _cumulate(us_last)
        every_first = {n for p in first.values() for n in p if LATIN.match(n)}
        every_first |= {r[0] for r in rows(folder, "libpostal_given_names") if LATIN.match(r[0])}
        every_first |= {r[0] for r in rows(folder, "first_names_by_country") if LATIN.match(r[0])}
        every_first |= {r[0] for r in rows(folder, "first_names_es_us") if LATIN.match(r[0])}
        every_last = {n for p in last.values() for n in p if LATIN.match(n)}
        every_last |= {r[0] for r in rows(folder, "libpostal_surnames") if LATIN.match(r[0])}
        every_last |= {r[0] for r in rows(folder, "surnames_by_country") if LATIN.match(r[0])}
        every_last |= {r[0] for r in rows(folder, "surnames_by_language") if LATIN.match(r[0])}
        self.any_first, self.any_last = sorted(every_first), sorted(every_last)
        self.words = ["Will"]  # common words that also serve as names; see Sources
        self.short_first = [n for n in self.any_first if len(n) <= 5]
        self.short_last = [n for n in self.any_last if len(n) <= 4]
        self.world = [p for lang, pairs in self.by_lang.items() if lang not in OTHER for p in pairs]

    def person(self, lang: str = "en") -> Person:
        """Somebody. Mostly named as people are where ``lang`` is spoken."""
        r, x = self.rng, self.rng.random()
        if lang in OTHER:
            f, s = r.choice(self.by_lang[lang])
            return Person(r.choice(f), r.choice(f), r.choice(s))
        if lang == "en" and x < 0.3:
            f = r.choices(self.us_first, cum_weights=self.us_first_w)[0]
            m = r.choices(self.us_first, cum_weights=self.us_first_w)[0]
            return Person(f, m, r.choices(self.us_last, cum_weights=self.us_last_w)[0])
        if x < 0.6 and lang in self.by_lang:
            fs, ls = r.choice(self.by_lang[lang])
            first, middle, last = r.choice(fs), r.choice(fs), r.choice(ls)
        elif x < 0.78:
            fs, ls = r.choice(self.world)
            first, middle, last = r.choice(fs), r.choice(fs), r.choice(ls)
        else:
            first, middle, last = (
                r.choice(self.any_first), r.choice(self.any_first), r.choice(self.any_last)
            )  # fmt: skip
        y = r.random()
        if y < 0.11:
            first = self._invent(self.any_first)
        if 0.05 < y < 0.22:
            last = self._invent(self.any_last)
        if r.random() < 0.035:
            # People are also called Temperance Goodnight.
            if r.random() < 0.5:
                first = r.choice(self.words)
            else:
                last = r.choice(self.words)
        elif r.random() < 0.05:
            first, last = r.choice(self.short_first), r.choice(self.short_last)
        z = r.random()
        if lang in ("es", "pt") and z < 0.5:
            last = f"{last} {r.choice(ls) if x < 0.78 else r.choice(self.any_last)}"
        elif z < 0.04:
            last = f"{last}-{r.choice(self.any_last)}"
        elif z < 0.07:
            last = f"{r.choice(PARTICLES)} {last}"
        elif z < 0.10:
            last = r.choice(("Mc", "O'", "Mac", "D'", "Al-", "O’")) + last
        elif z < 0.12:
            first = f"{first}-{r.choice(self.any_first)}"
        return Person(first, middle, last)

    def _invent(self, pool: list[str]) -> str:
        a, b = self.rng.choice(pool), self.rng.choice(pool)
        i = max(2, len(a) // 2 + self.rng.randint(-1, 1))
        j = max(1, len(b) // 2 + self.rng.randint(-1, 1))
        return (a[:i].rstrip("-' ") + b[j:].lstrip("-' ").lower())[:18]


PARTICLES = (
    "van", "van der", "van den", "de", "de la", "von", "dos", "da", "del", "di", "della", "al",
    "El", "bin", "ter", "zu", "le", "La", "ten", "do", "De", "Van", "St.",
)  # fmt: skip


def _cumulate(pairs: list[tuple[str, float]]) -> list[float]:
    total, out = 0.0, []
    for _, w in pairs:
        total += max(w, 0.0002)
        out.append(total)
    return out


CASES = {
    "pl": (("ski", "skiego"), ("ski", "skiemu"), ("ska", "skiej"), ("ka", "ki"), ("a", "y"), ("a", "ie"), ("a", "ę"), ("a", "ą"), ("ek", "ka"), ("", "a"), ("", "owi"), ("", "em")),
    "cs": (("ová", "ové"), ("ová", "ovou"), ("ý", "ého"), ("a", "y"), ("a", "u"), ("a", "ě"), ("", "a"), ("", "ovi"), ("", "em")),
    "hr": (("a", "e"), ("a", "i"), ("a", "u"), ("", "a"), ("", "u"), ("", "om"), ("", "em")),
    "ru": (("а", "ы"), ("а", "е"), ("а", "у"), ("ий", "ого"), ("ая", "ой"), ("", "а"), ("", "у"), ("", "ом")),
    "uk": (("а", "и"), ("а", "і"), ("а", "у"), ("ий", "ого"), ("", "а"), ("", "у"), ("", "ом")),
    "fi": (("", "n"), ("", "lle"), ("", "lta"), ("", "sta"), ("", "a")),
    "hu": (("", "nak"), ("", "nek"), ("", "val"), ("", "t"), ("", "hoz"), ("", "től")),
    "tr": (("", "'in"), ("", "'a"), ("", "'ı"), ("", "'dan"), ("", "’e")),
    "de": (("", "s"),), "sv": (("", "s"),), "da": (("", "s"),), "no": (("", "s"),), "nl": (("", "s"),), "en": (("", "'s"), ("", "’s")),
}  # fmt: skip


def inflect(p: Person, lang: str, rng: random.Random) -> Person:
    """``p`` in another grammatical case, roughly: names are not always in the nominative."""

    def bend(name: str) -> str:
        fits = [(a, b) for a, b in CASES[lang] if a and name.endswith(a)] or [
            (a, b) for a, b in CASES[lang] if not a
        ]
        if not fits:
            return name
        a, b = rng.choice(fits)
        return name[: len(name) - len(a)] + b

    if lang in ("pl", "cs", "hr", "ru", "uk"):
        return Person(bend(p.first), p.middle, bend(p.last))
    return (
        Person(p.first, p.middle, bend(p.last))
        if rng.random() < 0.6
        else Person(bend(p.first), p.middle, p.last)
    )


COMMON_FIRST, FIRST, COMMON_LAST, LAST, CITY, COUNTRY, STREET, TITLE, COMPANY, COMPANY_TYPE = (
    1 << i for i in range(10)
)
WORD = 1 << 10  # written in lower case in running text


def gazetteer(folder: Path, words: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted fingerprints and their bits: which lists a folded word is in."""
    bits: dict[str, int] = defaultdict(int)

    def put(name: str, bit: int, least: int = 2) -> None:
        for part in re.split(r"[^\w]+", name):
            if len(part) >= least and not part.isdigit():
                bits[fold(part)] |= bit

    def one(name: str, bit: int) -> None:
        if not re.search(r"[\s\d]", name) or name.count(" ") <= 1:
            put(name, bit)

    for name, weight in rows(folder, "first_names_us_census1990"):
        put(name, FIRST | (COMMON_FIRST if float(weight) >= 0.02 else 0))
    for name, weight in rows(folder, "surnames_us_census1990"):
        put(name, LAST | (COMMON_LAST if float(weight) >= 0.005 else 0))
    for name, *_ in rows(folder, "first_names_by_country"):
        put(name, FIRST | COMMON_FIRST)
    for name, *_ in rows(folder, "surnames_by_country"):
        put(name, LAST | COMMON_LAST)
    for source in ("faker_first_names", "libpostal_given_names", "first_names_es_us"):
        for name, *_ in rows(folder, source):
            one(name, FIRST)
    for source in ("faker_last_names", "libpostal_surnames", "surnames_by_language"):
        for name, *_ in rows(folder, source):
            one(name, LAST)
    for name, *_ in rows(folder, "cities5000"):
        put(name, CITY, 3)
    for name, *_ in rows(folder, "countries"):
        put(name, COUNTRY, 4)
    for _, *rest in rows(folder, "libpostal_street_types"):
        for variant in "|".join(rest).split("|"):
            if " " not in variant:
                put(variant, STREET)
    for _, *rest in rows(folder, "libpostal_personal_titles"):
        for variant in "|".join(rest).split("|"):
            if " " not in variant:
                put(variant, TITLE)
    for name, *_ in rows(folder, "companies"):
        put(name.split()[0], COMPANY, 3)
    for _, *rest in rows(folder, "libpostal_company_types"):
        for variant in "|".join(rest).split("|"):
            if " " not in variant:
                put(variant, COMPANY_TYPE)
    for word in words:
        bits[word] |= WORD
    prints: dict[int, int] = defaultdict(int)
    for word, mask in bits.items():
        prints[fingerprint(word)] |= mask
    keys = np.array(sorted(prints), dtype=np.uint32)
    return keys, np.array([prints[k] for k in keys.tolist()], dtype=np.uint16)
