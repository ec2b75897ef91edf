"""What a run trained on, and what it did not, can both be proved against one root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.audit.tree import inclusion_proof, leaf_hash
from sovereign.errors import TuneError
from sovereign.tune.roll import Neighbour, Proof, Roll, content_of, verify
from sovereign.tune.rows import Row

SALT = bytes(32)


def rows(*names: str) -> list[Row]:
    return [
        Row(i, ({"role": "user", "content": name},), id=name, group=f"patient {name}")
        for i, name in enumerate(names, 1)
    ]


@given(st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=20), st.text(min_size=1))
def test_a_name_is_proved_in_or_out_whatever_the_others_are(inside: set[str], asked: str) -> None:
    """By somebody who holds nothing but root, salt and proof, which went through JSON."""
    try:
        roll = Roll.of(rows(*inside), SALT)
        proof = Proof.decode(roll.prove("id", asked.encode()).encode())
    except UnicodeEncodeError:  # half a surrogate pair cannot be in a row that was read
        return
    size = len(roll.keys)
    found = verify(proof, "id", asked.encode(), salt=SALT, root=roll.root, size=size)
    assert found == (asked in inside) == roll.holds("id", asked.encode())


def test_a_row_is_found_by_its_words_its_id_and_its_group() -> None:
    """Each kind by itself: an id that reads like a group is no group."""
    one = rows("a")[0]
    roll = Roll.of([one], SALT)
    assert roll.holds("row", content_of(one))
    assert roll.holds("id", b"a")
    assert roll.holds("group", b"patient a")
    assert not roll.holds("group", b"a")


def test_another_salt_gives_another_root() -> None:
    """So the root alone confirms no guess at a row."""
    assert Roll.of(rows("a"), SALT).root != Roll.of(rows("a"), b"\x01" * 32).root


def test_an_absence_cannot_be_shown_of_what_is_there() -> None:
    """Neighbours that are not next to each other, an end that is not one, or another's proof."""
    names = [str(i) for i in range(40)]
    roll = Roll.of(rows(*names), SALT)
    here, inside = next(
        (at, name.encode())
        for name in names
        if 0 < (at := roll.prove("id", name.encode()).neighbours[0].index) < len(roll.keys) - 1
    )
    around = tuple(_leaf(roll, i) for i in (here - 1, here + 1))
    lies = [Proof(()), roll.prove("id", b"somebody else"), Proof(around)]
    lies += [Proof(around[:1]), Proof(around[1:])]
    for lie in lies:
        with pytest.raises(TuneError, match="the proof"):
            verify(lie, "id", inside, salt=SALT, root=roll.root, size=len(roll.keys))


def _leaf(roll: Roll, index: int) -> Neighbour:
    """The neighbour at ``index``, from a proof about a key that sorts there."""
    hashes = [leaf_hash(k) for k in roll.keys]
    return Neighbour(index, roll.keys[index], tuple(inclusion_proof(hashes, index)))


def test_a_proof_against_another_run_s_root_is_refused() -> None:
    """Rightly made, and about something else."""
    roll, other = Roll.of(rows("a", "b"), SALT), Roll.of(rows("c"), SALT)
    with pytest.raises(TuneError, match="does not lead to the passport's root"):
        verify(roll.prove("id", b"a"), "id", b"a", salt=SALT, root=other.root, size=3)


def test_a_roll_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    """A key that was taken out of the file would make a run say that it never saw a row."""
    roll = Roll.of(rows("a", "b"), SALT)
    file = tmp_path / "roll.json"
    roll.save(file)
    assert Roll.load(file, roll.root) == roll
    assert file.stat().st_mode & 0o777 == 0o600
    Roll(SALT, roll.keys[1:]).save(file)
    with pytest.raises(TuneError, match="not the roll that the passport commits to"):
        Roll.load(file, roll.root)
    unsorted = Roll(SALT, roll.keys[::-1])
    unsorted.save(file)
    with pytest.raises(TuneError, match="not the roll"):
        Roll.load(file, unsorted.root)
    file.write_text("{}")
    with pytest.raises(TuneError, match="is not a roll"):
        Roll.load(file, roll.root)
