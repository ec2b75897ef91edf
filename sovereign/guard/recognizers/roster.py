"""Exact data match: the persons and numbers that a team knows already, found in any text through an
index of keyed hashes. The index holds no clear value; this module reads it and never writes one.

The file (``roster_build.py`` writes it): a line of magic, a length, a JSON header, then three
arrays over all entries in the order of their hashes: where each bucket of leading bits starts
(uint32), the next 32 bits of each hash (uint32), and what the entry is (uint8, an index into the
header's kinds). Little-endian.
A hash is keyed BLAKE2b over the kind and the canonical form. About ``entries / 2**(bits + 32)`` of
all probes hit by chance, some 1e-9.

What it protects. Without the key the file says nothing but counts and lengths. Whoever has both can
try every name and number they can think of: keep the key as you keep the roster.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.roster_forms import (
    FULL,
    INITIAL,
    MAIL,
    MAILS,
    MAX_GROUPS,
    PART,
    SURNAME,
    VALUE,
    WORDS,
    capital,
    code_runs,
    fraction,
    initial_like,
    links,
    phone_forms,
    title,
    tokens_of,
    wordy,
)
from sovereign.types import Finding

__all__ = ["MAGIC", "VERSION", "Hasher", "RosterRecognizer", "read_key", "seal"]

MAGIC: Final = b"sovereign roster\n"
VERSION: Final = 1
MIN_KEY = 16
_HINT = "build it again: sovereign guard roster build"
_SCORES: Final[Mapping[str, float]] = {FULL: 0.95, INITIAL: 0.85, SURNAME: 0.85}
_REMEMBERED = 50_000


def read_key(path: Path) -> bytes:
    """The key in ``path``. :class:`ConfigError` if it cannot be read or is short."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file",
            hint="`sovereign init` makes guard.key_file; for one of your own: "
            f"(umask 077; head -c 32 /dev/urandom > {path})",
        ) from None
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    if len(key) < MIN_KEY:
        raise ConfigError(f"{path}: a key of a roster has {MIN_KEY} random bytes or more")
    return key


class Hasher:
    """The keyed hash of a kind and a canonical form, as 64 bits. The key is derived, so that the
    same file may serve for surrogates."""

    def __init__(self, key: bytes) -> None:
        derived = hmac.digest(key, b"sovereign/roster/v1", "sha256")
        self._base = hashlib.blake2b(key=derived, digest_size=8, person=b"sovereign-roster")
        self.check = hmac.digest(derived, b"check", "sha256").hex()[:32]
        self._mac = hmac.digest(derived, b"mac", "sha256")

    def __call__(self, kind: str, form: str) -> int:
        """``kind`` has one character."""
        digest = self._base.copy()
        digest.update((kind + form).encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big")

    def mac(self) -> Any:
        """A fresh keyed digest for a whole file."""
        return hashlib.blake2b(key=self._mac, digest_size=32)


def seal(hasher: Hasher, header: Mapping[str, Any], body: Iterator[bytes]) -> str:
    """The digest that the header carries: over the rest of the header, and the body."""
    mac = hasher.mac()
    rest = {k: v for k, v in header.items() if k != "digest"}
    mac.update(json.dumps(rest, sort_keys=True).encode())
    for block in body:
        mac.update(block)
    return str(mac.hexdigest())


class RosterRecognizer:
    """Finds what is in one index. The index stays mapped; threads share it."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Raises :class:`ConfigError` if the file is not there, truncated, changed, of another
        version, or made with another key."""
        self._hash = Hasher(key)
        header, start = _header(path)
        if header["check"] != self._hash.check:
            raise ConfigError(
                f"{path}: made with another key", hint="guard.roster_key_file names the key"
            )
        entries, bits = header["entries"], header["bits"]
        size = 4 * ((1 << bits) + 1) + 5 * entries
        if path.stat().st_size != start + size:
            raise ConfigError(f"{path}: truncated or longer than it says", hint=_HINT)
        if not hmac.compare_digest(
            header["digest"], seal(self._hash, header, _blocks(path, start))
        ):
            raise ConfigError(f"{path}: not as it was built (its digest differs)", hint=_HINT)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        whole = memoryview(self._map)
        middle = start + 4 * ((1 << bits) + 1)
        self._starts = whole[start:middle].cast("I")
        self._rests = whole[middle : middle + 4 * entries].cast("I")
        self._kinds = whole[middle + 4 * entries :]
        self._shift = 64 - bits
        self._low = 32 - bits
        self._table = [(str(k), str(e)) for k, e in header["kinds"]]
        self._tokens = int(header["tokens"])
        self._lengths = frozenset(header["lengths"])
        self._phones = "PHONE_NUMBER" in {e for _, e in self._table}
        self._mails = any(k == MAIL for k, _ in self._table)
        self._known: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.name = f"roster:{path.stem}"
        self.build = str(header["digest"])

    def __repr__(self) -> str:
        return f"RosterRecognizer({self.name}, {len(self._kinds)} entries)"

    def recognize(self, text: str) -> Sequence[Finding]:
        """The roster's persons and values in ``text``."""
        found: list[Finding] = []
        if self._tokens:
            found += self._names(text)
        if self._lengths:
            found += self._values(text)
        if self._mails:
            for match in MAILS.finditer(text):
                value = match.group().rstrip(".-")
                entity = self._entity(MAIL, value.casefold())
                if entity is not None:
                    found.append(self._finding(match.start(), match.start() + len(value), entity))
        return found

    def _finding(self, start: int, end: int, entity: str, score: float = 1.0) -> Finding:
        return Finding((), start, end, entity, score, self.name)

    def _entity(self, kind: str, form: str) -> str | None:
        """What the roster calls ``form``, or ``None`` if it is not there."""
        number = self._hash(kind, form)
        bucket = number >> self._shift
        rest = (number >> self._low) & 0xFFFFFFFF
        lo, hi = self._starts[bucket], self._starts[bucket + 1]
        for at in range(lo, hi):
            here = self._rests[at]
            if here >= rest:
                if here != rest:
                    return None
                found, entity = self._table[self._kinds[at]]
                if found == kind:
                    return entity
        return None

    def _word(self, word: str) -> tuple[tuple[str, ...], bool]:
        """The canonical tokens of ``word``, and whether each is part of a name in the roster."""
        known = self._known.get(word)
        if known is None:
            parts = tuple(tokens_of(word))
            there = bool(parts) and all(
                len(p) == 1 or self._entity(PART, p) is not None for p in parts
            )
            known = (parts, there)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[word] = known
        return known

    def _names(self, text: str) -> Iterator[Finding]:
        """Longest first: words side by side, each part of some name, together one of them."""
        words = [(m.start(), m.end(), m.group()) for m in WORDS.finditer(text)]
        parts = [self._word(w) for _, _, w in words]
        at, count = 0, len(words)
        while at < count:
            if not parts[at][1]:
                at += 1
                continue
            stop = at + 1
            while (
                stop < count
                and stop - at < self._tokens
                and parts[stop][1]
                and links(text, words[stop - 1], words[stop])
            ):
                stop += 1
            end = self._longest(text, words, parts, at, stop)
            if end is None:
                at += 1
            else:
                last, entity, kind = end
                yield self._finding(words[at][0], words[last - 1][1], entity, _SCORES[kind])
                at = last

    def _longest(
        self,
        text: str,
        words: Sequence[tuple[int, int, str]],
        parts: Sequence[tuple[tuple[str, ...], bool]],
        at: int,
        stop: int,
    ) -> tuple[int, str, str] | None:
        titled = title(text, words, at)
        for end in range(stop, at, -1):
            tokens = sorted(t for tokens, _ in parts[at:end] for t in tokens)
            spelled = [w for _, _, w in words[at:end]]
            form = " ".join(tokens)
            if len(tokens) > 1:
                if any(len(t) == 1 for t in tokens):
                    if initial_like(text, words[at:end]):
                        entity = self._entity(INITIAL, form) or self._entity(FULL, form)
                        if entity is not None:
                            return end, entity, INITIAL
                elif all(map(capital, spelled)) or not wordy(tokens):
                    entity = self._entity(FULL, form)
                    if entity is not None:
                        return end, entity, FULL
            if titled and capital(spelled[0]) and tokens and len(tokens[0]) > 1:
                entity = self._entity(SURNAME, form)
                if entity is not None:
                    return end, entity, SURNAME
        return None

    def _values(self, text: str) -> Iterator[Finding]:
        """Numbers and codes: groups of letters and digits side by side, with a digit in them."""
        for run in code_runs(text):
            done = 0
            digits = [i for i, (_, _, g) in enumerate(run) if not g.isalpha()]
            for at in range(len(run)):
                while digits and digits[0] < at:
                    del digits[0]
                if not digits:
                    break
                if run[at][0] < done or digits[0] >= at + MAX_GROUPS or fraction(text, run[at][0]):
                    continue
                form = ""
                best: tuple[int, str] | None = None
                for end in range(at, min(at + MAX_GROUPS, len(run))):
                    form += run[end][2]
                    if end < digits[0]:
                        continue
                    if len(form) in self._lengths:
                        entity = self._entity(VALUE, form)
                        if entity is not None:
                            best = (run[end][1], entity)
                    if self._phones and form.isdigit() and 7 <= len(form) <= 16:
                        plus = text[max(0, run[at][0] - 1) : run[at][0]] == "+"
                        entity = self._phone(form, plus)
                        if entity is not None:
                            best = (run[end][1], entity)
                if best is not None:
                    done, entity = best
                    before = text[max(0, run[at][0] - 1) : run[at][0]]
                    plus = entity == "PHONE_NUMBER" and before == "+"
                    yield self._finding(run[at][0] - plus, done, entity)

    def _phone(self, digits: str, plus: bool) -> str | None:
        for form in phone_forms(digits, plus):
            if len(form) in self._lengths:
                entity = self._entity(VALUE, form)
                if entity == "PHONE_NUMBER":
                    return entity
        return None


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays start."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ConfigError(f"{path}: no roster", hint=_HINT)
            size = int.from_bytes(file.read(4), "little")
            raw = file.read(size) if size <= 1_000_000 else b""
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}", hint=_HINT) from None
    try:
        header = json.loads(raw)
        if header["version"] != VERSION:
            raise ConfigError(f"{path}: version {header['version']} of the format", hint=_HINT)
        checks: dict[str, Callable[[Any], bool]] = {
            "entries": lambda v: isinstance(v, int) and v >= 0,
            "bits": lambda v: isinstance(v, int) and 1 <= v <= 28,
            "tokens": lambda v: isinstance(v, int) and 0 <= v <= 16,
            "check": lambda v: isinstance(v, str),
            "digest": lambda v: isinstance(v, str),
            "kinds": lambda v: isinstance(v, list) and all(len(k) == 2 for k in v),
            "lengths": lambda v: isinstance(v, list) and all(isinstance(n, int) for n in v),
        }
        if not all(good(header[name]) for name, good in checks.items()):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: truncated or changed", hint=_HINT) from None
    return header, len(MAGIC) + 4 + size


def _blocks(path: Path, start: int) -> Iterator[bytes]:
    """Read, not mapped: pages that were only summed do not stay resident."""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(1 << 20):
            yield block
