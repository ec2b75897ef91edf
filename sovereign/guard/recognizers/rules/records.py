"""Record numbers and accounts that show by where they stand: docket numbers as courts write them,
identifiers in paths of web addresses, users in server logs, chat transcripts and connection strings."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.types import Finding

__all__ = ["records"]

_DOCKET = re.compile(
    # United States: division, year, kind, number; the judges' initials may follow.
    r"\d(?<![\w-].)(?::\d\d)?(?:\d)?-?(?:cv|cr|mj|mc|bk|ap|md|civ|crim|CV|CR|MJ|MC|BK|AP|MD)-\d{3,7}(?:-[A-Za-z]{2,4}){0,2}(?![\w-])"
    # Germany: chamber, register sign, number, year.
    r"|\d(?<![\w-].)\d{0,2}\s(?:O|C|F|S|T|U|W|AR|AktG|HK|StR|ZR|BvR|BvL|Js|UJs|Ds|Ls|Cs|Ks|KLs|NBs|Ns|Gs|Qs|Ca|Sa|Ta|BV|AZR|AS|SO|KR|IN|IK|XVII|VI|Ws|Ss)"
    r"\s\d{1,6}/\d{2}(?![\w/])"
    # United Kingdom: tribunals.
    r"|(?<![A-Za-z0-9])(?:AA|HU|PA|EA|DA|DC|IA|OA|VA|RP|LP|UI|JR|SC|MAN|LON|TPD)/\d{3,5}/\d{2,4}(?![\w/])"
)
_DOCKET_SIGNS = re.compile(r"-(?:cv|cr|mj|mc|bk|ap|md|civ|crim|CV|CR|MJ|MC|BK|AP|MD)-|\d/\d\d")
_PATH = re.compile(
    r"/(?:members?|patients?|users?|customers?|accounts?|clients?|subscribers?|employees?|people|persons?|claims?|policies|policy|"
    r"orders?|cases?|encounters?|practitioners?|beneficiar(?:y|ies)|applicants?|students?|tenants?|profiles?|records?|loans?|cards?)/"
    r"(?P<v>(?=[A-Za-z\-_.]{0,16}\d)(?=(?:[A-Za-z\-_.]*\d){3})[A-Za-z0-9][A-Za-z0-9\-_.]{3,40}|[A-Z]{8,20})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_COMMON_LOG = re.compile(
    r"(?m)^\S{2,64} \S{1,64} (?P<v>[A-Za-z][\w.@\-]{1,62}) \[\d{1,2}/[A-Za-z]{3}/\d{4}:"
)
_DSN_USER = re.compile(r"://(?P<v>[A-Za-z][\w.\-]{2,40}):[^\s/@]{1,200}@")
_SERVICES = frozenset(
    str.split(
        "admin administrator root user username postgres mysql mongo mongodb redis guest test app service svc api "
        "default public sa system backup readonly reader writer owner token oauth2 x-access-token git www data "
        "scott amqp rabbitmq kafka elastic deploy ci bot build nginx apache"
    )
)
_SPEAKER = re.compile(
    r"(?m)^\W?(?P<v>[A-Za-z][\w.\-]{2,31})\W?[ \t]{1,4}\[?\d{1,2}:\d\d(?::\d\d)?(?:\s?[AaPp][Mm])?\]?[ \t]*$"
)
_HANDLE = re.compile(r"[._\d]")


def records(text: str) -> Iterator[Finding]:
    """Numbers of cases and records, and user names."""
    if ("-" in text or "/" in text) and _DOCKET_SIGNS.search(text) is not None:
        for m in _DOCKET.finditer(text):
            yield Finding((), *m.span(), "CASE_NUMBER", 0.8, "rules:docket")
    if "/" in text:
        for m in _PATH.finditer(text):
            yield Finding((), *m.span("v"), "IDENTIFIER", 0.7, "rules:path")
        for m in _COMMON_LOG.finditer(text):
            yield from _user(m, "rules:access_log")
        if "://" in text:
            for m in _DSN_USER.finditer(text):
                yield from _user(m, "rules:connection")
    if ":" in text and "\n" in text:
        speakers = list(_SPEAKER.finditer(text))
        if len(speakers) > 1 and any(_HANDLE.search(m["v"]) for m in speakers):
            for m in speakers:
                yield from _user(m, "rules:speaker")


def _user(match: re.Match[str], rule: str) -> Iterator[Finding]:
    if match["v"].lower() not in _SERVICES:
        yield Finding((), *match.span("v"), "USERNAME", 0.7, rule)
