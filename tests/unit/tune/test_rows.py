"""Rows are read strictly, from every format to the same row, and are never quoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.tune.rows import read_rows

U, A, S = (
    {"role": "user", "content": "Where is Ward 7?"},
    {"role": "assistant", "content": "Level 2"},
    {"role": "system", "content": "Be short."},
)
SECRET = "Zwiebelkuchen"
PAIR = {"prompt": "Where is Ward 7?", "completion": "Level 2", "id": "r1", "group": "p1"}


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("not JSON", "{"),
        ("is empty", ""),
        ("is empty", "   "),
        ("same key twice", '{"messages": [], "messages": []}'),
        ("message 1 has no text", json.dumps({"text": 7})),
        ("no list of messages", json.dumps({"text": SECRET, "prompt": SECRET})),
        ("message 1 has a role", json.dumps({"messages": [turn("text", SECRET)]})),
        ("no list of messages", json.dumps([SECRET])),
        ("no list of messages", json.dumps({"messages": SECRET})),
        ("a key other than", json.dumps({"messages": [U, A], SECRET: 1})),
        ("a key other than", json.dumps({"messages": [U, A], "id": 7})),
        ("message 1 is not a role", json.dumps({"messages": [SECRET]})),
        ("message 2 is not a role", json.dumps({"messages": [U, A | {"name": SECRET}]})),
        ("message 1 has a role", json.dumps({"messages": [turn("function", SECRET)]})),
        ("message 2 has no text", json.dumps({"messages": [U, turn("assistant", " ")]})),
        ("message 2 has no text", json.dumps({"messages": [U, turn("assistant", None)]})),
        ("message 1 has no text", json.dumps({"messages": [turn("user", [SECRET]), A]})),
        ("half a surrogate", json.dumps({"messages": [turn("user", SECRET + "\ud800"), A]})),
        ("take turns", json.dumps({"messages": [A, U]})),
        ("take turns", json.dumps({"messages": [U, U, A]})),
        ("take turns", json.dumps({"messages": [U, A, S]})),
        ("end with the assistant", json.dumps({"messages": [U]})),
        ("end with the assistant", json.dumps({"messages": [S]})),
        ("end with the assistant", json.dumps({"messages": []})),
    ],
)
def test_a_bad_row_is_named_by_file_and_line_and_never_quoted(
    jsonl: Any, wrong: str, line: str
) -> None:
    """An error may end up in a ticket; a patient's record may not."""
    file = jsonl({"messages": [U, A]}, line)
    with pytest.raises(TuneError, match=wrong) as caught:
        read_rows(file)
    assert caught.value.message.startswith(f"{file}:2: ")
    assert SECRET not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None


def test_bytes_that_are_not_utf8_are_refused_by_position(tmp_path: Path) -> None:
    """Latin-1 exports are common; a replacement character would be learnt."""
    (tmp_path / "x.jsonl").write_bytes(b'{"messages": "M\xfcller"}\n')
    with pytest.raises(TuneError, match=r":1: not UTF-8 at byte 16"):
        read_rows(tmp_path / "x.jsonl")


def test_an_empty_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    """Rather than a training of nothing."""
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(TuneError, match="holds no row"):
        read_rows(tmp_path / "x.jsonl")
    with pytest.raises(TuneError, match="No such file"):
        read_rows(tmp_path / "y.jsonl")


def test_a_row_s_repr_holds_no_text(jsonl: Any) -> None:
    """Tracebacks and debuggers print reprs."""
    rows, _ = read_rows(jsonl({"messages": [turn("user", SECRET), A]}))
    assert SECRET not in repr(rows)


def test_a_prompt_and_a_completion_are_a_chat_of_one_turn(jsonl: Any) -> None:
    """With the id and the group by which the row is found again."""
    (row,), _ = read_rows(jsonl(PAIR))
    assert row.messages == (U, A)
    assert (row.id, row.group) == ("r1", "p1")


@pytest.mark.parametrize("form", ["csv", "parquet", "datasets"])
def test_every_format_reads_as_the_same_rows(tmp_path: Path, jsonl: Any, form: str) -> None:
    """What a row does not have is an empty cell there, or null."""
    rows = [PAIR, {"prompt": 'Which, "exactly"?', "completion": "Zweite\nZeile", "id": "r2"}]
    file = tmp_path / f"rows.{form}"
    if form == "csv":
        lines = ["prompt,completion,id,group", "Where is Ward 7?,Level 2,r1,p1"]
        lines += ['"Which, ""exactly""?","Zweite\nZeile",r2,']
        file.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    else:
        datasets = pytest.importorskip("datasets")
        made = datasets.Dataset.from_list(rows)
        made.to_parquet(file) if form == "parquet" else made.save_to_disk(file)
    wanted, _ = read_rows(jsonl(*rows))
    got, digest = read_rows(file)
    assert [(r.messages, r.id, r.group) for r in got] == [
        (r.messages, r.id, r.group) for r in wanted
    ]
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("name", "raw", "match"),
    [
        ("x.csv", b"prompt,completion\nM\xfcller,x\n", "not UTF-8 at byte 20"),
        ("x.csv", b"prompt,completion\nZwiebelkuchen\n", ":2: has more or fewer cells"),
        ("x.csv", b"prompt,prompt\na,b\n", "two columns have the same name"),
        ("x.csv", b'prompt,completion\n"Zwiebel"kuchen,b\n', ":2: is not CSV"),
        ("x.csv", b"prompt,completion\n", "holds no row"),
        ("x.csv", b"prompt,completion\na,\n", "message 2 has no text"),
        ("x.parquet", b"Zwiebelkuchen", "no Parquet file"),
    ],
)
def test_a_broken_table_is_named_and_never_quoted(
    tmp_path: Path, name: str, raw: bytes, match: str
) -> None:
    """As for JSONL."""
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(TuneError, match=match) as caught:
        read_rows(tmp_path / name)
    assert "Zwiebel" not in caught.value.message


def test_an_id_that_is_no_text_is_refused(jsonl: Any) -> None:
    """1 and "1" would be two rows to whoever asks for one."""
    with pytest.raises(TuneError, match="texts: id is none"):
        read_rows(jsonl(PAIR | {"id": 1}))


def test_a_folder_of_documents_is_a_text_for_each_and_its_name_is_its_id(tmp_path: Path) -> None:
    """So that `sovereign tune forget ward/7.txt` finds the adapters that saw it. Others' files are
    left alone, and bytes that are no text are named by their file."""
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "7.txt").write_text("Level 2")
    (tmp_path / "a.MD").write_bytes(b"\xef\xbb\xbfRules")
    (tmp_path / "scan.png").write_bytes(b"\xff")
    rows, digest = read_rows(tmp_path)
    assert [(r.id, r.messages[0]["content"], r.is_text) for r in rows] == [
        ("a.MD", "Rules", True),
        ("ward/7.txt", "Level 2", True),
    ]
    assert len(digest) == 64
    (tmp_path / "b.txt").write_bytes(b"ok \xff")
    with pytest.raises(TuneError, match=r"b\.txt: not UTF-8 at byte 4"):
        read_rows(tmp_path)


def test_an_empty_folder_holds_no_row(tmp_path: Path) -> None:
    """And says so, rather than train on nothing."""
    with pytest.raises(TuneError, match="holds no row"):
        read_rows(tmp_path)


def test_a_line_of_text_is_a_text(jsonl: Any) -> None:
    """With the id and the group that any row may have."""
    (row,), _ = read_rows(jsonl({"text": "Level 2", "id": "r1", "group": "p1"}))
    assert (row.is_text, row.id, row.group) == (True, "r1", "p1")
