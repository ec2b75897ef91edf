"""What is put aside of a line, and what never is."""

from __future__ import annotations

import pytest

from sovereign.scan.known import TIMES, Known, stamp


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("2026-11-26T10:00:01.123Z INFO x", " INFO x"),
        ("2026-11-26 10:00:01,123 INFO x", " INFO x"),
        ("[2026-11-26 10:00:01] x", " x"),
        ("2026/11/26 10:00:01 [error] x", " [error] x"),
        ("Nov  6 10:00:01 host sshd: x", " host sshd: x"),
        ("<34>1 2026-11-26T10:00:01.1Z host app x", " host app x"),
        ("2026-11-26T10:00:01+01:00 x", " x"),
        ("1980-02-03 was the day", "1980-02-03 was the day"),
        ("Dear Nov 26", "Dear Nov 26"),
    ],
)
def test_a_stamp_is_a_point_in_time_at_the_start(line: str, rest: str) -> None:
    """A day alone may be a birthday; a time to the second is when a line was written."""
    assert line[stamp(line) :] == rest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /items/123 200 15ms", "GET /items/98765 404 9ms"),
        ("rid=9f1c2d3e-1111-4222-8333-abcdefabcdef", "rid=0a1c2d3e-0000-4000-8000-0123456789ab"),
        ("span dea7ab6f8a9ba03c", "span 0123456789abcdef"),
        ("at 10:11:12", "at 23:00:59"),
        ("heap 3817M of 40%", "heap 1M of 99%"),
    ],
)
def test_what_is_put_aside_makes_two_lines_one(one: str, other: str) -> None:
    """Short numbers, numbers with their unit, times of day, random ids."""
    assert Known().template(one, 0) == Known().template(other, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user=maria", "user=peter"),
        ("born 12/31/1980", "born 12/31/1981"),
        ("card 4111 1111 1111 1111", "card 4111 1111 1111 1112"),
        ("ssn 512-47-3391", "ssn 512-47-3392"),
        ("call 0301234567", "call 0301234568"),
        ("call 030 1234567", "call 030 1234568"),
        ("from 10.0.0.1", "from 10.0.0.2"),
        ("+49 30 12345", "+49 30 12346"),
        ("id 1234567", "id 1234568"),
    ],
)
def test_what_could_be_somebodys_is_never_put_aside(one: str, other: str) -> None:
    """Words, dates, addresses, and numbers long enough to be an identifier."""
    assert Known().template(one, 0) != Known().template(other, 0)


def test_a_line_is_known_after_three_different_fillings_and_not_if_one_held_something() -> None:
    """The same line three times is no experience with its template."""
    known = Known()

    def learn(line: str, *, found: bool = False) -> None:
        template = known.template(line, 0)
        known.learn(template, line, found=found, constant=template == line)

    for number in (1, 1, 1, 2):
        learn(f"item {number}")
    assert not known.empty(known.template("item 3", 0))
    learn("item 3")
    assert TIMES == 3
    assert known.empty(known.template("item 4", 0))
    for number, found in ((1, False), (2, True), (3, False), (4, False), (5, False)):
        learn(f"row {number}", found=found)
    assert not known.empty(known.template("row 6", 0))


def test_a_field_is_known_by_its_path_and_its_template() -> None:
    """Under another name the same text is looked at, and so is every other word."""
    known = Known()
    for text in ("1.50", "12.75", "7.20", "paid", "paid", "paid"):
        template = known.field("amount", text)
        known.learn(template, text, found=False, constant=template.endswith(f"\x00{text}"))
    assert known.empty(known.field("amount", "1234.99"))
    assert known.empty(known.field("amount", "paid"))
    for path, text in (("note", "1.50"), ("amount", "5551234.5"), ("amount", "Maria")):
        assert not known.empty(known.field(path, text))
