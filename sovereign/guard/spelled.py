"""Numbers in words, digit by digit, as people dictate them: in English, German, French, Spanish,
Italian, Portuguese and Dutch."""

from __future__ import annotations

import re

from sovereign.guard.segment import Segment, whole

__all__ = ["spelled", "spelled_out"]

_words = str.split
_DIGITS = (
    "zero oh null nul cero zéro",
    "one eins ein un une uno um uma een",
    "two zwei zwo deux dos due dois twee",
    "three drei trois tres tre três drie",
    "four vier quatre cuatro quattro quatro",
    "five fünf fuenf cinq cinco cinque vijf",
    "six sechs seis sei zes",
    "seven sieben sept siete sette sete zeven",
    "eight acht huit ocho otto oito",
    "nine neun neuf nueve nove negen",
)
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_NUMBERS = {word: str(i) for i, words in enumerate(_DIGITS) for word in _words(words)} | {
    word: str(i) for i, word in enumerate(_words(_TEENS), start=10)
}
_TENS = {
    word: value
    for value, word in enumerate(
        _words("twenty thirty forty fifty sixty seventy eighty ninety"), start=2
    )
}
_WORD = "(?:" + "|".join(sorted([*_NUMBERS, *_TENS], key=len, reverse=True)) + ")"
_PATTERN = re.compile(rf"(?<![\w-]){_WORD}(?:[\s,-]+{_WORD}){{6,24}}(?![\w-])", re.IGNORECASE)
_SEVEN = b"\1" * 7
_BYTES = frozenset(word.encode("latin-1") for word in [*_NUMBERS, *_TENS])
_LETTERS = bytes(b if 97 <= b <= 122 or b >= 0xC0 else 32 for b in range(256))


def spelled_out(text: str, raw: bytes) -> list[Segment]:
    """The numbers of seven words or more. ``raw`` is ``text`` in Latin-1, for a quick look."""
    words = raw.lower().translate(_LETTERS).split()
    if _BYTES.isdisjoint(words) or _SEVEN not in bytes(map(_BYTES.__contains__, words)):
        return []
    return [spelled(match) for match in _PATTERN.finditer(text)]


def spelled(match: re.Match[str]) -> Segment:
    """The number that words spell, grouped as its length says."""
    words = re.findall(r"[^\W\d_]+|,", match.group().lower())
    digits, i = "", 0
    while i < len(words):
        word = words[i]
        following = _NUMBERS.get(words[i + 1], "") if i + 1 < len(words) else ""
        if word in _TENS:
            unit = len(following) == 1 and following != "0"
            digits += f"{_TENS[word]}{following if unit else '0'}"
            i += unit
        elif word == ",":
            digits += "-"
        else:
            digits += _NUMBERS[word]
        i += 1
    bare = digits.replace("-", "")
    if len(bare) == 9:
        digits = f"{bare[:3]}-{bare[3:5]}-{bare[5:]}"
    elif len(bare) >= 10:
        digits = bare
    return whole(match, "spelled", digits)
