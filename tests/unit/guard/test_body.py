"""Reading is strict, leaves are complete, and what is put back is what was taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sovereign.errors import SovereignError, TooLarge, Unreadable
from sovereign.guard import KEY, Limits, body

LIMITS = Limits(max_body_bytes=2_000_000, max_depth=8, max_leaves=50)

BROKEN = {
    "byte_order_mark": b'\xef\xbb\xbf{"a":1}',
    "utf16": '{"a":1}'.encode("utf-16"),
    "latin1": b'{"a":"\xe4"}',
    "duplicate_key": b'{"a":1,"a":2}',
    "duplicate_key_by_escape": b'{"a":1,"\\u0061":2}',
    "nan": b'{"a":NaN}',
    "infinity": b"[Infinity]",
    "overflow": b"[1e999]",
    "lone_surrogate": b'{"a":"\\ud800"}',
    "lone_surrogate_key": b'{"\\udc00":1}',
    "trailing_data": b'{"a":1}{"b":2}',
    "two_lines": b'{"a":1}\n{"b":2}',
    "empty": b"",
    "control_character": b'{"a":"\x01"}',
    "huge_number": b"[" + b"9" * 5000 + b"]",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_not_strict_json_is_refused_without_quoting_it(what: str) -> None:
    """Two parsers must never read two things; and an error tells nothing of the text."""
    with pytest.raises(Unreadable) as caught:
        body.read(BROKEN[what], LIMITS)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize("inner", [None, True, 1, "x", []])
def test_a_deep_value_of_python_is_refused_before_it_is_walked(inner: Any) -> None:
    """Whoever inspects a body that no parser has bounded gets the same refusal."""
    deep: Any = inner
    for _ in range(9):
        deep = [deep]
    with pytest.raises(TooLarge, match="nested too deep"):
        body.leaves(deep, LIMITS)
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(TooLarge, match="nested too deep"):
        body.leaves(deep, LIMITS)


def test_half_a_surrogate_pair_is_refused_though_the_next_leaf_has_the_other_half() -> None:
    """They are looked at together, and are still two texts, neither of which can be sent."""
    with pytest.raises(Unreadable, match="surrogate"):
        body.leaves(["\ud83d", "\ude00"], LIMITS)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 9 + b"]" * 9])
def test_a_deep_body_is_refused_before_the_parser_meets_it(raw: bytes) -> None:
    """A stack of brackets is a bomb; brackets inside strings are not."""
    with pytest.raises((TooLarge, Unreadable)):
        body.read(raw, LIMITS)
    assert body.read(b'["[[[[[[[[[[\\"[[[[[["]', LIMITS) == ['[[[[[[[[[["[[[[[[']


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP, identity", "x"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    """What was not read is not sent."""
    with pytest.raises(Unreadable):
        body.read(b"{}", LIMITS, content_encoding=encoding)
    assert body.read(b"{}", LIMITS, content_encoding="identity") == {}


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/json; charset=utf-16"]
)
def test_another_content_type_is_refused(kind: str) -> None:
    """The guard reads JSON in UTF-8; anything else would be read otherwise on the other side."""
    with pytest.raises(Unreadable):
        body.read(b"{}", LIMITS, content_type=kind)
    assert body.read(b"{}", LIMITS, content_type="application/json; charset=UTF-8") == {}


def test_bounds_hold() -> None:
    """A body over its size or number of leaves is refused."""
    with pytest.raises(TooLarge):
        body.read(b" " * 2_000_001, LIMITS)
    with pytest.raises(TooLarge):
        body.leaves(list(range(51)), LIMITS)


def test_every_string_number_and_key_is_a_leaf() -> None:
    """Keys and numbers carry identifiers too; true, false and null cannot."""
    value = {"a": ["x", 1, {"b": 2.5}], "c": True, "d": None}
    found = [(leaf.path, leaf.text, leaf.kind) for leaf in body.leaves(value, LIMITS)]
    assert found == [
        (("a", KEY), "a", "key"),
        (("a", 0), "x", "text"),
        (("a", 1), "1", "number"),
        (("a", 2, "b", KEY), "b", "key"),
        (("a", 2, "b"), "2.5", "number"),
        (("c", KEY), "c", "key"),
        (("d", KEY), "d", "key"),
    ]


@pytest.mark.parametrize(
    "value", [{1: "x"}, {"a": b"x"}, [float("nan")], ["\ud800"], {"a": {1, 2}}]
)
def test_a_python_body_that_is_not_json_fails_closed(value: object) -> None:
    """inspect() takes any object; what cannot be written as JSON is refused, cleanly."""
    with pytest.raises(SovereignError):
        body.leaves(value, LIMITS)


def test_two_keys_that_become_the_same_stay_two() -> None:
    """A mask must not make one entry overwrite another."""
    value = {"Ada": 1, "Bob": 2, "[PERSON] 2": 3}
    out = body.rebuild(value, {("Ada", KEY): "[PERSON]", ("Bob", KEY): "[PERSON]"})
    assert sorted(out.values()) == [1, 2, 3]


def test_a_rebuilt_body_changes_where_it_was_told_to_and_leaves_the_other_as_it_was() -> None:
    """Leaves, numbers and keys at once; what does not change is shared, which nobody may notice."""
    same = {"deep": ["a", 1]}
    value = {"b": "x", "a": {"Ada": "y", "n": [1, "z"]}, "same": same}
    before = json.dumps(value)
    out = body.rebuild(
        value,
        {("a", "Ada", KEY): "K", ("a", "Ada"): "V", ("a", "n", 0): "N", ("gone", 3): "-"},
    )
    assert json.dumps(out) == json.dumps({"b": "x", "a": {"K": "V", "n": ["N", "z"]}, "same": same})
    assert json.dumps(value) == before
    assert out["same"] is same
    assert body.rebuild("x", {(): "y"}) == "y"
    assert body.rebuild({"Ada": ["a"]}, {("Ada", KEY): "K", ("Ada", 0): "V"}) == {"K": ["V"]}
    assert body.rebuild({"Ada": ["a"]}, {("Ada", KEY): "K"}) == {"K": ["a"]}


def test_the_strings_of_a_body_are_those_of_its_leaves() -> None:
    """The last look asks for them without their places; it must miss none."""
    value = {"a": ["x", 1, 2.5, None, True, {"b": "", "c": []}], "d": {"x": "x"}, "e": -0.0}
    keys, texts = body.strings(value)
    found = body.leaves(value, LIMITS)
    assert keys == {leaf.text for leaf in found if leaf.kind == "key"}
    assert texts == {leaf.text for leaf in found if leaf.kind != "key"}


def test_what_is_written_as_ascii_is_the_same_json() -> None:
    """In the same bytes if all is ASCII, in escapes if not: a wrong guess loses nothing."""
    plain = {"a": ['x\n"', 1, -0.5, None, True], "b": {}}
    assert body.encode(plain, ascii_only=True) == body.encode(plain)
    other = {"ä": "\U0001f600\x7f"}
    assert json.loads(body.encode(other, ascii_only=True)) == other
    for half in ("\ud800", float("nan")):
        with pytest.raises(Unreadable):
            body.encode([half])
    with pytest.raises(Unreadable):
        body.encode([float("nan")], ascii_only=True)


def test_keys_that_are_known_are_no_leaves_but_texts() -> None:
    """They tell nothing, but a surrogate must not be one of them, and they count."""
    value = {"role": "Ada", "Ada": {"role": 1}}
    found, text = body.gather(value, LIMITS, frozenset({"role"}))
    assert found == [x for x in body.leaves(value, LIMITS) if (x.kind, x.text) != ("key", "role")]
    assert text.split("\n") == [leaf.text for leaf in body.leaves(value, LIMITS)]
    with pytest.raises(TooLarge):
        body.gather({"role": "x"}, Limits(max_leaves=1), frozenset({"role"}))


def test_a_leaf_does_not_show_its_text() -> None:
    """A repr ends up in a log."""
    assert "secret" not in repr(body.leaves({"secret": "secret"}, LIMITS))
