"""Forms: read strictly, written again, and nothing two readers could see differently."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.errors import Unreadable
from sovereign.guard import form
from sovereign.guard.form import Form, Upload

TYPE = "multipart/form-data; boundary=b"


def part(head: str, content: str = "x") -> bytes:
    return f"--b\r\n{head}\r\n\r\n{content}\r\n".encode()


FIELD = 'Content-Disposition: form-data; name="a"'
END = b"--b--\r\n"

SMUGGLED = {
    "text before it": b"hidden\r\n" + part(FIELD) + END,
    "text behind it": part(FIELD) + END + b"hidden",
    "no end": part(FIELD),
    "no parts": END,
    "a field twice": part(FIELD) + part(FIELD, "y") + END,
    "no name": part("Content-Disposition: form-data") + END,
    "two names": part(FIELD + '; name="b"') + END,
    "an encoded name": part("Content-Disposition: form-data; name*=utf-8''a") + END,
    "another header": part(FIELD + "\r\nX-Note: Ada") + END,
    "a transfer encoding": part(FIELD + "\r\nContent-Transfer-Encoding: base64") + END,
    "a header twice": part(FIELD + "\r\n" + FIELD) + END,
    "a folded header": part('Content-Disposition: form-data;\r\n name="a"') + END,
    "bare line feeds": b'--b\nContent-Disposition: form-data; name="a"\n\nx\n--b--\n',
    "a boundary that goes on": part(FIELD) + b"--bx--\r\n",
    "an attachment": part('Content-Disposition: attachment; name="a"') + END,
    "a binary field": part(FIELD).replace(b"x", b"\xff\xfe") + END,
    "a nested form": part(FIELD + "\r\nContent-Type: multipart/mixed; boundary=c") + END,
}


@pytest.mark.parametrize("trick", SMUGGLED)
def test_a_form_that_two_readers_could_see_differently_is_refused(trick: str) -> None:
    """Each of these has fooled some reader of forms."""
    with pytest.raises(Unreadable):
        form.read(SMUGGLED[trick], TYPE)


@pytest.mark.parametrize(
    "declared",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        'multipart/form-data; boundary="b"; boundary=c',
        "multipart/form-data; charset=x; boundary=b",
    ],
)
def test_a_boundary_must_be_plain(declared: str) -> None:
    """One boundary, and nothing beside it."""
    with pytest.raises(Unreadable):
        form.read(part(FIELD) + END, declared)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
FILES = st.builds(
    Upload,
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters='\x7f"%\\'))
    .map(lambda s: "".join(c for c in s if c.isprintable()))
    .map(str.strip),
    st.sampled_from(["text/plain", "image/png", "application/octet-stream"]),
    st.binary(max_size=200),
)


@given(
    st.dictionaries(NAMES, st.text(st.characters(codec="utf-8")) | FILES, min_size=1, max_size=6)
)
def test_what_is_written_reads_the_same(fields: dict[str, object]) -> None:
    """encode and read are inverse, whatever stands in the fields, boundaries included."""
    boundary = form.new_boundary()
    raw = form.encode(fields, boundary)
    assert form.read(raw, f"multipart/form-data; boundary={boundary}") == fields


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(raw: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(Unreadable):
        assert isinstance(form.read(b"--b\r\n" + raw, TYPE), Form)
