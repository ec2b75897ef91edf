"""Header flags of the APIs that pass: known words only, and what an endpoint cannot be asked
without."""

from __future__ import annotations

from sovereign.guard.endpoints import Endpoint

__all__ = ["betas"]

_FILES = "files-api-2025-04-14"
_KNOWN = frozenset(
    {
        _FILES,
        "code-execution-2025-05-22",
        "context-1m-2025-08-07",
        "extended-cache-ttl-2025-04-11",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "message-batches-2024-09-24",
        "output-128k-2025-02-19",
        "pdfs-2024-09-25",
        "prompt-caching-2024-07-31",
        "structured-outputs-2025-11-13",
        "token-counting-2024-11-01",
    }
)
"""Flags that change no place where text may stand. Others are not passed on."""

_ASSISTANTS = ("openai.assistants", "openai.threads", "openai.vector_stores")


def betas(endpoint: Endpoint, given: str | None, wire: str) -> dict[str, str]:
    """The flags that leave: of what the caller sent, what is known."""
    if wire == "openai":
        return {"OpenAI-Beta": "assistants=v2"} if endpoint.name.startswith(_ASSISTANTS) else {}
    flags = [flag.strip() for flag in (given or "").split(",")]
    kept = dict.fromkeys(flag for flag in flags if flag in _KNOWN)
    if endpoint.name.startswith("anthropic.files"):
        kept[_FILES] = None
    return {"Anthropic-Beta": ",".join(kept)} if kept else {}
