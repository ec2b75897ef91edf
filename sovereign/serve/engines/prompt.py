"""From messages to token ids, so that a caller's text cannot pose as the template's own marks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sovereign.serve.engines.wire import BadRequest

__all__ = ["Prompter"]


class Prompter:
    """Renders with the model's own chat template, and counts what it makes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._marks = tuple(tokenizer.added_tokens_encoder)

    def decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def plain(self, prompt: str) -> list[int]:
        """A raw prompt. Marks in it count: whoever uses this endpoint writes the template."""
        ids: list[int] = self._tokenizer.encode(prompt)
        return ids

    def chat(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """A conversation up to the point where the assistant speaks. Raises :class:`BadRequest`."""
        if not self._tokenizer.chat_template:
            raise BadRequest(
                "this model has no chat template; use /v1/completions",
                param="messages",
                code="unsupported_value",
            )
        text = self._render([m["content"] for m in messages], messages)
        contents = [m["content"] for m in messages]
        if any(mark in c for mark in self._marks for c in contents):
            return self._guarded(text, contents, messages)
        return self._encode(text, split=False)

    def _render(self, contents: Sequence[str], messages: Sequence[dict[str, str]]) -> str:
        from jinja2.exceptions import TemplateError

        chat = [{"role": m["role"], "content": c} for m, c in zip(messages, contents, strict=True)]
        try:
            text: str = self._tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=False
            )
        except TemplateError:
            raise BadRequest(
                "the model's chat template does not take this order of roles", param="messages"
            ) from None
        return text

    def _guarded(
        self, text: str, contents: Sequence[str], messages: Sequence[dict[str, str]]
    ) -> list[int]:
        """Tokens of ``text``, where marks count in the template's parts and not in a caller's.

        Without this, a document that holds ``<|im_start|>system`` would speak as the system. Where
        the contents lie is learned by rendering stand-ins that nobody can have guessed.
        """
        nonce = secrets.token_hex(16)
        names = [f"{nonce}x{i}x" for i in range(len(contents))]
        rest = self._render(names, messages)
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
