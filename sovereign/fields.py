"""The kinds of value that several tables of sovereign.toml share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = [
    "EnvName",
    "FilePath",
    "HttpUrl",
    "Models",
    "Name",
    "Names",
    "Paths",
    "Role",
    "Seconds",
    "Words",
]

FilePath = Annotated[Path, BeforeValidator(lambda v: Path(v) if isinstance(v, str) else v)]


def _env_name(name: str) -> str:
    if not name.replace("_", "").isalnum() or name[:1].isdigit():
        raise ValueError("must be the name of an environment variable, not the secret itself")
    return name


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, password, query or fragment")
    return url.rstrip("/")


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("a name is letters, digits, '.', '_' and '-': it stands in the audit log")
    return name


def _model_pattern(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9*?\[\]._:/@-]{1,128}", name):
        raise ValueError("a model is letters, digits and ._:/@- with * and ? as wildcards")
    return name


Name = Annotated[str, AfterValidator(_name)]
EnvName = Annotated[str, AfterValidator(_env_name)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Models = Annotated[
    tuple[Annotated[str, AfterValidator(_model_pattern)], ...],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
]
Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]
Names = Annotated[
    tuple[Name, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]
Paths = Annotated[
    tuple[FilePath, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]
Role = Literal["chat", "completions", "embeddings", "images", "transcriptions", "speech"]
Seconds = Annotated[float, Field(gt=0, le=3600)]
