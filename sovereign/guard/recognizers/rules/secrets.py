"""Keys, tokens and passwords that show by their own form."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sovereign.types import Finding

__all__ = ["RULES", "SecretRule", "no_placeholder", "secrets"]


@dataclass(frozen=True, slots=True)
class SecretRule:
    """Group 1 of ``pattern`` if it has one, else the match. Tried only where a ``hint`` stands in
    the text, in that case."""

    name: str
    pattern: re.Pattern[str]
    hint: tuple[str, ...]
    check: Callable[[str], bool] | None = None
    score: float = 1.0


_words = str.split
_PLACEHOLDERS = frozenset(
    _words(
        "password passwd pass pwd changeme change-me secret example test guest root admin user token "
        "xxx xxxx xxxxx your-password yourpassword placeholder redacted postgres none null"
    )
)


def no_placeholder(value: str) -> bool:
    """Whether a password may be real: no word that manuals write in its place."""
    return value.lower() not in _PLACEHOLDERS and len(set(value)) > 2


def _mixed(value: str) -> bool:
    """Letters and digits, as random keys have."""
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


RULES: tuple[SecretRule, ...] = (
    SecretRule(
        "private_key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]|-(?!----END)){0,16000}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        ("PRIVATE KEY",),
    ),
    SecretRule("jwt", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]{0,}"), ("eyJ",)),
    SecretRule(
        "prefix_dash",
        re.compile(
            r"(?<![A-Za-z0-9])(?:sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{16,200}|glpat-[\w-]{20,}|"
            r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|pypi-[\w-]{40,}|key-[a-f0-9]{32}|"
            r"AGE-SECRET-KEY-1[A-Z0-9]{50,}|nvapi-[\w-]{20,}|tskey-[\w-]{20,}|glrt-[\w-]{20,}|PMAK-[a-f0-9-]{50,}|"
            r"sntrys_[\w+/=-]{20,}|xkeysib-[a-f0-9-]{60,}|rubygems_[a-f0-9]{48})(?![A-Za-z0-9])"
        ),
        (
            "sk-",
            "glpat-",
            "xox",
            "xapp-",
            "pypi-",
            "key-",
            "KEY-1",
            "nvapi-",
            "glrt-",
            "PMAK-",
            "sntrys_",
            "rubygems_",
        ),
    ),
    SecretRule(
        "prefix_underscore",
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,99}|whsec_[A-Za-z0-9]{20,}|"
            r"gh[pousr]_[A-Za-z0-9]{20,251}|github_pat_\w{22,255}|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{36}|"
            r"dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|"
            r"lin_api_[A-Za-z0-9]{30,}|pat_[A-Za-z0-9]{30,}|sqp_[a-f0-9]{40}|dckr_pat_[\w-]{20,})(?![A-Za-z0-9])"
        ),
        (
            "k_live_",
            "k_test_",
            "whsec_",
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "_pat_",
            "hf_",
            "npm_",
            "dop_v1_",
            "shp",
            "gsk_",
            "r8_",
            "lin_api_",
            "pat_",
            "sqp_",
        ),
    ),
    SecretRule(
        "prefix_letters",
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}|AIza[\w-]{35}|ya29\.[\w-]{20,}|"
            r"SG\.[\w-]{16,}\.[\w-]{16,}|dapi[a-f0-9]{32}|hvs\.[\w-]{20,}|EAACEdEose0cBA\w{10,})(?![A-Za-z0-9])"
        ),
        (
            "AKIA",
            "ASIA",
            "AROA",
            "AIDA",
            "ABIA",
            "ACCA",
            "AIza",
            "ya29.",
            "SG.",
            "dapi",
            "hvs.",
            "EAACEd",
        ),
    ),
    SecretRule(
        "url_password",
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:([^\s/@]{3,200})@", re.I),
        ("://",),
        no_placeholder,
        0.95,
    ),
    SecretRule(
        "bearer",
        re.compile(r"\b(?:bearer|basic|token)\s+([A-Za-z0-9+/_.~-]{16,500}={0,2})", re.I),
        ("earer", "asic", "oken", "EARER", "ASIC", "OKEN"),
        _mixed,
        0.95,
    ),
)


def secrets(text: str) -> Iterator[Finding]:
    """Secrets in ``text``; findings may overlap."""
    for rule in RULES:
        if not any(h in text for h in rule.hint):
            continue
        group = 1 if rule.pattern.groups else 0
        for m in rule.pattern.finditer(text):
            if rule.check is None or rule.check(m[group]):
                yield Finding((), *m.span(group), "SECRET", rule.score, f"rules:{rule.name}")
