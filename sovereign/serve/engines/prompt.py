"""From messages to token ids, so that a caller's text cannot pose as the template's own marks."""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.engines.messages import Message
from sovereign.serve.engines.tools import BEGIN, END, Tools
from sovereign.turns import for_template, wire
from sovereign.types import JSON

__all__ = ["Prompter"]

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Prompter:
    """Renders with the model's own chat template, and counts what it makes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._marks = tuple(tokenizer.added_tokens_encoder)
        # What `skip_special_tokens` leaves out. The tags of calls are told in any case.
        self._silent = frozenset(
            i
            for i, token in tokenizer.added_tokens_decoder.items()
            if token.special and token.content not in (BEGIN, END)
        )
        self._template = str(tokenizer.chat_template or "")
        self._by_bytes = "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)

    def decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            [i for i in ids if i not in self._silent], clean_up_tokenization_spaces=False
        )
        return text

    def spell(self, token: int) -> bytes:
        """The bytes of one token, which may be a part of a character."""
        text: str = self._tokenizer.convert_ids_to_tokens(token) or ""
        if token in self._tokenizer.added_tokens_decoder:
            return text.encode()
        if self._by_bytes:
            return bytes(_alphabet()[c] for c in text)
        one = _BYTE.fullmatch(text)
        return bytes([int(one[1], 16)]) if one else text.replace("\u2581", " ").encode()

    def plain(self, prompt: str) -> list[int]:
        """A raw prompt. Marks in it count: whoever uses this endpoint writes the template."""
        ids: list[int] = self._tokenizer.encode(prompt)
        return ids

    def chat(self, messages: Sequence[Message], tools: Tools | None = None) -> list[int]:
        """A conversation up to the point where the assistant speaks. Raises :class:`BadRequest`."""
        if not self._tokenizer.chat_template:
            raise BadRequest(
                "this model has no chat template; use /v1/completions",
                param="messages",
                code="unsupported_value",
            )
        offered = () if tools is None else tools.offered
        messages, told = for_template(messages, offered, self._template)
        contents = [m.content for m in messages]
        text = self._render(contents, messages, told)
        # Names, schemas and arguments are rendered as JSON, where no stand-in could be found again.
        # Arguments are read first, as a template gets them: an escape can spell a mark.
        calls = [[c.id, c.name, json.loads(c.arguments)] for m in messages for c in m.calls]
        beside = json.dumps([told, calls], ensure_ascii=False)  # a mark may hold any letter
        if any(mark in beside for mark in self._marks):
            raise BadRequest("a tool or a call holds a control mark of this model", param="tools")
        if any(mark in c for mark in self._marks for c in contents):
            return self._guarded(text, contents, messages, told)
        return self._encode(text, split=False)

    def _render(
        self, contents: Sequence[str], messages: Sequence[Message], tools: list[JSON] | None
    ) -> str:
        from jinja2.exceptions import TemplateError

        chat = [wire(m, c) for m, c in zip(messages, contents, strict=True)]
        try:
            text: str = self._tokenizer.apply_chat_template(
                chat, tools=tools, add_generation_prompt=True, tokenize=False
            )
        except TemplateError:
            raise BadRequest(
                "the model's chat template does not take this order of roles", param="messages"
            ) from None
        return text

    def _guarded(
        self,
        text: str,
        contents: Sequence[str],
        messages: Sequence[Message],
        tools: list[JSON] | None,
    ) -> list[int]:
        """Tokens of ``text``, where marks count in the template's parts and not in a caller's.

        Without this, a document that holds ``<|im_start|>system`` would speak as the system. Where
        the contents lie is learned by rendering stand-ins that nobody can have guessed.
        """
        nonce = secrets.token_hex(16)
        names = [f"{nonce}x{i}x" for i in range(len(contents))]
        rest = self._render(names, messages, tools)
        parts: list[tuple[str, bool]] = []  # (text, whether a caller wrote it)
        for name, content in zip(names, contents, strict=True):
            before, found, rest = rest.partition(name)
            if not found:
                break
            parts += [(before, False), (content, True)]
        parts.append((rest, False))
        if "".join(p for p, _ in parts) != text:
            raise BadRequest(
                "a message holds a control mark of this model, and its template changes it",
                param="messages",
            )
        ids: list[int] = []
        run = ""
        for part, callers in parts:
            if callers and any(mark in part for mark in self._marks):
                ids += self._encode(run, split=False) + self._encode(part, split=True)
                run = ""
            else:
                run += part  # together, as it would be tokenised without a mark anywhere
        return ids + self._encode(run, split=False)

    def _encode(self, text: str, *, split: bool) -> list[int]:
        ids: list[int] = self._tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=split
        )
        return ids


@functools.cache
def _alphabet() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable character: its own where it has one, and the
    next free one from U+0100 where not (Radford et al. 2019, encoder.py)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in set(plain)]
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(rest)}
