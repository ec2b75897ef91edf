"""The shapes of what the engine says, as OpenAI's wire has them."""

from __future__ import annotations

import base64
import json
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sovereign.serve.engines.adapted import slot
from sovereign.serve.engines.messages import Call
from sovereign.serve.engines.row import Done
from sovereign.serve.engines.sampling import Scored
from sovereign.serve.engines.wire import EmbedRequest, Request
from sovereign.types import JSON

__all__ = ["Answer", "Identity", "Said", "embedded", "sse"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What ``/v1/models`` and every answer say of the model. ``adapters`` are keys of
    :attr:`sovereign.serve.engines.Launch.adapters`."""

    name: str
    context: int
    fingerprint: str
    created: int
    adapters: tuple[str, ...] = ()

    @property
    def served(self) -> dict[str, str]:
        """The names on the wire, each with what a :class:`Job` calls the adapter that answers."""
        names = {self.name: "", **{f"{self.name}:{a}": a for a in self.adapters if a}}
        return {name: slot(a) if a in self.adapters else "" for name, a in names.items()}


@dataclass(slots=True)
class Said:
    """One answer, as it grows."""

    text: str = field(default="", repr=False)
    calls: list[Call] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list, repr=False)


class Answer:
    """The shapes of one answer, whole or in chunks (bytes of server-sent events). ``spell`` gives
    the bytes of a token."""

    def __init__(
        self,
        who: Identity,
        request: Request,
        prompt_tokens: int,
        spell: Callable[[int], bytes],
    ) -> None:
        chat = request.messages is not None
        self.chat = chat
        self.request = request
        self.prompt_tokens = prompt_tokens
        self._spell = spell
        self._common = {
            "id": ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": who.fingerprint,
        }

    def whole(self, answers: Sequence[tuple[Said, Done]]) -> JSON:
        kind = "chat.completion" if self.chat else "text_completion"
        return {
            **self._common,
            "object": kind,
            "choices": [self._choice(i, said, done) for i, (said, done) in enumerate(answers)],
            "usage": self._usage(sum(done.tokens for _, done in answers)),
        }

    def _choice(self, index: int, said: Said, done: Done) -> JSON:
        choice: dict[str, JSON] = {
            "index": index,
            "logprobs": self._logprobs(said.scored, 0),
            "finish_reason": _reason(done, bool(said.calls)),
        }
        if not self.chat:
            return {**choice, "text": said.text}
        message: dict[str, JSON] = {"role": "assistant", "content": said.text, "refusal": None}
        if said.calls:
            message["content"] = said.text or None
            message["tool_calls"] = [_call(call) for call in said.calls]
        return {**choice, "message": message}

    def _usage(self, tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
        }

    # ---- streams -------------------------------------------------------------------------------

    def role(self, index: int) -> bytes:
        delta: dict[str, JSON] = {"role": "assistant", "content": ""}
        return self._chunk(index, delta, "", None) if self.chat else b""

    def piece(self, index: int, text: str, scored: Sequence[Scored], offset: int) -> bytes:
        """``offset`` counts the characters that this choice has sent before."""
        logprobs = self._logprobs(scored, offset)
        return self._chunk(index, {"content": text}, text, None, logprobs)

    def call(self, index: int, place: int, call: Call) -> bytes:
        return self._chunk(index, {"tool_calls": [{"index": place, **_call(call)}]}, "", None)

    def end(self, index: int, done: Done, called: bool) -> bytes:
        return self._chunk(index, {}, "", _reason(done, called))

    def close(self, tokens: int) -> bytes:
        usage = b""
        if self.request.include_usage:
            usage = sse({**self._frame(), "choices": [], "usage": self._usage(tokens)})
        return usage + b"data: [DONE]\n\n"

    def _frame(self) -> dict[str, JSON]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {**self._common, "object": kind}

    def _chunk(
        self,
        index: int,
        delta: dict[str, JSON],
        text: str,
        reason: str | None,
        logprobs: JSON = None,
    ) -> bytes:
        choice: dict[str, JSON] = {"index": index, "logprobs": logprobs, "finish_reason": reason}
        choice |= {"delta": delta} if self.chat else {"text": text}
        frame = {**self._frame(), "choices": [choice]}
        if self.request.include_usage:
            frame["usage"] = None
        return sse(frame)

    # ---- log-probabilities -----------------------------------------------------------------------

    def _logprobs(self, scored: Sequence[Scored], offset: int) -> JSON:
        if self.request.logprobs is None:
            return None
        return self._of_chat(scored) if self.chat else self._of_completion(scored, offset)

    def _of_chat(self, scored: Sequence[Scored]) -> JSON:
        content = [
            {**self._token(s.token, s.logprob), "top_logprobs": [self._token(*t) for t in s.top]}
            for s in scored
        ]
        return {"content": content, "refusal": None}

    def _token(self, token: int, logprob: float) -> dict[str, JSON]:
        raw = self._spell(token)
        return {
            "token": raw.decode("utf-8", "replace"),
            "logprob": max(logprob, -9999.0),  # JSON has no infinity; OpenAI's own least is this
            "bytes": list(raw),
        }

    def _of_completion(self, scored: Sequence[Scored], offset: int) -> JSON:
        tokens = [self._spell(s.token).decode("utf-8", "replace") for s in scored]
        offsets = []
        for token in tokens:
            offsets.append(offset)
            offset += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [max(s.logprob, -9999.0) for s in scored],
            "top_logprobs": [
                {self._spell(t).decode("utf-8", "replace"): max(p, -9999.0) for t, p in s.top}
                for s in scored
            ],
            "text_offset": offsets,
        }


def _reason(done: Done, called: bool) -> str:
    return "tool_calls" if called and done.reason == "stop" else done.reason


def _call(call: Call) -> dict[str, JSON]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def embedded(request: EmbedRequest, vectors: Sequence[Sequence[float]], tokens: int) -> JSON:
    """The answer of ``/v1/embeddings``."""

    def coded(vector: Sequence[float]) -> JSON:
        if request.encoding == "float":
            return list(vector)
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

    data = [
        {"object": "embedding", "index": i, "embedding": coded(vector)}
        for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def sse(data: JSON) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"
