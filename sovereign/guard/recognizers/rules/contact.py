"""E-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["emails"]

_EMAIL = re.compile(
    r"[\w%'+-]+(?:\.[\w%'+-]+)*@[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+"
)
_BESIDE = re.compile(r"[\w%'+-]@[^\W_]")
_LEADING = re.compile(r"^[%'+-]+")
_NOBODYS = re.compile(
    r"(?:no-?reply|do-?not-?reply|mailer-daemon|git)@"
    r"|(?:user(?:name)?|name|you|your[._-]?(?:name|email)|me|email|e-?mail|someone|somebody|test|foo|bar|example|info|"
    r"admin|first\.?last|address)@(?:[\w-]+\.)*(?:example|test|invalid|localhost|domain)(?:\.(?:com|org|net))?$",
    re.I,
)
"""Senders that nobody reads, the user that every Git server has, and what manuals write under the
names of RFC 2606."""
_HOST = re.compile(r"@(?:.*\.(?=[^\W_]*[^\W\d_])[^\W_][\w-]+|\d{1,3}(?:\.\d{1,3}){3})$")
"""A domain's last name has two characters or more, with a letter; packages have versions there."""


def emails(text: str) -> Iterator[Finding]:
    """Around each "@": the pattern is quadratic on a long word, so it sees at most 320 characters,
    which RFC 5321 allows an address."""
    at = text.find("@")
    last = 0
    while at >= 0:
        if not at or _BESIDE.match(text, at - 1) is None:  # decorators, mentions, storms
            at = text.find("@", at + 1)
            continue
        begin, least = at, max(last, at - 64)
        while begin > least and (text[begin - 1].isalnum() or text[begin - 1] in "_%'+-."):
            begin -= 1
        match = None
        for match in _EMAIL.finditer(text, begin, min(len(text), at + 256)):
            if match.end() > at:
                break
        if match is not None and match.start() <= at < match.end():
            lead = _LEADING.match(match.group())
            start = match.start() + (lead.end() if lead else 0)
            last = match.end()
            found = text[start:last]
            if _NOBODYS.match(found) is None and _HOST.search(found) is not None:
                yield Finding((), start, last, "EMAIL_ADDRESS", 1.0, "rules:email_address")
        at = text.find("@", max(at + 1, last))
