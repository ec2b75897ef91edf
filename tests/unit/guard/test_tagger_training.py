"""What the tagger is trained on: never what it is measured on, and labels where they belong."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts_on_path() -> Any:
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


def test_no_training_text_is_a_measured_text(shared: Path) -> None:
    """Three measuring sets are also in the training folder under other names; a tagger trained on
    them would look better than it is."""
    from tagger.corpus import read

    measured = set()
    for name in ("wnut17_dev", "btc_g", "meddocan_es_dev"):
        with gzip.open(shared / "data" / "detection" / f"{name}.jsonl.gz", "rt") as file:
            for row in file:
                text = json.loads(row)["text"]
                measured |= {line.strip() for line in text.split("\n")} | {text.strip()}
    seen = 0
    for s in read(shared / "data" / "ner_train"):
        if s.name in ("wnut17", "btc"):
            seen += s.text.strip() in measured and len(s.text) > 40
        elif s.name == "meddocan":
            # Forms share short lines, such as "País: España."; sentences they share are few.
            seen += any(line.strip() in measured and len(line) > 120 for line in s.text.split("\n"))
    assert seen <= 8


def test_carriers_held_out_are_not_trained_on(shared: Path) -> None:
    """One in ten carriers measures what the tagger makes of templates that it never saw."""
    from tagger.batches import Sources, held_out

    test = Sources(shared / "data", random.Random(1), test=True)
    assert len(test.carriers) > 50
    assert all(held_out(carrier) for _, carrier, _ in test.carriers + test.negative)


def test_lines_kept_to_measure_on_are_in_no_training_file(shared: Path) -> None:
    """What other hands wrote to measure on is evidence only while it teaches nothing."""
    from tagger.batches import Sources
    from tagger.compose import carriers

    kept = {c for file in (SCRIPTS / "tagger").glob("held_out*.txt") for _, c in carriers(file)}
    learnt = Sources(shared / "data", random.Random(1), test=True)
    learnt.read_carriers(shared / "data", test=False)
    assert len(kept) > 100
    assert not kept & {c for _, c, _ in learnt.carriers + learnt.negative}
    assert not kept & {c for _, c in learnt.frames}


def test_a_label_says_what_its_value_is(shared: Path) -> None:
    """The same sentence holds an identifier after "claim number" and none after "part number"."""
    from tagger.batches import Sources
    from tagger.compose import BIT

    sources = Sources(shared / "data", random.Random(3), test=True)
    masks = set()
    for _ in range(300):
        t = sources.composer.fill("en", "The {L} is {v}.")
        assert all(t.text[a:b] == t.text[a:b].strip() for a, b, _ in t.spans)
        masks.add(t.spans[0][2] if t.spans else 0)
    assert {0, BIT["ID"]} <= masks


def test_every_label_of_a_made_text_lies_on_its_value(shared: Path) -> None:
    """A label one character off teaches the tagger to cut names."""
    from tagger.batches import Lexicon, Sources, encode

    rng = random.Random(5)
    sources = Sources(shared / "data", rng, test=True)
    lexicon = Lexicon(sources.keys, sources.masks)
    for _ in range(300):
        t = sources.text(rng)
        for start, end, mask in t.spans:
            assert 0 <= start < end <= len(t.text)
            assert not t.text[start].isspace()
            assert mask > 0
        encoded = encode(t, lexicon, None)
        assert encoded is None or (encoded[1] > 0).all()


def test_texts_with_nothing_personal_carry_no_label(shared: Path) -> None:
    """Negatives that hold labels would teach false alarms."""
    from tagger.batches import Sources

    rng = random.Random(6)
    sources = Sources(shared / "data", rng, test=True)
    assert all(sources.neutral.text().spans == [] for _ in range(200))


def test_names_bend_by_case_and_stay_one_word() -> None:
    """In Polish, a form says "dla Anny Kowalskiej": a tagger of nominatives misses it."""
    from tagger.names import Person, inflect

    rng = random.Random(2)
    bent = {inflect(Person("Anna", "", "Kowalska"), "pl", rng).last for _ in range(60)}
    assert "Kowalskiej" in bent
    assert all(" " not in name for name in bent)
