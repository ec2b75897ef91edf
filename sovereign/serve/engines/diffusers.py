"""Makes pictures inside: ``python -m sovereign.serve.engines.diffusers --weights … --socket …``.

A Stable Diffusion pipeline of diffusers in a process of its own, outside every network, with
OpenAI's ``/v1/images/generations`` on one Unix socket. Pictures are PNG, and come in the answer:
nothing is kept.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sovereign.errors import ServeError
from sovereign.serve.engines import single
from sovereign.serve.engines.fields import BadRequest, integer, read_json
from sovereign.serve.engines.http import read
from sovereign.serve.engines.single import Turns
from sovereign.types import JSON

__all__ = ["Asked", "Brush", "Painter", "load", "main", "parse"]

PIPELINES = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline"})
"""Whose prompts are read by tokenizers that say how much they take, so that none is cut."""
LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})
"""Whose classes ``model_index.json`` may name: diffusers imports whatever stands there."""
MAX_BODY = 100_000
MAX_SIDE = 2048
MOST = 4
STEPS = {"low": 10, "auto": 30, "medium": 30, "standard": 30, "high": 50, "hd": 50}
_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})", re.ASCII)
_ONLY = {
    "response_format": ("b64_json",),
    "output_format": ("png",),
    "background": ("auto", "opaque"),
    "moderation": ("auto",),
    "style": (),
}
"""Fields that are accepted with these values only: what comes out is as they say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``size`` is (width, height) in pixels, or the model's own; ``seed`` repeats the
    pictures."""

    prompt: str
    number: int
    size: tuple[int, int] | None
    steps: int
    seed: int | None

    def __repr__(self) -> str:
        return f"Asked({self.number} of {self.size})"


Paint = Callable[[Asked], list[bytes]]


def parse(body: dict[str, JSON], name: str) -> Asked:
    """What ``body`` asks of the model ``name``. Raises :class:`BadRequest`: a field is honoured or
    refused, never ignored."""
    if body.get("model") != name:
        raise BadRequest(f"this engine serves {name} only", code="model_not_found", status=404)
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise BadRequest("prompt must be a text", param="prompt", code="invalid_type")
    for field, values in _ONLY.items():
        if field in body and body[field] not in values:
            allowed = f"only {' or '.join(values)} here" if values else "not served here"
            raise BadRequest(f"{field} is {allowed}", param=field)
    if body.get("stream", False) is not False:
        raise BadRequest("pictures are not streamed here", param="stream")
    if not isinstance(body.get("user", ""), str):
        raise BadRequest("user must be a text", param="user", code="invalid_type")
    steps = STEPS.get(str(body.get("quality", "auto")))
    if steps is None:
        raise BadRequest(f"quality is one of {', '.join(STEPS)}", param="quality")
    known = {"model", "prompt", "n", "size", "quality", "seed", "stream", "user", *_ONLY}
    if body.keys() - known:
        raise BadRequest("a field is not served here", code="unsupported_parameter")
    return Asked(
        prompt=prompt,
        number=integer(body, "n", 1, MOST) or 1,
        size=_size(body.get("size", "auto")),
        steps=steps,
        seed=integer(body, "seed", 0, 2**53),
    )


def _size(text: JSON) -> tuple[int, int] | None:
    if text == "auto":
        return None
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(16 <= side <= MAX_SIDE and side % 8 == 0 for side in sides):
        raise BadRequest(
            f'size is "auto", or WIDTHxHEIGHT in multiples of 8, up to {MAX_SIDE}', param="size"
        )
    return sides


class Brush:
    """The pipeline. For one thread at a time."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __call__(self, asked: Asked) -> list[bytes]:
        """The pictures, as PNG. Raises :class:`BadRequest` for a prompt that would be cut."""
        import torch

        self._fits(asked.prompt)
        width, height = asked.size or (None, None)
        seed = secrets.randbits(48) if asked.seed is None else asked.seed
        made = []
        for number in range(asked.number):  # one by one: so many at once may not fit into memory
            with torch.inference_mode():
                drawn = self._pipeline(
                    prompt=asked.prompt,
                    width=width,
                    height=height,
                    num_inference_steps=asked.steps,
                    generator=torch.Generator().manual_seed(seed + number),
                )
            out = io.BytesIO()
            drawn.images[0].save(out, "PNG")
            made.append(out.getvalue())
        return made

    def _fits(self, prompt: str) -> None:
        """The pipeline cuts what is too long, and writes what it cut into its log."""
        for name in ("tokenizer", "tokenizer_2"):
            tokenizer = getattr(self._pipeline, name, None)
            if tokenizer is None:
                continue
            tokens = len(tokenizer(prompt, truncation=False, verbose=False).input_ids)
            if tokens > tokenizer.model_max_length:
                raise BadRequest(
                    f"the prompt has {tokens} tokens; this model reads "
                    f"{tokenizer.model_max_length}",
                    param="prompt",
                    code="context_length_exceeded",
                )


def load(weights: Path, threads: int) -> Brush:
    """Raises :class:`ServeError`, also without diffusers."""
    _check_index(weights)
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # looks for kernels on a hub
    try:
        import diffusers
    except ImportError:
        raise ServeError(
            "diffusers is not installed", hint="pip install 'sovereign-toolkit[images]'"
        ) from None
    import torch

    from sovereign.serve.engines import model as loader

    torch.set_num_threads(loader.choose_threads(threads))
    diffusers.utils.logging.set_verbosity(50)  # critical: its warnings quote prompts
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            weights, use_safetensors=True, torch_dtype=torch.float32, local_files_only=True
        )
    except Exception as e:  # noqa: BLE001 - its parts raise whatever they like
        raise ServeError(
            f"{weights}: diffusers cannot load it as a pipeline ({type(e).__name__})"
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    if torch.cuda.is_available():
        pipeline.to("cuda")
    return Brush(pipeline)


def _check_index(weights: Path) -> None:
    """Raises :class:`ServeError` for what is no pipeline that is known here."""
    try:
        index = json.loads((weights / "model_index.json").read_bytes())
        kind = str(index["_class_name"])
        parts = {k: v for k, v in index.items() if isinstance(v, list)}
        libraries = {library for library, _ in parts.values()} - {None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ServeError(
            f"{weights}: no sound model_index.json, so it is no pipeline of diffusers"
        ) from None
    if kind not in PIPELINES:
        raise ServeError(
            f"{weights}: its pipeline is not served here",
            hint=f"served are {' and '.join(sorted(PIPELINES))}",
        )
    if not libraries <= LIBRARIES:
        raise ServeError(f"{weights}: model_index.json names code of other libraries")


class Painter:
    """``/v1/images/generations`` of the model ``name``."""

    path = "/v1/images/generations"

    def __init__(self, name: str, paint: Paint) -> None:
        self._name = name
        self._paint = paint

    async def __call__(self, request: Request, turns: Turns) -> Response:
        asked = parse(read_json(await read(request, "application/json", MAX_BODY)), self._name)
        pictures = await turns.take(lambda: self._paint(asked))
        data = [{"b64_json": base64.b64encode(png).decode()} for png in pictures]
        return JSONResponse({"created": int(time.time()), "output_format": "png", "data": data})


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 could not start (one ``error:`` line says why)."""

    def painter(name: str, weights: Path, threads: int) -> Painter:
        return Painter(name, load(weights, threads))

    return single.main("sovereign-engine-diffusers", painter, argv)


if __name__ == "__main__":
    sys.exit(main())
