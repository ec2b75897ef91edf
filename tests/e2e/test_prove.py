"""`sovereign prove` as a team runs it: at a gateway that guards, one that does not, and none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", REPO / ".venv-clients")) / "clients" / "bin"
SOVEREIGN = Path(sys.executable).with_name("sovereign")

POLICY = 'name = "prove"\nextends = "direct"\n[hosted]\n"*" = "pseudonymize"\n'
CONFIG = """
[policy]
file = "policy.toml"
[guard]
key_file = "surrogate.key"
[gateway]
port = 0
[upstream.prove]
side = "hosted"
base_url = "{url}/v1"
models = ["prove", "canarywire-test"]
[upstream.prove-anthropic]
side = "hosted"
wire = "anthropic"
base_url = "{url}"
models = ["claude-prove"]
[audit]
path = "audit"
key_file = "audit.key"
token_key_file = "token.key"
[keys]
file = "keys.json"
"""

BLIND = """
import sys
from pathlib import Path
from sovereign.config import load_config
from sovereign.gateway.server import run
from sovereign.guard import Guard
from sovereign.policy import load_policy

class Blind(Guard):
    def canary(self):
        "Nothing is looked for, so nothing can be missed."

run(load_config(sys.argv[1]), make=lambda _: Blind(load_policy(preset="direct"), [], key=b"k" * 32),
    ready_file=Path(sys.argv[2]), say=lambda _: None)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def behind(gateway: Any, port: int) -> Any:
    """``gateway`` with its hosted upstreams at ``port``."""
    (gateway.folder / "policy.toml").write_text(POLICY)
    gateway.config.write_text(CONFIG.format(url=f"http://127.0.0.1:{port}"))
    return gateway.start()


def prove(gateway: Any, port: int, *more: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """The command's run, and its JSON."""
    out = gateway.folder / "proof.json"
    command = [
        *(str(SOVEREIGN), "prove", "--base", gateway.url, "--key-env", "PROVE_KEY", "--seed", "11"),
        *("--listen", f"127.0.0.1:{port}", "--anthropic-model", "claude-prove"),
        *("--json", str(out), "--html", str(gateway.folder / "proof.html"), *more),
    ]
    env = {**os.environ, "PROVE_KEY": gateway.key, "PATH": f"{CLIENTS}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    return done, json.loads(out.read_text()) if out.exists() else None


def test_nothing_leaks_from_the_guarded_gateway(gateway_at: Callable[..., Any]) -> None:
    """The whole corpus, canarywire and pii-leak-benchmark: no leak, every control seen, and each
    request of the corpus that came in is in the log."""
    port = free_port()
    gateway = behind(gateway_at(tiny=False), port)
    done, proof = prove(gateway, port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert proof["verdict"] == "nothing leaked"
    assert proof["counts"]["leaked"] == proof["counts"]["unclear"] == 0
    assert proof["counts"]["held"] > 200, "most are let through without their values"
    assert proof["negative_control"]["not_seen"] == []
    if not (CLIENTS / "canarywire").exists():
        pytest.skip("the public suites are not installed: scripts/clients installs them")
    assert [(s["name"], s["passed"]) for s in proof["suites"]] == [
        ("canarywire", True),
        ("pii-leak-benchmark", True),
    ], proof["suites"]
    html = (gateway.folder / "proof.html").read_text()
    assert "nothing leaked" in html
    assert gateway.key not in html + done.stdout + done.stderr + json.dumps(proof)
    assert gateway.stop() == 0
    verified = gateway.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def test_a_gateway_that_does_not_guard_is_found_out(gateway_at: Callable[..., Any]) -> None:
    """The negative control of the whole: the same door without recognisers leaks, exit status 1."""
    port = free_port()
    gateway = gateway_at(tiny=True)
    script = gateway.folder / "blind.py"
    script.write_text(BLIND)
    gateway.command[1] = str(script)
    behind(gateway, port)
    done, proof = prove(gateway, port, "--no-suites")
    assert done.returncode == 1, done.stdout + done.stderr
    assert proof["counts"]["leaked"] > 200
    assert "leaked: places/content\n" in done.stdout


def test_a_gateway_that_sends_elsewhere_proves_nothing(tiny: Any) -> None:
    """Nothing arrived, so nothing is known: exit status 2, and what to configure."""
    done, proof = prove(tiny, free_port(), "--no-suites", "--model", "gpt-test")
    assert done.returncode == 2, done.stdout + done.stderr
    assert proof["verdict"] == "proves nothing"
    assert "did not arrive at the recorder: the answer at --base was" in done.stdout
    assert "base_url =" in done.stderr
    nowhere = replace(tiny, url=f"http://127.0.0.1:{free_port()}")
    done, proof = prove(nowhere, free_port(), "--no-suites")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "did not arrive at the recorder: nothing answered at --base" in done.stdout
