"""The whole road with nothing stood in but the hosted API: the real guard, a real model in its own
process, the real log, and the unmodified clients by base URL and key alone."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from running import Door, opened, sovereign

from sovereign.audit.verify import verify

if TYPE_CHECKING:
    from sovereign.weights.store import Store

pytestmark = pytest.mark.model

CONFIG = """
[policy]
file = "policy.toml"
[gateway]
port = 0
local_model = "inside"
[upstream.openai]
side = "hosted"
base_url = "{url}/v1"
api_key_env = "STANDIN_KEY"
models = ["gpt-4o-mini"]
[upstream.anthropic]
side = "hosted"
wire = "anthropic"
base_url = "{url}"
api_key_env = "STANDIN_KEY"
models = ["claude-sonnet"]
[models.inside]
base = "smollm2-135m-instruct"
threads = 1
[weights]
store = "{store}"
lock = "{lock}"
"""

POLICY = """
name = "whole-road"
extends = "hipaa"
[hosted]
MEDICAL_RECORD_NUMBER = "local"
"""

SECRET_PARTS = ("Maria", "Keller", "512-47-3391", "maria.keller@northvale.example")
ASK = "Write to Maria Keller <maria.keller@northvale.example>; her SSN is 512-47-3391."
CHART = "Patient Maria Keller, MRN 00482913: reply with one word."


@pytest.fixture(scope="module")
def door(model_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    record = folder / "received.jsonl"
    standin = subprocess.Popen(
        [sys.executable, "-m", "sovereign.gateway.standin", "--port", "0", "--record", str(record)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert standin.stdout is not None
    url = json.loads(standin.stdout.readline())["url"]
    sovereign(folder, "init")
    text = CONFIG.format(url=url, store=model_store.root, lock=model_store.lock)
    (folder / "sovereign.toml").write_text(text)
    (folder / "policy.toml").write_text(POLICY)
    try:
        with opened(folder) as running:
            yield running
    finally:
        standin.terminate()
        standin.wait(timeout=10)


def openai_text(client: openai.OpenAI, model: str, text: str, *, stream: bool) -> str:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        chunks = client.chat.completions.create(**body, stream=True, max_tokens=12, temperature=0)
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    reply = client.chat.completions.create(**body, max_tokens=12, temperature=0)
    return reply.choices[0].message.content or ""


def anthropic_text(client: anthropic.Anthropic, model: str, text: str, *, stream: bool) -> str:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 12,
        "messages": [{"role": "user", "content": text}],
    }
    if stream:
        with client.messages.stream(**body) as events:
            return "".join(events.text_stream)
    return "".join(b.text for b in client.messages.create(**body).content if b.type == "text")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_unmodified_clients_get_hosted_answers_restored_and_nothing_leaves(
    door: Door, wire: str, stream: bool
) -> None:
    """The promise of the door: the hosted side reads stand-ins, the caller reads names."""
    before = len(door.received())
    if wire == "openai":
        answer = openai_text(door.openai(), "gpt-4o-mini", ASK, stream=stream)
    else:
        answer = anthropic_text(door.anthropic(), "claude-sonnet", ASK, stream=stream)
    assert "Maria Keller" in answer  # the stand-in for the API repeats what it was sent
    (arrived,) = door.received()[before:]
    seen = base64.b64decode(arrived["body"]).decode() + json.dumps(arrived["headers"])
    assert not [part for part in SECRET_PARTS if part in seen]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_unmodified_clients_get_answers_from_the_model_inside(
    door: Door, wire: str, stream: bool
) -> None:
    """The same base URL and key reach the team's own model, and nothing goes outside."""
    before = len(door.received())
    if wire == "openai":
        answer = openai_text(door.openai(), "inside", CHART, stream=stream)
    else:
        answer = anthropic_text(door.anthropic(), "inside", CHART, stream=stream)
    assert answer.strip()
    assert len(door.received()) == before


def test_a_streamed_answer_is_the_whole_answer(door: Door) -> None:
    """Streaming changes when text arrives, never which text: greedy decoding is deterministic."""
    texts = {openai_text(door.openai(), "inside", CHART, stream=s) for s in (False, True)}
    assert len(texts) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_the_policy_keeps_inside_is_answered_inside(door: Door, stream: bool) -> None:
    """`local`: asked of the hosted model, answered by the model inside, and the caller is told."""
    before = len(door.received())
    raw = door.openai().chat.completions.with_raw_response.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": CHART}],
        max_tokens=8,
        stream=stream,
    )
    assert raw.headers["x-sovereign-verdict"] == "local"
    assert raw.headers["x-sovereign-destination"] == "inside"
    raw.parse()
    assert len(door.received()) == before


def test_a_killed_engine_is_a_clear_error_and_comes_back(door: Door) -> None:
    """A crash of the model never takes the door with it, and nothing falls back to outside."""
    before = len(door.received())
    for pid in door.engines():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(openai.APIStatusError) as caught:
        for _ in range(50):  # until the death is seen
            openai_text(door.openai(), "inside", CHART, stream=False)
    assert caught.value.status_code in (502, 503)
    error = caught.value.response.json()["error"]
    assert "hint:" in error["message"]
    assert error["code"] in ("upstream_failed", "engine_down")
    end = time.monotonic() + 90
    while True:
        try:
            assert openai_text(door.openai(), "inside", CHART, stream=False).strip()
            break
        except openai.APIStatusError:
            assert time.monotonic() < end, "the engine did not come back"
            time.sleep(0.5)
    assert len(door.received()) == before


def test_the_log_of_all_this_verifies_and_holds_no_word_of_it(door: Door) -> None:
    """The auditor's view: complete, signed, and free of what the records are about."""
    report = verify(door.folder / ".sovereign" / "audit")
    assert report.ok, report
    kept = (
        b"".join(p.read_bytes() for p in (door.folder / ".sovereign").rglob("*") if p.is_file())
        + (door.folder / "gateway.err").read_bytes()
    )
    assert not [part for part in (*SECRET_PARTS, "00482913") if part.encode() in kept]
