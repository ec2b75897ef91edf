"""Findings stand where their values stand, once each, however a field is cut."""

from __future__ import annotations

import csv
import io
import random
import re

import pytest
from nine_digits import NineDigits
from scan_corpus import application_log
from scan_everything import table_rows

from sovereign.config import GuardConfig
from sovereign.guard.body import Leaf
from sovereign.guard.recognizers import from_config
from sovereign.guard.scan import CHUNK, OVERLAP, Scanner
from sovereign.policy import load_policy
from sovereign.scan.finder import Finder
from sovereign.scan.finding import Finding
from sovereign.scan.known import Known
from sovereign.scan.look import Look
from sovereign.scan.readers.csv_reader import CsvReader
from sovereign.scan.record import Call, Direction, Field, Record, Unread
from sovereign.scan.source import BytesSource

POLICY = load_policy(preset="hipaa")


@pytest.fixture
def scanner() -> Scanner:
    return Scanner([NineDigits()], cache_key=b"k" * 32)


def _token(entity: str, value: str) -> str:
    return f"{entity}:{hash(value) & 0xFFFF:x}"


def _finder(scanner: Scanner, known: Known | None = None) -> Finder:
    return Finder("f", scanner, POLICY, _token, known=known)


@pytest.mark.parametrize("seed", range(8))
def test_a_value_is_found_once_wherever_a_long_field_is_cut(scanner: Scanner, seed: int) -> None:
    """A field of five pieces that overlap, with values at and across every edge."""
    rng = random.Random(seed)
    step = CHUNK - OVERLAP
    text = ["x"] * (4 * step + OVERLAP)
    wanted = set()
    places = [k * step + d for k in range(5) for d in (0, 1, OVERLAP // 2, OVERLAP - 4, OVERLAP)]
    places += [rng.randrange(len(text)) for _ in range(20)]
    last = -20
    for at in sorted(p + rng.randrange(-9, 9) for p in places):
        if at > last + 12 and 1 < at < len(text) - 11:
            number = f"{rng.randrange(10**8, 10**9)}"
            text[at : at + 9] = number
            wanted.add((at, at + 9))
            last = at
    whole = "".join(text)
    finder = _finder(scanner)
    found: list[Finding] = []
    for start in range(0, len(whole) - OVERLAP, step):
        piece = Field("body", whole[start : start + CHUNK], Direction.SENT, start, start)
        found += finder.feed(Record(1, "document", (piece,), start + 1))
    found += finder.flush()
    assert sorted((f.start, f.end) for f in found) == sorted(wanted)
    assert all(whole.encode()[f.offset : f.offset + f.length].isdigit() for f in found)  # type: ignore[operator]


def test_two_short_fields_after_each_other_hold_nothing_back(scanner: Scanner) -> None:
    """Only a piece that may go on waits for the next one."""
    finder = _finder(scanner)
    record = Record(1, "row", (Field("a", "123456789"), Field("b", "ä 987654321")), 1)
    found = [*finder.feed(record), *finder.settle()]
    assert [(f.field, f.start) for f in found] == [("a", 0), ("b", 2)]
    assert not finder.waiting


def test_a_finding_says_where_and_whither_and_never_what(scanner: Scanner) -> None:
    """Line, byte, call; the caller as a token."""
    call = Call("openai", "api.openai.com", "gpt-4o", "/v1/chat/completions", "r1", "maria")
    field = Field("messages[0].content", "é one\ntwo 123456789", Direction.SENT, 100)
    finder = _finder(scanner)
    (found,) = [*finder.feed(Record(7, "line", (field,), 1, "m", call, 5.0)), *finder.flush()]
    assert (found.number, found.start, found.offset, found.length) == (8, 10, 111, 9)
    assert (found.member, found.direction, found.time) == ("m", "sent", 5.0)
    assert (found.provider, found.host, found.model) == ("openai", "api.openai.com", "gpt-4o")
    assert found.caller == _token("CALLER", "maria")
    assert "123456789" not in repr(found)


def test_where_a_call_went_is_no_finding(ours: Scanner) -> None:
    """Every call would have "sent" the API's own address. Another address is found, and so is one
    that says more than where."""
    call = Call("openai", "api.openai.com", "gpt-4o", "/v1/chat/completions", "r1")
    own = "https://api.openai.com/v1/chat/completions"
    text = f"POST {own} then {own}?user=maria and https://portal.example.org/u/8812 now"
    fields = (Field("url", own), Field("text", text, Direction.SENT))
    finder = _finder(ours)
    found = [*finder.feed(Record(7, "line", fields, 1, "m", call, 5.0)), *finder.flush()]
    urls = [(f.field, f.start) for f in found if f.entity == "URL"]
    assert urls == [("text", text.index(f"{own}?")), ("text", text.index("https://portal"))]


def test_a_log_is_read_line_by_line_with_and_without_the_prefilter() -> None:
    """With our own recognisers: what was planted is found at its place either way, and what the
    prefilter spares is nothing but accidents in ids and numbers that are put aside."""
    rules = from_config(GuardConfig(ner="none"), policy=POLICY)
    scanner = Scanner(rules, cache_key=b"k" * 32)
    rows = list(application_log(random.Random(5), 3_000, every=60))
    text = "".join(line for line, _ in rows)
    found = {}
    for known in (None, Known()):
        finder = _finder(scanner, known)
        seen: list[Finding] = []
        at = 0
        while at < len(text):
            end = text.rfind("\n", at, at + 16_384) + 1
            field = Field("", text[at:end], offset=at)
            seen += finder.feed(Record(text.count("\n", 0, at) + 1, "line", (field,), end))
            at = end
        found[known is None] = {(f.number, f.offset, f.length, f.entity) for f in seen}
    for number, (line, planted) in enumerate(rows, 1):
        if planted is not None:
            before = len("".join(row for row, _ in rows[: number - 1]))
            place = (number, before + line.index(planted[1]), len(planted[1]), planted[0])
            assert place in found[True]
            assert place in found[False]
    assert found[False] <= found[True]
    for number, offset, length, _ in found[True] - found[False]:
        around = text[offset - 2 : offset + length + 2]  # type: ignore[operator]
        assert not re.search(r"[g-zG-Z]{4}", around), (number, around)


@pytest.fixture(scope="module")
def ours() -> Scanner:
    """Our own recognisers."""
    return Scanner(from_config(GuardConfig(), policy=POLICY), cache_key=b"k" * 32)


Place = tuple[int, str, int, int, str]


def _in_table(scanner: Scanner, table: str, known: Known | None) -> set[Place]:
    """What is found in a CSV file."""
    source = BytesSource("a.csv", table.encode())
    finder = _finder(scanner, known)
    found: list[Finding] = []
    for item in CsvReader().read(source):
        assert not isinstance(item, Unread)
        found += finder.feed(item)
    found += finder.flush()
    return {(f.number, f.field, f.start, f.end, f.entity) for f in found}


@pytest.mark.parametrize("known", [True, False])
def test_a_table_holds_what_each_of_its_rows_holds_by_itself(ours: Scanner, known: bool) -> None:
    """With identifiers in one of ten rows, with what is known put aside and without: the same
    findings at the same places, but for what numbers of neighbouring cells make by accident if
    they are put together."""
    rows, planted = table_rows(random.Random(2), 60_000)
    look = Look(ours, POLICY)
    apart = set()
    for number, row in enumerate(rows, 2):
        leaves = [
            Leaf((n,), str(cell), "text", name)
            for n, (name, cell) in enumerate(zip(("id", "state", "note"), row, strict=True))
            if len(str(cell)) > 1
        ]
        for hit in look.fields(leaves):
            found = hit.finding
            name = leaves[hit.leaf].label
            if found.view != "joined":
                apart.add((number, name, found.start, found.end, found.entity))
    out = io.StringIO()
    csv.writer(out).writerows([("id", "state", "note"), *rows])
    together = _in_table(ours, out.getvalue(), Known() if known else None)
    assert len(apart) >= len(planted)
    assert apart <= together
    rows_with = {number for number, *_ in apart}
    assert {number for number, *_ in together} == rows_with


def test_a_row_lends_its_neighbours_no_certainty(ours: Scanner) -> None:
    """A number is no part of an address because somebody's number stands in the next row."""
    rows = "".join(
        f"{40_000 + 7 * n},{f'her SSN is 512-47-{3000 + n}' if n % 3 == 1 else 'paid'}\n"
        for n in range(60)
    )
    found = _in_table(ours, "id,note\n" + rows, None)
    assert {number for number, *_ in found} == {n + 2 for n in range(60) if n % 3 == 1}
    assert sum(entity == "US_SSN" for *_, entity in found) == 20


@pytest.mark.parametrize("known", [None, Known()])
def test_names_and_addresses_in_several_cells_are_found_cell_by_cell(
    ours: Scanner, known: Known | None
) -> None:
    """Each part by what stands beside it, whatever the columns are called."""
    table = (
        "id,first_name,col_b,state,strasse,plz,ort\n"
        "1,Agnieszka,Wojciechowska,open,Lindenstr. 14,50674,Köln\n"
        "2,Rose,Young,closed,Winterbourne Road 3,80331,München\n"
        "3,Tunde,Okafor,open,Am Markt 12,28195,Bremen\n"
    )
    found = _in_table(ours, table, known)
    for number in (2, 3, 4):
        names = {field for n, field, *_, entity in found if n == number and entity == "PERSON"}
        assert names == {"first_name", "col_b"}
        places = {f for n, f, *_, entity in found if n == number and entity == "STREET_ADDRESS"}
        assert places == {"strasse", "plz", "ort"}


def test_what_is_known_of_a_row_is_forgotten_when_one_like_it_holds_something() -> None:
    """A whole row is put aside only as long as each of its cells is."""
    known = Known()
    (template,) = known.rows(["12\x1fpaid 3"])
    for number in range(3):
        known.learn("note\x00paid \x00", f"paid {number}", found=False, constant=False)
    known.learn_row(("id", "note"), template)
    assert known.row_empty(("id", "note"), template)
    assert not known.row_empty(("id", "other"), template)
    known.learn("note\x00paid \x00", "paid 9", found=True, constant=False)
    assert not known.row_empty(("id", "note"), template)
