"""Text in any encoding: every line once, each where it stands."""

from __future__ import annotations

import itertools

import pytest
from scanned import misplaced, read, records, unread

from sovereign.scan.source import LONGEST, OVERLAP

LINES = "".join(f"row {n}: Zoë Müller, naïve café €{n}\n" for n in range(3000))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_every_line_of_every_encoding_is_read_once_and_in_its_place(encoding: str) -> None:
    """A finding's place is of use only if it is the byte where the text stands in the file."""
    data = LINES.encode(encoding)
    found = read("notes.txt", data)
    assert "".join(r.fields[0].text for r in records(found)) == LINES
    assert not misplaced(data, found)
    assert not unread(found)


def test_lines_are_counted_from_the_first_of_each_block() -> None:
    """So the line of a finding is the block's number and the newlines before it."""
    number = 1
    for record in records(read("notes.txt", LINES.encode())):
        assert record.number == number
        number += record.fields[0].text.count("\n")
    assert number == 3001


def test_encodings_that_are_mixed_in_one_file_are_each_read() -> None:
    """Logs of many programs end up in one file; a line of Latin-1 is no reason to lose names."""
    data = "Zoë\n".encode() + "Müller\n".encode("latin-1") + b"plain\n" + "Željko\n".encode()
    found = read("mixed.log", data)
    assert "".join(r.fields[0].text for r in records(found)) == "Zoë\nMüller\nplain\nŽeljko\n"
    assert [r.number for r in records(found)] == [1, 2, 4]
    assert not misplaced(data, found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_line_that_is_too_long_comes_in_pieces_that_overlap(encoding: str) -> None:
    """What a cut goes through is whole in the next piece; ``start`` says where that begins."""
    line = "".join(f"é{n:07}😀" for n in range(20_000))
    data = f"first\n{line}\nlast".encode(encoding)
    found = read("one.txt", data)
    pieces = [r.fields[0] for r in records(found) if r.number == 2]
    assert len(pieces) > 3
    assert all(line.startswith(p.text.rstrip("\n"), p.start) for p in pieces)
    assert all(len(p.text) <= LONGEST for p in pieces)
    for one, two in itertools.pairwise(pieces):
        assert one.start < two.start <= one.start + len(one.text) - OVERLAP // 4
    assert pieces[-1].start + len(pieces[-1].text) == len(line) + 1
    assert records(found)[-1].fields[0].text == "last"
    assert not misplaced(data, found)


def test_a_program_is_no_text_and_said_to_be_unread() -> None:
    """Never silent: an auditor has to know what was not looked at."""
    assert unread(read("a.out", b"\x7fELF" + bytes(range(256)) * 8)) == ["a program"]
