"""Bodies of any bytes: read, or refused in our own words, in time and memory that their size
bounds."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sovereign.errors import SovereignError
from sovereign.guard import body as bodies
from sovereign.guard.body import Limits
from sovereign.guard.form import Form
from sovereign.guard.form import read as read_form
from sovereign.guard.opaque import found

JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda i: st.lists(i, max_size=4) | st.dictionaries(st.text(max_size=8), i, max_size=4),
    max_leaves=20,
)
_words = str.split  # a list of words is easier to read as one string
FIELDS = st.sampled_from(
    _words(
        "type image_url url source data media_type file file_data file_id input_audio format "
        "previous_response_id conversation tools id filename"
    )
)
URI = "data:image/png;base64,"
VALUES = st.sampled_from(
    [
        *_words("image_url image file base64 https://h.example/x http://[ data:,x AAA = mcp"),
        URI,
        f"{URI}AAAA and data:text/plain;base64,AAAA",
        "",
    ]
)
CARRYING = st.recursive(
    VALUES | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=400) | JSONISH.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Nothing but our own errors, and what is read is written as it was read."""
    try:
        value = bodies.read(raw, Limits())
    except SovereignError:
        return
    assert bodies.read(bodies.encode(value), Limits()) == value


@given(CARRYING)
@example({"type": [], "image_url": "https://h.example/x"})
def test_any_body_is_searched_for_documents(body: Any) -> None:
    """Whatever stands where a picture or a file would: named, or left alone; never an exception."""
    seen = found(body, bodies.leaves(body, Limits()), None)
    assert all(isinstance(what, str) for what in seen.unread)
    for parcel in seen.parcels:
        assert isinstance(parcel.data, bytes)


@given(st.binary(max_size=300), st.integers(0, 300), st.binary(max_size=6))
def test_a_form_that_was_bent_is_read_or_refused(content: bytes, at: int, more: bytes) -> None:
    """A sound form with bytes put in anywhere."""
    whole = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    bent = whole[:at] + more + whole[at:]
    try:
        assert isinstance(read_form(bent, "multipart/form-data; boundary=b"), Form)
    except SovereignError:
        return


SIZE = 1_000_000
HALF = b"\\ud83d"
BOMBS = {
    "brackets": b"[" * SIZE,
    "objects": b'{"a":' * (SIZE // 5),
    "closed brackets": b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
    "commas": b"[" + b"1," * (SIZE // 2) + b"1]",
    "keys": b"{" + b",".join(b'"%d":0' % i for i in range(SIZE // 12)) + b"}",
    "one key": b"{" + b'"a":0,' * (SIZE // 6) + b'"a":0}',
    "a long number": b"1" * SIZE,
    "a long exponent": b"1e" + b"9" * SIZE,
    "quotes": b'"' * SIZE,
    "escapes": b'"' + b"\\u0041" * (SIZE // 6) + b'"',
    "half an emoji": b'["' + HALF * (SIZE // 6) + b'"]',
    "spaces": b" " * SIZE + b"{}",
    "data URIs": json.dumps(URI * (SIZE // 22)).encode(),
    "data URI letters": json.dumps("data:" * (SIZE // 5)).encode(),
    "UTF-16": '{"model": "m"}'.encode("utf-16") * 1000,
    "a mark and more": b"\xef\xbb\xbf{}",
    "trailing data": b"{}" + b" {}" * 1000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_what_its_bytes_cost(bomb: str) -> None:
    """A megabyte of each: seconds and some tens of megabytes, whatever it would unfold to."""
    raw = BOMBS[bomb]
    began = time.process_time()
    tracemalloc.start()
    with contextlib.suppress(SovereignError):
        value = bodies.read(raw, Limits())
        found(value, bodies.leaves(value, Limits()), None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * SIZE
    assert time.process_time() - began < 20
