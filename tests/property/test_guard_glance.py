"""Laws of the glance: what it rules out, no pattern finds."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.guard import decode, disguise
from sovereign.guard.glance import Glance

SIGNS = st.sampled_from(
    [*"0123456789aAfFxXOoIl.,:-_/\\ \t\n@\u00b7\u00a0\u2003\u2028\u0664x\u00e9\u2026\ud800",
     "0x4d", "77 ", "moc.", "512-47", "4d 61 ", " a b ", "ln.", "1.2.3", "base64stuff"]
)  # fmt: skip
TEXTS = st.lists(SIGNS, max_size=60).map("".join)

LOOKS: dict[str, re.Pattern[str]] = {
    "pairs": decode._PAIRS,
    "spaced": decode._SPACED,
    "apart": disguise._APART,
    "codes": disguise._CODES,
    "backwards": disguise._BACKWARDS,
    "mirrored": disguise._MIRRORED,
    "alike": disguise._LIKENED,
}


@given(TEXTS)
@settings(max_examples=1500, deadline=None)
def test_what_a_glance_rules_out_no_pattern_finds(text: str) -> None:
    """A glance that were stricter than its pattern would let a disguise through."""
    glance = Glance(text)
    for look, pattern in LOOKS.items():
        made = [pattern_makes(look, match) for match in pattern.finditer(text)]
        if any(made):
            assert getattr(glance, look)(), look


def pattern_makes(look: str, match: re.Match[str]) -> bool:
    """Whether the pattern's match would become a segment at all."""
    return look != "alike" or disguise._likened(match) is not None


@given(st.text(alphabet="abcXYZ019+/_-= ?\u00e9\u4e2d", max_size=80))
@settings(max_examples=500, deadline=None)
def test_a_text_without_a_long_run_has_no_run_of_base64(text: str) -> None:
    """The runs are looked through only where the glance shows one."""
    glance = Glance(text)
    assert glance.run() or not list(decode._runs(glance.raw))
