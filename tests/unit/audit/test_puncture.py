"""A tree of keys: every leaf can be made, until it is destroyed, and then never again."""

from __future__ import annotations

import pytest

from sovereign.audit.puncture import DEPTH, Punctured

WHOLE = Punctured.of(bytes(range(32)))
VALUES = [f"value {n}" for n in range(200)]


def test_a_destroyed_leaf_is_gone_and_all_others_are_what_they_were() -> None:
    """One by one, in any order, until a fifth of them is gone."""
    before = {value: WHOLE.leaf(value) for value in VALUES}
    assert len(set(before.values())) == len(VALUES)
    keys = WHOLE
    for value in VALUES[:40]:
        keys = keys.without(value)
    assert [keys.leaf(value) for value in VALUES[:40]] == [None] * 40
    assert all(keys.leaf(value) == before[value] for value in VALUES[40:])
    assert keys.id == WHOLE.id


def test_what_is_left_holds_no_key_on_the_way_to_what_is_gone() -> None:
    """Not the leaf, nor any node above it: that is what makes it impossible, not forbidden."""
    keys = WHOLE.without("gone")
    path = WHOLE._path("gone")
    assert not any(path.startswith(node) for node in keys.nodes)
    assert len(keys.nodes) == 15 * DEPTH


def test_what_is_kept_stays_small() -> None:
    """Less than 7 kB for each value; destroying twice changes nothing."""
    once = WHOLE.without("a")
    assert len(once.pack()) < 8_500
    assert once.without("a") == once


def test_it_is_written_and_read_exactly() -> None:
    """One spelling; anything else is refused."""
    keys = WHOLE.without("a").without("b")
    assert Punctured.unpack(keys.pack()) == keys
    assert Punctured.unpack(WHOLE.pack()) == WHOLE
    for wrong in (b"", keys.pack()[:-1], keys.pack() + b"\0", bytes(100), keys.pack()[:40]):
        with pytest.raises(ValueError):
            Punctured.unpack(wrong)


def test_its_repr_shows_no_key() -> None:
    """It may end up in a log line."""
    assert WHOLE.router.hex() not in repr(WHOLE)
    assert repr(WHOLE) == f"Punctured({WHOLE.id})"
