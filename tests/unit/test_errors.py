"""The exception tree: drawn once, true everywhere."""

from __future__ import annotations

import re

import pytest

from sovereign import errors


def every_error() -> list[type[errors.SovereignError]]:
    return [getattr(errors, name) for name in errors.__all__]


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """A reader trusts the drawing, so it is drawn again from the classes and compared."""

    def draw(error: type[errors.SovereignError], depth: int) -> list[tuple[str, int]]:
        known = [e for e in error.__subclasses__() if e.__module__ == errors.__name__]
        return [(error.__name__, depth), *(row for e in known for row in draw(e, depth + 1))]

    lines = [line for line in (errors.__doc__ or "").splitlines() if re.search(r"\b[A-Z]\w+", line)]
    drawn = [
        (match[2], len(match[1]) // 4)
        for line in lines[1:]
        if (match := re.match(r"    ((?:│   |├── |└── |    )*)([A-Z]\w+)", line))
    ]
    assert drawn == draw(errors.SovereignError, 0)
    assert {name for name, _ in drawn} == set(errors.__all__)


def test_every_code_is_a_word_that_the_log_can_hold_and_belongs_to_one_error() -> None:
    """Codes go into the audit log and into error bodies: they are closed, stable words."""
    codes = [e.code for e in every_error()]
    assert all(re.fullmatch(r"[a-z][a-z_]{2,40}", code) for code in codes)
    assert len(codes) == len(set(codes))


def test_a_missing_extra_says_how_to_get_it() -> None:
    """The first thing a newcomer meets is a part that is not installed."""
    error = errors.MissingExtra("presidio-analyzer", "guard")
    assert str(error) == "presidio-analyzer is not installed"
    assert error.hint == "pip install 'sovereign-toolkit[guard]'"


def test_a_tampered_log_knows_the_record() -> None:
    """`audit verify` promises the record's number; it travels as data, not in a sentence."""
    with pytest.raises(errors.AuditError) as caught:
        raise errors.LogTampered("record 7: …", index=7)
    assert isinstance(caught.value, errors.LogTampered)
    assert caught.value.index == 7
