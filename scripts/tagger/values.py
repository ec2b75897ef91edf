"""Made-up values for slots: identifiers, secrets, phones, addresses, fillers. Nothing is real."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
import string
from collections import defaultdict
from pathlib import Path

from tagger.names import Names, Person, rows

__all__ = ["Values"]

PATTERNS = (
    "#####", "######", "#######", "########", "#########", "##########", "###########",
    "############", "A######", "AA######", "AA#######", "A########", "AA-######", "AAA-######",
    "A-######", "AA-####-####", "AAA-####-#####", "####-####", "###-##-####", "###-###-####",
    "### ### ####", "## ### ###", "#-####-####-#", "####/##", "##/####", "#####/##", "### / ####",
    "##-#######", "AA ######", "AA ## ## ## A", "AAA ###", "AA##AAA", "AA## AAA", "A## AAA",
    "###.###.###-##", "##.###.###/####-##", "#########-A", "########A", "A#######A", "A-#######-A",
    "AAAAAA##A##A###A", "A##-####-###", "AA#A#AA#A#AA", "#A##-AA#-AA##", "#### #### #### ####",
    "AA## #### #### #### #### ##", "AA##################", "##########-#", "AA-20##-####",
    "20##-#####", "20##/####", "### A ###/##", "# A ###/##", "## AA ####/##", "A/##/####",
    "XAA####", "xx####", "*****####", "a######", "aa-####", "a##a##a#", "##-AAA-##", "##:######",
    "(##) ####-#", "#.###.###-#", "##.###.###-#", "######-####", "########-####", "######/####",
    "####.##.###", "##.##.##-###.##", "# ## ## ## ### ### ##", "### ## ####", "AAA#######",
    "AAA-AAA-###", "AA-##-AA", "AA ### AA", "A-AA ####", "####-AAA", "### AAA", "####AAA",
    "EMP-#####", "EMP#####", "C-#####", "CLM-######", "CLM########", "POL-#######", "P########",
    "M########", "HMO######", "W########", "MRN######", "H#######", "LN-######", "BA-####-####",
    "CV-20##-######", "#:##-cv-#####", "20##-CV-####", "##-cr-####", "S##-####", "DEV-####-AAAA",
    "SN-AA####AA", "SN########", "AA########AA", "A#A#A#A#A#", "######-AA-###", "AAAA-####-####",
)  # fmt: skip
DX = (
    "asthma", "hypertension", "type 2 diabetes", "lower back pain", "migraine", "atrial fibrillation",
    "Crohn's disease", "pneumonia", "a fractured wrist", "depression", "COPD", "sepsis", "anaemia",
    "Parkinson's disease", "chest pain", "fever and cough", "gastritis", "eczema", "epilepsy",
    "Hodgkin lymphoma", "gout", "a sprained ankle", "anxiety", "Graves' disease", "stroke",
)  # fmt: skip
DRUG = (
    "metformin", "lisinopril", "amoxicillin", "ibuprofen", "Tylenol", "atorvastatin", "Lantus",
    "warfarin", "sertraline", "Augmentin", "prednisone", "omeprazole", "Xarelto", "salbutamol",
    "paracetamol", "Ramipril", "insulin", "Eliquis", "gabapentin", "furosemide",
)  # fmt: skip
PROD = (
    "router", "laptop", "Galaxy phone", "Premium plan", "printer", "Outlook", "the mobile app",
    "SAP", "VPN", "Teams", "washing machine", "the portal", "Salesforce", "credit card", "Photoshop",
)  # fmt: skip
JOB = (
    "nurse", "teacher", "software engineer", "plumber", "accountant", "driver", "paralegal", "chef",
    "Senior Analyst", "project manager", "retired carpenter", "CFO", "Sales Director", "cashier",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "tomorrow")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WORDS = (
    "summer", "dragon", "tiger", "welcome", "hello", "blue", "admin", "spring", "coffee", "pass",
    "letmein", "monkey", "winter", "secure", "hunter", "shadow", "qwerty", "secret", "green",
)  # fmt: skip
HANDLES = (
    "sky", "gamer", "dark", "pixel", "wolf", "ninja", "cat", "star", "real", "mr", "the", "xx",
    "lil", "big", "mama", "dj", "run", "fox", "moon", "art", "code", "tech", "fit", "pro", "sun",
)  # fmt: skip
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
    "ro": ("RO",), "hu": ("HU",), "tr": ("TR",), "ru": ("RU",), "uk": ("UA",),
}  # fmt: skip


class Values:
    """Draws slot values; a seeded generator gives the same texts again."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng, self.names = rng, Names(folder, rng)
        self.places: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for country, code, place, state, *_ in rows(folder, "postcode_place"):
            if "CEDEX" not in place.upper():
                self.places[country].append((code, place, state))
        self.cities = [r[0] for r in rows(folder, "cities5000") if int(r[3] or 0) > 15000]
        self.us_streets = [r[0].title() for r in rows(folder, "us_street_names")]
        self.orgs = [r[0] for r in rows(folder, "companies")]
        self.suffix = ["St", "Street", "Ave", "Avenue", "Rd", "Road", "Lane", "Ln", "Drive", "Dr",
                       "Blvd", "Court", "Ct", "Way", "Place", "Pl", "Terrace", "Close", "Crescent",
                       "Parkway", "Pkwy", "Circle", "Trail", "Hwy", "Gardens", "Grove", "Mews", "Row"]  # fmt: skip

    def pattern(self, pattern: str) -> str:
        """``#`` a digit, ``A`` a capital, ``a`` a small letter."""
        r, fill = (
            self.rng,
            {"#": string.digits, "A": string.ascii_uppercase, "a": string.ascii_lowercase},
        )
        return "".join(r.choice(fill[c]) if c in fill else c for c in pattern)

    def ident(self) -> str:
        """An identifier of a shape that some authority might use."""
        r = self.rng
        if r.random() < 0.7:
            return self.pattern(r.choice(PATTERNS))
        out = "".join(
            r.choice("##A") if r.random() < 0.9 else r.choice("-/. ")
            for _ in range(r.randint(5, 16))
        )
        return self.pattern(out.strip("-/. ")) or "4471903"

    def plate(self) -> str:
        return self.pattern(self.rng.choice((
            "AAA ###", "AAA-####", "#AAA###", "AA## AAA", "AA-###-AA", "A-AA ####", "#### AAA", "AA ### AA",
            "AB-A ###", "AAA####", "##-AAA-#", "AA #####", "AAA #A##", "### AAA", "AAA#A##", "A ## AAA",
        )))  # fmt: skip

    def secret(self) -> str:
        """A password as people make them."""
        r = self.rng
        w = r.choice(WORDS) if r.random() < 0.4 else r.choice(self.names.words).lower()
        leet = "".join(
            {"e": "3", "o": "0", "a": "4", "i": "1", "s": "$"}.get(c, c) if r.random() < 0.5 else c
            for c in w
        ).title()
        return r.choice((
            lambda: leet + r.choice("!#$@*&%-_.") + str(r.randint(1, 999)) + r.choice(("", "x", "!", "Z")),
            lambda: leet + str(r.randint(1, 99)) + r.choice("!#$@*&"),
            lambda: w.title() + str(r.randint(1, 2030)) + r.choice("!#$@*"),
            lambda: "".join(r.choice(string.ascii_letters + string.digits + "!@#$%^&*-_") for _ in range(r.randint(7, 16))),
            lambda: w + r.choice("-_.") + r.choice(WORDS) + str(r.randint(1, 99)),
            lambda: w.title().replace("e", "3").replace("o", "0") + r.choice("!?") + str(r.randint(10, 99)),
            lambda: self.pattern("####") if r.random() < 0.5 else self.pattern("######"),
            lambda: "-".join(r.sample(WORDS, r.randint(3, 4))),
        ))()  # fmt: skip

    def key(self) -> str:
        """An API key or token."""
        r = self.rng
        body = "".join(
            r.choice(string.ascii_letters + string.digits) for _ in range(r.randint(16, 44))
        )
        hexes = "".join(r.choice("0123456789abcdef") for _ in range(r.choice((16, 24, 32, 40))))
        return r.choice((
            body, hexes, "sk-" + body, "sk_live_" + body, "ghp_" + body, "AKIA" + body[:16].upper(), "xoxb-" + hexes[:12] + "-" + body,
            "eyJ" + body + "." + body[::-1] + "." + hexes, "pk_test_" + body, "glpat-" + body[:20], body[:20] + "+/" + body[20:] + "==",
            "key-" + hexes, hexes[:8] + "-" + hexes[8:12] + "-" + hexes[4:8] + "-" + hexes[:4] + "-" + hexes[4:16], "AIza" + body,
        ))  # fmt: skip

    def phone(self) -> str:
        return self.pattern(self.rng.choice((
            "(###) ###-####", "###-###-####", "### ### ####", "###.###.####", "+1 ### ### ####", "+44 7### ######", "0#### ######",
            "+49 ### #######", "0### / #######", "0#-########", "+33 # ## ## ## ##", "0# ## ## ## ##", "+34 ### ### ###", "### ### ###",
            "+39 ### #######", "+31 6 ########", "06-########", "+48 ### ### ###", "(##) #####-####", "+55 ## #####-####", "+1-###-###-####",
            "###-####", "ext. ####", "+46 70 ### ## ##", "##########", "##########", "#########", "+1##########", "+44##########", "0##########", "## ### ## ##", "1 (###) ###-####", "+1-###-###-####x###", "1-800-###-####", "##########", "+91 ##### #####", "0## ### ## ##", "+## ### ### ###",
        )))  # fmt: skip

    def user(self, p: Person) -> str:
        r = self.rng
        f = "".join(c for c in p.first.lower() if c.isalnum()) or "u"
        s = "".join(c for c in p.last.lower() if c.isalnum()) or "x"
        n = str(r.randint(1, 2010))
        return r.choice((
            f[0] + s, f + "." + s, f + s[0], f + "_" + s, s + f[0], f + n, f[0] + s + n, s + n, f"{f}{r.choice(HANDLES)}{n}", r.choice(HANDLES) + f,
            r.choice(HANDLES) + "_" + r.choice(HANDLES) + n, r.choice(HANDLES) + r.choice(HANDLES), f"u{r.randint(1000, 99999)}",
            f.title() + s.title(), f"{r.choice(HANDLES)}{s.title()}", f + "-" + s, f"{f[0]}.{s}", f"x{r.randint(10000, 999999)}", f + s,
        ))  # fmt: skip

    def email(self, p: Person) -> str:
        r = self.rng
        host = r.choice(
            (
                "gmail.com",
                "yahoo.com",
                "outlook.com",
                "hotmail.com",
                "web.de",
                "orange.fr",
                "mail.ru",
                "example.com",
                "example.org",
            )
        )
        if r.random() < 0.4:
            host = "".join(
                c for c in r.choice(self.names.any_last).lower() if c.isascii() and c.isalpha()
            ) + r.choice((".com", ".org", ".net", ".co.uk", ".de", ".io", ".es", ".pl"))
        return self.user(p).lower() + "@" + host

    def street(self, lang: str) -> str:
        r = self.rng
        w = r.choice(self.names.any_last if r.random() < 0.6 else self.cities).split(" ")[0]
        no = str(r.randint(1, 240)) + (r.choice("abcdAB") if r.random() < 0.12 else "")
        unit = (
            r.choice(UNITS.get(lang, ("",))).format(n=r.randint(1, 40), a=r.choice("ABCD"))
            if r.random() < 0.25
            else ""
        )
        if lang == "en":
            no = str(r.choice((r.randint(1, 200), r.randint(100, 9999), r.randint(1000, 20000))))
            y = r.random()
            if y < 0.06:
                return r.choice(("P.O. Box ", "PO Box ", "Post Office Box ")) + str(
                    r.randint(1, 9999)
                )
            if y < 0.35:
                return f"{no} {r.choice(self.us_streets)}{unit}"
            base = r.choice(
                (
                    w.title(),
                    f"{r.choice(['N', 'S', 'E', 'W', 'North', 'West'])} {w.title()}",
                    f"{r.randint(1, 120)}th",
                    f"{w.title()} {r.choice(self.names.any_last)}",
                    r.choice(
                        (
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
                        )
                    ),
                )
            )
            if lang == "en" and y < 0.42:
                return f"{r.choice(['Flat', 'Apartment', 'Unit'])} {r.randint(1, 99)}, {no} {base} {r.choice(self.suffix)}"
            return f"{no} {base} {r.choice(self.suffix)}{unit}"
        form = r.choice(STREETS.get(lang, ("{W}",))).replace("{w}", w).replace("{W}", w)
        if lang == "fr":
            return f"{no}{r.choice([', ', ' ', ' bis '])}{form}{unit}"
        if lang in ("es", "pt", "ru", "uk", "it") and r.random() < 0.6:
            return f"{form}, {r.choice(['', 'nº ', 'n. ', 'n.º ']) if lang in ('es', 'pt', 'it') else ''}{no}{unit}"
        if lang == "ro":
            return f"{form} nr. {no}{unit}"
        if lang == "tr":
            return f"{form} No:{no}{unit}"
        return f"{form} {no}{unit}"

    def place(self, lang: str) -> tuple[str, str, str, str]:
        country = self.rng.choice(COUNTRY.get(lang, ("US",)))
        return (country, *self.rng.choice(self.places[country] or self.places["US"]))

    def address(self, lang: str) -> str:
        """Street and town, the town's number where it is written in that country."""
        r, street = self.rng, self.street(lang)
        country, code, town, state = self.place(lang)
        sep = r.choice((", ", ", ", "\n", " ", "; ", " - "))
        if country in ("US", "AU"):
            tail = r.choice(
                (f"{town}, {state} {code}", f"{town} {state} {code}", f"{town}, {state}", town)
            )
        elif country in ("GB", "CA"):
            tail = r.choice((f"{town} {code}", f"{town}, {code}", town))
        elif country == "BR":
            tail = f"{town} - {state}, {code}"
        else:
            tail = r.choice(
                (
                    f"{code} {town}",
                    f"{code} {town}",
                    f"{code}, {town}",
                    town,
                    f"{code} {town} ({r.choice(self.cities)})",
                )
            )
        if r.random() < 0.08:
            tail += r.choice((", ", "\n")) + r.choice(
                ("USA", "United Kingdom", "Germany", "España", "France", "Polska", "Italia")
            )
        return street + sep + tail

    def date(self) -> str:
        r = self.rng
        y, m, d = r.randint(1935, 2026), r.randint(1, 12), r.randint(1, 28)
        return r.choice((f"{m:02}/{d:02}/{y}", f"{d:02}.{m:02}.{y}", f"{y}-{m:02}-{d:02}", f"{d} {MONTHS[m - 1]} {y}", f"{MONTHS[m - 1]} {d}, {y}", f"{d}/{m}/{y % 100:02}", f"{d:02}-{m:02}-{y}", f"{MONTHS[m - 1][:3]} {d}", f"{d}.{m}.{y}"))  # fmt: skip

    def filler(self, slot: str) -> str:
        """What carries no label: amounts, times, drugs, codes."""
        r = self.rng
        if slot == "amt":
            v = r.choice(
                (
                    f"{r.randint(5, 999)}",
                    f"{r.randint(1, 99)},{r.randint(100, 999)}",
                    f"{r.randint(5, 999)}.{r.randint(10, 99)}",
                )
            )
            return r.choice(
                (
                    f"${v}",
                    f"€{v}",
                    f"{v} EUR",
                    f"£{v}",
                    f"{v} PLN",
                    f"USD {v}",
                    f"{v} €",
                    f"{v} zł",
                    f"{v} kr",
                )
            )
        if slot == "code":
            return self.pattern(
                r.choice(
                    (
                        "A##.#",
                        "####",
                        "AA-###",
                        "a##f##",
                        "#a#b#c#",
                        "A###",
                        "AAA-##",
                        "e#f#a##c",
                        "##-####",
                        "AA#",
                        "#####-##",
                    )
                )
            )
        if slot == "ref":
            return self.pattern(
                r.choice(
                    (
                        "#######",
                        "AA-#####",
                        "INV-####",
                        "#####",
                        "ORD-######",
                        "1Z###A##########",
                        "PO-####",
                        "TCK-#####",
                        "#####-##",
                        "REQ######",
                    )
                )
            )
        simple = {
            "num": lambda: str(r.choice((r.randint(1, 12), r.randint(1, 100), r.randint(1, 2000)))), "time": lambda: f"{r.randint(0, 23):02}:{r.randint(0, 59):02}",
            "age": lambda: str(r.randint(18, 96)), "mon": lambda: r.choice(MONTHS), "day": lambda: r.choice(DAYS), "dx": lambda: r.choice(DX),
            "drug": lambda: r.choice(DRUG), "prod": lambda: r.choice(PROD), "job": lambda: r.choice(JOB), "ver": lambda: f"{r.randint(0, 12)}.{r.randint(0, 30)}.{r.randint(0, 9)}",
            "ip": lambda: ".".join(str(r.randint(1, 254)) for _ in range(4)), "last4": lambda: self.pattern("####"), "date": self.date,
            "hex": lambda: "".join(r.choice("0123456789abcdef") for _ in range(r.choice((7, 8, 12, 32, 40)))),
            "uuid": lambda: "-".join("".join(r.choice("0123456789abcdef") for _ in range(n)) for n in (8, 4, 4, 4, 12)),
        }  # fmt: skip
        return simple[slot]()

    def org(self) -> str:
        r = self.rng
        if r.random() < 0.5:
            name = r.choice(self.orgs)
            return name.title() if name.isupper() else name
        base = r.choice(self.names.any_last if r.random() < 0.6 else self.cities)
        return base + " " + r.choice(("Hospital", "Bank", "Insurance", "Clinic", "GmbH", "Ltd", "Inc.", "Medical Center", "University", "& Co", "Group", "S.A.", "Health", "Logistics", "Law LLP", "School", "AG", "S.r.l.", "Sp. z o.o.", "Partners", "Credit Union", "Klinik", "B.V.", "AB"))  # fmt: skip
