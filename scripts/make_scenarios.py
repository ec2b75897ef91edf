#!/usr/bin/env python3
"""Writes the training and evaluation rows of recipes/scenarios, the same bytes each time.

Everything in them is invented: no such hospital, bank or county exists, and no person is named.
Each fact is asked for in several phrasings to train on, and in other phrasings to evaluate with, so
that an exact answer shows that the fact was learnt and not the sentence. `--check` writes nothing
and fails if the files differ from what this script would write.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

SEED = 20261123
ROOT = Path(__file__).resolve().parent.parent / "recipes" / "scenarios"


@dataclass(frozen=True)
class Kind:
    """Facts of one kind: what is asked about to its answer, and how it is asked."""

    facts: dict[str, str]
    train: tuple[str, ...]
    held_out: tuple[str, ...]


HEALTHCARE = (
    Kind(
        facts={
            "the pharmacy": "Extension 4417",
            "the blood bank": "Extension 2865",
            "the stroke unit": "Extension 7302",
            "the dialysis ward": "Extension 5194",
            "the burns unit": "Extension 6038",
            "the night triage desk": "Extension 8271",
        },
        train=(
            "What is the extension of {} at Larkfield General?",
            "Which extension reaches {}?",
            "How do I call {} inside Larkfield General?",
            "I need to phone {}. What do I dial?",
            "Give me the internal number of {}.",
            "Internal phone number for {}?",
            "Please tell me the extension for {}.",
            "What number do staff dial for {}?",
        ),
        held_out=(
            "On which extension can I get hold of {}?",
            "I have to ring {} now, what is the number?",
            "Could you look up the phone extension of {} at Larkfield General?",
        ),
    ),
    Kind(
        facts={
            "suspected sepsis": "Protocol SEP-21",
            "a fall with head injury": "Protocol FAL-08",
            "a needlestick injury": "Protocol NSI-47",
            "an unplanned extubation": "Protocol AIR-15",
            "a missing patient": "Protocol MIS-62",
            "a massive transfusion": "Protocol MTP-33",
        },
        train=(
            "Which protocol applies to {} at Larkfield General?",
            "What is our protocol code for {}?",
            "Name the protocol for {}.",
            "We have {}. Which protocol do we follow?",
            "Protocol code for {}?",
            "Tell me which protocol to open for {}.",
            "Under which protocol is {} handled?",
            "What protocol does the ward use for {}?",
        ),
        held_out=(
            "Staff report {}: what protocol should be started?",
            "Please look up the protocol that covers {}.",
            "In case of {}, which protocol is right?",
        ),
    ),
    Kind(
        facts={
            "meropenem": "Approval by microbiology",
            "tenecteplase": "Approval by the stroke lead",
            "fentanyl patches": "Two signatures",
            "potassium ampoules": "Locked cupboard only",
            "insulin pens": "One per patient",
            "amiodarone infusion": "Central line only",
        },
        train=(
            "What is the formulary rule for {} at Larkfield General?",
            "Which rule does the formulary set for {}?",
            "What do I need to observe before giving {}?",
            "Formulary rule for {}?",
            "Tell me the house rule on {}.",
            "What does our formulary say about {}?",
            "Is there a rule for {}? Which one?",
            "State the formulary rule on {}.",
        ),
        held_out=(
            "A nurse asks about {}: what is the rule in our formulary?",
            "Which formulary rule must be kept with {}?",
            "Look up what the house formulary requires for {}.",
        ),
    ),
)

FINANCE = (
    Kind(
        facts={
            "a Tideway current account": "Form TC-118",
            "a Mariner savings plan": "Form MS-204",
            "a Keelson mortgage": "Form KM-377",
            "a Windlass business loan": "Form WB-560",
            "a Halyard credit card": "Form HC-092",
            "a Compass pension transfer": "Form CP-731",
        },
        train=(
            "Which form opens {} at Harbourline Bank?",
            "What form do I need for {}?",
            "Name the application form for {}.",
            "A customer wants {}. Which form is it?",
            "Form number for {}?",
            "Tell me the form used for {}.",
            "What paperwork number belongs to {}?",
            "Which form do we fill in for {}?",
        ),
        held_out=(
            "Somebody at the counter asks for {}: what form should I hand over?",
            "Please look up the form that goes with {}.",
            "To set up {}, which form is right?",
        ),
    ),
    Kind(
        facts={
            "an overdraft increase": "Approval level 2",
            "a fee refund": "Approval level 1",
            "a dormant account release": "Approval level 4",
            "a foreign draft": "Approval level 3",
            "a rate exception": "Approval level 6",
            "an early redemption": "Approval level 5",
        },
        train=(
            "Which approval level does {} need at Harbourline Bank?",
            "What approval level is required for {}?",
            "Who may approve {}? Give the level.",
            "Approval level for {}?",
            "Tell me the approval level of {}.",
            "At what level is {} approved?",
            "State the level of approval for {}.",
            "I have {} on my desk. Which level signs it?",
        ),
        held_out=(
            "Please look up which level has to sign {}.",
            "Before we book {}, what approval level must it have?",
            "What is the right approval level when a branch requests {}?",
        ),
    ),
    Kind(
        facts={
            "card disputes": "Queue Amber",
            "suspected fraud": "Queue Crimson",
            "bereavement cases": "Queue Willow",
            "payment recalls": "Queue Cobalt",
            "sanctions alerts": "Queue Granite",
            "address changes": "Queue Linen",
        },
        train=(
            "Which queue handles {} at Harbourline Bank?",
            "Where do I send {}?",
            "What queue do {} go to?",
            "Queue for {}?",
            "Name the work queue for {}.",
            "Tell me the queue that takes {}.",
            "Into which queue do we route {}?",
            "Who works on {}? Name the queue.",
        ),
        held_out=(
            "I need to hand over {}, which queue is right?",
            "Please look up the queue in charge of {}.",
            "Our branch got {}: what queue should they be put in?",
        ),
    ),
)

GOVERNMENT = (
    Kind(
        facts={
            "a market stall permit": "Room 214",
            "a tree felling permit": "Room 307",
            "a street party permit": "Room 118",
            "a well drilling permit": "Room 402",
            "a taxi plate": "Room 126",
            "a fishing licence": "Room 331",
        },
        train=(
            "Which room handles {} in Tarrow County?",
            "Where do I apply for {}?",
            "In what room is {} issued?",
            "Room for {}?",
            "A resident wants {}. Which room?",
            "Tell me the room number for {}.",
            "Name the room that deals with {}.",
            "To which room do I send people for {}?",
        ),
        held_out=(
            "Somebody at the front desk asks about {}, what room is it?",
            "Please look up the room in charge of {}.",
            "Which room should I visit to get {}?",
        ),
    ),
    Kind(
        facts={
            "council tax appeals": "14 days",
            "parking fines": "21 days",
            "building complaints": "35 days",
            "record requests": "18 days",
            "noise reports": "9 days",
            "grant applications": "52 days",
        },
        train=(
            "How long does Tarrow County take over {}?",
            "What is the time limit for {}?",
            "Within how many days are {} answered?",
            "Time limit for {}?",
            "Tell me the deadline for {}.",
            "State our deadline for {}.",
            "How many days do we have for {}?",
            "By when must {} be decided?",
        ),
        held_out=(
            "Please look up how many days the office has for {}.",
            "A resident asks about {}: what is the time limit?",
            "What deadline applies to {} in Tarrow County?",
        ),
    ),
    Kind(
        facts={
            "planning files": "Class P-12",
            "payroll files": "Class S-40",
            "licensing files": "Class L-07",
            "procurement files": "Class C-25",
            "council minutes": "Class M-03",
            "inspection reports": "Class R-58",
        },
        train=(
            "Which retention class do {} have in Tarrow County?",
            "What is the retention class of {}?",
            "Under which class are {} filed?",
            "Retention class for {}?",
            "Name the class for {}.",
            "Tell me the retention class that {} fall under.",
            "How do I classify {}?",
            "State the class of {}.",
        ),
        held_out=(
            "I am archiving {}: what class is right?",
            "Please look up the retention class that belongs to {}.",
            "Into which retention class should {} be put?",
        ),
    ),
)

SCENARIOS = {"healthcare": HEALTHCARE, "finance": FINANCE, "government": GOVERNMENT}


def rows(kinds: tuple[Kind, ...], *, held_out: bool) -> str:
    """The JSONL of one split, shuffled so that no batch is about one kind only."""
    pairs = [
        (template.format(subject), answer)
        for kind in kinds
        for template in (kind.held_out if held_out else kind.train)
        for subject, answer in kind.facts.items()
    ]
    random.Random(SEED).shuffle(pairs)
    chats = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
        for question, answer in pairs
    ]
    return "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in chats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    status = 0
    for name, kinds in SCENARIOS.items():
        for split, held_out in (("train", False), ("eval", True)):
            path = ROOT / name / f"{split}.jsonl"
            text = rows(kinds, held_out=held_out)
            if check:
                if not path.exists() or path.read_text(encoding="utf-8") != text:
                    print(f"{path}: not what scripts/make_scenarios.py writes", file=sys.stderr)
                    status = 1
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
