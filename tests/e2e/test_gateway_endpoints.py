"""Every endpoint beside chat, through a real gateway and unmodified SDKs: read, owned, or
refused."""

from __future__ import annotations

import io
import json
from typing import Any

import anthropic
import openai
import pytest

NAME, MAIL = "Maria Keller", "maria@northvale.example"
OPENAI = {"x-sovereign-destination": "openai"}


@pytest.fixture(scope="module")
def sdk(tiny: Any) -> Any:
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key=tiny.key, max_retries=0, default_headers=OPENAI
    ) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(tiny: Any) -> Any:
    """Another team, with the same destinations."""
    made = tiny.run("keys", "create", "--team", "radiology", "--json")
    key = json.loads(made.stdout)["key"]
    with openai.OpenAI(
        base_url=f"{tiny.url}/v1", api_key=key, max_retries=0, default_headers=OPENAI
    ) as client:
        yield client


def received(tiny: Any) -> bytes:
    return b"\n".join(r["body"] for r in tiny.hosted.received())


def batch(*contents: str, model: str = "gpt-test") -> bytes:
    lines = []
    for number, content in enumerate(contents):
        body = {"model": model, "messages": [{"role": "user", "content": content}]}
        line = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions"}
        lines.append(json.dumps({**line, "body": body}))
    return "\n".join(lines).encode() + b"\n"


def test_a_batch_file_is_read_line_by_line(tiny: Any, sdk: openai.OpenAI) -> None:
    """Each line stays valid JSON; what was in it never left, and the batch may then use the
    file."""
    held = sdk.files.create(
        file=("batch.jsonl", batch("Hello", f"I am {NAME}, {MAIL}")), purpose="batch"
    )
    stored = tiny.hosted.received()[-1]
    assert stored["path"] == "/v1/files"
    assert b"Maria" not in stored["body"]
    assert b"northvale" not in stored["body"]
    content = sdk.files.content(held.id).read()
    assert [json.loads(line)["custom_id"] for line in content.splitlines()] == ["r0", "r1"]
    made = sdk.batches.create(
        input_file_id=held.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert sdk.batches.retrieve(made.id).id == made.id
    assert {r["endpoint"] for r in tiny.records() if "endpoint" in r} >= {
        "openai.files.create",
        "openai.files.content",
        "openai.batches.create",
        "openai.batches.get",
    }


def test_what_one_team_left_does_not_exist_for_another(
    tiny: Any, sdk: openai.OpenAI, stranger: openai.OpenAI
) -> None:
    """By its id, in a list, as a cursor, in a body: all teams share the gateway's key upstream."""
    held = sdk.files.create(file=("notes.txt", b"plain notes"), purpose="user_data")
    before = len(tiny.hosted.received())
    for ask in (
        lambda: stranger.files.retrieve(held.id),
        lambda: stranger.files.content(held.id),
        lambda: stranger.files.delete(held.id),
        lambda: stranger.files.list(after=held.id),
        lambda: stranger.batches.create(
            input_file_id=held.id, endpoint="/v1/chat/completions", completion_window="24h"
        ),
        lambda: stranger.beta.threads.retrieve("thread_000001"),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    assert len(tiny.hosted.received()) == before
    assert held.id in {f.id for f in sdk.files.list()}
    assert [f.id for f in stranger.files.list()] == []
    content: Any = [{"type": "file", "file": {"file_id": held.id}}]
    asked: Any = [{"role": "user", "content": content}]
    assert sdk.chat.completions.create(model="gpt-test", messages=asked).id
    there = len(tiny.hosted.received())
    with pytest.raises(openai.BadRequestError):  # kept inside, where it is no more theirs
        stranger.chat.completions.create(model="gpt-test", messages=asked)
    line = {"custom_id": "r", "method": "POST", "url": "/v1/chat/completions"}
    body = {"model": "gpt-test", "messages": asked}
    lines = ("batch.jsonl", json.dumps({**line, "body": body}).encode())
    with pytest.raises(openai.PermissionDeniedError):  # nor in a batch
        stranger.files.create(file=lines, purpose="batch")
    assert len(tiny.hosted.received()) == there
    assert sdk.files.create(file=lines, purpose="batch").id


def test_a_conversation_that_is_kept_there_goes_on(
    tiny: Any, sdk: openai.OpenAI, stranger: openai.OpenAI
) -> None:
    """Its earlier turns were read when they left; only its own team may go on with it."""
    first = sdk.responses.create(model="gpt-test", input=f"I am {NAME}")
    assert NAME in first.output_text
    more = sdk.responses.create(model="gpt-test", input="And now?", previous_response_id=first.id)
    assert more.id
    sent = json.loads(tiny.hosted.received()[-1]["body"])
    assert sent["previous_response_id"] == first.id
    before = len(tiny.hosted.received())
    for previous in (first.id, "resp_of_nobody"):
        with pytest.raises(openai.BadRequestError):
            stranger.responses.create(
                model="gpt-test", input="And now?", previous_response_id=previous
            )
    stored: Any = [{"id": first.output[0].id}]  # without a type it is a reference
    with pytest.raises(openai.BadRequestError):
        stranger.responses.create(model="gpt-test", input=stored)
    assert len(tiny.hosted.received()) == before
    events = sdk.responses.create(model="gpt-test", input="Hello", stream=True)
    streamed = next(e.response for e in events if e.type == "response.created")
    again = sdk.responses.create(model="gpt-test", input="More", previous_response_id=streamed.id)
    assert again.id
    stored.append({"role": "user", "content": "More"})
    assert sdk.responses.create(model="gpt-test", input=stored).id


def test_tuning_at_a_hosted_api_is_refused_with_a_hint(tiny: Any, sdk: openai.OpenAI) -> None:
    """Its rows would stay in somebody else's weights."""
    before = len(tiny.hosted.received())
    with pytest.raises(openai.PermissionDeniedError, match="sovereign tune"):
        sdk.files.create(file=("rows.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    with pytest.raises(openai.APIStatusError):
        sdk.fine_tuning.jobs.create(training_file="file-000001", model="gpt-test")
    assert len(tiny.hosted.received()) == before


def test_threads_and_stores_are_read_and_owned(tiny: Any, sdk: openai.OpenAI) -> None:
    """Assistants, threads, messages, runs, vector stores: a value in any of their leaves is taken
    out."""
    helper = sdk.beta.assistants.create(model="gpt-test", instructions=f"Help {NAME}")
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": f"I am {NAME}"}])
    sdk.beta.threads.messages.create(thread.id, role="user", content=f"write to {MAIL}")
    run = sdk.beta.threads.runs.create(thread.id, assistant_id=helper.id)
    assert sdk.beta.threads.runs.retrieve(run.id, thread_id=thread.id).id == run.id
    store = sdk.vector_stores.create(name=f"of {NAME}", metadata={"owner": MAIL})
    sdk.vector_stores.search(store.id, query=f"who is {NAME}?")
    talk = sdk.conversations.create(
        items=[{"type": "message", "role": "user", "content": f"I am {NAME}"}]
    )
    assert talk.id
    sent = received(tiny)
    assert b"Maria" not in sent
    assert b"northvale" not in sent
    betas = dict(tiny.hosted.received()[-4]["headers"])
    assert betas.get("openai-beta", "assistants=v2") == "assistants=v2"


def test_speech_and_pictures(tiny: Any, sdk: openai.OpenAI) -> None:
    """Sound comes back as bytes; a prompt is read; a recording is not sent unheard."""
    said = sdk.audio.speech.create(model="gpt-test", voice="alloy", input=f"Dear {NAME}")
    assert said.read() == b"RIFFsound"
    assert sdk.images.generate(model="gpt-test", prompt=f"a portrait of {NAME}").data
    assert sdk.moderations.create(model="gpt-test", input=NAME).id
    assert b"Maria" not in received(tiny)
    before = len(tiny.hosted.received())
    with pytest.raises(openai.APIStatusError):
        sdk.audio.transcriptions.create(model="gpt-test", file=("a.wav", b"RIFF....WAVEdata"))
    with pytest.raises(openai.APIStatusError):
        sdk.images.edit(model="gpt-test", image=io.BytesIO(b"\x89PNG\r\n\x1a\nx"), prompt="redder")
    assert len(tiny.hosted.received()) == before


def test_anthropic_batches_and_files(tiny: Any) -> None:
    """Every request of a batch is read; flags of the API pass if they are known."""
    client = anthropic.Anthropic(base_url=tiny.url, api_key=tiny.key, max_retries=0)
    params: Any = {
        "model": "claude-test",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": f"I am {NAME}"}],
    }
    made = client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    assert client.messages.batches.retrieve(made.id).id == made.id
    held = client.beta.files.upload(file=("notes.txt", f"by {NAME}".encode(), "text/plain"))
    assert client.beta.files.retrieve_metadata(held.id).id == held.id
    assert b"Maria" not in received(tiny)
    assert dict(tiny.hosted.received()[-1]["headers"])["anthropic-beta"] == "files-api-2025-04-14"


REFUSED = {
    "an upload in pieces": ("POST", "/v1/uploads", 404, "unknown_endpoint"),
    "realtime": ("GET", "/v1/realtime", 404, "unknown_endpoint"),
    "videos": ("POST", "/v1/videos", 404, "unknown_endpoint"),
    "an id that leads elsewhere": ("GET", "/v1/files/..%2fmodels", 404, "unknown_endpoint"),
    "an id with a name in it": ("GET", "/v1/files/Maria%20Keller", 404, "unknown_endpoint"),
    "an id of nobody": ("GET", "/v1/files/file-nobodys", 404, "not_found"),
    "a cursor of nobody": ("GET", "/v1/files?after=file-nobodys", 404, "not_found"),
    "a parameter that is not known": ("GET", "/v1/files?note=Maria", 400, "unreadable"),
    "a parameter that says something else": ("GET", "/v1/files?limit=Maria", 400, "unreadable"),
    "a name where a field is asked for": (
        "GET",
        "/v1/files?include=maria.keller",
        400,
        "unreadable",
    ),
    "a body where none belongs": ("DELETE", "/v1/files/file-1", 404, "not_found"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(tiny: Any, what: str) -> None:
    """Recorded, shaped, nothing sent, nothing repeated."""
    method, path, status, code = REFUSED[what]
    before = len(tiny.hosted.received())
    answer = tiny.ask(b"", path, method=method, headers=OPENAI)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert "Maria" not in answer.body.decode()
    record = tiny.wait_for(answer.request, "request.refusal")
    assert record["code"] == code
    assert len(tiny.hosted.received()) == before
