"""Rows with calls of tools: in one form, in their order, and read through like any other words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import TuneError
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.tune.data import IGNORED, mask
from sovereign.tune.dedup import near
from sovereign.tune.gate import Gate
from sovereign.tune.recipe import PrivateConfig
from sovereign.tune.roll import content_of
from sovereign.tune.rows import Row, read_rows

SECRET = "Zwiebelkuchen"
MAIL = "maria.keller@northvale.example"
FIND = {
    "type": "function",
    "function": {
        "name": "find_ward",
        "description": "Find a ward.",
        "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
    },
}


def call(id_: str = "c1", name: str = "find_ward", arguments: Any = '{"number": 7}') -> Any:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(id_: str = "c1", content: str = "Level 2") -> Any:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def asked(text: str = "Where is Ward 7?") -> Any:
    return {"role": "user", "content": text}


def calling(*calls: Any, content: Any = None) -> Any:
    return {"role": "assistant", "content": content, "tool_calls": list(calls or [call()])}


SAID = {"role": "assistant", "content": "On level 2."}
WHOLE = {"tools": [FIND], "messages": [asked(), calling(), result(), SAID]}


def test_a_row_of_calls_has_one_form_whichever_it_came_in(jsonl: Any) -> None:
    """Arguments as text or as an object, tools as a list or as its text, null for what is not
    there: the same row, with the same name on the roll."""
    other = {
        "tools": json.dumps([FIND]),
        "messages": [
            asked() | {"tool_calls": None},
            {"role": "assistant", "tool_calls": [call(arguments={"number": 7})]},
            result(),
            SAID | {"tool_calls": None, "tool_call_id": None},
        ],
    }
    one, two = read_rows(jsonl(WHOLE, other))[0]
    assert (one.messages, one.tools) == (two.messages, two.tools)
    assert content_of(one) == content_of(two)
    assert one.messages[1]["content"] == ""
    plain = Row(1, one.messages)
    assert content_of(plain) != content_of(one)


@pytest.mark.parametrize(
    ("wrong", "messages"),
    [
        ("calls a tool that the row does not offer", [asked(), calling(call(name=SECRET))]),
        ("arguments are no JSON object", [asked(), calling(call(arguments="[1]"))]),
        ("call 1: its JSON cannot be read", [asked(), calling(call(arguments=SECRET))]),
        ("cannot be read", [asked(), calling(call(arguments='{"number": NaN}'))]),
        ("cannot be read", [asked(), calling(call(arguments='{"a": 1, "a": 2}'))]),
        ("uses the id of another call", [asked(), calling(call(), call())]),
        ("its id has no text", [asked(), calling(call(id_=""))]),
        ("is the result of no call", [asked(), calling(), result("c2"), SAID]),
        ("is the result of no call", [asked(), calling(), result(), result(), SAID]),
        ("comes before the result of a call", [asked(), calling(), SAID]),
        ("does not end with the assistant", [asked(), calling(), result()]),
        ("do not take turns", [asked(), calling(), result(), asked(), SAID]),
        ("is not a role and a content", [asked() | {"tool_calls": [call()]}, SAID]),
        ("is not an id and a function", [asked(), calling(call() | {SECRET: 1})]),
        ("message 2 has no text", [asked(), {"role": "assistant", "content": None}]),
        ("half a surrogate", [asked(), calling(call(arguments={"a": "\ud800"}))]),
    ],
)
def test_a_wrong_call_is_named_and_never_quoted(jsonl: Any, wrong: str, messages: Any) -> None:
    """A result without a call, or a call of nothing, would be learnt as it stands."""
    file = jsonl({"tools": [FIND], "messages": messages})
    with pytest.raises(TuneError, match=wrong) as caught:
        read_rows(file)
    assert caught.value.message.startswith(f"{file}:1: ")
    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "tools"),
    [
        ("tools are no list", {SECRET: 1}),
        ("its JSON cannot be read", SECRET),
        ("tool 1 is not a function", [{"function": {"name": "a", SECRET: 1}}]),
        ("its name is not", [{"type": "function", "function": {"name": SECRET + " "}}]),
        ("no JSON schema", [{"function": {"name": "a", "parameters": [SECRET]}}]),
        ("two tools have one name", [FIND, FIND]),
    ],
)
def test_a_wrong_tool_is_named_and_never_quoted(jsonl: Any, wrong: str, tools: Any) -> None:
    """As the engine would refuse it."""
    with pytest.raises(TuneError, match=wrong) as caught:
        read_rows(jsonl({"tools": tools, "messages": [asked(), SAID]}))
    assert SECRET not in caught.value.message


def test_parquet_holds_calls_and_tools_as_text(tmp_path: Path, jsonl: Any) -> None:
    """A column of objects has every key that one of them has, filled with null: as text, a row is
    the same as in JSONL, and as an object it is refused."""
    datasets = pytest.importorskip("datasets")
    file = tmp_path / "rows.parquet"
    text = WHOLE | {"tools": json.dumps([FIND])}
    datasets.Dataset.from_list([text, {"messages": [asked("Hello?"), SAID]}]).to_parquet(file)
    (one, two), _ = read_rows(file)
    (wanted,), _ = read_rows(jsonl(WHOLE))
    assert (one.messages, one.tools) == (wanted.messages, wanted.tools)
    assert two.messages == (asked("Hello?"), SAID)
    datasets.Dataset.from_list([WHOLE]).to_parquet(file)
    with pytest.raises(TuneError, match=r":1: has tools or arguments that are no text of JSON"):
        read_rows(file)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.of(load_policy(preset="hipaa"), build("none"), bytes(32))


def personal(jsonl: Any, where: str) -> Row:
    row = json.loads(json.dumps(WHOLE))
    if where == "arguments":
        row["messages"][1] = calling(call(arguments=json.dumps({"mail": MAIL})))
    elif where == "result":
        row["messages"][2] = result(content=f"Ask {MAIL}.")
    else:
        row["tools"][0]["function"]["description"] = f"Ask {MAIL}."
    (made,), _ = read_rows(jsonl(row))
    return made


@pytest.mark.parametrize("where", ["arguments", "result", "tools"])
def test_the_gate_reads_calls_results_and_tools(jsonl: Any, gate: Gate, where: str) -> None:
    """Each is learnt or seen by the model as any other words are. A stand-in leaves a row that is
    one; what an audit asks for is what the assistant said."""
    row = personal(jsonl, where)
    with pytest.raises(TuneError, match="EMAIL_ADDRESS"):
        gate.pass_([row], PrivateConfig(), "rows")
    done = gate.pass_([row], PrivateConfig(action="pseudonymize"), "rows")
    (made,) = done.rows
    assert MAIL not in str(made.messages) + str(made.tools)
    assert "EMAIL_ADDRESS" in str([made.messages, [t.wire() for t in made.tools]])
    assert (made.line, len(made.messages), len(made.tools)) == (1, 4, 1)
    found = gate.pass_([row], PrivateConfig(action="allow", reason="test"), "rows")
    assert {i.value for i in found.identifiers} == ({MAIL} if where == "arguments" else set())


def test_rows_that_call_alike_are_near_and_others_are_not(jsonl: Any) -> None:
    """By the arguments too: they are all that some answers say."""
    ask = "Please look up the ward that I name and tell me on which level of the house it is now"
    rows = [
        {"tools": [FIND], "messages": [asked(ask), calling(call(arguments={"number": words}))]}
        for words in ("one two three four five six seven", "ten nine eight eleven twelve thirty")
    ]
    read, _ = read_rows(jsonl(*rows, rows[0]))
    assert [r.line for r in near(read, 0.8)] == [1, 2]


class Calling:
    """The letters, with calls between angle brackets."""

    def __new__(cls, letters: Any) -> Any:
        class Made(type(letters)):  # type: ignore[misc]
            controls = ("$",)  # in JSON, chr(1) would be written as an escape

            def render(self, messages: Any, *, prompt: bool, tools: Any = ()) -> str:
                said = [
                    m | {"content": m["content"] + "".join(map(_named, m.get("tool_calls", ())))}
                    for m in messages
                ]
                text: str = super().render(said, prompt=prompt)
                return "".join(t.name for t in tools) + "\n" + text

        return Made()


def _named(made: Any) -> str:
    return f"<{made['function']['name']}>"


def test_calls_and_their_end_token_are_learnt_and_results_are_not(jsonl: Any, letters: Any) -> None:
    """Token by token. With only the last answer learnt, the call before it is not."""
    (row,), _ = read_rows(jsonl(WHOLE))
    template = Calling(letters)
    for last, wanted in ((False, "<find_ward>\1On level 2.\1"), (True, "On level 2.\1")):
        made = mask(Row(1, row.messages, tools=row.tools, last=last), template)
        assert "".join(chr(i) for i in made.labels if i != IGNORED) == wanted
    changed = row.tools[0].__class__("find_ward", "$", {})
    with pytest.raises(TuneError, match="its tools hold a control token"):
        mask(Row(1, row.messages, tools=(changed,)), template)
    held = json.loads(json.dumps(row.messages))
    held[1]["tool_calls"][0]["function"]["arguments"] = '{"a": "$"}'
    with pytest.raises(TuneError, match="message 2: its text holds a control token"):
        mask(Row(1, tuple(held), tools=row.tools), template)
