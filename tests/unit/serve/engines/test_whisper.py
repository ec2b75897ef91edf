"""The engine that hears, with a tiny model of random weights: what it takes and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import tiny_models
from tiny_models import SPECIAL, recording

from sovereign.config import ModelConfig
from sovereign.errors import ConfigError, ServeError
from sovereign.serve.engines import SingleEngine, whisper
from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.launch import Launch
from sovereign.serve.supervise import Supervisor


@pytest.fixture(scope="session")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.ears(tmp_path_factory.mktemp("ears"))


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(16_000, 1, 2), (44_100, 2, 2), (8_000, 1, 1), (48_000, 6, 4)]
)
def test_a_recording_is_the_same_tone_whatever_it_was_kept_in(
    rate: int, channels: int, width: int
) -> None:
    """Sixteen thousand samples a second, one channel, between -1 and 1."""
    samples = whisper.read_wave(recording(0.5, rate, channels, width))
    assert abs(len(samples) - 8_000) <= 1
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(int(spectrum.argmax()) * 16_000 / len(samples) - 440) < 3
    assert 0.9 < np.abs(samples).max() <= 1.0


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"ID3\x04 an mp3", recording()[:30], recording(0.01, 2_000)]
)
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    """Nothing that decodes other formats is run on what strangers sent."""
    with pytest.raises(BadRequest):
        whisper.read_wave(data)


def test_a_recording_of_hours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded: it is one at a time."""
    monkeypatch.setattr(whisper, "MAX_S", 0.4)
    with pytest.raises(BadRequest, match="at most"):
        whisper.read_wave(recording(0.5))


def test_what_is_not_whisper_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="as Whisper"):
        whisper.load(tmp_path, 1)


def test_adapters_are_refused() -> None:
    with pytest.raises(ConfigError, match="without adapters"):
        SingleEngine("whisper").command(Launch("m", Path("/w"), Path("/s"), {"a": Path("/a")}))


def test_it_hears_behind_its_socket_and_refuses_what_it_would_ignore(
    ears: Path, tmp_path: Path
) -> None:
    """The whole process: supervised, asked as OpenAI's SDK asks, ended without a trace."""
    model = ModelConfig(base="b", engine="whisper", threads=1)
    engine = Supervisor("ears", model, weights=ears, run_dir=tmp_path / "run")
    with engine:
        engine.start(timeout=120)
        transport = httpx2.HTTPTransport(uds=str(engine.socket))
        with httpx2.Client(transport=transport, base_url="http://e/v1", timeout=60) as client:

            def ask(data: bytes | None = None, **fields: str) -> tuple[int, Any]:
                file = {"file": ("a.wav", recording() if data is None else data, "audio/wav")}
                sent = {"model": "ears", **fields}
                answer = client.post("/audio/transcriptions", data=sent, files=file)
                return answer.status_code, answer.text

            status, text = ask()
            assert status == 200
            said = json.loads(text)["text"]
            assert said
            assert not any(mark in said for mark in SPECIAL)
            assert ask(response_format="text", temperature="0") == (200, said)
            assert ask(language="de")[0] == 200
            longer = json.loads(ask(recording(31))[1])["text"]
            assert len(longer.split()) > len(said.split())
            for fields, named in (
                ({"language": "tlh"}, "language"),
                ({"response_format": "srt"}, "response_format"),
                ({"temperature": "0.7"}, "temperature"),
                ({"stream": "true"}, "stream"),
                ({"prompt": "Maria Keller"}, "field"),
                ({"model": "other"}, "ears only"),
            ):
                status, text = ask(**fields)
                assert status in (400, 404)
                assert named in text
                assert "Keller" not in text
            assert ask(b"ID3 no wav")[0] == 400
            assert client.post("/audio/transcriptions", json={}).status_code == 415
            origin = {"Origin": "http://evil"}
            assert client.post("/audio/transcriptions", headers=origin).status_code == 403
            assert client.get("/models").json()["data"][0]["id"] == "ears"
    assert not engine.socket.exists()


def test_weights_that_are_corrupt_are_explained(ears: Path, tmp_path: Path) -> None:
    """In one line, without a traceback."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in ears.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ServeError, match="as Whisper"):
        whisper.load(folder, 1)
