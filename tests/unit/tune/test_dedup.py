"""What is said twice is found, exactly and nearly."""

from __future__ import annotations

from sovereign.tune.dedup import exact, near
from sovereign.tune.rows import Row

NOTE = (
    "The patient was seen in the clinic this morning, reports no pain at rest, walks without help, "
    "and will come back for a blood count in two weeks."
)


def row(line: int, text: str, **more: str) -> Row:
    return Row(line, ({"role": "user", "content": text},), **more)


def test_the_same_words_are_one_row_whatever_the_id() -> None:
    """Two exports of one record have two ids."""
    kept = exact([row(1, "a", id="x"), row(2, "b"), row(3, "a", id="y")])
    assert [r.line for r in kept] == [1, 2]


def test_a_changed_word_is_a_near_duplicate_and_another_note_is_not() -> None:
    """Templates with another name in them are what hospitals' records are full of."""
    changed = NOTE.replace("two weeks", "three weeks").replace("The", "the")
    other = "A ticket about the printer on the third floor, which has run out of paper once more."
    rows = [row(1, NOTE), row(2, changed), row(3, other), row(4, NOTE + " Thank you.")]
    assert [r.line for r in near(rows, 0.8)] == [1, 3]
    assert [r.line for r in near(rows, 1.0)] == [1, 2, 3, 4]


def test_short_rows_are_compared_as_a_whole() -> None:
    """Fewer than three words have one run."""
    assert [r.line for r in near([row(1, "yes"), row(2, "no"), row(3, "Yes")], 0.8)] == [1, 2]
