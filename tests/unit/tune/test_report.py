"""The page of a run: curves and numbers, nothing beside it, and no text that could run."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sovereign.tune.record import RunRecord
from sovereign.tune.report import curve_of, page

CURVE = [
    {"step": 1, "loss": 3.0},
    {"step": 2, "loss": 2.0, "eval_loss": 2.5},
    {"step": 3, "loss": 1.0, "eval_loss": 1.5},
]


def _made(**more: Any) -> RunRecord:
    data: dict[str, Any] = {
        "recipe": "r",
        "begun": "2026-11-26T12:00:00Z",
        "ended": "2026-11-26T12:01:00Z",
        "base": {"name": "smol", "digest": "ab" * 32},
        "data": {"train": {"sha256": "cd" * 32, "read": 10, "used": 8}},
        "roll": {"root": "12" * 32, "keys": 8},
        "private": {"action": "allow", "reason": "<script>x</script>", "rows": 2, "entities": {}},
        "privacy": {"epsilon": "none"},
        "general": None,
        "memorization": {
            "exposure": [{"copies": 10, "canaries": 8, "mean": 6.7, "low": 6.1, "high": 7.3}],
            "p": 0.0001,
            "extraction": {"probed": 5, "extracted": 1, "at_most": 0.7},
            "membership": None,
        },
        "training": {"steps": 3, "loss_first": 3.0, "loss_last": 1.0, "tokens": 9, "seconds": 1.0},
        "evaluation": {"before": {"exact": 0, "rows": 54}, "after": {"exact": 48, "rows": 54}},
        "hyperparameters": {"lora": {"r": 8}, "train": {"lr": 0.001}, "eval": {"every": 2}},
        "adapter": {"digest": "ef" * 32},
    }
    return RunRecord(data | more)


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(v) for k, v in attrs if k in ("href", "src")]


def test_the_page_shows_both_curves_and_scores_with_intervals() -> None:
    """Two lines, a dot for each look at the held-out rows; 48 of 54 is 78 % to 95 %."""
    html = page(_made(), CURVE)
    seen = Seen()
    seen.feed(html)
    assert seen.tags.count("polyline") == seen.tags.count("circle") == 2
    assert "89% (78% to 95%)" in html
    assert "p = 0.0001" in html


def test_nothing_runs_and_nothing_is_fetched() -> None:
    """A reason for allowing personal data is text that a person typed."""
    html = page(_made(), CURVE)
    seen = Seen()
    seen.feed(html)
    assert "script" not in seen.tags
    assert seen.links == []
    assert "http" not in html


def test_a_run_of_one_step_without_evaluation_has_a_page(tmp_path: Path) -> None:
    """As a first try has."""
    (tmp_path / "m.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    html = page(_made(evaluation=None, memorization=None), curve_of(tmp_path / "m.jsonl"))
    assert "not measured" in html
