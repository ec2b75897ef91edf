"""Every place of a request, and every disguise, in which others let a value through.

Each probe is named by its trick. What must not leave stands in ``secrets``, in the spelling that
the probe uses: none of it may be in the outgoing bytes.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from sovereign.guard import Guard, shapes
from sovereign.types import Action, Destination

HOSTED = Destination("openai", "hosted")
SSN, CARD = "512-47-3391", "4539148803436467"
NAME, MAIL = "Maria Keller", "maria.keller@northvale.org"
PHONE = "+1 212 555 0143"


def chat(*contents: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": c} for c in contents]
    return {"model": "gpt-4o", "messages": messages, **more}


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "lookup", **function}}


def called(arguments: str) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"model": "gpt-4o", "messages": [{"role": "assistant", "tool_calls": [call]}]}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ZW = "\u200b"
SURFACES: dict[str, tuple[Any, list[str]]] = {
    # places
    "content": (chat(f"My SSN is {SSN}"), [SSN]),
    "system_prompt": ({"messages": [{"role": "system", "content": f"Card {CARD}"}]}, [CARD]),
    "text_part": (chat([{"type": "text", "text": f"mail {MAIL}"}]), [MAIL]),
    "tool_call_arguments": (called(json.dumps({"ssn": SSN})), [SSN]),
    "tool_call_argument_key": (called(json.dumps({MAIL: 1})), [MAIL]),
    "tool_call_number_argument": (called('{"ssn": 512473391}'), ["512473391"]),
    "tool_call_arguments_twice_nested": (
        called(json.dumps({"x": json.dumps({"ssn": SSN})})),
        [SSN],
    ),
    "tool_result": ({"messages": [{"role": "tool", "content": f'{{"card": "{CARD}"}}'}]}, [CARD]),
    "tool_schema_default": (
        chat("hi", tools=[tool(parameters={"properties": {"ssn": {"default": SSN}}})]),
        [SSN],
    ),
    "tool_schema_enum": (
        chat("hi", tools=[tool(parameters={"properties": {"who": {"enum": [MAIL]}}})]),
        [MAIL],
    ),
    "tool_schema_property_name": (
        chat("hi", tools=[tool(parameters={"properties": {MAIL: {"type": "string"}}})]),
        [MAIL],
    ),
    "tool_description": (chat("hi", tools=[tool(description=f"for {NAME}, {SSN}")]), [NAME, SSN]),
    "message_name": ({"messages": [{"role": "user", "name": MAIL, "content": "hi"}]}, [MAIL]),
    "user_field": (chat("hi", user=MAIL), [MAIL]),
    "metadata_value": (chat("hi", metadata={"ssn": SSN}), [SSN]),
    "metadata_key": (chat("hi", metadata={SSN: "x"}), [SSN]),
    "stop_sequence": (chat("hi", stop=[SSN]), [SSN]),
    "number_leaf": (chat("hi", metadata={"ssn": 512473391}), ["512473391"]),
    "number_leaf_card": (chat("hi", metadata={"x": int(CARD)}), [CARD]),
    "unknown_field": (chat("hi", brand_new_field={"deep": [{"er": SSN}]}), [SSN]),
    "response_format_schema": (
        chat("hi", response_format={"type": "json_schema", "json_schema": {"description": SSN}}),
        [SSN],
    ),
    "prediction": (chat("hi", prediction={"type": "content", "content": f"SSN {SSN}"}), [SSN]),
    "role_out_of_set": ({"messages": [{"role": MAIL, "content": "hi"}]}, [MAIL]),
    "structural_name_elsewhere": (chat("hi", metadata={"role": MAIL, "type": SSN}), [MAIL, SSN]),
    "logit_bias_key": (chat("hi", logit_bias={CARD: 1}), [CARD]),
    # cut in two
    "split_over_parts": (
        chat([{"type": "text", "text": "SSN 512-4"}, {"type": "text", "text": "7-3391 ok"}]),
        ["512-4", "7-3391"],
    ),
    "split_over_messages": (chat("card 45391488", "03436467"), ["45391488", "03436467"]),
    "split_in_mid_sentence": (
        chat("first part is 512-47", "and the rest -3391"),
        ["512-47", "3391"],
    ),
    "split_email": (chat("maria.keller@north", "vale.org is mine"), ["maria.keller@north"]),
    "one_digit_per_message": (chat(*SSN), ["5", "3", "9"]),
    # spelled another way
    "zero_width": (chat(ZW.join(MAIL)), [ZW.join(MAIL), MAIL]),
    "soft_hyphen": (chat(f"SSN {SSN[:5]}\u00ad{SSN[5:]}"), [SSN[5:]]),
    "tag_characters": (
        chat("hi" + "".join(chr(0xE0000 + ord(c)) for c in f" ssn {SSN}")),
        ["\U000e0035"],
    ),
    "nul_between": (chat("SSN 512-\x0047-3391"), ["47-3391"]),
    "full_width": (chat("SSN ５１２－４７－３３９１"), ["３３９１"]),
    "math_bold": (chat("SSN 𝟓𝟏𝟐-𝟒𝟕-𝟑𝟑𝟗𝟏"), ["𝟑𝟑𝟗𝟏"]),
    "arabic_digits": (chat("SSN ٥١٢-٤٧-٣٣٩١"), ["٣٣٩١"]),
    "cyrillic_lookalikes": (chat("write to mаria.keller@nоrthvale.org"), ["nоrthvale"]),
    "unicode_dash": (chat("SSN 512‑47–3391"), ["3391"]),
    "dotted": (chat("social security no. 512.47.3391"), ["512.47.3391"]),
    "underscores": (chat("cc=4539_1488_0343_6467"), ["4539_1488"]),
    "spaced_digits": (chat("SSN 5 1 2 4 7 3 3 9 1"), ["4 7 3 3"]),
    "spelled_digits": (
        chat("my social is five one two, four seven, three three nine one"),
        ["nine"],
    ),
    "email_at_dot": (chat("maria.keller [at] northvale [dot] org"), ["northvale"]),
    "percent": (chat(f"q={quote(MAIL, safe='')}"), ["%40northvale"]),
    "percent_every_letter": (
        chat("".join(f"%{ord(c):02x}" for c in f"SSN {SSN}")),
        ["%33%33%39%31"],
    ),
    "html_entities": (chat("SSN " + "".join(f"&#{ord(c)};" for c in SSN)), ["&#51;&#51;"]),
    "unicode_escapes": (chat("".join(f"\\u{ord(c):04x}" for c in f"SSN {SSN}")), ["\\u0039"]),
    "base64": (chat(f"token={b64(f'SSN {SSN}')}"), [b64(f"SSN {SSN}")[:12]]),
    "base64_url_json": (
        chat(base64.urlsafe_b64encode(json.dumps({"ssn": SSN}).encode()).decode()),
        ["eyJzc24"],
    ),
    "base64_in_base64": (chat(b64(b64(f"my SSN is {SSN}, keep it"))), [b64(b64("my SSN is"))[:10]]),
    "base32": (chat(base64.b32encode(f"SSN {SSN} yes".encode()).decode()), ["KNJU4"]),
    "hex": (chat(MAIL.encode().hex()), [MAIL.encode().hex()]),
    "hex_spaced": (chat(" ".join(f"{b:02x}" for b in f"SSN {SSN}".encode())), ["33 33 39"]),
    "utf16_base64": (
        chat(base64.b64encode(f"SSN {SSN} here".encode("utf-16-le")).decode()),
        ["UwBTAE4A"],
    ),
    "string_concatenation": (chat('email = "maria.keller" + "@" + "northvale.org"'), ["northvale"]),
    "recurs_encoded": (chat(f"I am {MAIL}", quote(MAIL, safe="")), ["%40"]),
    "recurs_upper_case": (chat(f"Patient name: {NAME}", "SIGNED KELLER"), ["KELLER"]),
    "surname_alone": (chat(f"Patient name: {NAME}. Then Keller left."), ["Keller"]),
    # secrets
    "api_key": (chat("use sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7"), ["aB3dE5gH7"]),
    "private_key": (
        chat(f"-----BEGIN RSA PRIVATE KEY-----\n{b64('x' * 300)}\n-----END RSA PRIVATE KEY-----"),
        [b64("x" * 300)[:40]],
    ),
    "password_in_prose": (chat("my password is: Tr0ub4dor&3"), ["Tr0ub4dor"]),
}

LOOKALIKES = {
    "version": "upgrade to version 10.4.12.7 build 20260211",
    "commit": "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "order_that_is_no_card": "order 4539148803436468 shipped",
    "code": 'self.client.get(url).json()["data"][0].name',
    "colour_and_address": "color #12ab34, addr 0x7ffee4c0",
    "brands": "Ford and Hilton are brands; Jordan is a country.",
    "percent_in_prose": "a 20% rise, 100%25 sure & more; AT&T",
    "long_word": "internationalization and counterrevolutionaries",
    "latex": r"\frac{1}{2} \nu \theta \text{speed}",
    "decimal": "pi is 3.14159265358979 and e is 2.718281828459045",
    "regex": r"use \d{3}-\d{2}-\d{4} to match it",
    "sorting": "def sort(items: list[int]) -> list[int]: return sorted(items)",
}


@pytest.mark.parametrize("trick", SURFACES)
def test_no_surface_and_no_disguise_carries_a_value_out(guard: Guard, trick: str) -> None:
    """The outgoing bytes hold nothing of the value, and the residual check agrees."""
    body, secrets = SURFACES[trick]
    inspection = guard.inspect(body, to=HOSTED, shape="openai.chat")
    assert inspection.verdict.action in (Action.MASK, Action.PSEUDONYMIZE)
    raw = inspection.encode()
    placeholders = re.compile(r"[A-Z_]+_[A-Z2-7]{8}|\[[A-Z_]+\]")
    sent = [placeholders.sub("", leaf) for leaf in _strings(json.loads(raw))]
    for secret in secrets:
        assert not any(secret in leaf for leaf in sent), f"{trick}: it left"
    inspection.check_residual(raw=raw, url="https://api.example/v1/chat/completions")


@pytest.mark.parametrize("what", LOOKALIKES)
def test_lookalikes_pass_untouched(guard: Guard, what: str) -> None:
    """A guard that cries wolf is switched off; these resemble identifiers and are none."""
    body = chat(LOOKALIKES[what])
    inspection = guard.inspect(body, to=HOSTED, shape="openai.chat")
    assert inspection.body == body
    inspection.check_residual(raw=inspection.encode())


def test_nested_json_stays_valid_json(guard: Guard) -> None:
    """A number in a tool call's arguments becomes a string there, at any depth of nesting."""
    inner = '{"ssn": 512473391, "n": 3, "who": "Mar\\u0069a Keller", "t": [1, 512473391]}'
    body = called(json.dumps({"name": "Patient name: Maria Keller", "x": inner, "ssn": 512473391}))
    out = guard.inspect(body, to=HOSTED, shape="openai.chat").body
    outer = json.loads(out["messages"][0]["tool_calls"][0]["function"]["arguments"])
    deep = json.loads(outer["x"])
    assert (deep["n"], deep["t"][0]) == (3, 1)
    assert isinstance(deep["ssn"], str)
    assert isinstance(outer["ssn"], str)


def test_roles_and_structural_constants_are_not_touched(guard: Guard) -> None:
    """The wire's own words stay, or the hosted API would refuse what we send."""
    body = chat(
        [{"type": "text", "text": "What is the capital of France?"}],
        tools=[tool(parameters={"type": "object", "properties": {"city": {"type": "string"}}})],
        tool_choice="auto",
        temperature=0.5,
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
        response_format={"type": "json_object"},
    )
    assert guard.inspect(body, to=HOSTED, shape="openai.chat").body == body
    assert all(shapes.SHAPES.values())


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in (k, *_strings(v))]
    if isinstance(value, list):
        return [s for v in value for s in _strings(v)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
