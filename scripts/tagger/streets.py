"""Made-up addresses as many countries write them, on one line or several. Nobody lives there."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from tagger.names import Names, rows

__all__ = ["Streets"]

STREETS = {
    "de": ("{w}straße", "{w}str.", "{w}weg", "{w}gasse", "{w}allee", "Am {W}", "{W}platz", "{W}-Straße", "An der {W}"),
    "fr": ("rue {W}", "rue de {W}", "avenue {W}", "boulevard {W}", "place {W}", "impasse {W}", "chemin de {W}", "allée {W}", "bd {W}", "av. {W}"),
    "es": ("Calle {W}", "C/ {W}", "Avda. {W}", "Avenida de {W}", "Plaza {W}", "Paseo de {W}", "Carrera {W}", "Camino {W}", "C. {W}", "calle de {W}"),
    "it": ("Via {W}", "via {W}", "Viale {W}", "Piazza {W}", "Corso {W}", "Largo {W}", "Via dei {W}", "V.le {W}"),
    "pt": ("Rua {W}", "Rua da {W}", "Avenida {W}", "Av. {W}", "Travessa {W}", "Praça {W}", "R. {W}", "Largo {W}"),
    "nl": ("{W}straat", "{W}laan", "{W}weg", "{W}plein", "{W}gracht", "{W}kade", "{W}dreef", "van {W}straat"),
    "pl": ("ul. {W}", "ulica {W}", "al. {W}", "os. {W}", "pl. {W}", "ul {W}"),
    "sv": ("{W}gatan", "{W}vägen", "{W}stigen", "{W}gränd"),
    "da": ("{W}vej", "{W}gade", "{W}allé", "{W}stræde"), "no": ("{W}veien", "{W}gata", "{W}vegen"),
    "fi": ("{W}katu", "{W}tie", "{W}kuja", "{W}nkatu"), "cs": ("{W}", "{W} ulice", "nám. {W}", "ul. {W}"),
    "ro": ("Str. {W}", "Strada {W}", "Bd. {W}", "Calea {W}", "Aleea {W}"),
    "hu": ("{W} utca", "{W} u.", "{W} út", "{W} tér"), "tr": ("{W} Sokak", "{W} Cad.", "{W} Caddesi", "{W} Sk."),
    "ru": ("ул. {W}", "улица {W}", "пр. {W}", "проспект {W}", "пер. {W}"),
    "uk": ("вул. {W}", "вулиця {W}", "просп. {W}"),
    "hr": ("Ulica {W}", "{W} ulica", "ul. {W}", "Trg {W}", "{W}ska", "Put {W}"), "is": ("{W}gata", "{W}vegur", "{W}braut", "{W}stígur"),
    "et": ("{W} tn", "{W} mnt", "{W} tänav", "{W} pst"), "lt": ("{W} g.", "{W} gatvė", "{W} pr.", "{W} al."), "el": ("Odos {W}", "Οδός {W}", "Leoforos {W}", "{W} str."),
    "sk": ("{W}", "{W} ulica", "nám. {W}"), "id": ("Jl. {W}", "Jalan {W}", "Gg. {W}"), "vi": ("đường {W}", "phố {W}"), "bg": ("ul. {W}", "ул. {W}", "bul. {W}"),
    "za": ("{W} Street", "{W} Road", "{W} Rylaan", "{W}straat"), "in": ("{W} Road", "{W} Marg", "{W} Nagar", "{W} Colony"), "ca": ("Rue {W}", "ch. {W}", "boul. {W}", "{W} Street W"),
}  # fmt: skip
UNITS = {
    "en": (", Apt {n}", " Apt. {n}{a}", ", Unit {n}", " #{n}", ", Suite {n}00", ", Flat {n}", ", Fl {n}", " Lot {n}", ", Room {n}", ", Bldg {a}"),
    "de": ("", ", 2. OG", " ({a})", ", Hinterhaus"), "fr": (", bât. {a}", ", appt {n}", ", 2e étage"),
    "es": (", {n}º {a}", ", {n} {a}", ", piso {n}", ", Bajo {a}", ", Esc. {n}, {n}º {a}"),
    "it": (", int. {n}", "/{a}", ", scala {a}"), "pt": (", {n}º {a}", ", apto {n}", ", ap. {n}", ", R/C"),
    "nl": ("-{n}", " {a}", " hs", "-II"), "pl": ("/{n}", " m. {n}", "/{n}{a}"),
    "sv": (" lgh 1{n}01",), "cs": ("/{n}",), "ro": (", bl. {a}{n}, ap. {n}", ", et. {n}, ap. {n}"),
    "hu": (" {n}/{a}.", " {n}. em. {n}."), "tr": (" D:{n}", " Kat {n} Daire {n}"), "ru": (", кв. {n}", ", корп. {n}, кв. {n}"),
    "uk": (", кв. {n}",),
}  # fmt: skip
COUNTRY = {
    "en": ("US", "US", "US", "GB", "AU", "CA"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE"), "es": ("ES", "MX"), "it": ("IT",),
    "pt": ("PT", "BR"), "nl": ("NL",), "pl": ("PL",), "sv": ("SE",), "da": ("DK",), "no": ("NO",), "fi": ("FI",), "cs": ("CZ",),
    "ro": ("RO",), "tr": ("TR",), "hr": ("HR",), "za": ("ZA",), "ca": ("CA",),
}  # fmt: skip


ENGLISH = (
    "St", "Street", "Street", "Ave", "Avenue", "Rd", "Road", "Road", "Lane", "Ln", "Drive", "Dr", "Blvd", "Boulevard", "Court", "Ct", "Way", "Place", "Pl", "Terrace",
    "Close", "Crescent", "Parkway", "Pkwy", "Circle", "Trail", "Hwy", "Gardens", "Grove", "Mews", "Row", "Square", "Walk", "Hill", "Rise", "Loop", "Alley", "Pike", "Plaza", "Heights", "View", "Run", "Ridge", "Green", "Quay", "Vale", "Esplanade", "Turnpike",
)  # fmt: skip
PLAIN = (
    "Oak",
    "Maple",
    "Main",
    "High",
    "Church",
    "Park",
    "Mill",
    "Station",
    "Cedar",
    "Lake",
    "Hill",
    "King",
    "Victoria",
    "Queen",
    "Pine",
    "Elm",
    "Washington",
    "School",
    "River",
    "Chapel",
    "Sunset",
    "Meadow",
    "Spring",
    "Forest",
    "London",
    "Market",
    "Bridge",
    "Manor",
    "The",
    "Old Mill",
    "Long",
)
LANDS = ("USA", "United States", "United Kingdom", "UK", "Germany", "Deutschland", "España", "Spain", "France", "Polska", "Poland", "Italia", "Italy", "Canada", "Australia", "Norway", "Sweden", "Iceland", "Ireland", "Brazil", "Portugal", "South Africa", "Denmark", "Finland", "Hungary", "Slovenia", "Belgium", "Switzerland", "Czech Republic", "Estonia", "Cyprus", "Greenland", "Austria", "Netherlands", "New Zealand")  # fmt: skip
FIRST_NUMBER = {"fr", "ca", "za", "in", "vi"}
"""Where the house number stands before the street."""


class Streets:
    """Draws streets, places and whole addresses."""

    def __init__(self, folder: Path, rng: random.Random, names: Names) -> None:
        self.rng, self.names = rng, names
        self.places: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for country, code, place, state, *_ in rows(folder, "postcode_place"):
            if "CEDEX" not in place.upper():
                self.places[country].append((code, place, state))
        self.cities = [r[0] for r in rows(folder, "cities5000") if int(r[3] or 0) > 15000]
        self.us_streets = [r[0].title() for r in rows(folder, "us_street_names")]
        self.real: dict[str, list[str]] = defaultdict(list)
        for name, locale, kind, *_ in rows(folder, "faker_street_parts"):
            if kind in ("streets", "street_names") and locale[:2] in STREETS and len(name) > 3:
                self.real[locale[:2]].append(name.title() if name.isupper() else name)
        self.langs = sorted(STREETS)

    def street(self, lang: str) -> str:
        """Street and number, sometimes a unit; seldom a street alone."""
        r = self.rng
        w = r.choice(self.names.any_last if r.random() < 0.6 else self.cities).split(" ")[0]
        no = str(r.randint(1, 240)) + (r.choice("abcdAB") if r.random() < 0.12 else "")
        if r.random() < 0.04:
            no += r.choice(("-", "/", " - ")) + str(r.randint(2, 250))
        unit = (
            r.choice(UNITS.get(lang, ("",))).format(n=r.randint(1, 40), a=r.choice("ABCD"))
            if r.random() < 0.25
            else ""
        )
        alone = r.random() < 0.06
        if lang == "en" or (lang not in STREETS):
            return self._english(w, unit, alone=alone)
        form = r.choice(STREETS[lang]).replace("{w}", w).replace("{W}", w)
        if lang in self.real and r.random() < 0.4:
            form = r.choice(self.real[lang])
        if alone:
            return form
        if lang in FIRST_NUMBER:
            return f"{no}{r.choice([', ', ' ', ' bis ']) if lang == 'fr' else ' '}{form}{unit}"
        if lang in ("es", "pt", "ru", "uk", "it", "el") and r.random() < 0.6:
            sign = (
                r.choice(("", "", "nº ", "n. ", "n.º ", "núm. "))
                if lang in ("es", "pt", "it")
                else ""
            )
            return f"{form}, {sign}{no}{unit}"
        if lang in ("es", "pt") and r.random() < 0.06:
            return f"{form}, s/n"
        if lang == "ro":
            return f"{form} nr. {no}{unit}"
        if lang == "tr":
            return f"{form} No:{no}{unit}"
        if lang == "id":
            return f"{form} No. {no}{unit}"
        return f"{form} {no}{unit}"

    def _english(self, w: str, unit: str, *, alone: bool) -> str:
        r, y = self.rng, self.rng.random()
        no = str(r.choice((r.randint(1, 200), r.randint(100, 9999), r.randint(1000, 20000))))
        if y < 0.06:
            return r.choice(("P.O. Box ", "PO Box ", "Post Office Box ", "Box ")) + str(
                r.randint(1, 9999)
            )
        if y < 0.07:
            return (
                f"{r.choice(('RR', 'Rural Route', 'HC'))} {r.randint(1, 9)} Box {r.randint(1, 400)}"
            )
        last = r.choice(self.names.any_last)
        base = r.choice((
            w.title(), f"{r.choice(['N', 'S', 'E', 'W', 'North', 'West', 'Old', 'Upper', 'Little', 'St'])} {w.title()}", f"{r.randint(1, 120)}{r.choice(['th', 'th', 'st', 'nd'])}",
            f"{w.title()} {last}", r.choice(PLAIN), r.choice(self.names.words), f"{r.choice(PLAIN)}{r.choice(('', ' ', 'field ', 'wood '))}{w.title()}",
        ))  # fmt: skip
        name = r.choice(self.us_streets) if y < 0.3 else f"{base} {r.choice(ENGLISH)}"
        if alone:
            return (
                name
                if r.random() < 0.7
                else f"{name} and {r.choice((w.title(), last, '5th', 'Main'))}"
            )
        if y > 0.93:
            return f"{r.choice(['Flat', 'Apartment', 'Unit', 'Suite', 'Apt', 'Room'])} {r.randint(1, 99)}{r.choice(('', '', 'B'))}, {no} {name}"
        if y > 0.90:
            house = r.choice(
                (
                    "Rose Cottage",
                    "The Old Rectory",
                    f"{w.title()} House",
                    f"{w.title()} Farm",
                    f"{last} Court",
                    "Hillcrest",
                    "The Barn",
                )
            )
            return f"{house}, {no + ' ' if r.random() < 0.5 else ''}{name}"
        return f"{no} {name}{unit}"

    def place(self, lang: str) -> tuple[str, str, str, str]:
        """Country, code, town and state."""
        country = self.rng.choice(COUNTRY.get(lang, ("US",)))
        return (country, *self.rng.choice(self.places[country] or self.places["US"]))

    def address(self, lang: str) -> str:
        """Street and town, the town's number where it is written in that country. People also live
        abroad: some addresses are of another country than the text."""
        r = self.rng
        if r.random() < (0.22 if lang == "en" else 0.06):
            lang = r.choice(self.langs)
        street = self.street(lang)
        country, code, town, state = self.place(lang)
        known = lang in COUNTRY
        if not known and lang != "en":
            code, town, country = (
                "".join(r.choice("0123456789") for _ in range(r.choice((3, 4, 5, 6)))),
                r.choice(self.cities),
                "",
            )
        x = r.random()
        sep = (
            ", " if x < 0.5 else "\n" if x < 0.75 else r.choice((" ", " ", "; ", " - ", ",", " / "))
        )
        if country in ("US", "AU", "CA", "NZ"):
            tail = r.choice(
                (
                    [f"{town}, {state} {code}"],
                    [f"{town} {state} {code}"],
                    [f"{town}, {state}"],
                    [town],
                    [town, state, code],
                    [town, f"{state} {code}"],
                    [f"{town} {code}"],
                )
            )
        elif country in ("GB", "ZA", "IE"):
            tail = r.choice(
                (
                    [f"{town} {code}"],
                    [f"{town}, {code}"],
                    [town],
                    [town, code],
                    [town.upper(), code],
                )
            )
        elif country == "BR":
            tail = r.choice(
                (
                    [f"{town} - {state}, {code}"],
                    [f"{town}-{state}", code],
                    [town, f"{state} {code}"],
                )
            )
        else:
            tail = r.choice(
                (
                    [f"{code} {town}"],
                    [f"{code} {town}"],
                    [f"{code} {town}"],
                    [f"{code}, {town}"],
                    [town],
                    [town, code],
                    [f"{code} {town} ({r.choice(self.cities)})"],
                    [f"{country}-{code} {town}" if country else town],
                )
            )
        if r.random() < 0.14:
            tail.append(r.choice(LANDS) if r.random() < 0.9 else r.choice(LANDS).upper())
        return sep.join([street, *tail])
