"""Tags that were made once are the same tags ever after, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sovereign.guard import surrogates
from sovereign.guard.surrogates import Surrogates

KEY, OTHER = b"k" * 32, b"j" * 32


def _tag(key: bytes = KEY, tenant: str = "a", entity: str = "PERSON", value: str = "Ada") -> str:
    return Surrogates(key, tenant, [value]).of(entity, value)


def test_a_remembered_tag_is_that_of_its_key_tenant_entity_and_value() -> None:
    """What is remembered must not cross from one team to another, nor from one kind to another."""
    made = [
        _tag(),
        _tag(key=OTHER),
        _tag(tenant="b"),
        _tag(entity="LOCATION"),
        _tag(value="ADA"),
    ]
    assert len({tag.rpartition("_")[2] for tag in made}) == len(made)
    assert [_tag(), _tag(key=OTHER), _tag(tenant="b")] == made[:3]
    assert made[4][:12] == made[0][:12]  # another spelling of the same


def test_tags_are_the_same_after_they_were_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are kept, no more; who comes later gets what came before."""
    monkeypatch.setattr(surrogates, "TAGS", 2)
    surrogates._TAGS.clear()
    before = [_tag(value=name) for name in ("Ada", "Bea", "Cid")]
    assert len(surrogates._TAGS) == 1
    assert [_tag(value=name) for name in ("Ada", "Bea", "Cid")] == before


@pytest.mark.parametrize(
    "typed", ["{}", "x{}y", "*{}*", "{}\n", "a_b, {}_c", "\ufb01_ {}", "no_{}"], ids=repr
)
@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_a_tag_that_the_caller_typed_is_not_used_again(
    typed: str, case: Callable[[str], str]
) -> None:
    """Whoever saw a tag could ask for the value by it: the next one is taken, each time."""
    first = _tag()
    text = f"Ada, {typed.format(case(first))}"
    again = [Surrogates(KEY, "a", ["Ada", text]).of("PERSON", "Ada") for _ in range(2)]
    assert again[0] == again[1] != first


def test_a_typed_escape_of_the_underscore_is_seen_through() -> None:
    """A reply is restored where Markdown escapes the tag, so it is looked for so, too."""
    first = _tag()
    escaped = first.replace("_", "\\_")
    assert Surrogates(KEY, "a", [f"Ada {escaped}"]).of("PERSON", "Ada") != first
