"""Texts to batches of token numbers and label masks; the words behind the numbers."""

# ruff: noqa: E501  (tables read better with long lines)

from __future__ import annotations

import json
import random
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tagger.compose import BIT, Composer, carriers
from tagger.corpus import WEIGHT, Sample, address, read, swap
from tagger.names import gazetteer
from tagger.neutral import Neutral
from tagger.noise import disturb
from tagger.texts import Text
from tagger.values import Values

from sovereign.guard.recognizers.tagger.net import LABELS
from sovereign.guard.recognizers.tagger.tokens import features, fingerprint, fold, pieces, stems

__all__ = ["WINDOW", "Batch", "Lexicon", "Sources", "batches", "epoch", "held_out"]

HERE = Path(__file__).parent
PROSE, PLAIN = ("prose*.txt", "chat.txt"), ("*negatives*.txt",)
"""Files of carriers with somebody in them, and with nobody; never ``held_out*.txt``."""

SPOKEN = {
    "wnut17",
    "btc",
    "neg_chat",
    "uner_en",
    "gum",
    "litbank",
    "hwu64_home",
    "sgd_dialogues",
    "snips",
}
"""English sets of talk, into which names may be put."""

WINDOW = 160
O = 1  # noqa: E741
ANY = (1 << len(LABELS)) - 1


def held_out(carrier: str) -> bool:
    """Whether a carrier is kept from training, to measure on: one in ten."""
    return zlib.crc32(carrier.encode()) % 10 == 0


class Sources:
    """All that texts are made from. Without the carriers of :func:`held_out`."""

    def __init__(self, data: Path, rng: random.Random, *, test: bool = False) -> None:
        self.values = Values(data / "gazetteers", rng)
        self.neutral = Neutral(self.values, rng, HERE / "neutral.txt")
        self.composer = Composer(self.values, self.neutral, rng, HERE / "labels.txt")
        self.frames = carriers(HERE / "frames.txt")
        self.read_carriers(data, test=test)
        self.real: list[Sample] = []
        self.keys, self.masks = np.zeros(0, np.uint32), np.zeros(0, np.uint16)
        if not test:
            self.real = list(read(data / "ner_train"))
            lower: Counter[str] = Counter()
            for s in self.real:
                lower.update({w for w in s.text.split() if w.isalpha() and w.islower()})
            words = {fold(w) for w, n in lower.items() if n >= 4}
            listed = {fold(n) for n in self.values.names.any_first + self.values.names.any_last}
            common = sorted(
                w for w, n in lower.items() if n >= 15 and w.isascii() and 3 < len(w) < 11
            )
            self.values.names.words = [w.title() for w in common]
            self.neutral.like.words = sorted(
                w.title()
                for w, n in lower.items()
                if n >= 3 and 3 < len(w) < 16 and w.isascii() and fold(w) not in listed
            )
            self.keys, self.masks = gazetteer(data / "gazetteers", words)

    def read_carriers(self, data: Path, *, test: bool) -> None:
        """Those to measure on if ``test``, else those to learn from."""
        shared = json.loads((data / "carriers" / "carriers.json").read_text(encoding="utf-8"))
        every = [(lang, c, True) for file in _files(PROSE) for lang, c in carriers(file)]
        every += [("en", c, False) for c in shared["en"]]
        every += [(_guess(c), c, False) for c in shared["other"]]
        negative = [(lang, c, True) for file in _files(PLAIN) for lang, c in carriers(file)]
        negative += [("en", c, False) for c in shared["negative"]]
        self.carriers = [x for x in every if held_out(x[1]) == test]
        self.negative = [x for x in negative if held_out(x[1]) == test]

    def text(self, rng: random.Random) -> Text:
        """A generated text."""
        c, x = self.composer, rng.random()
        if x < 0.20:
            return c.form()
        if x < 0.31:
            return c.fill(*rng.choice(self.frames))
        if x > 0.85:
            return self.neutral.text()
        pool = self.negative if x > 0.70 else self.carriers
        lang, carrier, firm = rng.choice(pool)
        t = c.fill(lang, carrier, firm=firm)
        if rng.random() < 0.3:
            # Several notes in one text, as prompts often are.
            for _ in range(rng.randint(1, 3)):
                lang, carrier, firm = rng.choice(
                    self.negative if rng.random() < 0.3 else self.carriers
                )
                more = c.form() if rng.random() < 0.2 else c.fill(lang, carrier, firm=firm)
                if rng.random() < 0.2:
                    more = self.neutral.text()
                t.add(rng.choice(("\n", "\n\n", " ", "\n---\n")))
                at = len(t.text)
                t.add(more.text)
                t.spans += [(a + at, b + at, m) for a, b, m in more.spans]
        return t


def _files(patterns: tuple[str, ...]) -> list[Path]:
    found = sorted(file for pattern in patterns for file in HERE.glob(pattern))
    return [file for file in found if not file.name.startswith("held_out")]


def _guess(carrier: str) -> str:
    marks = {
        "de": ("geb.", "Sehr", "Ich ", "Herr", "Kunde", "Arzt", "Grüßen", "Vorname", "hallo", "Mieter", "Frau"),
        "fr": ("Je ", "né ", "Madame", "Monsieur", "Nom :", "Cordialement", "bonjour", "Vu par", "virement"),
        "es": ("Paciente: {n1}\nDom", "señor", "Me llamo", "Estimad", "Apellidos", "empleada", "hola", "saludo", "mayor de", "Atendido"),
        "it": ("Mi chiamo", "Gentile", "Paziente", "signor", "Cognome", "Cordiali"),
        "pt": ("Meu", "Prezada", "nascido", "senhor", "completo", "Atenciosamente"),
        "nl": ("Mijn", "Geachte", "Patiënt", "heer", "Naam:", "vriendelijke"),
        "pl": ("Nazywam", "Szanowna", "Pacjent:", "Pan ", "Imię", "poważaniem"), "sv": ("Jag ", "Hej", "född"),
    }  # fmt: skip
    return next((lang for lang, ms in marks.items() if any(m in carrier for m in ms)), "en")


class Lexicon:
    """Words by number, with the rows of each; with and without what the gazetteer says."""

    def __init__(self, keys: np.ndarray, masks: np.ndarray) -> None:
        self.gaz = dict(zip(keys.tolist(), masks.tolist(), strict=True))
        self.index: dict[tuple[str, int], int] = {}
        self.flat = array("q")
        self.start = array("q", [0])

    def __len__(self) -> int:
        return len(self.start) - 1

    def number(self, token: str, known: int = 2) -> int:
        """The number of ``token``; ``known`` is 1 if the gazetteer is not asked about names, and 0
        if nothing but the token's shape is to be seen."""
        at = self.index.get((token, known))
        if at is None:
            member = stem = 0
            folded = fold(token.lstrip(" "))
            if known == 2:
                member = self.gaz.get(fingerprint(folded), 0)
                for s in stems(folded):
                    stem |= self.gaz.get(fingerprint(s), 0) & 0b1111
            else:
                member = self.gaz.get(fingerprint(folded), 0) & (1 << 10)
            at = self.index[token, known] = len(self.start) - 1
            rows = features(token, member, stem)
            self.flat.extend(rows if known else rows[:3])
            self.start.append(len(self.flat))
        return at

    def rows(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of these words one after another, and where each word's begin and the last's
        end."""
        start = np.array(self.start, np.int64)
        begin, lengths = start[words], start[words + 1] - start[words]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        at = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)
        return np.frombuffer(self.flat, np.int64)[at], offsets


Encoded = tuple[np.ndarray, np.ndarray]


def encode(
    t: Text, lexicon: Lexicon, rng: random.Random | None, *, code: bool = False
) -> Encoded | None:
    """Token numbers and label masks of a text, disturbed if there is ``rng``."""
    rest, coded = (t.rest, t.coded) if isinstance(t, Sample) else (O, 0)
    tokens = [x for p in pieces(t.text) for x in p]
    masks, at, spans, k = [], 0, sorted(t.spans), 0
    for token in tokens:
        end = at + len(token)
        begin = at + 1 if token[0] == " " else at
        while k < len(spans) and spans[k][1] <= begin:
            k += 1
        if k < len(spans) and spans[k][0] < end and token != "\n":
            masks.append(spans[k][2])
        else:
            if coded and sum(c.isdigit() for c in token) > 4:
                masks.append(ANY)  # an unlabelled number of some kind: nothing is learnt from it
            elif coded and at and t.text[:begin].rstrip(" ").endswith("@"):
                masks.append(rest | coded)
            else:
                masks.append(rest)
        at = end
    if rng is None:
        numbers = [lexicon.number(x) for x in tokens]
    else:
        tokens, masks = disturb(tokens, masks, rng, code=code)
        every, some, hide = rng.random() < 0.10, rng.random() < 0.5, rng.random() < 0.4
        numbers = [
            lexicon.number(
                x,
                0
                if hide and rng.random() < 0.15
                else 1
                if every or (some and m & 2 and rng.random() < 0.25)
                else 2,
            )
            for x, m in zip(tokens, masks, strict=True)
        ]
    if not numbers:
        return None
    return np.array(numbers, np.int32), np.array(masks, np.int32)


def epoch(
    sources: Sources, lexicon: Lexicon, rng: random.Random, generated: int, share: float
) -> list[Encoded]:
    """One epoch's texts, cut into windows."""
    out: list[Encoded] = []

    def put(e: Encoded | None) -> None:
        if e is None:
            return
        ids, masks = e
        first = rng.randrange(WINDOW) if len(ids) > WINDOW else 0
        for i in ([0] if first else []) + list(range(first, len(ids), WINDOW)):
            j = first if i == 0 and first else i + WINDOW
            if len(ids[i:j]):
                out.append((ids[i:j], masks[i:j]))

    for s in sources.real:
        weight = WEIGHT.get(s.name, 1.0) * share
        for _ in range(int(weight) + (rng.random() < weight % 1)):
            code = s.name == "neg_code"
            t = swap(s, sources.values.names, rng) if s.spans and rng.random() < 0.4 else s
            if s.name in SPOKEN and len(s.text) < 400 and rng.random() < 0.25:
                t = address(
                    t, sources.values.names, rng, sources.values.user, sources.neutral.w["slang"]
                )
            put(encode(t, lexicon, rng, code=code))
    for _ in range(generated):
        put(encode(sources.text(rng), lexicon, rng))
    return out


@dataclass(slots=True)
class Batch:
    """(texts, length) token numbers with -1 for nothing, and the label masks."""

    ids: np.ndarray
    masks: np.ndarray


def batches(texts: list[Encoded], tokens: int, rng: random.Random) -> list[Batch]:
    """Texts of like length together; nothing is packed, so no text sees another."""
    order = list(range(len(texts)))
    rng.shuffle(order)
    out = []
    for pool in range(0, len(order), 20_000):
        part = sorted(order[pool : pool + 20_000], key=lambda i: len(texts[i][0]))
        i = 0
        while i < len(part):
            longest, j = 0, i
            while j < len(part):
                longest = max(longest, len(texts[part[j]][0]))
                if longest * (j - i + 1) > tokens and j > i:
                    break
                j += 1
            group = part[i:j]
            longest = max(len(texts[g][0]) for g in group)
            ids = np.full((len(group), longest), -1, np.int32)
            masks = np.zeros((len(group), longest), np.int32)
            for row, g in enumerate(group):
                n = len(texts[g][0])
                ids[row, :n], masks[row, :n] = texts[g]
            out.append(Batch(ids, masks))
            i = j
    rng.shuffle(out)
    return out


assert BIT["O"] == O
