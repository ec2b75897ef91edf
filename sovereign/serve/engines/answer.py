"""The shapes of what the engine says, as OpenAI's wire has them."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass

from sovereign.serve.engines.batch import Done
from sovereign.serve.engines.wire import Request
from sovereign.types import JSON

__all__ = ["Answer", "Identity", "sse"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What ``/v1/models`` and every answer say of the model."""

    name: str
    context: int
    fingerprint: str
    created: int


class Answer:
    """The shapes of one answer, whole or in chunks (bytes of server-sent events)."""

    def __init__(self, who: Identity, request: Request, prompt_tokens: int) -> None:
        chat = request.messages is not None
        self.chat = chat
        self.request = request
        self.prompt_tokens = prompt_tokens
        self._common = {
            "id": ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": who.name,
            "system_fingerprint": who.fingerprint,
        }

    def whole(self, text: str, done: Done) -> JSON:
        choice: dict[str, JSON] = {"index": 0, "logprobs": None, "finish_reason": done.reason}
        if self.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        kind = "chat.completion" if self.chat else "text_completion"
        return {
            **self._common,
            "object": kind,
            "choices": [choice],
            "usage": self._usage(done.tokens),
        }

    def _usage(self, tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
        }

    def role(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""}, "", None) if self.chat else b""

    def piece(self, text: str) -> bytes:
        return self._chunk({"content": text}, text, None)

    def end(self, done: Done) -> bytes:
        last = self._chunk({}, "", done.reason)
        if self.request.include_usage:
            last += sse({**self._frame(), "choices": [], "usage": self._usage(done.tokens)})
        return last + b"data: [DONE]\n\n"

    def _frame(self) -> dict[str, JSON]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {**self._common, "object": kind}

    def _chunk(self, delta: dict[str, str], text: str, reason: str | None) -> bytes:
        choice: dict[str, JSON] = {"index": 0, "logprobs": None, "finish_reason": reason}
        choice |= {"delta": delta} if self.chat else {"text": text}
        frame = {**self._frame(), "choices": [choice]}
        if self.request.include_usage:
            frame["usage"] = None
        return sse(frame)


def sse(data: JSON) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"
