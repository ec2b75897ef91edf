"""JSON lines and documents of any size: every text, its path, its place."""

from __future__ import annotations

import json

from scanned import misplaced, read, records, texts, unread

from sovereign.scan.source import LONGEST


def test_texts_and_names_of_a_line_have_their_paths_and_places() -> None:
    """The path tells what a number is of; a name that is somebody's is a text, and no path."""
    data = b'{"user": {"mail": "ada@example.org"}, "n": 12345678, "512-47-3391": "x y"}\n' * 2
    found = read("app.jsonl", data)
    assert [[f.path for f in r.fields] for r in records(found)] == [
        ["user.mail", "n", "*", "*"]
    ] * 2
    assert texts(found)["user.mail"] == "ada@example.org"
    assert [r.number for r in records(found)] == [1, 2]
    assert not misplaced(data, found)
    assert all(f.offset is not None for r in records(found) for f in r.fields)


def test_a_name_that_stands_twice_is_read_twice() -> None:
    """Parsers keep one of two values; a log may have been written by one that kept the other."""
    found = read("app.jsonl", b'{"a": "first", "a": "second"}\n')
    assert [f.text for r in records(found) for f in r.fields] == ["first", "second"]


def test_escapes_are_undone_and_what_was_escaped_has_no_place() -> None:
    """No byte of the file holds the text, so none is claimed to."""
    found = read("a.jsonl", rb'{"a": "Z\u00f6\u00eb \ud83d\ude00 \ud800", "b": "plain"}')
    fields = records(found)[0].fields
    assert fields[0].text.startswith("Zöë 😀 ")
    assert fields[0].text.encode()
    assert [f.offset is None for f in fields] == [True, False]


def test_json_inside_a_string_is_read_as_what_it_says() -> None:
    """Loggers put whole bodies into one string."""
    inner = json.dumps({"messages": [{"role": "user", "content": 'say "hi" to Ada'}]})
    found = read("a.jsonl", json.dumps({"body": inner}).encode() + b"\n{}\n")
    assert texts(found)["body.messages[0].content"] == 'say "hi" to Ada'


def test_a_line_that_is_no_json_is_read_as_text() -> None:
    """A stack trace between the lines of a log is part of it."""
    data = b'{"a": "one"}\nTraceback: ada@example.org\n{"a": "two"}\n'
    found = read("app.log", data)
    assert [r.fields[0].text for r in records(found)] == [
        "one",
        "Traceback: ada@example.org\n",
        "two",
    ]
    assert not unread(found)
    assert not misplaced(data, found)


def test_a_document_is_taken_apart_into_its_records() -> None:
    """However it is laid out."""
    value = {"version": "1.0", "rows": [{"name": f"row {n}"} for n in range(5)]}
    for indent in (None, 2):
        data = json.dumps(value, indent=indent).encode()
        found = read("a.json", data)
        assert [r.fields[0].path for r in records(found)] == ["version"] + ["rows[].name"] * 5
        assert [r.number for r in records(found)] == [1, 2, 3, 4, 5, 6]
        assert not misplaced(data, found)


def test_a_string_that_is_too_long_to_hold_comes_in_pieces_that_overlap() -> None:
    """A one-line file of ten gigabytes is read like any other; cuts fall between characters."""
    text = "".join(f"ü{n:06}\n" for n in range(200_000))
    data = json.dumps([{"a": "before", "b": text, "c": "after"}], ensure_ascii=False).encode()
    found = read("big.json", data)
    pieces = [f for r in records(found) for f in r.fields if f.path == "[].b"]
    assert all(text.startswith(p.text, p.start) and len(p.text) <= LONGEST for p in pieces)
    ends = [p.start + len(p.text) for p in pieces]
    assert all(p.start < end for p, end in zip(pieces[1:], ends, strict=False))
    assert ends[-1] == len(text)
    assert texts(found)["[].c"] == "after"
    assert not unread(found)


def test_what_follows_a_mistake_is_read_as_text_and_reported() -> None:
    """Half a document is no reason to read half of it."""
    data = b'[{"a": "one"}, oops\nmail ada@example.org'
    found = read("a.json", data)
    assert unread(found) == ["not valid JSON from here on, so the rest was read as text"]
    assert "".join(r.fields[0].text for r in records(found)) == "oneoops\nmail ada@example.org"
    assert not misplaced(data, found)
    assert unread(read("a.json", b'[{"a": "one"},')) == ["a JSON document that is cut off"]


def test_a_log_whose_lines_start_with_a_bracket_is_no_json() -> None:
    data = b"[2026-01-02 03:04:05] started\n[pid 7] ada@example.org\n"
    found = read("app.log", data)
    assert not unread(found)
    assert records(found)[0].fields[0].text == data.decode()


def test_utf_16_is_read_without_places() -> None:
    """Windows tools write it; its places would be those of a copy."""
    data = json.dumps([{"a": "Zoë"}, {"a": "Ada"}], ensure_ascii=False).encode("utf-16")
    found = read("a.json", data)
    assert [f.text for r in records(found) for f in r.fields] == ["Zoë", "Ada"]
    assert all(f.offset is None for r in records(found) for f in r.fields)
