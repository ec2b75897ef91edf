"""LiteLLM's real proxy as a process, before our gateway and a recording stand-in."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
LITELLM = CLIENTS / "clients-litellm" / "bin" / "litellm"
MASTER = "sk-their-proxy"
MODELS = {
    "gpt-test": "openai/gpt-test",
    "gpt-tool": "openai/standin-tool",
    "gpt-500": "openai/standin-500",
    "text-test": "text-completion-openai/text-test",
    "claude-test": "anthropic/claude-test",
}


@dataclass
class Proxy:
    """Their proxy, our gateway that it asks, and the API behind it."""

    url: str
    gateway: Any
    upstream: Any
    _seen: int = 0

    def post(self, path: str, body: Any) -> tuple[int, bytes]:
        """As any HTTP client would; a form if the body is bytes."""
        kind = "multipart/form-data; boundary=x" if isinstance(body, bytes) else "application/json"
        sent = {"Authorization": f"Bearer {MASTER}", "Content-Type": kind}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            asked = urllib.request.Request(self.url + path, data=raw, headers=sent)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def left(self) -> list[bytes]:
        """The bodies that reached the API since this was asked last."""
        every = [r["body"] for r in self.upstream.received() if r["method"] == "POST"]
        new, self._seen = every[self._seen :], len(every)
        return new

    def records(self, kind: str) -> list[dict[str, Any]]:
        every: list[dict[str, Any]] = self.gateway.records()
        return [r for r in every if r["type"] == kind]

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=MASTER, max_retries=0)

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=MASTER, max_retries=0)


@contextmanager
def running(folder: Path, gateway: Any, upstream: Any) -> Iterator[Proxy]:
    """Their proxy with the configuration of docs/litellm.md, and nothing else in its environment
    that could make it call somebody."""
    made = gateway.run("keys", "create", "--team", "x", "--models", "guardrail/litellm", "--json")
    page = (ROOT / "docs" / "litellm.md").read_text()
    [guardrails] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    models = [
        f'  - model_name: {name}\n    litellm_params: {{model: "{model}", api_key: none, api_base: '
        f'"{upstream.url}{"" if "claude" in name else "/v1"}"}}\n'
        for name, model in MODELS.items()
    ]
    (folder / "config.yaml").write_text(
        "model_list:\n"
        + "".join(models)
        + guardrails.replace("http://127.0.0.1:8080", gateway.url)
        + "litellm_settings: {telemetry: false}\n"
        + "router_settings: {num_retries: 0, disable_cooldowns: true}\n"
        + f"general_settings: {{master_key: {MASTER}}}\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SOVEREIGN_KEY": json.loads(made.stdout)["key"],
        "ANTHROPIC_API_KEY": "none",  # for its pass-through, and for what names no model
        "ANTHROPIC_API_BASE": upstream.url,
        "OPENAI_API_KEY": "none",
        "OPENAI_API_BASE": f"{upstream.url}/v1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch a list of prices
        "DO_NOT_TRACK": "1",
    }
    command = [LITELLM, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "said.txt").open("w") as said,
        subprocess.Popen(command, env=env, cwd=folder, stdout=said, stderr=said) as process,
    ):
        try:
            until = time.monotonic() + 300  # without compiled modules it takes its time
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None, (folder / "said.txt").read_text()[-3000:]
                assert time.monotonic() < until, "their proxy did not start"
                time.sleep(0.2)
            yield Proxy(f"http://127.0.0.1:{port}", gateway, upstream)
        finally:
            process.kill()
