"""A large file is read in slices, by as many processes as there are: what is found does
not depend on how many, nor on when they were stopped."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from scan_corpus import application_log, value
from scan_everything import table_rows
from scanned import Block, items, read

from sovereign.config import GuardConfig
from sovereign.policy import load_policy
from sovereign.scan.readers import open_reader
from sovereign.scan.readers.csv_reader import CsvReader
from sovereign.scan.readers.cuts import cuts
from sovereign.scan.record import Record, Sliced, Unread
from sovereign.scan.reveal import Revealer, place
from sovereign.scan.run import run
from sovereign.scan.source import BytesSource, FileSource, Slice, Uncut
from sovereign.scan.state import State
from sovereign.scan.walk import walk
from sovereign.scan.work import Work
from sovereign.scan.worker import Plan, Worker, answers
from sovereign.types import JSON

STEP = 40_000


def _log(rng: random.Random) -> str:
    return "".join(line for line, _ in application_log(rng, 3_000, every=60))


def _lines(rng: random.Random) -> str:
    return "".join(
        json.dumps(
            {"n": n, "note": f"her SSN is {value('US_SSN', rng)}" if n % 40 == 9 else "paid"}
        )
        + "\n"
        for n in range(5_000)
    )


def _table(rng: random.Random) -> str:
    """With cells of several lines, and commas and quotes in them."""
    out = io.StringIO()
    rows, _ = table_rows(rng, 250_000)
    made = [(n, state, f'said:\n"{note}"' if n % 3 else note) for n, state, note in rows]
    csv.writer(out).writerows([("id", "state", "note"), *made])
    return out.getvalue()


def _array(rng: random.Random) -> str:
    """Of objects of any depth, with brackets and quotes in strings, and an empty one."""
    made: list[object] = [{}]
    for n in range(3_000):
        note = f"her SSN is {value('US_SSN', rng)}" if n % 40 == 9 else "paid ]}"
        made.append({"n": n, "notes": [note, {"said": f'"{n % 9}" \\ {{['}]})
    return json.dumps(made, indent=rng.choice([None, 1]))


def _parquet(rng: random.Random) -> bytes:
    rows, _ = table_rows(rng, 300_000)
    columns = {
        "id": [n for n, _, _ in rows],
        "note": [note for _, _, note in rows],
        "mark": [f"{rng.getrandbits(128):x}" for _ in rows],
    }
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out, row_group_size=700)
    return out.getvalue()


def _zip(rng: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n in range(9):
            lines = application_log(rng, 250, every=60)
            archive.writestr(f"{n}.log", "".join(line for line, _ in lines))
    return out.getvalue()


FILES: dict[str, Callable[[random.Random], str | bytes]] = {
    "app.log": _log,
    "app.jsonl": _lines,
    "rows.csv": _table,
    "array.json": _array,
    "rows.parquet": _parquet,
    "logs.zip": _zip,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    for name, make in FILES.items():
        data = make(random.Random(name))
        (made / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return made


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    made = tmp_path_factory.mktemp("plan")
    key = made / "key"
    key.touch(mode=0o600)
    key.write_bytes(b"k" * 32)
    policy = load_policy(preset="hipaa")
    return Plan(policy, GuardConfig(ner="none"), made, key, slice=STEP)


@pytest.fixture(scope="module")
def worker(plan: Plan) -> Worker:
    return Worker(plan)


def _records(source: Slice | FileSource) -> Iterator[Record | Unread]:
    for item in items(source):
        yield from item.records if isinstance(item, Block) else (item,)


@pytest.mark.parametrize("name", FILES)
def test_the_slices_of_a_file_are_its_records(folder: Path, name: str) -> None:
    """Each once, at its place and under its number."""
    source = FileSource.of(folder / name)
    reader = open_reader(source)
    assert isinstance(reader, Sliced)
    places = [(0, 1), *reader.cuts(source, STEP)]
    stops = [*(place for place, _ in places[1:]), None]
    assert len(places) > 3
    assert all(b - a >= STEP // 2 for (a, _), (b, _) in itertools.pairwise(places))
    slices = [
        Slice(source, begin, stop, line) for (begin, line), stop in zip(places, stops, strict=True)
    ]
    cut = [record for part in slices for record in _records(part)]
    if not name.startswith("app."):
        assert [_placed(one) for one in cut] == [_placed(one) for one in _records(source)]
        return
    # A block of lines ends where its slice does: line by line they are the same.
    assert _lined(cut) == _lined(_records(source))


def _placed(one: Record | Unread) -> Record | Unread:
    """Without where to go on."""
    return one._replace(resume=0)


def _lined(found: Iterator[Record | Unread] | list[Record | Unread]) -> list[tuple[object, ...]]:
    return [
        (record.number + n, f.path, line)
        for record in found
        if isinstance(record, Record)
        for f in record.fields
        for n, line in enumerate(f.text.splitlines())
    ]


@pytest.mark.parametrize("raw", [b"", b"a", b"\n" * 9, b"ab\n" * 9 + b"c", b"x" * 50 + b"\ny"])
@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_a_cut_is_the_start_of_a_line(raw: bytes, step: int) -> None:
    """With its number, once in each step at most, and never the end."""
    found = cuts(BytesSource("a", raw), step)
    for byte, number in found:
        assert raw[byte - 1 : byte] == b"\n"
        assert number == raw.count(b"\n", 0, byte) + 1
        assert 0 < byte < len(raw)
    assert len({byte // step for byte, _ in found}) == len(found)


def test_a_table_whose_quotes_are_not_paired_says_so() -> None:
    """A line that only looks like a row's start is none."""
    rows = "".join(f'{n},"two\nlines",5\n' for n in range(30))
    raw = ('a,b,c\n7,5" pipe,1\n' + rows).encode()
    path = BytesSource("a.csv", raw)
    assert cuts(path, 100, quoted=True)
    assert all(raw[:place].count(b'"') % 2 == 0 for place, _ in cuts(path, 100, quoted=True))


def _scan(
    folder: Path, file: Path, worker: Worker, *, only: int | None = None
) -> list[dict[str, JSON]]:
    """What a scan finds; of the first ``only`` answers, if it is stopped then."""
    state = State(file, {})
    try:
        work = Work(state, list(walk([folder])), STEP)
        while (task := work.take()) is not None:
            for sent in answers(worker, task):
                if only is not None:
                    only -= 1
                    if only < 0:
                        return []
                work.came(task, sent)
        assert work.done == work.total
        assert state.totals().done == state.totals().files
        return list(state.findings())
    finally:
        state.close()


@pytest.fixture(scope="module")
def once(folder: Path, plan: Plan, worker: Worker) -> list[dict[str, JSON]]:
    return _scan(folder, plan.folder / "once.db", worker)


def test_two_processes_find_what_one_finds(
    folder: Path, plan: Plan, once: list[dict[str, JSON]]
) -> None:
    """The same, place by place; each file is cut."""
    state = State(plan.folder / "two.db", {})
    run(state, list(walk([folder])), plan, jobs=2)
    assert list(state.findings()) == once
    totals = state.totals()
    state.close()
    assert (totals.files, totals.done) == (len(FILES), len(FILES))
    assert totals.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_slices_find_what_is_found_without_them(
    folder: Path, plan: Plan, once: list[dict[str, JSON]]
) -> None:
    """What was planted, at its place: line, byte and token."""
    whole = Worker(Plan(plan.policy, plan.guard, plan.folder, plan.token_file))
    found = _scan(folder, plan.folder / "whole.db", whole)
    kinds = {"US_SSN", "EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD"}
    for name in FILES:
        one, other = (
            [
                [f[part] for part in ("number", "field", "entity", "offset", "length", "token")]
                for f in rows
                if f["entity"] in kinds and str(f["file"]).endswith(name)
            ]
            for rows in (found, once)
        )
        assert len(one) > 20
        assert one == other


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_that_is_stopped_between_slices_goes_on(
    folder: Path, plan: Plan, worker: Worker, once: list[dict[str, JSON]], seed: int
) -> None:
    """Again and again, in the middle of cutting too."""
    rng = random.Random(seed)
    file = plan.folder / f"stopped-{seed}.db"
    for _ in range(5):
        _scan(folder, file, worker, only=rng.randrange(1, 8))
    assert _scan(folder, file, worker) == once


def test_a_sliced_log_that_grows_is_read_on(plan: Plan, worker: Worker, tmp_path: Path) -> None:
    """Only its last slice; one that changes its beginning is another file."""
    log, text = tmp_path / "logs" / "app.log", _log(random.Random(5))
    log.parent.mkdir()
    log.write_text(text)
    db = tmp_path / "a.db"
    before = _scan(log.parent, db, worker)
    more = "2026-11-26T10:00:00Z WARN her SSN is 512-47-3391\n"
    log.write_text(text + more)
    state = State(db, {})
    (task,) = state.listed(list(walk([log.parent])))
    state.close()
    assert task.begin > len(text) - 2 * STEP
    after = _scan(log.parent, db, worker)
    assert next(f for f in after if f not in before)["number"] == text.count("\n") + 1
    assert len(after) == len(before) + 1
    log.write_text(more + text)
    assert len(_scan(log.parent, db, worker)) == len(before) + 1


@pytest.mark.parametrize(("name", "on"), [("a.jsonl", True), ("a.json", False)])
def test_json_lines_that_grow_are_read_on(
    plan: Plan, worker: Worker, tmp_path: Path, name: str, on: bool
) -> None:
    """A document that is another one now is read anew."""
    path = tmp_path / "files" / name
    path.parent.mkdir()
    line = '{"time": "2026-11-26T10:00:00Z", "note": "nothing at all"}\n'
    path.write_text(line * 2_000 if on else f"[{line.strip()}]\n")
    assert _scan(path.parent, tmp_path / "a.db", worker) == []
    more = '{"note": "her SSN is 512-47-3391"}\n'
    path.write_text(path.read_text() + more)
    state = State(tmp_path / "a.db", {})
    (task,) = state.listed(list(walk([path.parent])))
    state.close()
    assert (task.begin > 0) is on
    found = _scan(path.parent, tmp_path / "a.db", worker)
    assert [f["entity"] for f in found] == ["US_SSN"]


def test_a_table_that_cannot_be_cut_is_read_as_a_whole(
    plan: Plan, worker: Worker, tmp_path: Path
) -> None:
    """Where a quote inside a cell makes rows look like what is inside quotes."""
    rows = [f'{n},"two\nlines, 5",her SSN is 512-47-{1000 + n}\n' for n in range(4_000)]
    rows[1] = '1,5" pipe,none\n'
    path = tmp_path / "files" / "a.csv"
    path.parent.mkdir()
    path.write_text("id,what,note\n" + "".join(rows))
    found = _scan(path.parent, tmp_path / "a.db", worker)
    ssns = [f for f in found if f["entity"] == "US_SSN"]
    assert len(ssns) == 3_999
    assert {f["field"] for f in ssns} == {"note"}
    assert not any(isinstance(item, Unread) for item in read("a.csv", path.read_bytes()))
    source = FileSource.of(path)
    (begin, line), (stop, _), *_ = CsvReader().cuts(source, STEP)
    with pytest.raises(Uncut):
        list(CsvReader().read(Slice(source, begin, stop, line)))


@pytest.mark.parametrize(
    "odd",
    [
        "7",  # no object
        '{"records": [{"a": 1}, {"b": 2}]}',  # records of their own
        '{"a": tru}',
        '{"a": 1}]',
        '{"a": 1}] [{"a": 2}',
        json.dumps({"a": "x" * (1 << 20)}),  # too long to be held
    ],
)
def test_a_document_that_is_no_array_of_records_is_read_as_a_whole(
    plan: Plan, worker: Worker, tmp_path: Path, odd: str
) -> None:
    """Wherever in it that shows; what is found is what is found without slices."""
    items = ['{"note": "paid"}'] * 6_000
    items[5_990] = '{"note": "her SSN is 512-47-3391"}'
    items[4_000] = odd
    path = tmp_path / "files" / "a.json"
    path.parent.mkdir()
    path.write_text(f"[{', '.join(items)}]")
    whole = Worker(Plan(plan.policy, plan.guard, plan.folder, plan.token_file))
    found = _scan(path.parent, tmp_path / "a.db", worker)
    assert found == _scan(path.parent, tmp_path / "whole.db", whole)
    assert [f["entity"] for f in found] == ["US_SSN"]


@pytest.mark.parametrize("name", ["app.log", "array.json"])
def test_what_slices_found_is_shown_where_it_stands(
    folder: Path, plan: Plan, once: list[dict[str, JSON]], name: str
) -> None:
    """All of it: whoever reveals reads the slices that were scanned."""
    path = str(folder / name)
    wanted = {place(found) for found in once if found["file"] == path}
    state = State(plan.folder / "once.db", {})
    shown = {at for at, _ in Revealer(plan).file(wanted, state.slices(path))}
    state.close()
    assert shown == wanted
