"""Ordinary requests keep their form: a guard that breaks a parameter breaks the application.

The contents hold nothing personal, so under every preset the body must leave as it came, in
whatever order a client writes its fields.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Action, Destination

HOSTED = Destination("openai", "hosted")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, in degrees.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat with every sampling parameter": (
        "openai.chat",
        {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
                {"role": "user", "content": "Remind me how a binary search works."},
                {"role": "assistant", "content": "It halves a sorted list until it is found."},
                {"role": "user", "content": "And how fast is it?"},
            ],
            "temperature": 0.7,
            "top_p": 0.95,
            "max_tokens": 4096,
            "max_completion_tokens": 2048,
            "n": 1,
            "seed": 42,
            "presence_penalty": 0.1,
            "frequency_penalty": -0.2,
            "stop": ["\n\n", "END"],
            "logprobs": True,
            "top_logprobs": 5,
            "stream": True,
            "stream_options": {"include_usage": True},
            "parallel_tool_calls": False,
            "response_format": {"type": "text"},
        },
    ),
    "chat with tools and a call": (
        "openai.chat",
        {
            "model": "gpt-4o-mini",
            "tools": [WEATHER],
            "tool_choice": "auto",
            "max_tokens": 40,
            "messages": [
                {"role": "user", "content": "Is it warmer than 20 degrees?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_9fK2xYp3QvB7",
                            "type": "function",
                            "function": {
                                "name": "get_weather",
                                "arguments": '{"unit": "celsius", "days": 3}',
                            },
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_9fK2xYp3QvB7", "content": '{"t": 21.5}'},
            ],
        },
    ),
    "chat with a JSON schema": (
        "openai.chat",
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Sort these by size: pea, melon, apple."}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "sorted_list",
                    "strict": True,
                    "schema": {
                        "type": "object",
                        "properties": {"items": {"type": "array", "items": {"type": "string"}}},
                        "required": ["items"],
                        "additionalProperties": False,
                    },
                },
            },
        },
    ),
    "messages of the other wire": (
        "anthropic.messages",
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 1024,
            "system": "You are a careful editor.",
            "temperature": 0.3,
            "top_k": 40,
            "stop_sequences": ["</answer>"],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Shorten: it is what it is."}],
                }
            ],
            "tools": [
                {
                    "name": "lookup",
                    "description": "Looks a word up.",
                    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}},
                }
            ],
        },
    ),
    "embeddings": (
        "openai.embeddings",
        {
            "model": "text-embedding-3-small",
            "input": ["red apples", "green pears"],
            "dimensions": 512,
            "encoding_format": "float",
        },
    ),
}


def shuffled(value: Any, seed: int) -> Any:
    """The same JSON value with the fields of every object in another order."""
    if isinstance(value, dict):
        items = list(value.items())
        random.Random(seed).shuffle(items)
        return {k: shuffled(v, seed + 1) for k, v in items}
    return [shuffled(v, seed) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("preset", ["direct", "hipaa", "gdpr"])
@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_without_personal_data_leaves_as_it_came(
    guard: Guard, what: str, preset: str
) -> None:
    """No parameter, schema, name of a tool or id of a call is taken for a person or a date."""
    shape, body = REQUESTS[what]
    strict = Guard.__new__(Guard)
    strict.__dict__.update(guard.__dict__, policy=load_policy(preset=preset))
    for seed in range(4):
        asked = shuffled(body, seed)
        seen = strict.inspect(asked, to=HOSTED, shape=shape)
        changed = [
            (f.path, f.entity, f.view)
            for f, a in zip(seen.findings, seen.verdict.actions, strict=True)
            if a is not Action.ALLOW
        ]
        assert changed == []
        assert seen.body == asked


LINES = (
    "ERROR upstream timed out after {ms}ms (attempt {a} of 3) rid={uuid}",
    "see trace {uuid} for the reason",
    "rolled back from {a}.{b}.{c} to {b}.{a}.{c}-rc{a}",
    "pages {a}/{b}/{c} are wrong",
)


@pytest.mark.parametrize("line", LINES)
def test_random_ids_and_versions_are_nobodys(guard: Guard, line: str) -> None:
    """Digits in a UUID are now and then those of a phone or of a national number; a version without
    its dots is a code. Each of 300 of them goes out as it came."""
    rng = random.Random(line)
    for _ in range(300):
        text = line.format(
            uuid="-".join(f"{rng.getrandbits(4 * k):0{k}x}" for k in (8, 4, 4, 4, 12)),
            ms=rng.randrange(1, 3000),
            **{name: rng.randrange(1, 60) for name in "abc"},
        )
        body = {"messages": [{"role": "user", "content": text}]}
        assert guard.inspect(body, to=HOSTED, shape="openai.chat").body == body, text


SOURCES = {
    "package.json": """{
  "name": "libqueue", "version": "2.0.1", "license": "BlueOak-1.0.0",
  "repository": "git@github.com:northvale/libqueue.git",
  "devDependencies": {"tap": "^21.0.1"}
}""",
    "manifest": 'license: Apache-2.0\nlicense = "BSD-2-Clause"\nLicense: LGPL-2.1-or-later\n',
    "javascript": """class Zip {
  constructor(mode) {
    this.#handle = undefined;
    if (typeof mode !== 'string') { throw new TypeError('Compression mode must be a string'); }
    this.#handle = new native[mode](options);
  }
}""",
    "python": """class Client:
    \'\'\'If the given name is :class:`Undefined`, it is a LoRA of the model, or a DoRA layer.\'\'\'

    def __init__(self, func, username, factory):
        handle = getattr(func, "handle_error")
        self.username = username
        self.secret_access_key = _ask_field("Secret Access Key: ")
        es_client = Elasticsearch(hosts)
        u, s, v = torch.linalg.svd(self.base)
""",
    "npm": "npm install left@1.2.3 right@1.x\n+-- left@1.2.3-beta.1\n`-- right@1.4.0\n",
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_programmers_write_leaves_as_it_came(guard: Guard, name: str) -> None:
    """A software licence, a keyword of the language, a package with its version, the user that
    every Git server has: one finding in such a text is taken out wherever the word recurs."""
    body = {"messages": [{"role": "user", "content": SOURCES[name]}]}
    assert guard.inspect(body, to=HOSTED, shape="openai.chat").body == body


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (
            "[error] upstream timed out, client: 10.1.4.22, request 4",
            "client: [IP_ADDRESS], request",
        ),
        ("PRECONDITION_FAILED - unknown delivery tag 1", "unknown delivery tag 1"),
        (
            "sshd[3312]: accepted for deploy from 10.0.0.5 port 51722",
            "from [IP_ADDRESS] port 51722",
        ),
    ],
)
def test_a_machine_in_a_log_is_a_machine(guard: Guard, line: str, left: str) -> None:
    """Not somebody's account, secret or plate."""
    body = {"messages": [{"role": "user", "content": line}]}
    out: Any = guard.inspect(body, to=HOSTED, shape="openai.chat").body
    assert left in out["messages"][0]["content"]


@pytest.mark.parametrize(
    ("ends", "begins", "left"),
    [
        ("See https://portal.example.org/u/8812", "thanks, all good", "thanks, all good"),
        ("https://portal.example.org/u/8812", "2 pages are missing", "2 pages are missing"),
        ("token ghp_16C7e42F292c6912E7710c838347Ae178B4a", "Revoke it", "Revoke it"),
        # The other half of a key has digits.
        ("token ghp_16C7e42F292c6912E771", "0c838347Ae178B4a is it", "[SECRET] is it"),
    ],
)
def test_the_turn_after_a_link_or_a_key_keeps_its_first_word(
    ends: str, begins: str, left: str
) -> None:
    """Neighbouring texts are read as one, so that a value cut in two is found; a link and a key go
    on as far as letters do, and took the next turn's first word with them."""
    turns = [{"role": "user", "content": text} for text in (ends, begins)]
    hipaa = Guard(load_policy(preset="hipaa"), build("none"), key=b"k" * 32)  # links, too
    out: Any = hipaa.inspect({"messages": turns}, to=HOSTED, shape="openai.chat").body
    assert out["messages"][1]["content"] == left
    assert out["messages"][0]["content"] != ends


def test_an_element_that_ends_where_another_begins_parts_them(guard: Guard) -> None:
    """Fields of XML, cells of a table: a name was read on through tags, date and number to the last
    of them, and what the tags are called was held back as a part of it. Digits are put together."""
    xml = (
        "<patient><name>Grete Holm</name><geb>1950-02-03</geb><kvnr>B123456782</kvnr></patient>"
        "<td>4539</td><td>1488</td><td>0343</td><td>6467</td>"
    )
    body = {"messages": [{"role": "user", "content": xml}]}
    done = guard.inspect(body, to=HOSTED, shape="openai.chat")
    found = {(f.entity, xml[f.start : f.end]) for f in done.findings}
    assert {
        ("PERSON", "Grete Holm"),
        ("DATE_OF_BIRTH", "1950-02-03"),
        ("DE_HEALTH_INSURANCE", "B123456782"),
    } <= found
    assert any(entity == "CREDIT_CARD" for entity, _ in found)
    out: Any = done.body
    assert "</name><geb>" in out["messages"][0]["content"]
    assert "</kvnr></patient>" in out["messages"][0]["content"]


def test_a_name_behind_its_title_ends_with_its_line(guard: Guard) -> None:
    """ "Mme Roux", and below it "Bonjour"."""
    text = "Objet : demande de Mme Roux\nBonjour, je serai absente."
    done = guard.inspect(
        {"messages": [{"role": "user", "content": text}]}, to=HOSTED, shape="openai.chat"
    )
    assert {text[f.start : f.end] for f in done.findings if f.entity == "PERSON"} == {"Roux"}
