"""What the policy keeps inside has somewhere to go: recordings and pictures to engines here."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import tiny_models
from PIL import Image

INSIDE = """
[models.ears]
base = "ears"
engine = "whisper"
threads = 1
[models.brush]
base = "brush"
engine = "diffusers"
threads = 1
"""
ROLES = """
[gateway.local_models]
transcriptions = "ears"
images = "brush"
"""


@pytest.fixture(scope="module")
def gateway(gateway_at: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = gateway_at(tiny=True, more=INSIDE + ROLES)
    for name, make in (("ears", tiny_models.ears), ("brush", tiny_models.brush)):
        folder: Path = make(tmp_path_factory.mktemp(name))
        imported = made.run("weights", "import", str(folder), "--name", name)
        assert imported.returncode == 0, imported.stderr
    return made.start(timeout=180)


@pytest.fixture
def sdk(gateway: Any) -> Any:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


def rerouted(gateway: Any, answer: Any, to: str) -> None:
    """Answered inside, said so in the headers and in the log; the hosted side heard nothing."""
    assert answer.headers["x-sovereign-verdict"] == "local"
    assert answer.headers["x-sovereign-destination"] == to
    request = answer.headers["x-sovereign-request"]
    record = gateway.wait_for(request, "request.intent")
    assert (record["rerouted"], record["destination"]) == (True, to)
    assert request not in gateway.hosted.ids()


def test_a_recording_that_nobody_could_hear_is_transcribed_inside(
    gateway: Any, sdk: openai.OpenAI
) -> None:
    """It was asked of a hosted model; without a transcriber the guard cannot read it."""
    answer = sdk.audio.transcriptions.with_raw_response.create(
        model="gpt-test", file=("a.wav", tiny_models.recording())
    )
    rerouted(gateway, answer, "ears")
    assert answer.parse().text


def test_a_picture_whose_prompt_stays_inside_is_painted_inside(
    gateway: Any, sdk: openai.OpenAI
) -> None:
    answer = sdk.images.with_raw_response.generate(
        model="gpt-test", prompt="KEEPINSIDE a mill", quality="low"
    )
    rerouted(gateway, answer, "brush")
    data = answer.parse().data
    assert data is not None
    assert data[0].b64_json


def test_a_seed_repeats_and_no_prompt_is_cut(gateway: Any, sdk: openai.OpenAI) -> None:
    """The pipeline would cut a long prompt, and write what it cut into its log."""

    def pixels(number: int, seed: int) -> list[bytes]:
        made = sdk.images.generate(
            model="brush",
            prompt="a mill",
            n=number,
            quality="low",
            size="32x16",  # type: ignore[call-overload]
            extra_body={"seed": seed},
        )
        found = []
        for item in made.data:
            with Image.open(io.BytesIO(base64.b64decode(item.b64_json))) as picture:
                assert (picture.format, picture.size) == ("PNG", (32, 16))
                found.append(picture.tobytes())
        return found

    first, second = pixels(2, 7)
    assert first != second
    assert pixels(1, 7) == [first]
    assert pixels(1, 9) != [first]
    with pytest.raises(openai.BadRequestError, match="reads 8") as cut:
        sdk.images.generate(model="brush", prompt="Keller " * 30)
    assert cut.value.code == "context_length_exceeded"
    assert "Keller" not in gateway.stderr()


def test_an_engine_is_asked_only_for_what_it_does(gateway: Any, sdk: openai.OpenAI) -> None:
    """By name it is a destination like any other; a chat with it is refused before it is sent."""
    heard = sdk.audio.transcriptions.create(
        model="ears", file=("a.wav", tiny_models.recording()), language="de"
    )
    assert heard.text
    with pytest.raises(openai.BadRequestError, match="no such endpoint"):
        sdk.chat.completions.create(model="ears", messages=[{"role": "user", "content": "Hello"}])
    refused = gateway.ask(
        {"model": "ears", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]},
        "/v1/messages",
    )
    assert refused.status == 400
    with pytest.raises(openai.BadRequestError, match="not served here"):
        sdk.images.generate(model="gpt-test", prompt="KEEPINSIDE a mill", style="vivid")


def test_without_a_model_for_it_nothing_leaves(tiny: Any) -> None:
    """``local_model`` is a model of language: it is not asked to hear."""
    with (
        openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=tiny.key, max_retries=0) as client,
        pytest.raises(openai.PermissionDeniedError, match=r"no local model") as refused,
    ):
        client.audio.transcriptions.create(
            model="gpt-test", file=("a.wav", tiny_models.recording())
        )
    request = refused.value.response.headers["x-sovereign-request"]
    assert request not in tiny.hosted.ids() | tiny.local.ids()
