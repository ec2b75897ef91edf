"""The corpus: large, well-formed, and seen by its own judge wherever it goes out unguarded."""

from __future__ import annotations

import base64
import json
import random
import re
from pathlib import Path

import pytest

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.rules import checks
from sovereign.prove.corpus import Message, Probe, load
from sovereign.prove.disguise import disguise
from sovereign.prove.files import MEDIA, make
from sovereign.prove.seen import Arrived
from sovereign.prove.values import KINDS, Values

MODELS = {"model": "gpt-test", "claude": "claude-test"}
PROBES = load()


def arrived(message: Message) -> Arrived:
    """What a recorder makes of a message that nobody changed."""
    path, _, query = message.target.partition("?")
    line = {"path": path, "query": query, "headers": list(message.headers.items())}
    return Arrived.from_line({**line, "body": base64.b64encode(message.body).decode()})


def test_it_covers_what_the_issue_asks_for() -> None:
    """At least 150 probes, in every group, each with a name of its own."""
    assert len(PROBES) >= 300
    assert {p.group for p in PROBES} == {
        "edges", "encoded", "files", "places", "spelled", "split", "wires"
    }  # fmt: skip
    assert len({p.name for p in PROBES}) == len(PROBES)


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)
def test_each_probe_is_seen_when_it_leaks(probe: Probe) -> None:
    """The judge finds each probe's values in its own bytes: it is not blind."""
    mine = probe.message(Values.fresh(random.Random(5)), MODELS)
    assert arrived(mine).holds(mine)


@pytest.mark.parametrize("group", ["places", "wires", "edges", "split"])
def test_a_probe_is_not_seen_in_one_with_other_values(group: str) -> None:
    """The judge does not cry wolf. Files and encodings share their first bytes, names their list,
    fictitious telephone numbers all but two digits."""
    chance = random.Random(6)
    for probe in PROBES:
        given = json.dumps(probe.given)
        if probe.group == group and not re.search(r"\{\{(name|phone)|gzip", given):
            mine = probe.message(Values.fresh(chance), MODELS)
            other = probe.message(Values.fresh(chance), MODELS)
            assert not arrived(other).holds(mine), probe.name


def test_values_pass_the_checks_of_recognisers_and_differ_each_time() -> None:
    """A value that no detector could accept would prove nothing."""
    chance = random.Random(1)
    made = [Values.fresh(chance).by_kind for _ in range(50)]
    assert all(set(m) == set(KINDS) for m in made)
    assert all(checks.luhn(m["card"]) for m in made)
    assert all(int(m["iban"][4:] + "1314" + m["iban"][2:4]) % 97 == 1 for m in made)
    assert len({m["ssn"] for m in made}) > 45
    assert made[0]["mail"] not in repr(Values(made[0]))


def test_disguises_undo() -> None:
    """Each spells its value, or it would hide nothing but itself."""
    assert base64.b64decode(disguise("512-47-3391", "b64")).decode() == "512-47-3391"
    assert bytes.fromhex(disguise("abc", "hexspaced")).decode() == "abc"
    assert disguise("512-47-3391", "part:0:5") == "512-4"
    assert disguise("1", "before:no. ") == "no. 1"
    with pytest.raises(KeyError):
        disguise("x", "unheard-of")


@pytest.mark.parametrize("kind", MEDIA)
def test_files_hold_their_text(kind: str) -> None:
    """Every kind can be made; the plain ones show their text."""
    raw = make(kind, "SSN: 512-47-3391")
    assert len(raw) > 10
    if kind in ("csv", "txt", "html", "json", "eml", "pdf", "docx", "xlsx", "zip"):
        assert b"512-47-3391" in raw


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "not a probe"),
        ('{"name": "Upper Case", "text": "{{ssn}}"}', "not a probe"),
        ('{"name": "a", "txt": "{{ssn}}"}', "unknown field 'txt'"),
        ('{"name": "a", "text": "{{shoe-size}}"}', "no value, disguise, wire or file"),
        ('{"name": "a", "text": "{{ssn|whispered}}"}', "no value, disguise, wire or file"),
        ('{"name": "a", "wire": "morse", "text": "{{ssn}}"}', "no value, disguise, wire or file"),
        ('{"name": "a", "text": "hello"}', "carries no value"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    """A team writes its own probes: each mistake is one line that says where and what."""
    file = tmp_path / "own.jsonl"
    file.write_text('{"name": "good", "text": "{{ssn}}"}\n' + line + "\n")
    with pytest.raises(ConfigError, match=says) as raised:
        load(file)
    assert "own.jsonl:2" in raised.value.message


def test_a_name_stands_once(tmp_path: Path) -> None:
    """Two probes of one name would be one line of the report."""
    file = tmp_path / "own.jsonl"
    file.write_text('{"name": "content", "text": "{{ssn}}"}\n')
    with pytest.raises(ConfigError, match="a second probe"):
        load(*(Path(p) for p in (file, file)))


def test_half_a_number_is_a_leak_and_a_placeholder_is_none() -> None:
    """The judge errs on the side of finding, but not on what a guard writes itself."""
    probe = next(p for p in PROBES if p.name == "content")
    message = probe.message(Values.fresh(random.Random(2)), MODELS)
    ssn = message.plain[0]

    def holds(text: str) -> bool:
        body = json.dumps({"messages": [{"content": text}]}).encode()
        line = {"path": "/", "query": "", "headers": [], "body": base64.b64encode(body).decode()}
        return Arrived.from_line(line).holds(message)

    assert holds(f"My SSN is {ssn[:8]}")
    assert holds(f"My SSN is {ssn.replace('-', ' ')}")
    assert holds("My SSN is " + " ".join(ssn.replace("-", "")))
    assert not holds("My SSN is [US_SSN]")
    assert not holds("My SSN is US_SSN_K7Q2MX4D")
