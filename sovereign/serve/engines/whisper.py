"""Hears recordings inside: ``python -m sovereign.serve.engines.whisper --weights … --socket …``.

transformers' Whisper in a process of its own, outside every network, with OpenAI's
``/v1/audio/transcriptions`` on one Unix socket. It reads WAV (PCM) itself and runs no decoder of
other formats: those are large programs that read what strangers sent.
"""

from __future__ import annotations

import io
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sovereign.errors import ServeError, SovereignError
from sovereign.guard import form
from sovereign.serve.engines import single
from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.engines.http import read
from sovereign.serve.engines.single import Turns

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Ears", "Heard", "load", "main", "read_wave"]

RATE = 16_000
"""Samples a second that Whisper hears."""
WINDOW_S = 30
MAX_BODY = 50_000_000
MAX_S = 3600.0

Hear = Callable[["np.ndarray[Any, Any]", str | None], str]


class Heard:
    """The model: a recording, window by window. For one thread at a time."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor

    def __call__(self, samples: np.ndarray[Any, Any], language: str | None) -> str:
        """The words in ``samples``, mono at :data:`RATE`. Raises :class:`BadRequest` for a language
        that the model does not know."""
        import torch

        asked: dict[str, Any] = {"do_sample": False, "num_beams": 1}
        if language is not None:
            known = getattr(self._model.generation_config, "lang_to_id", None) or {}
            if f"<|{language}|>" not in known:
                raise BadRequest("this model does not know the language", param="language")
            asked["language"] = language
        said = []
        with torch.inference_mode():
            for at in range(0, max(len(samples), 1), RATE * WINDOW_S):
                window = samples[at : at + RATE * WINDOW_S]
                features = self._processor.feature_extractor(
                    window, sampling_rate=RATE, return_tensors="pt"
                ).input_features.to(self._model.dtype)
                tokens = self._model.generate(features, **asked)
                text = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
                said.append(text[0].strip())
        return " ".join(part for part in said if part)


def load(weights: Path, threads: int) -> Heard:
    """Raises :class:`ServeError`."""
    import torch
    from safetensors import SafetensorError
    from transformers import (
        AutoTokenizer,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    from sovereign.serve.engines import model as loader

    torch.set_num_threads(loader.choose_threads(threads))
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            weights, use_safetensors=True, dtype=torch.float32, **local
        )
        extractor = WhisperFeatureExtractor.from_pretrained(weights, **local)
        processor = WhisperProcessor(extractor, AutoTokenizer.from_pretrained(weights, **local))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as e:
        raise ServeError(
            f"{weights}: transformers cannot load it as Whisper ({type(e).__name__})"
        ) from None
    model.eval()
    return Heard(model, processor)


def read_wave(data: bytes) -> np.ndarray[Any, Any]:
    """The samples of a WAV file: mono, float32 in [-1, 1], at :data:`RATE`. Raises
    :class:`BadRequest`."""
    import numpy as np

    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.getnframes()
            if not (1 <= channels <= 8 and 4_000 <= rate <= 192_000 and frames <= MAX_S * rate):
                raise BadRequest(f"a recording has at most {MAX_S:g} seconds", param="file")
            raw = file.readframes(frames)
    except (wave.Error, EOFError, ValueError):
        raise BadRequest(
            "this engine reads WAV files with PCM samples only",
            param="file",
            code="unsupported_format",
        ) from None
    if width not in (1, 2, 4):
        raise BadRequest("samples have 8, 16 or 32 bits", param="file", code="unsupported_format")
    raw = raw[: len(raw) - len(raw) % (width * channels)]
    kind = np.dtype({1: "u1", 2: "<i2", 4: "<i4"}[width])
    samples: np.ndarray[Any, Any] = np.frombuffer(raw, dtype=kind).astype(np.float32)
    samples = (samples - 128) / 128 if width == 1 else samples / float(2 ** (8 * width - 1))
    samples = samples.reshape(-1, channels).mean(axis=1)
    if rate != RATE and len(samples):
        at = np.arange(0, len(samples), rate / RATE)
        samples = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return samples


class Ears:
    """``/v1/audio/transcriptions`` of the model ``name``."""

    path = "/v1/audio/transcriptions"

    def __init__(self, name: str, hear: Hear) -> None:
        self._name = name
        self._hear = hear

    async def __call__(self, request: Request, turns: Turns) -> Response:
        raw = await read(request, "multipart/form-data", MAX_BODY)
        try:
            body = form.read(raw, request.headers["content-type"])
        except SovereignError as e:
            raise BadRequest(e.message) from None
        data, language, plain = self._asked(body)
        text = await turns.take(lambda: self._hear(read_wave(data), language))
        return PlainTextResponse(text) if plain else JSONResponse({"text": text})

    def _asked(self, body: form.Form) -> tuple[bytes, str | None, bool]:
        """The file, the language, and whether text is wanted in place of JSON. Each other field is
        refused: none is ignored."""
        upload = body.get("file")
        if not isinstance(upload, form.Upload):
            raise BadRequest("the form holds no file", param="file")
        if body.get("model") != self._name:
            raise BadRequest(
                f"this engine serves {self._name} only", code="model_not_found", status=404
            )
        if body.get("response_format", "json") not in ("json", "text"):
            raise BadRequest("response_format is json or text here", param="response_format")
        if body.get("temperature", "0") not in ("0", "0.0"):
            raise BadRequest("nothing is sampled here", param="temperature")
        if body.get("stream", "false") != "false":
            raise BadRequest("transcriptions are not streamed here", param="stream")
        known = {"file", "model", "response_format", "temperature", "stream", "language"}
        if body.keys() - known:
            raise BadRequest("a field is not served here", code="unsupported_parameter")
        language = body.get("language")
        if language is not None and not isinstance(language, str):
            raise BadRequest("language is a text", param="language")
        return upload.data, language, body.get("response_format") == "text"


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 could not start (one ``error:`` line says why)."""

    def ears(name: str, weights: Path, threads: int) -> Ears:
        return Ears(name, load(weights, threads))

    return single.main("sovereign-engine-whisper", ears, argv)


if __name__ == "__main__":
    sys.exit(main())
