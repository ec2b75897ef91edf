"""What texts go through on their way: case lost, accents lost, misread, misspelt, spoken.

Works on tokens and their label masks, so labels stay where they belong.
"""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import random

from sovereign.guard.recognizers.tagger.tokens import fold

__all__ = ["disturb"]

MISREAD = {"o": "0", "l": "1", "i": "1", "e": "c", "s": "5", "b": "8", "O": "0", "I": "l", "S": "5", "B": "8", "0": "O", "1": "l", "5": "S", "8": "B", "m": "n", "g": "9", "h": "b"}  # fmt: skip
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PERSON = 0b10
Tokens = tuple[list[str], list[int]]


def _spoken(tokens: list[str], masks: list[int], rng: random.Random) -> Tokens:
    out: list[str] = []
    labels: list[int] = []
    spell = rng.random() < 0.3
    for token, mask in zip(tokens, masks, strict=True):
        word = token.strip()
        if not word or not word[0].isalnum():
            if word == "'" or word == "’":
                out.append(token)
                labels.append(mask)
            continue
        if rng.random() < 0.03:
            out.append(rng.choice((" um", " uh", " like", " so")))
            labels.append(1 if mask & 1 else mask)
        if spell and word.isdigit() and len(word) < 12:
            for d in word:
                out.append(" " + (DIGITS[int(d)] if d in "0123456789" else d))
                labels.append(mask)
        elif (
            spell
            and mask & 0b1110000
            and len(word) < 12
            and (any(c.isdigit() for c in word) or (word.isupper() and len(word) < 5))
        ):
            for c in word.lower():
                out.append(" " + (DIGITS[int(c)] if c in "0123456789" else c))
                labels.append(mask)
        elif mask == PERSON and 2 < len(word) < 12 and word.isalpha() and rng.random() < 0.04:
            # A name said, and said again letter by letter.
            for said in rng.choice(([word], [])) + list(word):
                out.append(" " + said.lower())
                labels.append(mask)
        else:
            glued = token[0] != " " and out and out[-1] in ("'", "’")
            out.append(word.lower() if glued else " " + word.lower())
            labels.append(mask)
    if out and out[0].startswith(" "):
        out[0] = out[0][1:]
    return out, labels


def _typo(token: str, rng: random.Random) -> str:
    lead = " " if token[0] == " " else ""
    w = token[len(lead) :]
    if len(w) < 4 or not w.isalpha():
        return token
    i = rng.randrange(1, len(w) - 1)
    return lead + rng.choice(
        (w[:i] + w[i + 1 :], w[:i] + w[i] + w[i:], w[:i] + w[i + 1] + w[i] + w[i + 2 :])
    )


def _misread(token: str, rng: random.Random) -> str:
    return "".join(MISREAD[c] if c in MISREAD and rng.random() < 0.09 else c for c in token)


def _glued(tokens: list[str], masks: list[int], rng: random.Random) -> Tokens:
    """Words of one kind run together, as scanned forms have them."""
    out: list[str] = []
    labels: list[int] = []
    for token, mask in zip(tokens, masks, strict=True):
        word = token[1:]
        if (
            out
            and labels[-1] == mask
            and token[0] == " "
            and word.isalnum()
            and out[-1].strip().isalnum()
            and rng.random() < 0.05
        ):
            out[-1] += word
        else:
            out.append(token)
            labels.append(mask)
    return out, labels


def disturb(
    tokens: list[str], masks: list[int], rng: random.Random, *, code: bool = False
) -> Tokens:
    """One of the disturbances, or most often none."""
    x = rng.random()
    if code:
        return tokens, masks
    if x < 0.14:
        tokens = [t.lower() for t in tokens]
    elif x < 0.19:
        tokens = [t.upper() for t in tokens]
    elif x < 0.23:
        tokens, masks = _spoken(tokens, masks, rng)
    elif x < 0.26:
        tokens = [_misread(t, rng) for t in tokens]
        tokens, masks = _glued(tokens, masks, rng)
    elif x < 0.28:
        # Line breaks of a narrow page.
        tokens = [
            "\n" + t[1:] if t[0] == " " and len(t) == 1 and rng.random() < 0.1 else t
            for t in tokens
        ]
    elif x < 0.31:
        tokens = [
            (" " if t[0] == " " else "") + fold(t.lstrip(" ")) if t.islower() else t for t in tokens
        ]
    elif x < 0.34:
        # Names alone lose their capitals, as in quick typing.
        tokens = [t.lower() if m & 2 else t for t, m in zip(tokens, masks, strict=True)]
    if rng.random() < 0.10:
        tokens = [_typo(t, rng) if rng.random() < 0.06 else t for t in tokens]
    keep = [i for i, t in enumerate(tokens) if t]
    if len(keep) < len(tokens):
        return [tokens[i] for i in keep], [masks[i] for i in keep]
    return tokens, masks
