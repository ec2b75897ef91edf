"""Nothing but the answers is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sovereign import recipes
from sovereign.errors import TuneError
from sovereign.tune.data import IGNORED, Chat, encode, mask
from sovereign.tune.rows import Row, read_rows
from sovereign.weights.store import Store

U, A, S = (
    {"role": "user", "content": "Where is Ward 7?"},
    {"role": "assistant", "content": "Level 2"},
    {"role": "system", "content": "Be short."},
)
SECRET = "Zwiebelkuchen"


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_only_answers_and_their_end_tokens_are_learnt(letters: Any) -> None:
    """Token by token, over two turns and a system message."""
    row = Row(1, (S, U, A, turn("user", "And 8?"), turn("assistant", "Level 3")))
    example = mask(row, letters)
    text = letters.render(row.messages, prompt=False)
    learnt = [chr(i) if label != IGNORED else "·" for i, label in zip(*both(example), strict=True)]
    dots = lambda s: "·" * len(s)  # noqa: E731
    assert "".join(learnt) == (
        dots("s:Be short.\x01\n" + "u:Where is Ward 7?\x01\n" + "a:")
        + "Level 2\x01"
        + dots("\n" + "u:And 8?\x01\n" + "a:")
        + "Level 3\x01"
        + dots("\n")
    )
    assert len(example.ids) == len(text)


def both(example: Any) -> tuple[Sequence[int], Sequence[int]]:
    return example.ids, example.labels


def test_a_template_that_changes_earlier_turns_is_refused(letters: Any) -> None:
    """Qwen3 drops the thinking of earlier answers: what was learnt there would never be asked."""

    class Forgetful(type(letters)):  # type: ignore[misc]
        def render(self, messages: Any, *, prompt: bool, tools: Any = ()) -> str:
            text = super().render(messages, prompt=prompt)
            return text if len(messages) < 3 else text.replace("Level 2", "…")

    row = Row(1, (U, A, U, A))
    with pytest.raises(TuneError, match="message 2: the template renders its prompt differently"):
        mask(row, Forgetful())
    mask(Row(1, (U, A)), Forgetful())


def test_a_token_over_the_border_of_prompt_and_answer_is_refused(letters: Any) -> None:
    """The server's prompt would end in another token than the one that training saw."""

    class Merging(type(letters)):  # type: ignore[misc]
        def tokens(self, text: str) -> list[int]:
            return [ord(c) for c in text.replace(":L", "#")]

    with pytest.raises(TuneError, match="message 2: a token straddles"):
        mask(Row(1, (U, A)), Merging())


def test_a_template_without_an_end_token_is_refused(letters: Any) -> None:
    """The model would never learn to stop."""

    class Endless(type(letters)):  # type: ignore[misc]
        stops = frozenset({2})

    with pytest.raises(TuneError, match="message 2: the template ends the answer with no end"):
        mask(Row(1, (U, A)), Endless())


@pytest.mark.parametrize("i", [0, 1])
def test_a_control_token_in_the_text_of_a_row_is_refused(letters: Any, i: int) -> None:
    """It would end the turn, or begin another in the assistant's name."""
    messages = [dict(U), dict(A)]
    messages[i]["content"] += "\x01"
    with pytest.raises(TuneError, match=f"message {i + 1}: its text holds a control token"):
        mask(Row(1, tuple(messages)), letters)


def test_over_long_rows_are_refused_dropped_or_cut_as_the_recipe_says(
    jsonl: Any, letters: Any
) -> None:
    """By default they are an error; what else happens is asked for, and counted."""
    short = {"messages": [U, A]}
    long = {"messages": [U, turn("assistant", "x" * 50)]}
    unanswered = {"messages": [turn("user", "y" * 60), A]}
    rows, _ = read_rows(jsonl(short, long, unanswered))
    with pytest.raises(TuneError, match=r":2: 74 tokens, over train\.max_length 40"):
        encode(rows, letters, where="rows.jsonl", max_length=40)
    dropped = encode(rows, letters, where="rows.jsonl", max_length=40, over_long="drop")
    assert (len(dropped.examples), dropped.dropped) == (1, 2)
    cut = encode(rows, letters, where="rows.jsonl", max_length=40, over_long="truncate")
    assert (len(cut.examples), cut.truncated, cut.dropped) == (2, 1, 1)
    assert cut.longest == 40
    assert all(e.learnt for e in cut.examples)
    with pytest.raises(TuneError, match="every row is over"):
        encode(rows, letters, where="rows.jsonl", max_length=5, over_long="drop")


@pytest.mark.model
def test_the_real_template_masks_as_it_will_be_asked(model_store: Store) -> None:
    """With SmolLM2's own tokenizer: what is not learnt is exactly the prompt that serving sends,
    and what is learnt decodes to the answer and its end token."""
    from transformers import AutoTokenizer

    entry = model_store.entry("smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(model_store.folder(entry))
    chat = Chat(tokenizer, frozenset({tokenizer.eos_token_id}))
    file = recipes.root() / "scenarios" / "healthcare" / "train.jsonl"
    rows, _ = read_rows(file)
    data = encode(rows, chat, where="rows.jsonl", max_length=128)
    for row, example in zip(rows, data.examples, strict=True):
        first = next(k for k, label in enumerate(example.labels) if label != IGNORED)
        served = tokenizer.apply_chat_template(
            list(row.messages[:-1]), add_generation_prompt=True, return_dict=False
        )
        assert list(example.ids[:first]) == served
        learnt = [label for label in example.labels if label != IGNORED]
        assert tokenizer.decode(learnt) == row.messages[-1]["content"] + "<|im_end|>"
        assert example.labels[first : first + len(learnt)] == tuple(learnt)
    with pytest.raises(TuneError, match="control token"):
        mask(Row(1, (turn("user", "<|im_end|>"), A)), chat)


def test_a_text_is_learnt_whole_and_split_where_it_is_too_long(letters: Any) -> None:
    """Every token and the end; the pieces of a long one hold each token once. A chat is not split:
    its answer would lose its question."""
    text = Row(1, ({"role": "text", "content": "abcdef"},))
    (whole,) = encode([text], letters, where="f", max_length=10).examples
    assert whole.labels == whole.ids == (*map(ord, "abcdef"), 1)
    made = encode([text], letters, where="f", max_length=3, over_long="split")
    assert [e.ids for e in made.examples] == [tuple(map(ord, "abc")), tuple(map(ord, "def"))]
    chat = Row(2, (turn("user", "where?"), turn("assistant", "there")))
    with pytest.raises(TuneError, match=r"over train\.max_length"):
        encode([chat], letters, where="f", max_length=3, over_long="split")
