"""Runs any ``presidio_analyzer.EntityRecognizer`` as a recogniser of ours, without torch, without
the network, in linear time, and never skipping a pattern in silence.

Presidio's context step is quadratic, so labels are looked for here, before each match. By
Presidio's own scores a bare run of digits that happens to pass a checksum is a certain finding;
here it needs its label, since one number in ten passes.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from sovereign.errors import MissingExtra, RecognizerFailed
from sovereign.types import Finding

__all__ = ["PresidioRecognizer", "import_presidio", "predefined"]

TIMEOUT_S = 5.0
CONTEXT = 60
BOOST, FLOOR = 0.35, 0.4
"""Presidio's own: a label adds .35, and makes it at least .4."""

UNLABELLED = 0.3
"""For a bare number that only a checksum speaks for: below every preset's threshold."""

_HEAVY = ("torch", "transformers", "stanza", "gliner")

_DIGIT = re.compile(r"\d")
_WITHOUT_DIGITS = frozenset({"CryptoRecognizer", "EmailRecognizer", "UrlRecognizer"})
_REPLACED = frozenset(
    {
        "EmailRecognizer",  # quadratic on long words; rules.py runs its pattern around each "@"
        "UrlRecognizer",  # takes "self.x" for an address; rules.py asks for a scheme or "www."
        "UsBankRecognizer",  # any 8 to 17 digits after "check"; labels.py asks for "account"
        "DePlzRecognizer",  # any five digits
        "InPanRecognizer",  # quadratic on a long word; rules.py has its exact form
        "InVehicleRegistrationRecognizer",  # 160 ms of start, for one country's plates
    }
)
_PHONES = frozenset({"PhoneRecognizer", "ZaMobileNumberRecognizer"})
_BARE_IS_ENOUGH = frozenset({"CREDIT_CARD", "IBAN_CODE"})
_PLATES = (
    "LICENSE_PLATE",
    "VEHICLE_REGISTRATION",
    "KFZ",
    "UUID",
)  # half of all codes look like one
_NOT_AN_ADDRESS = re.compile(r"(?:version|ver|build|release|rev|v)[\s.:=]{0,3}$", re.I)
_NOT_A_HOST = re.compile(r"(?:127|0)\.|255\.|::1?$")
_DECIMAL = re.compile(
    r"\d{1,3}(?:\.\d{1,4}){3,}(?:/\d+)?|\d{0,4}[.,]\d+|0?123456789\d*|\d{4}[-./]\d{2}[-./]\d{2}.*"
)


@contextmanager
def _without(*modules: str) -> Iterator[None]:
    """As if ``modules`` were not installed. Presidio and thinc import them if they can; that would
    cost seconds and gigabytes, and the guard needs none of it."""
    hidden = [m for m in modules if m not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def import_presidio(*, whole: bool = False) -> Any:
    """The module ``presidio_analyzer``, pinned offline; lightly, unless some engine needs the
    ``whole`` of it. The first import decides for the process."""
    light = not whole and "presidio_analyzer" not in sys.modules
    with _without(*(_HEAVY if light else ())):
        return _pinned()


@lru_cache(maxsize=1)
def _pinned() -> Any:
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise MissingExtra("presidio-analyzer", "guard")
    module = importlib.import_module("presidio_analyzer")
    importlib.import_module("presidio_analyzer.predefined_recognizers")
    import tldextract
    from presidio_analyzer.predefined_recognizers.generic import email_recognizer

    # The default extractor fetches the public suffix list from the network; this uses the copy in
    # the package.
    offline = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    email_recognizer.tldextract.extract = offline
    logging.getLogger("presidio-analyzer").addFilter(_never_skip)
    return module


def _never_skip(record: logging.LogRecord) -> bool:
    """Presidio logs a pattern that ran out of time, and goes on without it. Here that is a failure:
    what was not read may not leave."""
    if "timed out" in str(record.msg):
        raise RecognizerFailed("a pattern of presidio-analyzer ran out of time")
    return True


def predefined() -> list[PresidioRecognizer]:
    """Presidio's pattern recognisers, those that ship disabled included."""
    module = import_presidio()
    shelf = module.predefined_recognizers
    found = []
    for name in sorted(dir(shelf)):
        kind = getattr(shelf, name)
        if (
            isinstance(kind, type)
            and issubclass(kind, module.EntityRecognizer)
            and name not in _REPLACED
            and (
                issubclass(kind, module.PatternRecognizer)
                or name in ("PhoneRecognizer", "ZaMobileNumberRecognizer")
            )
        ):
            found.append(PresidioRecognizer(kind()))
    return found


_PHONE_RUN = re.compile(r"\d(?:[\s().\-/]{0,3}\d){6,}[^\n]{0,16}")


def _phone_like(text: str) -> Iterator[tuple[int, str]]:
    """The surroundings of each run of seven digits or more, with the label before it: the phone
    matcher takes three quarters of all patterns' time if it reads everything."""
    for match in _PHONE_RUN.finditer(text):
        begin = max(0, match.start() - CONTEXT)
        yield begin, text[begin : match.end()]


class PresidioRecognizer:
    """One ``EntityRecognizer``. A plain pattern recogniser is run pattern by pattern, with a
    timeout that fails; any other through its own ``analyze``."""

    def __init__(self, recognizer: Any) -> None:
        module = import_presidio()
        self._recognizer = recognizer
        self.name: str = type(recognizer).__name__
        if self.name == "PatternRecognizer":  # a team's own, from code or YAML
            self.name = str(recognizer.name)
        plain = isinstance(recognizer, module.PatternRecognizer)
        self._patterns = (
            tuple(recognizer.patterns)
            if plain and type(recognizer).analyze is module.PatternRecognizer.analyze
            else None
        )
        shipped = type(recognizer).__module__.startswith("presidio_analyzer.predefined")
        self._needs_digit = shipped and self.name not in _WITHOUT_DIGITS
        words = sorted({w.lower() for w in recognizer.context or ()}, key=len, reverse=True)
        self._context = (
            re.compile(r"(?<![^\W_])(?:" + "|".join(map(re.escape, words)) + r")s?(?![^\W_])", re.I)
            if words
            else None
        )
        parts = [version("presidio-analyzer"), version("phonenumbers"), version("tldextract")]
        parts += [f"{p.name} {p.regex} {p.score}" for p in self._patterns or ()]
        self.build = hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"PresidioRecognizer({self.name})"

    def recognize(self, text: str) -> Sequence[Finding]:
        """What it finds, with labels counted in. Raises :class:`RecognizerFailed` on a timeout."""
        if self._needs_digit and _DIGIT.search(text) is None:
            return ()
        if self._patterns is not None:
            return list(self._by_pattern(text))
        if self.name in _PHONES:
            return [
                found._replace(start=found.start + begin, end=found.end + begin)
                for begin, near in _phone_like(text)
                for found in self._analyzed(near)
            ]
        return self._analyzed(text)

    def _analyzed(self, text: str) -> list[Finding]:
        results = self._recognizer.analyze(text, self._recognizer.supported_entities, None)
        return [
            Finding((), r.start, r.end, r.entity_type, score, self.name)
            for r in results or ()
            if r.score > 0
            and (score := self._judged(text, r.start, r.end, r.entity_type, r.score)) > 0
        ]

    def _judged(self, text: str, start: int, end: int, entity: str, score: float) -> float:
        value = text[start:end]
        if entity in ("PHONE_NUMBER", "ZA_MOBILE_NUMBER"):
            if sum(c.isdecimal() for c in value) > 15:  # E.164 allows fifteen
                return 0.0
            if _DECIMAL.fullmatch(value) or text[max(0, start - 1) : start] in (".", "-", "_", "/"):
                return 0.0
            if value.isdecimal() and not self._labelled(text, start):
                return UNLABELLED
        return self._boosted(text, start, score)

    def _by_pattern(self, text: str) -> Iterator[Finding]:
        recognizer = self._recognizer
        flags = recognizer.global_regex_flags
        entity = recognizer.supported_entities[0]
        assert self._patterns is not None
        for pattern in self._patterns:
            if pattern.compiled_regex is None or pattern.compiled_with_flags != flags:
                import regex  # type: ignore[import-untyped]

                pattern.compiled_regex = regex.compile(pattern.regex, flags=flags)
                pattern.compiled_with_flags = flags
            try:
                for match in pattern.compiled_regex.finditer(text, timeout=TIMEOUT_S):
                    start, end = match.span()
                    if start < end:
                        score = self._score(text, start, end, pattern.score, entity)
                        if score > 0:
                            yield Finding((), start, end, entity, score, self.name)
            except TimeoutError:
                raise RecognizerFailed(f"{self.name}: pattern {pattern.name!r} timed out") from None

    def _score(self, text: str, start: int, end: int, base: float, entity: str) -> float:
        value = text[start:end]
        valid = self._recognizer.validate_result(value)
        if valid is False or self._recognizer.invalidate_result(value):
            return 0.0
        if entity == "IP_ADDRESS" and (
            re.match(r"/\d\d?\b", text[end : end + 4]) is not None
            or "/" in value
            or _NOT_A_HOST.match(value)
            or _NOT_AN_ADDRESS.search(text[max(0, start - 12) : start])
        ):
            return 0.0
        if entity.endswith(_PLATES) and not self._labelled(text, start):
            return min(base, UNLABELLED)
        if valid is None:
            return self._boosted(text, start, base)
        if value.isdecimal() and entity not in _BARE_IS_ENOUGH:
            return 1.0 if self._labelled(text, start) else UNLABELLED
        return 1.0

    def _boosted(self, text: str, start: int, base: float) -> float:
        if base < 1.0 and self._labelled(text, start):
            return min(1.0, max(base + BOOST, FLOOR))
        return float(base)

    def _labelled(self, text: str, start: int) -> bool:
        before = text[max(0, start - CONTEXT) : start]
        return self._context is not None and self._context.search(before) is not None
