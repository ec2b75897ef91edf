"""Five values in each of some fifty disguises, named by the trick; docs/limits.md says which tricks
are out of reach."""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Callable

import pytest

from sovereign.errors import Unreadable
from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Action, Destination

GUARD = Guard(load_policy(preset="direct"), build(), key=b"k" * 32)
HOSTED = Destination("hosted", "hosted")
VALUES = {
    "ssn": ("SSN ", "512-47-3391"),
    "card": ("card ", "4539148803436467"),
    "mail": ("write to ", "thandeka.okonjo@posteo.de"),
    "iban": ("IBAN ", "DE89370400440532013000"),
    "phone": ("call ", "+1 212 555 0143"),
}
NUMBERS = ("ssn", "card", "phone")
NO_PHONE = ("ssn", "card", "mail", "iban")
SAID_SO = " (backwards)"
"""What tells that a value is reversed, and is no part of it."""
HOMOGLYPHS = str.maketrans("aceopxyABEKMHOPCTX", "асеорхуАВЕКМНОРСТХ")


def digits(alphabet: str) -> Callable[[str], str]:
    return lambda v: "".join(alphabet[int(c)] if c.isdigit() else c for c in v)


def said(words: str) -> Callable[[str], str]:
    return lambda v: " ".join(words.split()[int(c)] for c in v if c.isdigit())


def b64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


def rows(letters: str, width: int, between: str = "\n") -> str:
    return between.join(letters[i : i + width] for i in range(0, len(letters), width))


def selector(byte: int) -> str:
    """The variation selector that stands for a byte."""
    return chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16)


def on_black(c: str) -> str:
    if c.isdigit():
        return "⓿❶❷❸❹❺❻❼❽❾"[int(c)]
    return chr(0x1F150 + ord(c.upper()) - ord("A")) if c.isalpha() else c


NEXT = '" +\n    "'
Trick = tuple[Callable[[str], str], tuple[str, ...]]
ALL = tuple(VALUES)
TRICKS: dict[str, Trick] = {
    "zero_width_joiner": ("\u200d".join, ALL),
    "soft_hyphen": ("\u00ad".join, ALL),
    "word_joiner": ("\u2060".join, ALL),
    "variation_selector": ("\ufe0f".join, ALL),
    "bidi_isolate": (lambda v: f"\u2067{v}\u2069", ALL),
    "struck_out": (lambda v: "".join(c + "\u0336" for c in v), ALL),
    "keycaps": (lambda v: re.sub(r"(\d)", "\\1\ufe0f\u20e3", v), ALL),
    "tag_characters": (lambda v: "".join(chr(0xE0000 + ord(c)) for c in v), ALL),
    "fullwidth": (lambda v: "".join(chr(ord(c) + 0xFEE0) if c > " " else c for c in v), ALL),
    "math_bold": (digits("𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"), ALL),
    "variation_selectors": (lambda v: "x" + "".join(map(selector, v.encode())), ALL),
    "on_black": (lambda v: "".join(map(on_black, v)), ALL),
    "in_parentheses": (digits("0⑴⑵⑶⑷⑸⑹⑺⑻⑼"), ALL),
    "dingbats": (digits("⓪➀➁➂➃➄➅➆➇➈"), ALL),
    "circled": (digits("⓪①②③④⑤⑥⑦⑧⑨"), ALL),
    "superscript": (digits("⁰¹²³⁴⁵⁶⁷⁸⁹"), ALL),
    "arabic_digits": (digits("٠١٢٣٤٥٦٧٨٩"), ALL),
    "devanagari_digits": (digits("०१२३४५६७८९"), ALL),
    "homoglyphs": (lambda v: v.translate(HOMOGLYPHS), ALL),
    "base64": (b64, ALL),
    "base64_in_base64": (lambda v: b64(b64(v)), ALL),
    "base64_utf16": (lambda v: b64(v, "utf-16-le"), ALL),
    "base64_of_a_sentence": (lambda v: b64(f"the value is {v} as you asked"), ALL),
    "base64_latin1": (lambda v: base64.b64encode(f"Grüße: {v}".encode("latin-1")).decode(), ALL),
    "base64_among_bytes": (lambda v: b64(f"\x08\x96\x01\0{v}\n"), ALL),
    "base64_in_short_lines": (lambda v: rows(b64(f"it is {v}, as asked"), 20), ALL),
    "base64_quoted": (lambda v: rows(b64(f"it is {v}, as asked"), 20, "\n> "), ALL),
    "base64_in_strings": (lambda v: f'"{rows(b64(f"it is {v}, as asked"), 20, NEXT)}"', ALL),
    "base32_small": (lambda v: base64.b32encode(v.encode()).decode().lower(), ALL),
    "base32": (lambda v: base64.b32encode(v.encode()).decode(), ALL),
    "hex": (lambda v: v.encode().hex(), ALL),
    "hex_with_colons": (lambda v: v.encode().hex(":"), ALL),
    "hex_with_bars": (lambda v: v.encode().hex("|"), ALL),
    "hex_one_a_line": (lambda v: v.encode().hex("\n"), ALL),
    "hex_in_fours": (lambda v: v.encode().hex(" ", 2), ALL),
    "hex_in_lines": (lambda v: rows(f"it is {v}, as asked".encode().hex(), 24), ALL),
    "hex_of_a_database": (lambda v: f"\\x{v.encode().hex()}", ALL),
    "hex_list": (lambda v: ", ".join(map(hex, v.encode())), ALL),
    "hex_escapes": (lambda v: "".join(f"\\x{b:02x}" for b in v.encode()), ALL),
    "octal_escapes": (lambda v: "".join(f"\\{b:03o}" for b in v.encode()), ALL),
    "codes_with_commas": (lambda v: ",".join(map(str, v.encode())), ALL),
    "codes_with_semicolons": (lambda v: ";".join(map(str, v.encode())), ALL),
    "list_of_codes": (lambda v: json.dumps(list(v.encode())), ALL),
    "percent": (lambda v: "".join(f"%{b:02X}" for b in v.encode()), ALL),
    "percent_twice": (lambda v: "".join(f"%25{b:02X}" for b in v.encode()), ALL),
    "html_decimal": (lambda v: "".join(f"&#{ord(c)};" for c in v), ALL),
    "html_hex": (lambda v: "".join(f"&#x{ord(c):x};" for c in v), ALL),
    "html_with_zeros": (lambda v: "".join(f"&#x{ord(c):09x};" for c in v), ALL),
    "html_without_semicolon": (lambda v: "".join(f"&#{ord(c):07d}" for c in v), ALL),
    "unicode_escapes": (lambda v: "".join(f"\\u{ord(c):04x}" for c in v), ALL),
    "unicode_escapes_braced": (lambda v: "".join(f"\\u{{{ord(c):x}}}" for c in v), ALL),
    "json_in_json": (lambda v: json.dumps(json.dumps({"id": v})), ALL),
    "quoted_printable": (lambda v: "".join(f"={b:02X}" for b in v.encode()), ALL),
    "quoted_printable_line": (lambda v: f"{v[:6]}=\n{v[6:]}", NO_PHONE),
    "rot13_of_digits": (lambda v: codecs.encode(v, "rot13"), NUMBERS),
    "reversed_number": (lambda v: v[::-1], ("card",)),
    "reversed_and_said_so": (lambda v: v[::-1] + SAID_SO, ("ssn",)),
    "reversed_address": (lambda v: v[::-1], ("mail",)),
    "escaped_marks": (lambda v: re.sub(r"([^\w ])", r"\\\1", v), ALL),
    "spaced": (" ".join, ALL),
    "spaced_wide": ("  ".join, NO_PHONE),
    "one_a_line": ("\n".join, ALL),
    "array_of_characters": (lambda v: json.dumps(list(v)), ALL),
    "concatenated": (lambda v: f'"{v[:5]}" + "{v[5:]}"', ALL),
    "bold_inside": (lambda v: f"{v[:4]}**{v[4:7]}**{v[7:]}", NO_PHONE),
    "tags_inside": (lambda v: f"{v[:5]}<b>{v[5:]}</b>", ("card", "mail", "iban")),
    "comment_inside": (lambda v: f"{v[:5]}<!-- -->{v[5:]}", NO_PHONE),
    "at_in_words": (lambda v: v.replace("@", " at ").replace(".", " dot "), ("mail",)),
    "at_in_brackets": (lambda v: v.replace("@", "(at)").replace(".", "[dot]"), ("mail",)),
    "at_underscored": (lambda v: v.replace("@", "_AT_").replace(".", "_DOT_"), ("mail",)),
    "letters_for_digits": (lambda v: v.replace("0", "O").replace("1", "l"), NUMBERS),
    "spoken_english": (said("zero one two three four five six seven eight nine"), NUMBERS),
    "spoken_german": (said("null eins zwei drei vier fünf sechs sieben acht neun"), NUMBERS),
    "spoken_french": (said("zéro un deux trois quatre cinq six sept huit neuf"), NUMBERS),
    "spoken_spanish": (said("cero uno dos tres cuatro cinco seis siete ocho nueve"), NUMBERS),
}
QUIET = (
    "internationalization\nadministration\nresponsibilities",
    r"\frac{1}{2} \_x\_ \{a\} \% 5\,000 \& co",
    "❤️ ✌🏽 1️⃣ 2️⃣ ⒈ ➊ 🅰🅱",
    "1a 2b 3c 4d 5e 6f",
    "pick a, b, c or d, then e",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
    "scores: 12, 15, 18, 22, 31, 44, 52, 61, 70",
    "f(**kwargs) and a<b>c and __init__ and 2**10",
    "one two three, one two three, dancing in seven eight",
    "0O0l0O0l1I",
    "order part 7078-72-555 again",
    "url?a=20&b=3D and x==y and a=b=c",
)


def untouched(text: str, start: int) -> float:
    """The share of visible characters from ``start`` on that nothing acts on; 0 if refused."""
    body = {"messages": [{"role": "user", "content": text}]}
    try:
        done = GUARD.inspect(body, to=HOSTED, shape="openai.chat")
    except Unreadable:
        return 0.0
    seen = bytearray(len(text))
    for found, action in zip(done.findings, done.verdict.actions, strict=True):
        if action is not Action.ALLOW:
            seen[found.start : found.end] = b"\1" * (found.end - found.start)
    end = len(text) - len(SAID_SO) if text.endswith(SAID_SO) else len(text)
    visible = [i for i in range(start, end) if text[i].isalnum() or ord(text[i]) > 0x1F000]
    return sum(not seen[i] for i in visible) / len(visible)


@pytest.mark.parametrize("trick", TRICKS)
def test_no_disguise_hides_a_value(trick: str) -> None:
    """Four fifths of its characters at least are held back."""
    disguise, kinds = TRICKS[trick]
    left = {}
    for kind in kinds:
        lead, value = VALUES[kind]
        left[kind] = untouched(lead + disguise(value), len(lead))
    assert {kind: share for kind, share in left.items() if share > 0.2} == {}


@pytest.mark.parametrize("text", QUIET)
def test_what_only_looks_disguised_is_left_alone(text: str) -> None:
    """Programs, lists, songs."""
    assert untouched(text, 0) == 1.0
