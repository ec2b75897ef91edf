"""Real processes for the tests of this folder: stand-ins, gateways, and what they wrote down.

``full`` is one gateway with the guard that is shipped; ``tiny`` is one whose guard knows a handful
of patterns and starts at once. Both stand before the same two stand-ins: hosted, and local.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from postgres import HINT, Cluster, programs

HERE = Path(__file__).parent
SOVEREIGN = Path(sys.executable).with_name("sovereign")
ENV = {**os.environ, "HOSTED_KEY": "upstream-secret", "OMP_NUM_THREADS": "1"}

POLICY = """
name = "tiny"
unreadable = "local"
[hosted]
"*" = "pseudonymize"
CODEWORD = "block"
DIAGNOSIS = "local"
[local]
"*" = "allow"
CODEWORD = "block"
"""

CONFIG = """
[policy]
{policy}
[guard]
max_body_bytes = 200000
{guard}
[gateway]
port = 0
drain_delay_s = 0.0
local_model = "local-test"
max_concurrent = {max_concurrent}
[upstream.openai]
side = "hosted"
base_url = "{hosted}/v1"
api_key_env = "HOSTED_KEY"
models = ["gpt-test", "gpt-4o-mini", "wild-*", "standin-401", "standin-429", "standin-500",
          "standin-half", "standin-garbage", "standin-redirect", "standin-tool", "standin-slow"]
[upstream.claude]
side = "hosted"
wire = "anthropic"
base_url = "{hosted}"
api_key_env = "HOSTED_KEY"
models = ["claude-test", "claude-standin-429", "claude-standin-500", "claude-standin-half",
          "claude-standin-tool", "claude-standin-slow"]
[upstream.patient]
side = "hosted"
base_url = "{hosted}/v1"
timeout_s = 1.0
models = ["standin-hang"]
[upstream.dead]
side = "hosted"
base_url = "http://127.0.0.1:9/v1"
models = ["dead-test"]
[upstream.inside]
side = "local"
base_url = "{local}/v1"
models = ["local-test", "local-standin-half", "local-standin-500", "local-standin-slow"]
"""


CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class StandIn:
    """A recording stand-in, and what it received."""

    url: str
    record: Path
    process: subprocess.Popen[str]

    def received(self) -> list[dict[str, Any]]:
        """Every request, its body decoded to bytes."""
        if not self.record.exists():
            return []
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        return [{**line, "body": base64.b64decode(line["body"])} for line in lines]

    def ids(self) -> set[str]:
        """The request ids that it was given."""
        return {dict(r["headers"]).get("x-request-id", "") for r in self.received()}


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]

    @property
    def request(self) -> str:
        return str(self.headers["x-sovereign-request"])


@dataclass
class Gateway:
    """A gateway's folder and, while it runs, its process."""

    folder: Path
    config: Path
    command: list[str]
    hosted: StandIn
    local: StandIn
    url: str = ""
    process: subprocess.Popen[str] | None = None
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.keys["key"]

    def start(self, timeout: float = 60) -> Gateway:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        temporary = self.folder / "tmp"  # what it leaves there, or dumps here, is read by tests
        temporary.mkdir(exist_ok=True)
        with (self.folder / "stderr.txt").open("a") as stderr:
            self.process = subprocess.Popen(
                [*self.command, str(ready)],
                env={**ENV, "TMPDIR": str(temporary)},
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
            )
        until = time.monotonic() + timeout
        while not ready.exists():
            assert self.process.poll() is None, self.stderr()
            assert time.monotonic() < until, "the gateway did not become ready"
            time.sleep(0.02)
        self.url = json.loads(ready.read_text())["url"]
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One ``sovereign`` command with this gateway's configuration."""
        return subprocess.run(
            [SOVEREIGN, *arguments, "--config", str(self.config)],
            env=ENV,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ask(
        self,
        body: Any = HELLO,
        path: str = CHAT,
        *,
        key: str | None = "its own",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request over plain HTTP. Without a body it says hello."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Authorization"] = f"Bearer {self.key if key == 'its own' else key}"
        url = self.url + path
        request = urllib.request.Request(url, data=raw or None, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as e:
            return Answer(e.code, e.headers, e.read())

    def records(self, request: str | None = None) -> list[dict[str, Any]]:
        """What the log holds, read past the gateway; of one request, if it is named."""
        with sqlite3.connect(f"file:{self.folder}/audit/log.db?mode=ro", uri=True) as db:
            rows = db.execute("SELECT bytes FROM record ORDER BY idx").fetchall()
        records = [json.loads(row[0]) for row in rows]
        return [r for r in records if request in (None, r.get("request"))]

    def wait_for(self, request: str, kind: str) -> dict[str, Any]:
        """The record of this type for ``request``; a result comes just after the answer."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for record in self.records(request):
                if record["type"] == kind:
                    return record
            time.sleep(0.02)
        raise AssertionError(f"no {kind} for {request}: {self.records(request)}")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], StandIn]]:
    """Starts stand-ins."""
    running: list[StandIn] = []

    def start() -> StandIn:
        record = tmp_path_factory.mktemp("standin") / "received.jsonl"
        process = subprocess.Popen(
            [sys.executable, "-m", "sovereign.gateway.standin", "--record", str(record)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        running.append(StandIn(url, record, process))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.fixture(scope="session")
def gateway_at(
    tmp_path_factory: pytest.TempPathFactory, stand_in: Callable[[], StandIn]
) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways with keys; ``tiny`` chooses the guard, ``audit`` is more of [audit], ``more``
    other tables. They are started by ``start()``."""
    made: list[Gateway] = []
    hosted, local = stand_in(), stand_in()

    def make(
        *,
        tiny: bool,
        max_concurrent: int = 64,
        audit: str = "",
        seed: bytes = b"",
        more: str = "",
    ) -> Gateway:
        folder = tmp_path_factory.mktemp("gateway")
        config = folder / "sovereign.toml"
        (folder / "policy.toml").write_text(POLICY)
        config.write_text(
            CONFIG.format(
                hosted=hosted.url,
                local=local.url,
                max_concurrent=max_concurrent,
                policy='file = "policy.toml"' if tiny else 'preset = "direct"',
                guard='key_file = "surrogate.key"',
            )
            + '[audit]\npath = "audit"\nkey_file = "audit.key"\ntoken_key_file = "token.key"\n'
            + audit
            + '[keys]\nfile = "keys.json"\n'
            + more
        )
        for name in ("audit.key", "surrogate.key", "token.key"):
            (folder / name).write_bytes(seed or os.urandom(32))
            (folder / name).chmod(0o600)
        command = [sys.executable, str(HERE / "tiny_gateway.py"), str(config)]
        if not tiny:
            command = [str(SOVEREIGN), "gateway", "--config", str(config), "--ready-file"]
        gateway = Gateway(folder, config, command, hosted, local)
        made.append(gateway)
        created = gateway.run("keys", "create", "--team", "cardiology", "--json")
        assert created.returncode == 0, created.stderr
        gateway.keys = json.loads(created.stdout)
        return gateway

    yield make
    for gateway in made:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()


@pytest.fixture(scope="session")
def tiny(gateway_at: Callable[..., Gateway]) -> Gateway:
    """A running gateway with the tiny guard."""
    return gateway_at(tiny=True).start()


@pytest.fixture(scope="session")
def full(gateway_at: Callable[..., Gateway]) -> Gateway:
    """A running gateway with the guard that is shipped."""
    return gateway_at(tiny=False).start()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A running database server."""
    if programs() is None:
        pytest.skip(HINT)
    made = Cluster(tmp_path / "pg")
    made.start()
    yield made
    made.stop("immediate")
