"""The evaluation counts as the project's own scorer does, says how sure it is, and quotes nothing
unasked."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.errors import ConfigError
from sovereign.guard import Guard
from sovereign.guard.evaluate import Document, Rate, Report, Span, Tally, evaluate, read, wilson
from sovereign.policy import load_policy
from sovereign.types import Destination, Finding

SHARED = Path(__file__).resolve().parents[4] / "shared"
HOSTED = Destination("openai", "hosted")


class Ada:
    """Finds one name."""

    name, build = "ada", "1"

    def recognize(self, text: str) -> list[Finding]:
        at = text.find("Ada Zorblatt")
        return [Finding((), at, at + 12, "PERSON", 0.9, "ada")] if at >= 0 else []


def guard() -> Guard:
    return Guard(load_policy(preset="direct"), [Ada()], key=b"k" * 32)


def doc(text: str, *values: str, tier: str = "core", id: str = "d") -> Document:
    spans = tuple(Span(text.index(v), text.index(v) + len(v), "PERSON", tier) for v in values)
    return Document(id, text, spans)


DOCUMENTS = [
    doc("Ada Zorblatt called", "Ada Zorblatt", id="caught"),
    doc("Ada Zorblatt met Bob Quux", "Ada Zorblatt", "Bob Quux", id="leaks"),
    doc("Bob Quux only", "Bob Quux", id="gate"),
    doc("nothing here", id="clean"),
    doc("Ada Zorblatt in fiction", id="false"),
    doc("Ada Zorblatt on Friday", "Friday", tier="quasi", id="quasi"),
]


def test_each_figure_means_what_it_says() -> None:
    """One document of each kind."""
    report = evaluate(guard(), DOCUMENTS, HOSTED)
    assert (report.leak, report.gate_miss) == (Rate(2, 3), Rate(1, 3))
    assert report.false_alarm == Rate(1, 2)
    assert report.entities == {"PERSON": Rate(2, 4)}
    assert report.recall == Rate(22, 36)
    assert report.precision == Rate(22, 44)
    assert report.documents == 6
    assert report.missed == ()


def test_missed_spans_are_quoted_only_when_asked_for() -> None:
    """And then the report says that it is confidential; reprs never quote."""
    quiet = evaluate(guard(), DOCUMENTS, HOSTED)
    assert "Quux" not in json.dumps(quiet.as_json()) + repr(quiet) + repr(DOCUMENTS)
    loud = evaluate(guard(), DOCUMENTS, HOSTED, show_missed=True)
    assert [(m.document, m.text) for m in loud.missed] == [
        ("leaks", "Bob Quux"),
        ("gate", "Bob Quux"),
    ]
    assert loud.as_json()["confidential"] is True
    assert "Quux" not in repr(loud)


def test_what_cannot_be_read_counts_as_not_found() -> None:
    """A refusal leaks nothing, but it found nothing either, and is reported beside."""

    class Fails:
        name, build = "fails", "1"

        def recognize(self, text: str) -> list[Finding]:
            raise RuntimeError

    broken = Guard(load_policy(preset="direct"), [Fails()], key=b"k" * 32)
    report = evaluate(broken, DOCUMENTS[:1], HOSTED)
    assert (report.refused, report.leak) == (1, Rate(1, 1))


def test_wilson_gives_the_textbooks_values() -> None:
    """Newcombe 1998, table I: 81 of 263; and the ends stay inside [0, 1]."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0
    assert round(wilson(0, 20)[1], 4) == 0.1611
    assert wilson(20, 20)[1] == 1.0


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share(hits: int, more: int) -> None:
    """A law of intervals."""
    total = hits + more
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1


def _score(gold: list[dict[str, Any]], pred: list[dict[str, Any]]) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("score", SHARED / "eval" / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result: dict[str, Any] = module.score(gold, pred)
    return result


@pytest.mark.skipif(not (SHARED / "eval" / "score.py").exists(), reason="no shared scorer here")
@pytest.mark.parametrize("name", ["regulated_dev", "synth_v2", "wnut17_dev", "regulated_clean_dev"])
def test_the_figures_equal_the_projects_scorer(name: str) -> None:
    """On labelled text with findings at random, half right: same definitions, same numbers."""
    path = SHARED / "data" / "detection" / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        gold = [json.loads(line) for line in file]
    rng = random.Random(1)
    pred, tally = [], Tally()
    for row, document in zip(gold, read(path), strict=True):
        size = len(row["text"])
        found = [[s["s"], s["e"] - rng.randrange(3)] for s in row["spans"] if rng.random() < 0.8]
        for _ in range(rng.randrange(3)):
            start = rng.randrange(size)
            found.append([start, start + rng.randrange(12)])
        pred.append({"id": row["id"], "spans": found})
        tally.add(document, found)
    theirs = _score(gold, pred)
    ours = tally.report()

    def percent(rate: Rate) -> float | None:
        return None if rate.share is None else round(100 * rate.share, 1)

    assert {
        "recall": percent(ours.recall),
        "precision": percent(ours.precision),
        "leak": percent(ours.leak),
        "gate_miss": percent(ours.gate_miss),
        "false": percent(ours.false_alarm),
        "documents": ours.leak.total,
        "clean": ours.false_alarm.total,
        "types": {t: [percent(r), r.total] for t, r in ours.entities.items()},
    } == theirs


def test_both_forms_of_labels_are_read(tmp_path: Path) -> None:
    """Plain triples, objects with tiers, and files packed with gzip."""
    rows = [
        {"text": "Ada Zorblatt", "spans": [[0, 12, "PERSON"]]},
        {"id": "x", "text": "on Friday", "spans": [{"s": 3, "e": 9, "t": "DATE", "tier": "quasi"}]},
    ]
    raw = "".join(json.dumps(r) + "\n" for r in rows).encode()
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(raw)
    packed.write_bytes(gzip.compress(raw))
    assert list(read(plain)) == list(read(packed))
    first, second = read(plain)
    assert first == Document("1", "Ada Zorblatt", (Span(0, 12, "PERSON"),))
    assert second.spans[0].tier == "quasi"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"text": "Zorblatt"}',
        '{"text": "Zorblatt", "spans": [[0, 99]]}',
        '{"text": "Zorblatt", "spans": [[5, 2, "PERSON"]]}',
        '{"text": "Zorblatt", "spans": [{"s": 0, "e": 2, "t": "P", "tier": "cor"}]}',
        '{"text": "Zorblatt", "spans": [[true, 2, "P"]]}',
    ],
)
def test_a_line_that_is_no_document_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    """Mislabelled data must not turn into a figure."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a", "spans": []}\n' + line + "\n")
    with pytest.raises(ConfigError, match="line 2") as caught:
        list(read(file))
    assert "Zorblatt" not in f"{caught.value} {caught.value.hint}"


def test_an_empty_file_is_no_measurement(tmp_path: Path) -> None:
    """It would show a hundred per cent of nothing."""
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(ConfigError, match="no document"):
        list(read(tmp_path / "a.jsonl"))


def test_a_report_is_plain_data() -> None:
    """So that a library user can print or store it."""
    report: Report = evaluate(guard(), DOCUMENTS, HOSTED)
    assert json.loads(json.dumps(report.as_json()))["leak"]["percent"] == 66.7
