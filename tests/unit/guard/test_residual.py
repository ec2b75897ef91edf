"""The last look asks first whether anything at all is in what leaves, and only then where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sovereign.errors import ResidualFound
from sovereign.guard.body import Limits
from sovereign.guard.needles import APART
from sovereign.guard.residual import FEW, Held
from sovereign.guard.shapes import SHAPES


def _held(*placeholders: str, shape: str | None = "openai.chat") -> Held:
    known = SHAPES[shape] if shape else None
    values = {"Ada Zorblatt": "PERSON", "512-47-3391": "US_SSN", "Bea\nQuux": "PERSON"}
    return Held(values, frozenset(placeholders), known, Limits())


def _check(held: Held, body: Any) -> None:
    held.check(raw=json.dumps(body).encode(), url="https://h/v1", headers={"accept": "*/*"})


def _chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


FREE = {
    "content": _chat("so Ada Zorblatt said"),
    "content_beside_the_same_model": _chat("Ada Zorblatt", model="Ada Zorblatt"),
    "twice": _chat([{"type": "text", "text": "Ada Zorblatt"}] * 2),
    "key": _chat("hi", metadata={"Ada Zorblatt": "x"}),
    "number": _chat("hi", seed=512473391),
    "deep": _chat([[[[{"a": [["512 47 3391"]]}]]]]),
    "structure_elsewhere": _chat("hi", metadata={"model": "Ada Zorblatt"}),
    "around_what_is_put_between_texts": _chat(f"Bea{APART}Quux"),
    "encoded": _chat("IEFkYSBab3JibGF0dCBpcyBoZXJlIA=="),
}


@pytest.mark.parametrize("what", FREE)
def test_a_value_in_a_leaf_that_may_tell_something_is_found(what: str) -> None:
    """Wherever it stands, however often the same text stands elsewhere."""
    with pytest.raises(ResidualFound, match="in the outgoing body"):
        _check(_held(), FREE[what])


def test_a_value_in_a_constant_of_the_wire_is_not_one() -> None:
    """A model may be called like somebody; without a shape, nothing is known to be structure."""
    body = _chat("hi", model="Ada Zorblatt")
    _check(_held(), body)
    with pytest.raises(ResidualFound):
        _check(_held(shape=None), body)


@pytest.mark.parametrize("more", [0, FEW])
def test_what_was_written_in_a_values_place_is_not_taken_for_it(more: int) -> None:
    """A stand-in may be what another person is called, and holds nothing back of that one."""
    held = _held("Ada Zorblatt", *(f"PERSON_{n:08}" for n in range(more)))
    _check(held, _chat("so Ada Zorblatt said"))
    with pytest.raises(ResidualFound):
        _check(held, _chat("so Ada  Zorblatt, 512.47.3391, said"))


def test_texts_are_looked_at_each_by_itself() -> None:
    """Else two leaves that stand side by side would make a value that neither holds."""
    _check(_held(), _chat([{"type": "text", "text": t} for t in ("Ada", "Zorblatt", "512", "47")]))
    _check(_held(), _chat("Ada", user="Zorblatt"))
