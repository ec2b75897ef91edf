"""How the wire tests of the embedded engine ask it."""

from __future__ import annotations

import json
from typing import Any

import httpx2

__all__ = ["CONTEXT", "NAME", "QUESTION", "ask", "said", "stream", "words"]

NAME = "smol"
CONTEXT = 512
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def ask(http: httpx2.Client, path: str = "chat/completions", **fields: Any) -> httpx2.Response:
    body = {"model": NAME, "temperature": 0, "max_tokens": 8, **fields}
    if path == "chat/completions":
        body.setdefault("messages", QUESTION)
    return http.post(f"/v1/{path}", json={k: v for k, v in body.items() if v != "absent"})


def stream(http: httpx2.Client, path: str = "chat/completions", **fields: Any) -> list[str]:
    answer = ask(http, path, stream=True, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.text.split("\n\n")
    assert frames.pop() == ""
    assert all(f.startswith("data: ") for f in frames)
    return [f.removeprefix("data: ") for f in frames]


def words(frames: list[str]) -> str:
    chunks = [json.loads(f) for f in frames if f != "[DONE]"]
    return "".join(
        c["choices"][0].get("delta", {}).get("content") or c["choices"][0].get("text", "")
        for c in chunks
        if c["choices"]
    )


def said(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text
