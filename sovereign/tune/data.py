"""Rows of chats, read strictly, and turned into tokens of which only the answers are learnt.

A row is ``{"messages": [...]}``, optionally with an ``id``. An error names file and line and never
a word of the row. What is masked is decided by rendering: the prompt of each answer is rendered as
the server will render it, and must be a prefix, text and tokens, of the whole conversation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from sovereign.errors import TuneError

__all__ = [
    "IGNORED",
    "Chat",
    "Dataset",
    "Example",
    "Message",
    "Row",
    "Template",
    "encode",
    "read_rows",
]

IGNORED = -100
"""The label of a token that is not learnt, as in torch's cross entropy."""

Message = dict[str, str]
OverLong = Literal["raise", "drop", "truncate"]


class Template(Protocol):
    """What a tokenizer and its chat template do."""

    @property
    def stops(self) -> frozenset[int]: ...

    @property
    def controls(self) -> tuple[str, ...]: ...

    def render(self, messages: Sequence[Message], *, prompt: bool) -> str: ...

    def tokens(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation. ``line`` counts from one; messages are never shown."""

    line: int
    messages: tuple[Message, ...]

    def __repr__(self) -> str:
        return f"Row(line={self.line}, messages={len(self.messages)})"


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
    """The examples of a file, and what became of its rows."""

    examples: tuple[Example, ...]
    sha256: str
    rows: int
    dropped: int = 0
    truncated: int = 0

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
        return f"Dataset(rows={self.rows}, dropped={self.dropped}, truncated={self.truncated})"


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

    def render(self, messages: Sequence[Message], *, prompt: bool) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=prompt
            )
        except Exception as e:  # noqa: BLE001 - a template may raise anything, with text in it
            raise TuneError(f"the chat template refuses it ({type(e).__name__})") from None
        return str(text)

    def tokens(self, text: str) -> list[int]:
        # The template has written the special tokens already; a second BOS would be a third.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def read_rows(path: Path) -> tuple[list[Row], str]:
    """All rows of a JSONL file, and the file's SHA-256. Raises :class:`TuneError`."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise TuneError(f"{path}: {e.strerror}") from None
    rows = []
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, 1):
        rows.append(Row(number, _messages(line, f"{path}:{number}")))
    if not rows:
        raise TuneError(f"{path}: holds no row")
    return rows, hashlib.sha256(raw).hexdigest()


def encode(
    path: Path, template: Template, *, max_length: int, over_long: OverLong = "raise"
) -> Dataset:
    """Read, render, tokenise and mask every row of ``path``. Raises :class:`TuneError`."""
    rows, sha256 = read_rows(path)
    examples: list[Example] = []
    dropped = truncated = 0
    for row in rows:
        try:
            example = mask(row, template)
        except TuneError as e:
            raise TuneError(f"{path}:{row.line}: {e.message}", hint=e.hint) from None
        if len(example.ids) > max_length:
            if over_long == "raise":
                raise TuneError(
                    f"{path}:{row.line}: {len(example.ids)} tokens, over train.max_length "
                    f"{max_length}",
                    hint='raise it, or set train.over_long = "drop" or "truncate"',
                )
            if over_long == "truncate":
                example = Example(row.line, example.ids[:max_length], example.labels[:max_length])
            if over_long == "drop" or not example.learnt:
                dropped += 1
                continue
            truncated += 1
        examples.append(example)
    if not examples:
        raise TuneError(f"{path}: every row is over train.max_length {max_length}", hint="raise it")
    return Dataset(tuple(examples), sha256, len(rows), dropped, truncated)


def mask(row: Row, template: Template) -> Example:
    """The tokens of ``row``, with labels on each assistant turn up to and with its end token.

    Raises :class:`TuneError` where a prompt, as the server would send it, is not how the training
    row begins: what would be learnt there is not what will be asked.
    """
    for i, message in enumerate(row.messages, 1):
        if any(control in message["content"] for control in template.controls):
            raise TuneError(f"message {i}: its text holds a control token of the model")
    full = template.render(row.messages, prompt=False)
    ids = template.tokens(full)
    labels = [IGNORED] * len(ids)
    for i, message in enumerate(row.messages):
        if message["role"] != "assistant":
            continue
        prompt = template.render(row.messages[:i], prompt=True)
        turn = template.render(row.messages[: i + 1], prompt=False)
        if not turn.startswith(prompt) or not full.startswith(turn):
            raise TuneError(
                f"message {i + 1}: the template renders its prompt differently inside the row",
                hint="make each answer the last message of a row of its own",
            )
        begin, end = len(template.tokens(prompt)), len(template.tokens(turn))
        if ids[:begin] != template.tokens(prompt) or ids[:end] != template.tokens(turn):
            raise TuneError(f"message {i + 1}: a token straddles the border of prompt and answer")
        stop = next((k for k in range(begin, end) if ids[k] in template.stops), None)
        if stop is None:
            raise TuneError(f"message {i + 1}: the template ends the answer with no end token")
        labels[begin : stop + 1] = ids[begin : stop + 1]
    return Example(row.line, tuple(ids), tuple(labels))


def _messages(line: bytes, where: str) -> tuple[Message, ...]:
    """The messages of one line; the errors say what is wrong, and quote nothing."""

    def wrong(what: str) -> TuneError:
        return TuneError(f"{where}: {what}", hint='a row is {"messages": [{"role", "content"}, …]}')

    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_pairs)
    except UnicodeDecodeError as e:
        raise wrong(f"not UTF-8 at byte {e.start + 1}") from None
    except json.JSONDecodeError as e:
        raise wrong(f"not JSON at column {e.colno}" if line.strip() else "is empty") from None
    except (ValueError, RecursionError):
        raise wrong("has the same key twice, or is too deep") from None
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        raise wrong("has no list of messages")
    if row.keys() - {"messages", "id"} or not isinstance(row.get("id", ""), str):
        raise wrong("has a key other than messages and id")
    messages: list[Message] = row["messages"]
    for i, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            raise wrong(f"message {i} is not a role and a content")
        if message["role"] not in ("system", "user", "assistant"):
            raise wrong(f"message {i} has a role other than system, user and assistant")
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise wrong(f"message {i} has no text")
        if any(0xD800 <= ord(c) <= 0xDFFF for c in message["content"]):
            raise wrong(f"message {i} holds half a surrogate pair")
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    for i, message in enumerate(turns):
        if message["role"] != ("user", "assistant")[i % 2]:
            raise wrong("user and assistant do not take turns")
    if not turns or len(turns) % 2:
        raise wrong("does not end with the assistant's answer")
    return tuple(messages)


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(items)
    if len(table) != len(items):
        raise ValueError
    return table
