"""Made-up values for slots: identifiers, secrets, phones, addresses, fillers. Nothing is real."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random
import string
from pathlib import Path

from tagger.names import Names, Person, rows
from tagger.streets import Streets

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
    "##AA#####", "##AAA####", "AAA####A", "A##A####", "##-AA-###", "AA/##/##", "#AA#-AAA-####", "(##)##############", "###############", "A#A#A-##A#A", "AAA##-#####", "##.####.#",
    "AA.####.##", "#/####", "####-A", "AAA/####/##", "A ### ### ###", "## ### ### ###", "AAA######A", "#### ### ###", "A-##-####", "AA##-AA##-AA##", "####A####", "##A##",
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


class Values:
    """Draws slot values; a seeded generator gives the same texts again."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng, self.names = rng, Names(folder, rng)
        streets = Streets(folder, rng, self.names)
        self.street, self.place, self.address = streets.street, streets.place, streets.address
        self.cities = streets.cities
        self.orgs = [r[0] for r in rows(folder, "companies")]

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
            "AB-A ###", "AAA####", "##-AAA-#", "AA #####", "AAA #A##", "### AAA", "AAA#A##", "A ## AAA", "AA## AAA", "AA##AAA", "A### AAA", "A-AA ###", "AAA-AA ###",
            "A-A ####", "AA-AA ##", "#### AA", "AA-##-##", "##-##-AA", "AA-### AA", "AA ###AA", "AAA ####", "#AAA ###", "AAA-###", "AA #### AA", "AA-####-A", "## A ####",
            "AAA ## A#", "#AA####", "AA ## ###", "A ###", "AA ## AAA", "## AAA ##", "AA###AA", "AAA###A",
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
        """How somebody is known to a system or to a forum: after a name, or after nothing."""
        r = self.rng
        if r.random() < 0.22:
            a, b = r.choice(self.names.words).lower(), r.choice(self.names.words).lower()
            m = r.choice(self.names.any_first).lower()
            m = "".join(c for c in m if c.isalnum()) or "m"
            return r.choice((
                f"{a}_{b}", f"{a}{b}", f"{a}.{b}{r.randint(1, 99)}", f"{a.title()}{b.title()}", f"{a}-{b}", f"its{m}", f"{a}{r.randint(1, 9999)}", f"{m}_{a}", f"{a}{m}{r.randint(1, 99)}",
                f"xX{a}Xx", f"{m[:3]}{r.randint(10, 999)}", f"adm-{m}", f"{m}.ext", f"svc_{a}", f"{m}_{r.choice('abcdefgh')}", f"_{m}_", f"{m}{m[-1] * 2}", f"{a}_of_{b}", f"not{m}", f"{m}.{a}.{r.randint(1, 99)}",
            ))  # fmt: skip
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
                        "A##.###A",
                        "A##.###",
                        "A##.##",
                        "#####",
                        "A####",
                        "a######",
                        "#.#.##",
                        "####-#",
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
                        "INC-######",
                        "INC#######",
                        "CHG#######",
                        "AAA-###",
                        "AAAA-####",
                        "TASK-####",
                        "PRB######",
                        "BUG-####",
                        "RMA-#####",
                        "R#########",
                        "##########",
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
