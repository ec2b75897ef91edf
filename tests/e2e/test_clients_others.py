"""Clients that were not written for us, in environments of their own (scripts/clients), by base URL
and key alone: LangChain, LlamaIndex, smolagents, the OpenAI Agents SDK, and openai for Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "clients"
REPO = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", REPO / ".venv-clients")).resolve()
TEXT = "Please write to Maria Keller, maria.keller@example.com, card 4111 1111 1111 1111."
PYTHON = {
    "langchain_client.py": "clients",
    "agents_client.py": "clients",
    "smolagents_client.py": "clients",
    "llamaindex_client.py": "clients-llamaindex",
}
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def run(*command: str) -> dict[str, str]:
    """What a client's script said."""
    done = subprocess.run(
        command,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def judged(full: Any, said: dict[str, str], before: int) -> None:
    """Each answer holds the caller's own words, and what was sent none of them."""
    assert len(said) >= 4
    for what, words in said.items():
        assert "Maria Keller" in words, what
        assert "maria.keller@example.com" in words, what
    sent = full.hosted.received()[before:]
    assert len(sent) >= len(said)
    for request in sent:
        raw = request["body"].lower() + repr(request["headers"]).lower().encode()
        assert not any(word in raw for word in (b"maria", b"keller", b"4111"))


@pytest.mark.parametrize("script", PYTHON)
def test_others_get_their_own_words_back(full: Any, script: str) -> None:
    """Whole and streamed, tool calls with valid arguments, structured output that parses."""
    python = CLIENTS / PYTHON[script] / "bin" / "python"
    if not python.exists():
        pytest.skip("not installed here: scripts/clients installs them, scripts/test runs it")
    before = len(full.hosted.received())
    judged(full, run(str(python), str(HERE / script), full.url, full.key, TEXT), before)


def test_node_gets_its_own_words_back(full: Any) -> None:
    """The same with openai for Node; an error is one that it knows."""
    home = CLIENTS / "node"
    if shutil.which("node") is None or not (home / "node_modules").is_dir():
        pytest.skip("no node, or no npm when scripts/clients ran")
    before = len(full.hosted.received())
    script = str(HERE / "openai_client.mjs")
    said = run("node", script, full.url, full.key, TEXT, str(home))
    assert said.pop("error") == "NotFoundError 404 model_not_found"
    judged(full, said, before)
