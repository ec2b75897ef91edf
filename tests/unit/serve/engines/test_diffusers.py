"""The engine that paints: what it takes and refuses. Behind a gateway, it paints in
tests/e2e/test_gateway_reroutes.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sovereign.errors import ServeError
from sovereign.serve.engines import diffusers
from sovereign.serve.engines.fields import BadRequest

GOOD: dict[str, Any] = {"model": "m", "prompt": "a mill"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "other"),
        ("prompt", ""),
        ("prompt", [1, 2]),
        ("n", 5),
        ("n", True),
        ("size", "15x16"),
        ("size", "4096x4096"),
        ("size", 512),
        ("quality", "best"),
        ("style", "vivid"),
        ("response_format", "url"),
        ("output_format", "jpeg"),
        ("background", "transparent"),
        ("moderation", "low"),
        ("stream", True),
        ("user", 7),
        ("seed", -1),
        ("input_fidelity", "high"),
    ],
)
def test_a_field_that_would_be_ignored_is_refused(field: str, value: object) -> None:
    """By its name, without what was said in it."""
    with pytest.raises(BadRequest) as refused:
        diffusers.parse({**GOOD, field: value}, "m")
    assert refused.value.status in (400, 404)
    assert "mill" not in refused.value.message


def test_what_is_asked_for_is_read() -> None:
    """Quality is how many steps are taken."""
    asked = diffusers.parse({**GOOD, "n": 2, "size": "64x32", "quality": "low", "seed": 3}, "m")
    assert (asked.number, asked.size, asked.steps, asked.seed) == (2, (64, 32), 10, 3)
    assert "mill" not in repr(asked)
    assert diffusers.parse(GOOD, "m").size is None


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "no pipeline"),
        ({"_class_name": ["x", "Y"]}, "not served"),
        ({"_class_name": "FluxPipeline"}, "not served"),
        ({"_class_name": "StableDiffusionPipeline", "unet": ["os", "system"]}, "other libraries"),
    ],
)
def test_a_pipeline_that_names_other_code_is_not_loaded(
    tmp_path: Path, index: dict[str, Any] | None, said: str
) -> None:
    """diffusers imports whatever ``model_index.json`` names."""
    if index is not None:
        (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ServeError, match=said):
        diffusers.load(tmp_path, 1)
