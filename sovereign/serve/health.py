"""Asks an engine over its Unix socket whether it can answer, and whether its adapters do anything.
Standard library only."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from sovereign.errors import EngineDown
from sovereign.serve.launch import Probe
from sovereign.types import JSON

__all__ = ["healthy", "probe"]

_PROMPTS = ("The patient was admitted on", "def main(", "1 2 3 4 5")
_PROBE_S = 300.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def healthy(path: Path, timeout: float = 2.0) -> bool:
    """Whether ``GET /health`` at the socket ``path`` answers 200 within ``timeout`` seconds."""
    connection = _Connection(path, timeout)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def probe(path: Path, names: Probe) -> None:
    """See that each adapter moves the likelihoods of what follows three fixed prompts: some load
    without a word and do nothing (vllm#34186). Raises :class:`EngineDown`."""
    before = [_likely(path, names.base, prompt) for prompt in _PROMPTS]
    for name in names.adapters:
        if [_likely(path, name, prompt) for prompt in _PROMPTS] == before:
            raise EngineDown(
                f"{name}: the adapter has no effect: likelihoods with and without it are equal",
                hint="it was not trained, or its layers do not fit this base",
            )


def _likely(path: Path, model: str, prompt: str) -> JSON:
    """The likeliest next tokens, each with its log-probability."""
    asked = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 5}
    connection = _Connection(path, _PROBE_S)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(asked), headers)
        answer = connection.getresponse()
        raw = answer.read(1_000_000)
        if answer.status == 200:
            likely: JSON = json.loads(raw)["choices"][0]["logprobs"]["top_logprobs"][0]
            if isinstance(likely, dict) and likely:
                return likely
        why = f"it answered {answer.status}"
    except (OSError, http.client.HTTPException) as e:
        why = type(e).__name__
    except (ValueError, KeyError, IndexError, TypeError):
        why = "its answer has no likelihoods"
    finally:
        connection.close()
    raise EngineDown(f"{model}: the engine cannot be probed for its adapters: {why}")
