"""Laws of every reader: a resumed read is the rest of the whole one, places are true, nothing that
bytes can say raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_samples import MAIL, samples
from scanned import misplaced, read, records

from sovereign.scan.known import Known
from sovereign.scan.readers import json_values
from sovereign.scan.readers.calls import judge, may_tell
from sovereign.scan.readers.plan import Plans
from sovereign.scan.record import CELL
from sovereign.scan.source import LONGEST

_PACKED = ("gz", "bz2", "xz", "zst", "zip", "eml", "mbox")

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SOME = st.text(max_size=40)
VALUES = st.recursive(
    SOME | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SOME, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", samples())
def test_reading_from_any_place_gives_exactly_what_follows_it(name: str) -> None:
    """A scan that is killed goes on where it was: nothing is missed, nothing counted twice."""
    data = samples()[name]
    found = read(name, data)
    places = [item.resume for item in found]
    assert places == sorted(set(places))
    for number, place in enumerate(places):
        assert read(name, data, place) == found[number + 1 :]


@pytest.mark.parametrize("name", [n for n in samples() if n.rpartition(".")[2] not in _PACKED])
def test_every_place_is_the_byte_where_the_text_stands(name: str) -> None:
    """Of formats that hold texts as they are."""
    assert not misplaced(samples()[name], read(name, samples()[name]))


@pytest.mark.parametrize("name", samples())
def test_the_planted_address_is_in_what_is_read(name: str) -> None:
    """In every format, whole, in one field."""
    texts = [f.text for record in records(read(name, samples()[name])) for f in record.fields]
    assert any(MAIL in text for text in texts)
    assert all(len(text) <= LONGEST for text in texts)


@BOUNDED
@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans(), st.data())
def test_any_json_is_read_whole_in_its_place_and_from_any_place(
    values: list[object], indent: int | None, ascii: bool, data: st.DataObject
) -> None:
    """As lines, or as a document."""
    lined = "\n".join(json.dumps(v, ensure_ascii=ascii) for v in values)
    text = lined if indent is None else json.dumps(values, indent=indent, ensure_ascii=ascii)
    raw = text.encode("utf-8", "surrogatepass")
    found = read("a.jsonl" if indent is None else "a.json", raw)
    assert not misplaced(raw, found)
    if found:
        number = data.draw(st.integers(0, len(found) - 1))
        name = "a.jsonl" if indent is None else "a.json"
        assert read(name, raw, found[number].resume) == found[number + 1 :]


KEYS = st.sampled_from(["time", "a", "b c", "model", "host", "x:", "512-47-3391", ","]) | SOME
FLAT = st.dictionaries(
    KEYS, SOME | st.integers() | st.lists(SOME | st.integers(), max_size=3), max_size=5
)


@BOUNDED
@given(st.lists(FLAT, min_size=1, max_size=4), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_a_line_of_a_known_shape_is_read_as_the_parser_reads_it(
    values: list[dict[str, object]], separators: tuple[str, str]
) -> None:
    """What is quick may not be another thing than what is slow."""
    plans = Plans()
    for value in values * 2:
        raw = json.dumps(value, ensure_ascii=False, separators=separators) + "\n"
        line = raw.encode("utf-8", "surrogatepass")
        quick = plans.record(line, 7, 3)
        assert quick is None or quick == json_values.line(line, 7, 3)


CELLS = st.sampled_from(
    ["12345", "1.50", "2026-11-26T10:00:01Z x", "9f1c2d3e-1111-4222", "12ms", "+49 30 12345", ""]
) | SOME.filter(lambda text: not set(text) & {"\x1e", CELL})


@BOUNDED
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_rows_are_known_by_what_each_of_their_cells_is_known_by(rows: list[list[str]]) -> None:
    """Looking at many rows at once is for speed, and makes no difference."""
    known = Known()
    found = known.rows([CELL.join(row) for row in rows])
    assert [row.split(CELL) for row in found] == [
        [known.field("", cell).removeprefix("\x00") for cell in row] for row in rows
    ]


TOLD = st.sampled_from(
    str.split(
        "key value eventName name event.name attributes request response call_type custom_id model "
        "model_version choices candidates object type delta message content_block role content "
        "input output prompt messages spend host url gen_ai.system usage total_tokens note"
    )
)
SAID = st.sampled_from(
    [
        *("gpt-4o", "https://api.openai.com/v1", "gen_ai.prompt", "message_start", "message"),
        *("response", "assistant", "chat.completion", []),
        (("url", "https://api.openai.com"), ("method", "POST")),
    ]
)


@BOUNDED
@given(st.dictionaries(TOLD, SAID, max_size=6))
def test_what_tells_of_a_call_has_names_that_may(seen: dict[str, object]) -> None:
    """By the names of its columns a table is taken for one of which no row tells anything."""
    assert may_tell(seen) or judge(seen) is None


@BOUNDED
@given(st.binary(max_size=600), st.sampled_from(["a.txt", "a.csv", "a.json", "a.jsonl", "a.html"]))
def test_no_bytes_raise_and_their_places_are_true(raw: bytes, name: str) -> None:
    """Whatever a disk holds is read or reported."""
    assert not misplaced(raw, read(name, raw))


@BOUNDED
@given(st.sampled_from(sorted(samples())), st.data())
def test_no_damage_to_any_format_raises(name: str, data: st.DataObject) -> None:
    """Cut anywhere, or with some bytes changed."""
    whole = samples()[name]
    if name.endswith((".docx", ".pdf")):  # they are parsed in a process of their own
        return
    raw = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    read(name, bytes(raw))
