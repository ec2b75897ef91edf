"""JSON bodies and their fields, read strictly; what is wrong is a 400 that names the field.

Messages never repeat text that a caller sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sovereign.types import JSON

__all__ = ["BadRequest", "flag", "integer", "number", "read_json"]


class BadRequest(Exception):
    """The answer is this status with an OpenAI-shaped error body."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str = "invalid_value",
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status
        self.kind = kind

    def body(self) -> dict[str, JSON]:
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def read_json(raw: bytes) -> dict[str, JSON]:
    """One JSON object: UTF-8, no duplicate key, no NaN. Raises :class:`BadRequest`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError
        return made

    def reject(_: str) -> None:
        raise ValueError

    try:
        text = raw.decode("utf-8")
        body = json.loads(text, object_pairs_hook=unique, parse_constant=reject)
        if "\\u" in text:  # half of a surrogate pair is no character: no tokenizer takes it
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest(
            "the body is not one JSON value in UTF-8 with distinct keys", code="invalid_json"
        ) from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object", code="invalid_json")
    # A null is an absent field: clients send both.
    return {k: v for k, v in body.items() if v is not None}


def number(body: Mapping[str, JSON], key: str, default: float, low: float, high: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{key} must be a number", param=key, code="invalid_type")
    if not low <= value <= high:  # an infinity is not, nor an integer beyond any float
        raise BadRequest(f"{key} must be from {low:g} to {high:g}", param=key)
    return float(value)


def integer(body: Mapping[str, JSON], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{key} must be an integer", param=key, code="invalid_type")
    if not low <= value <= high:
        raise BadRequest(f"{key} must be from {low} to {high}", param=key)
    return value


def flag(body: Mapping[str, JSON], key: str, where: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{where} must be true or false", param=where, code="invalid_type")
    return value
