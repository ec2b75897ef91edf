"""A page, SARIF and Parquet of findings: what readers make of them, and no more than is said."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sovereign.scan.finding import COLUMNS, Finding
from sovereign.scan.outputs import page, parquet, sarif
from sovereign.scan.state import Batch, State
from sovereign.scan.summary import lines, summarise
from sovereign.scan.walk import Found, Skipped

ONE = Finding(
    file="/logs/<b>a.log",
    member="",
    number=3,
    unit="line",
    field="",
    start=1,
    end=5,
    offset=7,
    length=4,
    entity="US_SSN",
    score=0.9,
    token="5" * 32,
    verb="mask",
    direction="sent",
    provider="openai",
    host="api.openai.com",
    model="gpt-4o",
    endpoint=None,
    caller="c" * 32,
    time=1_790_000_000.25,
)
OTHER = replace(
    ONE, member="x.txt", number=1, offset=None, length=None, entity="PERSON", token="6" * 32,
    direction="stored", provider=None, host=None, model=None, caller=None, time=None, verb="allow",
)  # fmt: skip


def _state(folder: Path, *found: Finding, calls: int = 3) -> State:
    state = State(folder / "scan.db", {"policy": "p"})
    there = [Found(ONE.file, 90, 1), Skipped("/logs/pipe", "neither a file nor a folder")]
    (task,) = state.listed(there)
    state.add(
        Batch(
            task.id,
            found or (ONE, replace(ONE, number=4), OTHER),
            (),
            90,
            0,
            1,
            9,
            80,
            40,
            calls,
            True,
            "h",
            True,
        )
    )
    return state


def test_parquet_holds_every_field_of_every_finding() -> None:
    """Read back by its own library, types and nothing else."""
    out = io.BytesIO()
    assert parquet.write([asdict(ONE), asdict(OTHER)], out) == 2
    table = pq.read_table(out)
    assert tuple(table.column_names) == COLUMNS
    first, second = table.to_pylist()
    assert first.pop("time").timestamp() == ONE.time
    assert second.pop("time") is None
    assert first == {k: v for k, v in asdict(ONE).items() if k != "time"}
    assert second == {k: v for k, v in asdict(OTHER).items() if k != "time"}


def test_sarif_is_one_run_whose_results_point_at_lines_and_bytes() -> None:
    """As a code host reads it: paths below the root are relative, what is inside an archive has no
    region, and the token is the fingerprint."""
    found = [asdict(ONE), asdict(OTHER)]
    pieces = sarif.write(found, {"US_SSN", "PERSON"}, root=Path("/logs"), version="1")
    (run,) = json.loads("".join(pieces))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["PERSON", "US_SSN"]
    first, second = run["results"]
    assert rules[first["ruleIndex"]] == first["ruleId"] == "US_SSN"
    physical = first["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "%3Cb%3Ea.log"
    assert physical["region"] == {"startLine": 3, "byteOffset": 7, "byteLength": 4}
    assert "region" not in second["locations"][0]["physicalLocation"]
    assert [r["level"] for r in run["results"]] == ["warning", "note"]
    assert first["partialFingerprints"] == {"sovereignToken/v1": ONE.token}
    table = asdict(replace(OTHER, file="postgresql://db/litellm/public.call", member=""))
    far = asdict(replace(OTHER, file="/else/ä.log", member=""))
    pieces = sarif.write([table, far], {"PERSON"}, root=Path("/logs"), version="1")
    uris = [
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for r in json.loads("".join(pieces))["runs"][0]["results"]
    ]
    assert uris == ["postgresql://db/litellm/public.call", "file:///else/%C3%A4.log"]
    nothing = "".join(sarif.write([], set(), root=Path("/logs"), version="1"))
    assert json.loads(nothing)["runs"][0]["results"] == []


class _Page(HTMLParser):
    """What a browser would fetch or run, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_sarif_tells_what_is_new_and_what_was_not_read() -> None:
    """As a code host shows it: against a baseline each result is new or unchanged, and a file that
    nobody read is a notification of the run, not a silence."""
    unread = {"path": "/logs/a.7z", "member": "x/b.txt", "number": None, "reason": "encrypted"}
    pieces = sarif.write(
        [asdict(ONE), asdict(OTHER)],
        {"US_SSN", "PERSON"},
        root=Path("/logs"),
        version="1",
        unread=[unread],
        known={(ONE.entity, ONE.token)},
    )
    (run,) = json.loads("".join(pieces))["runs"]
    assert [r["baselineState"] for r in run["results"]] == ["unchanged", "new"]
    (invocation,) = run["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "not read: x/b.txt: encrypted"
    assert note["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a.7z"


def test_the_page_shows_the_figures_and_fetches_nothing(tmp_path: Path) -> None:
    """Names of files are text on it; there is no script, no link, no image."""
    state = _state(tmp_path)
    told = summarise(state)
    state.close()
    seen = _Page()
    seen.feed(page.page(told, "today"))
    assert not seen.links
    assert not {"script", "img", "iframe", "link", "b>a.log"} & set(seen.tags)
    for words in (
        "2 findings were sent to hosted APIs, 2 of kinds",
        "api.openai.com",
        "gpt-4o",
        "2026-09",
        "<b>a.log",
    ):
        assert words in seen.text
    assert "neither a file nor a folder" in seen.text
    assert "A sample" in seen.text


@pytest.mark.parametrize("calls", [0, 3])
def test_nothing_is_said_of_what_left_where_no_call_is_recorded(tmp_path: Path, calls: int) -> None:
    """An application's log has findings, and no record of a call: that none was sent is no news."""
    state = _state(tmp_path, OTHER, calls=calls)
    told = summarise(state)
    state.close()
    seen = _Page()
    seen.feed(page.page(told, "today"))
    assert ("No finding was sent" in seen.text) == (calls > 0)
    assert ("Whether any of it left is not told here" in seen.text) == (calls == 0)
    assert any("do not tell whether it left" in line for line in lines(told)) == (calls == 0)


def test_the_summary_counts_by_entity_direction_and_place(tmp_path: Path) -> None:
    """And what is new beside a baseline, by entity and token."""
    state = _state(tmp_path)
    told: dict[str, Any] = summarise(state, known=frozenset({("US_SSN", ONE.token)}))
    state.close()
    ssn = told["entities"]["US_SSN"]
    assert (ssn["findings"], ssn["values"], ssn["sent"], ssn["stored"]) == (2, 1, 2, 0)
    assert ssn["estimate"]["low"] <= 4 <= ssn["estimate"]["high"]
    assert (told["new"], told["held_back"], told["untimed"]) == (1, 2, 1)
    assert told["months"] == {"2026-09": {"sent": 2}}
    assert told["callers"] == [{"caller": ONE.caller, "findings": 2}]
    (place,) = told["sent_to"]
    assert (place["host"], place["model"], place["entities"]) == (
        "api.openai.com",
        "gpt-4o",
        {"US_SSN": 2},
    )
    said = "\n".join(lines(told))
    assert "US_SSN" in said
    assert "not read: 1" in said
