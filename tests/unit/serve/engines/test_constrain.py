"""What a grammar lets through is what was asked for, whatever the model would rather say."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
import torch

from sovereign.serve.engines.constrain import Grammars, json_grammar, tools_grammar
from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.engines.messages import Call
from sovereign.serve.engines.tools import CallFilter, Tool, Tools
from sovereign.weights.store import Store

pytestmark = pytest.mark.model

WIDTH = 49152
EOS = 2


@pytest.fixture(scope="module")
def tokenizer(model_store: Store) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_store.get("smollm2-135m-instruct"))


@pytest.fixture(scope="module")
def grammars(tokenizer: Any) -> Grammars:
    return Grammars(tokenizer, WIDTH, frozenset({EOS}))


def _babble(grammars: Grammars, tokenizer: Any, grammar: str, seed: int, limit: int = 400) -> str:
    """What a model with no mind at all says: tokens drawn evenly from those that are allowed, with
    some longing for the end."""
    constraint = grammars.compile(grammar, "x")
    rng = random.Random(seed)
    ids: list[int] = []
    for _ in range(limit):
        allowed = constraint.mask().nonzero().flatten().tolist()
        token = EOS if EOS in allowed and rng.random() < 0.5 else rng.choice(allowed)
        done = constraint.accept(token)
        if token == EOS:
            break
        ids.append(token)
        if done:
            break
    else:
        pytest.fail("it never came to an end")
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "sex": {"enum": ["f", "m", None]},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "codes": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Z][0-9]{2}$"},
            "maxItems": 3,
        },
        "at": {
            "type": "object",
            "properties": {"x": {"type": "boolean"}},
            "required": ["x"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "sex", "age", "codes", "at"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_drawn_is_json_of_the_schema(
    grammars: Grammars, tokenizer: Any, seed: int
) -> None:
    """Twelve mindless answers, each checked by another's validator."""
    said = json.loads(_babble(grammars, tokenizer, json_grammar(SCHEMA), seed))
    jsonschema.validate(said, SCHEMA)


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("parallel", [True, False])
def test_whatever_is_drawn_calls_only_what_was_offered(
    grammars: Grammars, tokenizer: Any, choice: Any, parallel: bool
) -> None:
    """By its name, with arguments that its schema accepts; at least one where one is required, and
    at most one where they may not be parallel."""
    one = {
        "type": "object",
        "properties": {"n": {"type": "integer", "maximum": 99, "minimum": 0}},
        "required": ["n"],
        "additionalProperties": False,
    }
    two = {"type": "object", "properties": {}, "additionalProperties": False}
    schemas = {"one": one, "two": two}
    offered = tuple(Tool(name, "", schema) for name, schema in schemas.items())
    grammar = tools_grammar(Tools(offered, offered, choice, parallel), special=False)
    called = 0
    for seed in range(6):
        split = CallFilter()
        heard = split.feed(_babble(grammars, tokenizer, grammar, seed))
        calls = [h for h in heard if isinstance(h, Call)]
        for call in calls:
            jsonschema.validate(json.loads(call.arguments), schemas[call.name])
        if choice == "required":
            assert calls
            assert not [h for h in heard if isinstance(h, str)]
        if not parallel:
            assert len(calls) <= 1
        called += len(calls)
    assert called or choice == "auto"


def test_a_call_that_a_model_begins_is_held_to_its_tool(grammars: Grammars, tokenizer: Any) -> None:
    """In free text nothing is forced until the tag; after it the name must be one of the tools."""
    tool = Tool("look_up", "", {"type": "object", "properties": {}, "additionalProperties": False})
    constraint = grammars.compile(
        tools_grammar(Tools((tool,), (tool,), "auto", True), special=False), "tools"
    )
    for token in tokenizer.encode("Let me look. <tool_call>\n", add_special_tokens=False):
        assert constraint.mask()[token]
        constraint.accept(token)
    begun, wanted = "", '{"name": "look_up", "arguments": {'
    while len(begun) < len(wanted):
        begun += _forced(constraint, tokenizer)
    assert begun.startswith(wanted)


def _forced(constraint: Any, tokenizer: Any) -> str:
    """The shortest step that is allowed, which is one and the same text for every token."""
    allowed = constraint.mask().nonzero().flatten().tolist()
    texts = {t: tokenizer.decode([t]) for t in allowed}
    longest = max(allowed, key=lambda t: len(texts[t]))
    assert all(texts[longest].startswith(text) for text in texts.values())
    constraint.accept(longest)
    return texts[longest]


@pytest.mark.parametrize("parallel", [True, False])
def test_a_tag_is_never_spelled_where_it_is_a_token(tokenizer: Any, parallel: bool) -> None:
    """What looks like a call to whoever reads the text would not have been held to a tool."""
    import copy

    knows = copy.deepcopy(tokenizer)
    knows.add_tokens(["<tool_call>", "</tool_call>"])
    grammars = Grammars(knows, len(knows), frozenset({EOS}))
    assert grammars.special("<tool_call>")
    tool = Tool("look_up", "", {"type": "object", "properties": {}, "additionalProperties": False})
    grammar = tools_grammar(Tools((tool,), (tool,), "auto", parallel), special=True)
    constraint = grammars.compile(grammar, "tools")
    *begun, end = tokenizer.encode("a <tool_box> b <tool_call>", add_special_tokens=False)
    for token in begun:
        assert constraint.mask()[token]
        constraint.accept(token)
    assert not constraint.mask()[end]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "unevaluatedProperties": False},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "nothing"},
        {"$ref": "https://elsewhere.example/schema.json"},
        {"type": "string", "description": "x" * 70_000},
    ],
    ids=["unknown-keyword", "look-ahead", "no-such-type", "remote-ref", "huge"],
)
def test_a_schema_that_cannot_be_held_is_refused(grammars: Grammars, schema: Any) -> None:
    """A keyword that was passed over would be an answer that the caller believes to be checked."""
    with pytest.raises(BadRequest) as caught:
        grammars.compile(json_grammar(schema), "response_format")
    assert caught.value.param == "response_format"
    assert "elsewhere" not in caught.value.message


def test_the_mask_is_as_wide_as_the_logits(tokenizer: Any) -> None:
    """Models pad their vocabulary: what no tokenizer makes is never drawn."""
    wide = Grammars(tokenizer, WIDTH + 64, frozenset({EOS}))
    mask = wide.compile(json_grammar({"type": "object"}), "x").mask()
    assert mask.shape == (WIDTH + 64,)
    assert mask.dtype == torch.bool
    assert not mask[WIDTH:].any()
