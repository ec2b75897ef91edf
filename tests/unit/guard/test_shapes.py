"""What is a constant of a wire, and what only looks like one."""

from __future__ import annotations

import pytest

from sovereign.guard.body import Leaf
from sovereign.guard.shapes import SHAPES, matches
from sovereign.types import Path

CHAT = SHAPES["openai.chat"]


@pytest.mark.parametrize(
    ("path", "text", "constant"),
    [
        (("messages", 0, "role"), "user", True),
        (("messages", 12, "content", 3, "type"), "text", True),
        (("model",), "anything at all", True),
        (("modalities", 0), "text", True),
        (("tools", 0, "function", "parameters", "properties", "a", "type"), "string", True),
        (("messages", 0, "role"), "Maria", False),
        (("messages", "*", "role"), "user", False),
        (("messages", "0", "role"), "user", False),
        (("modalities", "*"), "text", False),
        (("messages", 0, "content", "role"), "user", False),
        (("metadata", "role"), "user", False),
        (("role",), "user", False),
        ((), "user", False),
    ],
)
def test_a_constant_is_one_by_its_path_and_its_value(path: Path, text: str, constant: bool) -> None:
    """A key of the caller's that looks like an index, or like a pattern, is neither."""
    leaf = Leaf(path, text, "text")
    assert CHAT.structural(leaf) is constant
    assert CHAT.free([leaf]) == ([] if constant else [leaf])


def test_a_number_is_no_constant_and_a_key_is_one_by_its_name() -> None:
    """Keys of the wires are a closed vocabulary; whatever else is a key is read."""
    number = Leaf(("messages", 0, "role"), "user", "number")
    known, other = Leaf(("role", -1), "role", "key"), Leaf(("Maria", -1), "Maria", "key")
    assert CHAT.free([number, known, other]) == [number, other]
    assert matches("messages.*.role", ("messages", 3, "role"))
