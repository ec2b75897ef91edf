"""What a proof says, and that it can say three things."""

from __future__ import annotations

import json
import re

from sovereign.prove.report import BAD, FAILED, GOOD, NOTHING, Result, page, verdict
from sovereign.prove.run import Outcome, Proof
from sovereign.prove.suites import Suite


def result(*what: str, suites: tuple[Suite, ...] = (), **proof: object) -> Result:
    outcomes = [Outcome(f"probe-{i}", "places", w, 200) for i, w in enumerate(what)]
    made = Proof(outcomes=outcomes, **proof)  # type: ignore[arg-type]
    return Result("http://door.example", 1, "0", "2026-01-01T00:00:00Z", made, suites, ())


def test_a_leak_counts_before_anything_else() -> None:
    """A broken run that saw a leak is a leak; a run that saw nothing proves nothing."""
    assert verdict(result("held", "refused", "inside")) == GOOD
    assert verdict(result("held", "leaked", "unclear")) == BAD
    assert verdict(result("held", "unclear")) == NOTHING
    assert verdict(result("held", problems=["nothing arrived"])) == NOTHING
    assert verdict(result("held", suites=(Suite("a", "1", False, "leak"),))) == FAILED
    assert verdict(result("held", suites=(Suite("a", "1", None, "broke"),))) == NOTHING
    assert verdict(result("held", suites=(Suite("a", "", None, "not installed"),))) == GOOD


def test_the_page_loads_nothing_escapes_all_and_lists_what_was_not_tested() -> None:
    """It may be mailed around: no script, no reference to anywhere."""
    shown = result("held", "leaked", suites=(Suite("<b>", "1", None, "x < y"),), skipped=["a"])
    html = page(shown)
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=", html)
    assert "&lt;b&gt;" in html
    assert "probe-1" in html
    for line in ("ciphers", "no --anthropic-model", "x &lt; y"):
        assert line in html
    data = json.loads(json.dumps(shown.data()))
    assert data["verdict"] == BAD
    assert data["counts"]["leaked"] == 1
    assert any("Anthropic" in line for line in data["not_tested"])


def test_a_page_that_proves_nothing_says_why() -> None:
    """The names were in a fold of it."""
    html = page(result("held", "unclear"))
    assert "No answer came to 1: places/probe-1" in html
    assert "No answer came" not in page(result("held"))
