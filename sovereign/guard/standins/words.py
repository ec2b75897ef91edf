"""Stand-ins made of words: names, user names, addresses, places, organisations.

One word of a name has one stand-in, wherever it stands: "Maria Keller" and "Frau Keller" share
theirs, so a model sees one person, and a reply about either is restored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from sovereign.guard.standins.chance import Chance
from sovereign.guard.standins.numbers import scrambled

__all__ = ["WORD", "address", "email", "name_word", "organization", "person", "place", "username"]

_words = str.split  # a list of words is easier to read as one string

WORD = re.compile(r"[^\W\d_]+")
"""One word of a name."""

_TOKEN = re.compile(r"[^\W\d_]+|\d+")

_SMALL = frozenset(
    _words(
        "von van der den de del della di da do dos das du la le el al bin ibn ben bint zu zum zur "
        "ter ten af y e i and und et the jr sr ii iii iv dr mr mrs ms prof"
    )
)
_KEPT = _SMALL | frozenset(
    _words(
        # kinds of streets and buildings
        "street st road rd avenue ave lane ln drive dr boulevard blvd court ct place pl square sq "
        "terrace way crescent close gardens hill park row highway hwy parkway circle trail "
        "apartment apt suite ste unit floor flat room po box building block house north south east "
        "west n s e w ne nw se sw strasse straße str weg platz allee gasse ring rue avenue chemin "
        "impasse quai cours calle avenida plaza paseo camino via viale piazza corso rua travessa "
        "praça straat laan plein gracht ulica ul aleja plac gatan vägen gade vej katu utca "
        # kinds of organisations
        "hospital clinic clinics medical center centre health care bank trust insurance university "
        "college school institute department ministry office council group holding holdings "
        "company co corp corporation inc llc llp ltd limited plc gmbh ag kg se sa sas sarl srl spa "
        "bv nv oy ab as aps sp z o krankenhaus klinik klinikum praxis versicherung sparkasse "
        "universität schule stiftung verein hôpital clinique banque assurance hospital clínica "
        "banco seguros universidad of for services service solutions systems partners associates"
    )
)
_ENDS = ("ton", "ville", "field", "dale", "burg", "stead", "wick", "mere")


def person(value: str, chance: Chance) -> str | None:
    """Each word by its stand-in, an initial by another letter; small words and signs stay."""
    if not _latin(value) or not any(len(w) > 1 for w in WORD.findall(value)):
        return None

    made = _named(value, chance, small=_SMALL)
    if made is None or made == value:
        return None
    return made if any(len(w) > 2 for w in WORD.findall(made)) else None


def name_word(word: str, chance: Chance) -> str:
    """The stand-in of one word of a name: of the same gender if it is a given name that is known,
    else a surname; in its case."""
    kind = _genders().get(word.lower(), "s")
    return _cased(chance.of(_names()[kind], kind, word.lower()), word)


def username(value: str, chance: Chance) -> str | None:
    """Words by names, digits by digits: ``m.keller84`` is ``a.hoskins27``."""
    if not value.isascii() or sum(c.isalnum() for c in value) < 5:
        return None
    made = _named(value, chance)
    if made is None or made == value:
        return None
    return made if any(len(w) > 3 for w in WORD.findall(made)) else None


def email(value: str, chance: Chance) -> str | None:
    """At example.com, .net or .org."""
    local, at, _ = value.rpartition("@")
    if not at or not local.isascii():
        return None
    made = _named(local, chance)
    if made is None:
        return None
    if chance.attempt or made == local:
        made += str(chance.below(1000, value))
    return f"{made}@example.{chance.of(('com', 'net', 'org'), value)}"


def address(value: str, chance: Chance) -> str | None:
    """The kind of street, the order and the signs stay; names and numbers are others."""
    made = _replaced(value, chance, lambda w: _invented(w, chance))
    return made if made is not None and any(c.isdigit() for c in value) else None


def place(value: str, chance: Chance) -> str | None:
    """A place that does not exist."""
    return _replaced(value, chance, lambda w: _invented(w, chance))


def organization(value: str, chance: Chance) -> str | None:
    """The kind and the legal form stay; the names are others."""
    return _replaced(value, chance, lambda w: chance.of(_names()["s"], "org", w.lower()))


def _replaced(value: str, chance: Chance, make: Callable[[str], str]) -> str | None:
    """Names by ``make``, numbers by numbers, codes such as ``LS1`` sign by sign. What says only of
    what kind it is stays, and so do small words and two capitals (a state of the US, no less:
    45 CFR 164.514(b)(2)(i)(B) lets states stand)."""
    if not _latin(value):
        return None
    changed = False

    def new(m: re.Match[str]) -> str:
        nonlocal changed
        token = m.group()
        if token.isdecimal():
            return _number(token, chance)
        if not token.isalpha():
            return scrambled(token, chance)
        small = len(token) <= 3 and token.islower()
        if token.lower() in _KEPT or len(token) == 1 or small or re.fullmatch("[A-Z]{2}", token):
            return token
        changed = True
        return _cased(make(token), token)

    made = re.sub(r"[^\W_]+", new, value)
    return made if changed else None


def _invented(word: str, chance: Chance) -> str:
    stem = chance.of(_names()["s"], "place", word.lower())
    return stem + chance.of(_ENDS, "end", word.lower())


def _named(value: str, chance: Chance, small: frozenset[str] = frozenset()) -> str | None:
    """Each word of ``value`` by a name, each letter by a letter, each number by a number; ``None``
    if a word has no stand-in that is free."""
    lost = False

    def new(m: re.Match[str]) -> str:
        nonlocal lost
        token = m.group()
        if token[0].isdecimal():
            return _number(token, chance)
        if token.lower() in small and not token.isupper():
            return token
        if len(token) == 1:
            return _letter(token, chance)
        made = chance.word(token)
        lost |= made is None
        return made or token

    made = _TOKEN.sub(new, value)
    return None if lost else made


def _number(token: str, chance: Chance) -> str:
    """As many digits, the first not 0 unless it was."""
    size = len(token)
    if token.startswith("0") or size > 9:
        stream = chance.bytes("n", token)
        return "".join(str(next(stream) % 10) for _ in token)
    low = 10 ** (size - 1)
    return str(low + chance.below(10**size - low, "n", token))


def _letter(letter: str, chance: Chance) -> str:
    made = chr(ord("A") + chance.below(26, "initial", letter.lower()))
    return made.lower() if letter.islower() else made


def _cased(made: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return made.upper()
    return made.lower() if like.islower() else made


def _latin(value: str) -> bool:
    """Whether every letter is one of Latin's: code points below those of Greek and Cyrillic, and
    the additions for Vietnamese and others."""
    return all(ord(c) < 0x250 or 0x1E00 <= ord(c) < 0x1F00 for c in value if c.isalpha())


@cache
def _table() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    names: dict[str, list[str]] = {"f": [], "m": [], "s": []}
    genders: dict[str, str] = {}
    text = files(__package__).joinpath("names.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        kind, name = line.split(" ", 1)
        if kind in "fm":
            genders[name.removeprefix("+").lower()] = kind
        if not name.startswith("+"):
            names[kind].append(name)
    return {kind: tuple(each) for kind, each in names.items()}, genders


def _names() -> dict[str, tuple[str, ...]]:
    return _table()[0]


def _genders() -> dict[str, str]:
    return _table()[1]
