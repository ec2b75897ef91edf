"""Turns rows into tokens of which only the answers are learnt.

What is masked is decided by rendering: the prompt of each answer is rendered as
the server will render it, and must be a prefix, text and tokens, of the whole conversation.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sovereign.errors import TuneError
from sovereign.tune.calls import spoken, turn_of
from sovereign.tune.rows import Message, Row
from sovereign.tune.spool import Spool
from sovereign.turns import Tool, for_template, wire

__all__ = [
    "IGNORED",
    "Chat",
    "Dataset",
    "Example",
    "Template",
    "answer",
    "encode",
]

IGNORED = -100
"""The label of a token that is not learnt, as in torch's cross entropy."""

OverLong = Literal["raise", "drop", "truncate", "split"]


class Template(Protocol):
    """What a tokenizer and its chat template do."""

    @property
    def stops(self) -> frozenset[int]: ...

    @property
    def controls(self) -> tuple[str, ...]: ...

    def render(
        self, messages: Sequence[Message], *, prompt: bool, tools: Sequence[Tool] = ()
    ) -> str: ...

    def tokens(self, text: str) -> list[int]: ...

    def document(self, text: str) -> list[int]:
        """A whole text, with the tokens that stand around one."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens and labels of one row, of equal length; a label is :data:`IGNORED` or its token."""

    line: int
    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def learnt(self) -> int:
        return sum(label != IGNORED for label in self.labels)

    def __repr__(self) -> str:
        return f"Example(line={self.line}, tokens={len(self.ids)}, learnt={self.learnt})"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The examples that are trained on, and how many rows were too long for it. ``units`` has a
    number for each: those of one ``group`` (a patient, an account) share it. Without it, each
    example stands for itself."""

    examples: Sequence[Example]
    dropped: int = 0
    truncated: int = 0
    units: Sequence[int] = ()

    @property
    def tokens(self) -> int:
        return sum(len(e.ids) for e in self.examples)

    @property
    def learnt(self) -> int:
        return sum(e.learnt for e in self.examples)

    @property
    def longest(self) -> int:
        return max(len(e.ids) for e in self.examples)

    def __repr__(self) -> str:
        return f"Dataset({len(self.examples)}, dropped={self.dropped}, cut={self.truncated})"


class Chat:
    """A :class:`Template` over a transformers tokenizer."""

    def __init__(self, tokenizer: Any, stops: frozenset[int]) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise TuneError(
                "the model has no chat template",
                hint="take an instruct model, or add chat_template.jinja and import it again",
            )
        self._tokenizer = tokenizer
        self._stops = stops

    @property
    def stops(self) -> frozenset[int]:
        return self._stops

    @property
    def controls(self) -> tuple[str, ...]:
        return tuple(self._tokenizer.all_special_tokens)

    def render(
        self, messages: Sequence[Message], *, prompt: bool, tools: Sequence[Tool] = ()
    ) -> str:
        turns, told = for_template(
            [turn_of(m) for m in messages], tools, str(self._tokenizer.chat_template)
        )
        try:
            text = self._tokenizer.apply_chat_template(
                [wire(t) for t in turns], tools=told, tokenize=False, add_generation_prompt=prompt
            )
        except Exception as e:  # noqa: BLE001 - a template may raise anything, with text in it
            raise TuneError(f"the chat template refuses it ({type(e).__name__})") from None
        return str(text)

    def tokens(self, text: str) -> list[int]:
        # The template has written the special tokens already; a second BOS would be a third.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def document(self, text: str) -> list[int]:
        # As the engine reads a raw prompt, and then the end.
        ids = list(self._tokenizer(text)["input_ids"])
        end = self._tokenizer.eos_token_id
        return ids if ids[-1:] == [end] else [*ids, end]


def encode(
    rows: Iterable[Row],
    template: Template,
    *,
    where: str,
    max_length: int,
    over_long: OverLong = "raise",
) -> Dataset:
    """Render, tokenise and mask every row. ``where`` is the file that errors name. Raises
    :class:`TuneError`."""
    examples = Spool(_write, _read)
    groups: dict[str, int] = {}
    units = array("L")
    dropped = truncated = 0
    for row in rows:
        try:
            example = mask(row, template)
        except TuneError as e:
            raise TuneError(f"{where}:{row.line}: {e.message}", hint=e.hint) from None
        if len(example.ids) > max_length:
            if over_long == "split" and row.is_text:
                examples.extend(_parts(example, max_length))
                units.extend([_unit(row, len(units), groups)] * (len(examples) - len(units)))
                continue
            if over_long in ("raise", "split"):
                raise TuneError(
                    f"{where}:{row.line}: {len(example.ids)} tokens, over train.max_length "
                    f"{max_length}",
                    hint='raise it, or set train.over_long = "drop" or "truncate"; a text can '
                    'be "split"',
                )
            if over_long == "truncate":
                example = Example(row.line, example.ids[:max_length], example.labels[:max_length])
            if over_long == "drop" or not example.learnt:
                dropped += 1
                continue
            truncated += 1
        units.append(_unit(row, len(examples), groups))
        examples.append(example)
    if not examples:
        raise TuneError(
            f"{where}: every row is over train.max_length {max_length}", hint="raise it"
        )
    return Dataset(examples, dropped, truncated, units)


def _unit(row: Row, at: int, groups: dict[str, int]) -> int:
    """Of the row whose first example is number ``at``."""
    return at if row.group is None else groups.setdefault(row.group, at)


def answer(row: Row, template: Template, at: int = -1) -> tuple[str, str]:
    """The prompt of the assistant's message ``at`` as text, and what the model says after it."""
    at %= len(row.messages)
    prompt = template.render(row.messages[:at], prompt=True, tools=row.tools)
    turn = template.render(row.messages[: at + 1], prompt=False, tools=row.tools)
    return prompt, turn.removeprefix(prompt)


def _write(example: Example) -> bytes:
    return array("i", [example.line, *example.ids, *example.labels]).tobytes()


def _read(data: bytes) -> Example:
    numbers = array("i", data).tolist()
    half = (len(numbers) + 1) // 2
    return Example(numbers[0], tuple(numbers[1:half]), tuple(numbers[half:]))


def _parts(example: Example, size: int) -> list[Example]:
    """A text in pieces of ``size`` tokens, each of which learns all but its first."""
    cuts = range(0, len(example.ids), size)
    parts = [Example(example.line, *[example.ids[at : at + size]] * 2) for at in cuts]
    return [part for part in parts if len(part.ids) > 1]


def mask(row: Row, template: Template) -> Example:
    """The tokens of ``row``, with labels on each assistant turn up to and with its end token; of a
    text, on all.

    Raises :class:`TuneError` where a prompt, as the server would send it, is not how the training
    row begins: what would be learnt there is not what will be asked.
    """
    for i, message in enumerate(row.messages, 1):
        said = message["content"] + spoken(message)
        if any(control in said for control in template.controls):
            raise TuneError(f"message {i}: its text holds a control token of the model")
    offered = json.dumps([tool.wire() for tool in row.tools], ensure_ascii=False)
    if any(control in offered for control in template.controls):
        raise TuneError("its tools hold a control token of the model")
    if row.is_text:
        whole = tuple(template.document(row.messages[0]["content"]))
        return Example(row.line, whole, whole)
    full = template.render(row.messages, prompt=False, tools=row.tools)
    ids = template.tokens(full)
    labels = [IGNORED] * len(ids)
    for i, message in enumerate(row.messages):
        if message["role"] != "assistant" or (row.last and i + 1 < len(row.messages)):
            continue
        prompt = template.render(row.messages[:i], prompt=True, tools=row.tools)
        turn = template.render(row.messages[: i + 1], prompt=False, tools=row.tools)
        if not turn.startswith(prompt) or not full.startswith(turn):
            raise TuneError(
                f"message {i + 1}: the template renders its prompt differently inside the row",
                hint='data.turns = "each" makes each answer the last one of a row of its own',
            )
        begin, end = len(template.tokens(prompt)), len(template.tokens(turn))
        if ids[:begin] != template.tokens(prompt) or ids[:end] != template.tokens(turn):
            raise TuneError(f"message {i + 1}: a token straddles the border of prompt and answer")
        stop = next((k for k in range(begin, end) if ids[k] in template.stops), None)
        if stop is None:
            raise TuneError(f"message {i + 1}: the template ends the answer with no end token")
        labels[begin : stop + 1] = ids[begin : stop + 1]
    return Example(row.line, tuple(ids), tuple(labels))
