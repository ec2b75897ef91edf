"""CEF lines, read by a parser that knows only the standard's rules of escaping."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import exports
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.audit.export import cef
from sovereign.audit.export.records import Entry


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    """Header fields, and the extension: a key is a word before an equals sign that no backslash
    stands before."""
    assert line.startswith("CEF:0|")
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    head = [p.replace("\\|", "|").replace("\\\\", "\\") for p in parts[:7]]
    marks = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", parts[7]))
    found = {}
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        raw = parts[7][mark.end() : after.start() if after else None]
        found[mark[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], raw)
    return head, found


def line(entry: Entry) -> str:
    (made,) = cef.lines([entry], origin="log.example/2", version="0.1.0")
    assert made.endswith(b"\n")
    return made.decode().removesuffix("\n")


def test_a_refusal_is_a_line_that_a_siem_can_sort() -> None:
    """Vendor, product, version, type, name, severity; then keys that CEF knows."""
    head, found = parse(
        line(exports.entry("request.refusal", code="refused_by_policy", status=403))
    )
    assert head == [
        "CEF:0",
        "sovereign",
        "sovereign-toolkit",
        "0.1.0",
        "request.refusal",
        "Request refused",
        "5",
    ]
    assert found["reason"] == "refused_by_policy"
    assert (found["cs1Label"], found["cs1"]) == ("team", "@-team/a.b:c")
    assert (found["cs6Label"], found["cs6"]) == ("log", "log.example/2")
    assert found["rt"] == "1782892800123"
    assert json.loads(found["sovereignToolkitEntities"])["PERSON"] == {"mask": 2}


@pytest.mark.parametrize("entry", exports.every(), ids=lambda e: str(e.record["type"]))
def test_each_record_is_one_line_with_all_its_fields(entry: Entry) -> None:
    """Nothing is lost, and no key is there twice."""
    made = line(entry)
    _, found = parse(made)
    assert "\n" not in made
    keys = re.findall(r"(?:^| |\|)([A-Za-z0-9]+)(?<!\\)=", made)
    assert len(keys) == len(set(keys))
    values = set(found.values())
    for value in entry.fields.values():
        text = value if type(value) is str else json.dumps(value, separators=(",", ":"))
        assert text in values


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30))
def test_no_value_can_end_its_field_or_its_line(value: str) -> None:
    """The schema lets none of this in. Escaping holds by itself."""
    plain = exports.entry("log.heartbeat")
    hostile = replace(
        plain, record={**plain.record, "command": f"x{value}|y=z\\ cs1=forged\nCEF:0|"}
    )
    made = line(hostile)
    _, found = parse(made)
    assert "\n" not in made
    assert found["sovereignToolkitCommand"] == hostile.record["command"]
    assert "cs1" not in found
