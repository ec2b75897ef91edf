"""Laws of records: nothing but closed values gets in, and what gets in is RFC 8785."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from sovereign.audit import record
from sovereign.audit.schema import SCHEMA, Field
from sovereign.errors import RecordRejected

FIELDS = [(kind, name) for kind, fields in SCHEMA.items() for name in fields]
CLOSED = re.compile(r"[A-Za-z0-9._:/@*+-]{1,128}", re.ASCII)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
IDS = st.from_regex(re.compile(r"[A-Za-z0-9._:/@-]{1,128}", re.ASCII), fullmatch=True)
ENTITIES = st.dictionaries(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0189", min_size=1, max_size=64),
    st.dictionaries(st.sampled_from(["allow", "mask", "pseudonymize"]), st.integers(1, 9)),
    max_size=3,
)
WORDS = ["mask", "block", "hosted", "local", "ok", "error", "folder", "gguf"]
# A strategy is used for a field if its sample fits there.
STRATEGIES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("A/b:c@d", IDS),
    ("a" * 64, HEX),
    ("a" * 40, HEX.map(lambda h: h[:40])),
    (2**53 - 1, st.integers(0, 2**53 - 1)),
    (599, st.integers(0, 599)),
    (True, st.booleans()),
    (["a*"], st.lists(IDS, max_size=3)),
    ({"A": {"mask": 1}}, ENTITIES),
    *((word, st.just(word)) for word in WORDS),
]


def fitting(field: Field) -> st.SearchStrategy[Any]:
    return st.one_of([s.filter(field.fits) for sample, s in STRATEGIES if field.fits(sample)])


def strings_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in (k, *strings_in(v))]
    if isinstance(value, list):
        return [s for v in value for s in strings_in(v)]
    return []


@given(st.sampled_from(FIELDS), any_json)
@example(("request.intent", "team"), "Grace\nHopper")
@example(("request.intent", "team"), "Ｇｒａｃｅ")
@example(("request.intent", "model"), "x\x00")
def test_no_field_takes_free_text(where: tuple[str, str], value: Any) -> None:
    """For any JSON value in any field: refused, or every string in it is a closed word."""
    kind, name = where
    if SCHEMA[kind][name].fits(value):
        assert all(CLOSED.fullmatch(s) for s in strings_in(value))
    else:
        with pytest.raises(RecordRejected) as caught:
            record.prepare({"type": kind, name: value}, source="s")
        # Nothing of the value is in the error: its words are all ours.
        assert str(caught.value) == f"{kind}: field {name} must be {SCHEMA[kind][name].says}"


@given(st.text(), st.text())
def test_no_unknown_field_is_taken(name: str, value: str) -> None:
    """Whatever it is called, and whatever it holds."""
    with pytest.raises(RecordRejected):
        record.prepare({"type": "log.close", f"x{name}": value}, source="s")


@given(st.data(), st.sampled_from(sorted(SCHEMA)), st.integers(0, 2**53 - 1))
def test_every_record_is_rfc_8785(data: st.DataObject, kind: str, seq: int) -> None:
    """Our encoder is a shortcut for closed values; the package `rfc8785` is the yardstick."""
    made: dict[str, Any] = {"type": kind}
    for name, field in SCHEMA[kind].items():
        if not field.optional or data.draw(st.booleans()):
            made[name] = data.draw(fitting(field))
    source = data.draw(IDS)
    encoded = record.encode(made, time=1.75e9, source=source, seq=seq)
    again = json.loads(encoded)
    assert encoded == rfc8785.dumps(again)
    assert {k: v for k, v in again.items() if k not in ("v", "time", "source", "seq")} == made
    assert again["seq"] == seq
