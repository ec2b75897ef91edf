"""A gateway as a process: made by ``sovereign init``, started as people start it, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai

__all__ = ["Door", "opened", "sovereign"]


@dataclass(frozen=True, slots=True)
class Door:
    """A running gateway: its URL, a key, its folder, and what the hosted side wrote down."""

    url: str
    key: str
    folder: Path
    record: Path
    pid: int

    def engines(self) -> list[int]:
        """The processes that the gateway started: its engines."""
        kids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        kids += [
            kid
            for task in Path(f"/proc/{self.pid}/task").iterdir()
            for kid in (task / "children").read_text().split()
        ]
        return sorted({int(kid) for kid in kids})

    def received(self) -> list[dict[str, Any]]:
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0)


def sovereign(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "sovereign", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Door]:
    """The gateway of ``folder``, which holds a sovereign.toml, with a key of the team ``ward``."""
    key = json.loads(sovereign(folder, "keys", "create", "--team", "ward", "--json"))["key"]
    ready = folder / "ready.json"
    with (folder / "gateway.err").open("w") as stderr:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "sovereign", "gateway", "--ready-file", str(ready)],
            cwd=folder,
            env={**os.environ, "STANDIN_KEY": "k"},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        end = time.monotonic() + 150
        while not ready.exists():
            assert gateway.poll() is None, (folder / "gateway.err").read_text()
            assert time.monotonic() < end, "the gateway was not ready in 150 s"
            time.sleep(0.1)
        url = json.loads(ready.read_text())["url"]
        yield Door(url, key, folder, folder / "received.jsonl", gateway.pid)
    finally:
        if gateway.poll() is None:
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(timeout=60) == 0
