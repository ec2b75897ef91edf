"""Reads a TOML file into a frozen model, strictly: an error names file, key and what is right."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sovereign.errors import ConfigError

__all__ = ["StrictModel", "parse", "read"]


class StrictModel(BaseModel):
    """A table of a TOML file. Unknown keys are errors, values are not coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


M = TypeVar("M", bound=BaseModel)


def read(path: Path, model: type[M], *, missing: str = "") -> M:
    """The file at ``path`` as a ``model``. Raises :class:`ConfigError`, with the hint ``missing``
    if it is not there."""
    return parse(load(path, missing=missing), model, str(path))


def load(path: Path, *, missing: str = "") -> dict[str, Any]:
    """The file's tables as plain dicts. Raises :class:`ConfigError`, with the hint ``missing``
    if it is not there."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint=missing) from None
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from None
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: not UTF-8 at byte {e.start}") from None
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{path}: not TOML: {e}") from None


def parse(data: dict[str, Any], model: type[M], where: str) -> M:
    """``data`` as a ``model``; ``where`` names its origin in errors."""
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise _explain(e, model, where) from None


_IN_TOML = {
    "tuple_type": "input should be a list",
    "dict_type": "input should be a table",
    "model_type": "input should be a table",
}
"""What pydantic says in Python's words."""


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """The first problem in one line; the hint holds what would be right, and how many more."""
    problems = error.errors(include_url=False, include_context=True)
    first = problems[0]
    loc = [str(p) for p in first["loc"]]
    key = ".".join(loc)
    hint = ""
    if first["type"] == "extra_forbidden":
        known = sorted(_fields(model, loc[:-1]))
        near = difflib.get_close_matches(loc[-1], known, n=1)
        message = f"{where}: unknown key {key}"
        hint = f"did you mean {near[0]}?" if near else f"keys here: {', '.join(known)}"
    elif first["type"] == "missing":
        message = f"{where}: {key} is missing"
        hint = _describe(model, loc)
    else:
        text = _IN_TOML.get(first["type"]) or str(first["msg"]).removeprefix("Value error, ")
        at = f"{key}: " if key else ""  # what several keys say together is at none of them
        message = f"{where}: {at}{text[:1].lower()}{text[1:]}"
        hint = _describe(model, loc)
    if len(problems) > 1:
        hint = f"{hint}{'; ' if hint else ''}{len(problems) - 1} more after this one"
    return ConfigError(message, hint=hint)


def _descend(model: type[BaseModel], loc: list[str]) -> type[BaseModel] | None:
    """The model of the table at ``loc``, looking through ``dict[str, Model]`` and optionals."""
    current: type[BaseModel] | None = model
    rest = list(loc)
    while rest and current is not None:
        info = current.model_fields.get(rest.pop(0))
        if info is None:
            return None
        current = None
        stack = [info.annotation]
        while stack:
            kind = stack.pop()
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                current = kind
            if getattr(kind, "__origin__", None) is dict and rest:
                rest.pop(0)
            stack.extend(getattr(kind, "__args__", ()))
    return current


def _fields(model: type[BaseModel], loc: list[str]) -> list[str]:
    table = _descend(model, loc)
    return list(table.model_fields) if table else []


def _describe(model: type[BaseModel], loc: list[str]) -> str:
    table = _descend(model, loc[:-1])
    info = table.model_fields.get(loc[-1]) if table and loc else None
    return info.description or "" if info else ""
