"""The canonical forms of names and numbers, the same when a roster is built and when text is read;
and the rules that say which stretches of text may be one.

A name is the sorted set of its folded words, so order, case, accents and punctuation do not matter.
Single words are no names: "Will" and "May" stand in every text. What counts is two parts or more,
an initial with a surname ("M. Keller"), or a surname behind a title ("Dr. Keller").
"""

# ruff: noqa: E501 - lists of words

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

__all__ = [
    "FULL",
    "INITIAL",
    "MAIL",
    "MAILS",
    "MAX_GROUPS",
    "PART",
    "SURNAME",
    "VALUE",
    "WORDS",
    "capital",
    "code_of",
    "code_runs",
    "fraction",
    "initial_like",
    "links",
    "name_forms",
    "phone_forms",
    "title",
    "tokens_of",
    "wordy",
]

FULL, INITIAL, SURNAME, PART, VALUE, MAIL = "F", "I", "S", "P", "V", "M"
"""Kinds of entries: a name of two parts or more; with an initial; a surname that needs a title; one
word of any name (it only says where to look closer); a number or code; an e-mail address."""

WORDS: Final = re.compile(r"[^\W\d_]+(?:['’ʼ][^\W\d_]+)*")
MAILS: Final = re.compile(r"[\w.%+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
MAX_GROUPS: Final = 6
_GIVEN = 4
_split = str.split

_TITLES = frozenset(
    _split(
        "mr mrs ms miss mx dr doctor prof professor sir madam dame lord lady herr frau fraulein hr fr "
        "dott dottssa sig signor signora sr sra srta senor senora don dona dhr mevr mw monsieur madame "
        "mademoiselle mme mlle m judge justice officer sgt sergeant capt captain lt lieutenant maj "
        "major col colonel gen rev reverend father sister nurse hon pan pani"
    )
)
_AFTER = frozenset(
    _split("jr sr ii iii iv md phd do rn np pa esq dds dvm mba msc bsc ba ma ing dipl")
)
# Words that stand beside anything: with one of them, a name needs its capitals.
_FUNCTION = frozenset(
    _split(
        "a an the and or but not no yes so as at by for from in into of off on out over to under up "
        "with i me my we us our you your he him his she her it its they them their this that these "
        "those who what when where why how all any both each few more most other some such only own "
        "same than too very can will just should now may might must shall would could do did does "
        "done have has had is are was were be been am van von der den de la le el al di da dos du y e"
    )
)
# Names that are words, and words that are names somewhere: in lower case, two of them are words.
_COMMON = frozenset(
    _split(
        "a an the and or but not no yes so as at by for from in into of off on out over to under up "
        "with i me my we us our you your he him his she her it its they them their this that these "
        "those who what when where why how all any both each few more most other some such only own "
        "same than too very can will just should now may might must shall would could do did does "
        "done have has had is are was were be been am will may mark grace hope faith joy rose art bill "
        "guy chase dean earl king young long best good day week june april august summer autumn "
        "winter north south east west rich man case page major price field bond close park hill wood "
        "brook stone banks bank cash love lane street short small little big black white brown green "
        "gray grey blue gold silver power law sky star rain snow storm frost rock sand lake river "
        "bush tree branch berry bean rice salt pepper sugar fish wolf fox bird crane drake hawk swan "
        "lamb bull buck book read reading write wright sharp bright strong noble loyal true free early "
        "late new old high low head hand foot back chance lucky happy pat sue rob jack frank drew "
        "nick peg penny dot ray gene jean dale glen cliff heath marsh moss reed flower ivy lily daisy "
        "iris violet holly hazel ginger ruby pearl amber crystal jade mercy patience charity prudence "
        "constance victor sterling miles trip ace chip skip lance pierce tucker mason carter hunter "
        "fisher baker cook miller taylor smith porter butler turner walker parker barber potter shepherd "
        "archer bishop pope abbot monk knight duke prince baron judge page steward ward warden street "
        "church temple hall house home gate wall bell ball cross church english french german irish "
        "scott wales england france paris london berlin sydney austin dallas houston jackson lincoln "
        "washington madison virginia georgia carolina china india israel jordan kenya chad cuba "
        "call calls look see saw seen made make let get got give take plan test line list set use user "
        "and port host main root data log key van von der den de la le el al di da do dos du y e st "
        "san santa one two three four five six seven eight nine ten first last second third son so "
        "sun moon mon tue wed thu fri sat jan feb mar apr jun jul aug sep oct nov dec "
        "the like well said say says here there then time year work way part place side end way life"
    )
)
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "a", "œ": "o", "ı": "i", "ħ": "h"}
)
_UMLAUTS = re.compile("([aou])e")
_DIGIT_RUN = re.compile(r"[A-Za-z0-9]+")
_JOINS = re.compile(r"[ ]?[-./_()+#][ ]?|[ ]")
_GAP = re.compile(r"[ \t]{0,2}(?:\n[ \t]{0,4})?|[-.'’_^|;\t]|, ?|\. ?|\^{1,2}")


@lru_cache(maxsize=65_536)
def _folded(word: str) -> str:
    """Lower case, no accents; "ue" is "ü" is "u", since every system spells them its own way."""
    low = word.casefold()
    if not low.isascii():
        low = low.translate(_LETTERS)
        low = "".join(c for c in unicodedata.normalize("NFKD", low) if not unicodedata.combining(c))
    low = low.replace("'", "").replace("’", "").replace("ʼ", "")
    return _UMLAUTS.sub(r"\1", low) if len(low) > 3 else low


def tokens_of(text: str) -> list[str]:
    """The folded words of ``text``."""
    return [folded for m in WORDS.finditer(text) if (folded := _folded(m.group()))]


def name_forms(name: str) -> list[tuple[str, str]]:
    """Kind and canonical form of every way that ``name`` may be written; nothing if it is a single
    word, or is no name."""
    last, comma, first = name.partition(",")
    if comma and all(t in _AFTER for t in tokens_of(first.replace(".", ""))):
        return name_forms(last)  # "Maria Keller, MD"
    family = _bare(last) if comma else []
    given = _bare(first) if comma else _bare(name)
    if not comma and given:
        tail = tokens_of(name.split()[-1])  # "Smith-Jones" is one surname
        keep = len(tail) if 0 < len(tail) < len(given) and given[-len(tail) :] == tail else 1
        given, family = given[:-keep], given[-keep:]
    if comma and not given:
        given, family = family[:-1], family[-1:]
    given = given[:_GIVEN]
    if not given or not family or max(map(len, family)) < 2:
        return []
    forms: dict[tuple[str, str], None] = {}
    core = [t for t in family if t not in _PARTICLES] or family

    def add(kind: str, tokens: Sequence[str]) -> None:
        forms[kind, " ".join(sorted(tokens))] = None

    words = [g for g in given if len(g) > 1]
    for surname in {tuple(family), tuple(core)}:
        add(INITIAL if len(words) < len(given) else FULL, [*given, *surname])
        for word in words:
            add(FULL, [word, *surname])
        if len(words) > 2:
            add(FULL, [*words[:2], *surname])
        initials = [g[0] for g in given]
        add(INITIAL, [initials[0], *surname])
        if len(given) > 1:
            add(INITIAL, [*initials, *surname])
            add(INITIAL, [given[0], *initials[1:], *surname])
            add(INITIAL, [given[0], initials[1], *surname])
        add(SURNAME, surname)
    for token in {*given, *family}:
        if len(token) > 1:
            forms[PART, token] = None
    return list(forms)


_PARTICLES = frozenset(
    _split("van von der den de la le el al di da do dos du del della ter ten zu bin ibn")
)


def _bare(text: str) -> list[str]:
    """The tokens without titles before and letters after."""
    tokens = tokens_of(text.replace(".", ". "))
    while tokens and tokens[0] in _TITLES and len(tokens) > 1:
        tokens = tokens[1:]
    while len(tokens) > 2 and tokens[-1] in _AFTER:
        tokens = tokens[:-1]
    return tokens


def code_of(value: str) -> str:
    """Letters and digits only, in capitals; "" if too short to point at anybody: under six, or
    without a digit."""
    plain = unicodedata.normalize("NFKC", value)
    form = "".join(c for c in plain if c.isascii() and c.isalnum()).upper()
    return form if 6 <= len(form) <= 40 and any(c.isdigit() for c in form) else ""


def phone_forms(digits: str, plus: bool) -> Iterator[str]:
    """The number without what depends on where it is dialled from: leading zeros, and the country's
    code if it is given ("+49 (0)30" is "030")."""
    known = plus or digits.startswith("00")
    bare = digits.lstrip("0")
    yield bare
    if len(bare) == 11 and bare.startswith("1"):
        yield bare[1:]
    if known:
        for code in (1, 2, 3):
            local = bare[code:].lstrip("0")
            if len(local) >= 7:
                yield local


def links(text: str, left: tuple[int, int, str], right: tuple[int, int, str]) -> bool:
    """Whether two words may stand side by side in one name."""
    gap = text[left[1] : right[0]]
    if len(gap) > 6 or _GAP.fullmatch(gap) is None:
        return False
    return gap != ". " or len(left[2]) == 1  # else a sentence ends there


def capital(word: str) -> bool:
    """Whether ``word`` begins as names do. Scripts without case always do."""
    return not word[0].islower()


def wordy(tokens: Sequence[str]) -> bool:
    """Whether folded tokens may be plain words, so that they are a name only with capitals."""
    return any(t in _FUNCTION or len(t) < 3 for t in tokens) or all(t in _COMMON for t in tokens)


def initial_like(text: str, words: Sequence[tuple[int, int, str]]) -> bool:
    """ "M. Keller", "Keller, M.", "Maria A. Keller": every single letter has a point or comes after
    a comma, and all words are capitalised. "A Long" is none."""
    for at, (start, end, word) in enumerate(words):
        if not capital(word):
            return False
        if len(word) == 1:
            dotted = text[end : end + 1] == "."
            if word in ("A", "I") and not dotted:  # "Oh, I see"
                return False
            inside = 0 < at < len(words) - 1
            comma = at > 0 and "," in text[words[at - 1][1] : start]
            if not (dotted or comma or inside):
                return False
    return True


def title(text: str, words: Sequence[tuple[int, int, str]], at: int) -> bool:
    """Whether the word before is a title: "Dr. Keller", "Frau Keller"."""
    if at == 0:
        return False
    _, end, word = words[at - 1]
    gap = text[end : words[at][0]]
    return gap in (" ", ". ", ".", "\u00a0", ".\u00a0") and _folded(word) in _TITLES


def fraction(text: str, start: int) -> bool:
    """Whether what begins here is behind a decimal point: "0.482913"."""
    return start > 1 and text[start - 1] == "." and text[start - 2].isdigit()


def code_runs(text: str) -> Iterator[list[tuple[int, int, str]]]:
    """Runs of groups of letters and digits that may be one number: start, end, capitals. Only what
    lies near a digit."""
    run: list[tuple[int, int, str]] = []
    last = -10
    for match in _DIGIT_RUN.finditer(text):
        group = match.group()
        digit = not group.isalpha()
        if run and (
            _JOINS.fullmatch(text, last, match.start()) is None or (not digit and len(group) > 12)
        ):
            if any(any(c.isdigit() for c in g) for _, _, g in run):
                yield run
            run = []
        if digit or len(group) <= 12:
            run.append((match.start(), match.end(), group.upper()))
            if len(run) > 4 * MAX_GROUPS and not any(
                any(c.isdigit() for c in g) for _, _, g in run[-2 * MAX_GROUPS :]
            ):
                del run[:-MAX_GROUPS]
        last = match.end()
    if any(any(c.isdigit() for c in g) for _, _, g in run):
        yield run
