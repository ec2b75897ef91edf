"""A gateway as it is operated: reloads, several workers, an end that takes its time, traces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from operate import chat, configure, ready, until


def test_a_policy_file_is_taken_over_whole_or_not_at_all(gateway_at: Any) -> None:
    """A good one is in use within two seconds, and in the log. A broken one changes nothing, and
    that is said in the log, the metrics, /readyz and the audit log."""
    gateway = gateway_at(tiny=True).start()
    policy = gateway.folder / "policy.toml"
    before = ready(gateway)["policy"]
    good = policy.read_text()
    policy.write_text(good.replace('CODEWORD = "block"', 'CODEWORD = "allow"'))
    until(lambda: ready(gateway)["policy"] != before)
    after = ready(gateway)["policy"]
    assert gateway.ask(chat("TOPSECRET")).status == 200
    loaded = [r for r in gateway.records() if r["type"] == "policy.load"]
    assert [(r["policy"], r.get("previous")) for r in loaded] == [(before, None), (after, before)]
    policy.write_text('name = "tiny"\n[hosted]\nCODEWORD = "wave it through"\n')
    until(lambda: "policy_file" in ready(gateway))
    said = ready(gateway)
    assert (said["ready"], said["policy"], said["policy_file"]) == (True, after, "broken")
    assert gateway.ask(chat("I am Maria Keller")).headers["x-sovereign-verdict"] == "pseudonymize"
    numbers = gateway.ask(b"", "/metrics", method="GET", key=None).body.decode()
    assert "sovereign_policy_broken 1" in numbers
    refused = [r for r in gateway.records() if r["type"] == "policy.refuse"]
    assert [(r["code"], r["kept"]) for r in refused] == [("config", after)]
    assert "the old one stays in use" in gateway.stderr()
    policy.write_text(good)
    until(lambda: ready(gateway)["policy"] == before)
    assert "policy_file" not in ready(gateway)
    assert gateway.ask(chat("TOPSECRET")).status == 403
    assert gateway.stop() == 0


def test_sigterm_is_seen_before_the_listener_closes_and_streams_end(gateway_at: Any) -> None:
    """/readyz says draining while requests are still taken; a stream that runs ends as a whole."""
    gateway = gateway_at(tiny=True)
    configure(gateway, ("drain_delay_s = 0.0", "drain_delay_s = 1.5"))
    gateway.start()
    streamed: list[bytes] = []
    slow = chat("x " * 60, "standin-slow", stream=True)
    caller = threading.Thread(target=lambda: streamed.append(gateway.ask(slow).body))
    caller.start()
    time.sleep(0.3)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: ready(gateway).get("gateway") == "draining", 1)
    assert gateway.ask().status == 200
    assert gateway.process.wait(timeout=20) == 0
    caller.join()
    assert streamed[0].endswith(b"data: [DONE]\n\n")


@pytest.fixture(scope="module")
def several(gateway_at: Any) -> Any:
    return _several(gateway_at)


def _several(gateway_at: Any) -> Any:
    """Three workers, with the guard that is shipped but no tagger."""
    gateway = gateway_at(tiny=False)
    (gateway.folder / "policy.toml").write_text('name = "first"\nextends = "direct"\n')
    configure(
        gateway,
        ("port = 0", 'port = 0\nworkers = 3\nlog_format = "json"\nlog_requests = true'),
        ('preset = "direct"', 'file = "policy.toml"'),
        ("[guard]", '[guard]\nner = "none"'),
        more='[limits]\nfile = "usage.db"\n',
    )
    return gateway.start()


def test_a_limit_is_exact_over_all_workers(several: Any) -> None:
    """Forty callers at once, three workers, a limit of ten: ten get through."""
    made = several.run("keys", "create", "--team", "it", "--requests-per-minute", "10", "--json")
    key = json.loads(made.stdout)["key"]
    got: list[int] = []
    callers = [
        threading.Thread(target=lambda: got.append(several.ask(key=key).status)) for _ in range(40)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(got) == [200] * 10 + [429] * 30
    lines = [json.loads(x) for x in several.stderr().splitlines() if x.startswith("{")]
    asked = [x for x in lines if x["message"] == "request"]
    assert {x["worker"] for x in asked} <= {"0", "1", "2"}
    assert any(x.get("code") == "rate_limited" and x["status"] == 429 for x in asked)


def test_workers_show_their_numbers_together(several: Any) -> None:
    """Whoever answers /metrics, all three are on the page, each with its label, and each family has
    its type once."""
    several.ask()
    time.sleep(1.5)
    page = several.ask(b"", "/metrics", method="GET", key=None).body.decode()
    for worker in "012":
        assert f'sovereign_requests_in_flight{{worker="{worker}"}}' in page
    types = [line for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


def test_a_worker_that_is_killed_is_started_again(several: Any) -> None:
    """The others answer meanwhile; the new one is back within seconds."""
    pids = _workers(several)
    assert len(pids) == 3
    os.kill(pids[0], signal.SIGKILL)
    assert several.ask().status == 200
    until(lambda: len(_workers(several)) == 3 and pids[0] not in _workers(several))
    assert "is started again" in several.stderr()
    until(lambda: ready(several)["ready"])


def test_workers_agree_on_a_new_policy(several: Any) -> None:
    """SIGHUP to the gateway reaches all of them; each records what it goes by from then on."""
    until(lambda: ready(several)["ready"])
    before = ready(several)["policy"]
    (several.folder / "policy.toml").write_text(
        'name = "second"\nextends = "direct"\n[hosted]\nPERSON = "block"\n'
    )
    several.process.send_signal(signal.SIGHUP)

    def loaded() -> bool:
        found = [r for r in several.records() if r["type"] == "policy.load"]
        return sum(r["name"] == "second" for r in found) == 3

    until(loaded)
    assert {ready(several)["policy"] for _ in range(12)} != {before}
    assert len({ready(several)["policy"] for _ in range(12)}) == 1
    assert several.stop() == 0
    assert _workers(several) == []


def _workers(gateway: Any) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(gateway.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    shown = [(int(p), _command(int(p))) for p in found]
    return [pid for pid, command in shown if "sovereign.gateway.worker" in command]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_worker_that_cannot_start_keeps_the_door_shut(gateway_at: Any) -> None:
    """Startup interlock: the supervisor says why, and ends."""
    gateway = gateway_at(tiny=False)
    configure(
        gateway,
        ("port = 0", "port = 0\nworkers = 2"),
        ("[guard]", '[guard]\nner = "none"\nplugins = ["no_such_plugin"]'),
    )
    failed = gateway.run("gateway")
    assert failed.returncode == 1
    assert "no_such_plugin" in failed.stderr


def test_a_gateway_whose_keys_cannot_be_read_does_not_open(gateway_at: Any) -> None:
    """It opened, and refused everybody."""
    gateway = gateway_at(tiny=True)
    gateway.run("keys", "create", "--team", "it")
    (file,) = gateway.folder.rglob("keys.json")
    file.chmod(0o644)
    failed = gateway.run("gateway")
    assert failed.returncode == 1
    assert "others may read or change the keys" in failed.stderr


def test_the_gateways_log_can_be_read_by_machines(gateway_at: Any) -> None:
    """JSON on every line of stderr, once the workers run, and nothing of a request in it."""
    gateway = _several(gateway_at)
    asked = gateway.ask(chat("Write to maria.keller@example.com"))  # no tagger: no name is found
    assert asked.status == 200
    until(lambda: asked.headers["x-sovereign-request"] in gateway.stderr())
    said = gateway.stderr()
    assert "keller" not in said
    for line in said.splitlines():
        assert set(json.loads(line)) >= {"time", "level", "logger", "message"}


class _Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Collecting)
        self.bodies: list[bytes] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Collecting(BaseHTTPRequestHandler):
    server: _Collector

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()


def test_traces_hold_no_content_and_stay_inside(gateway_at: Any) -> None:
    """One server span per request, with spans of guard, log and destination under it; a caller's
    trace goes on; no hosted destination sees a traceparent."""
    collector = _Collector()
    gateway = gateway_at(tiny=True)
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    configure(gateway, more=f'[telemetry]\nendpoint = "{endpoint}"\npropagate_to = ["inside"]\n')
    gateway.start()
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert gateway.ask(chat("I am Maria Keller"), headers={"traceparent": parent}).status == 200
    sent = dict(gateway.hosted.received()[-1]["headers"])
    assert "traceparent" not in sent
    assert gateway.ask(chat("x", "local-test")).status == 200
    assert "traceparent" in dict(gateway.local.received()[-1]["headers"])
    until(lambda: b"4bf92f3577b34da6a3ce929d0e0e4736" in b"".join(collector.bodies))
    assert gateway.stop() == 0
    assert b"Maria" not in b"".join(collector.bodies)
    spans = [
        span
        for body in collector.bodies
        for resource in json.loads(body)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    theirs = [s for s in spans if s["traceId"] == parent[3:35]]
    root = next(s for s in theirs if s["kind"] == 2)
    assert root["parentSpanId"] == parent[36:52]
    under = {s["name"] for s in theirs if s.get("parentSpanId") == root["spanId"]}
    assert under == {"guard", "audit", "openai"}
    collector.shutdown()
    collector.server_close()
