"""A gateway as it is operated: limits, reloads, several workers, TLS, an end that takes time."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


def chat(text: str, model: str = "gpt-test", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def configure(gateway: Any, *changes: tuple[str, str], more: str = "") -> None:
    text = gateway.config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    gateway.config.write_text(text + more)


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def ready(gateway: Any) -> dict[str, Any]:
    answer = gateway.ask(b"", "/readyz", method="GET", key=None)
    said: dict[str, Any] = json.loads(answer.body)
    assert said["ready"] is (answer.status == 200)
    return said


def test_a_key_over_its_limit_gets_429_on_both_wires(tiny: Any) -> None:
    """Shaped as each SDK expects, with Retry-After, recorded, and nothing sent."""
    made = tiny.run("keys", "create", "--team", "it", "--requests-per-minute", "2", "--json")
    key = json.loads(made.stdout)["key"]
    assert [tiny.ask(key=key).status for _ in range(2)] == [200, 200]
    before = len(tiny.hosted.received())
    answer = tiny.ask(key=key)
    assert (answer.status, answer.error["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert tiny.wait_for(answer.request, "request.refusal")["code"] == "rate_limited"
    body = {**chat("Hello", "claude-test"), "max_tokens": 9}
    answer = tiny.ask(body, "/v1/messages", key=key)
    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
    assert len(tiny.hosted.received()) == before
    numbers = tiny.ask(b"", "/metrics", method="GET", key=None).body.decode()
    assert 'sovereign_limited_total{team="it",code="rate_limited"} 2' in numbers


def test_a_budget_in_tokens_is_settled_by_what_was_used(tiny: Any) -> None:
    """The stand-in reports its use; the record of the result has it, and the next request that does
    not fit is refused for the rest of the month."""
    made = tiny.run("keys", "create", "--team", "it", "--tokens-per-month", "60", "--json")
    new = json.loads(made.stdout)
    answer = tiny.ask(key=new["key"])
    assert answer.status == 200
    used = json.loads(answer.body)["usage"]
    result = tiny.wait_for(answer.request, "request.result")
    assert (result["tokens_in"], result["tokens_out"]) == (
        used["prompt_tokens"],
        used["completion_tokens"],
    )
    answer = tiny.ask({**HELLO, "max_tokens": 60}, key=new["key"])
    assert (answer.status, answer.error["code"]) == (429, "budget_spent")
    assert answer.headers["x-should-retry"] == "false"
    listed = json.loads(tiny.run("keys", "list", "--usage", "--json").stdout)
    mine = next(k for k in listed if k["id"] == new["id"])
    assert mine["used"]["tokens"] == used["prompt_tokens"] + used["completion_tokens"]


def test_keys_are_for_destinations_and_for_a_time(tiny: Any) -> None:
    """A key for inside only reaches nothing hosted; one that has expired opens nothing; one that
    was rotated opens with its new secret, and with the old one as long as they overlap."""

    def made(*how: str) -> Any:
        done = tiny.run("keys", *how, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    inside = made("create", "--team", "it", "--destinations", "inside")
    answer = tiny.ask(key=inside["key"])
    assert (answer.status, answer.error["code"]) == (403, "not_permitted")
    assert tiny.ask(chat("x", "local-test"), key=inside["key"]).status == 200
    brief = made("create", "--team", "it", "--expires", "1s")
    until(lambda: tiny.ask(key=brief["key"]).status == 401)
    lapping = made("rotate", inside["id"], "--overlap", "1h")
    assert lapping["id"] == inside["id"]
    for key in (inside["key"], lapping["key"]):
        assert tiny.ask(chat("x", "local-test"), key=key).status == 200
    at_once = made("rotate", inside["id"])
    assert tiny.ask(chat("x", "local-test"), key=lapping["key"]).status == 401
    assert tiny.ask(chat("x", "local-test"), key=at_once["key"]).status == 200
    kinds = [r["type"] for r in tiny.records() if r.get("key_id") == inside["id"]]
    assert [k for k in kinds if k.startswith("key.")] == ["key.create", "key.rotate", "key.rotate"]


def test_a_receipt_is_found_in_the_log_and_a_changed_one_is_not(tiny: Any, tmp_path: Path) -> None:
    """Every answer has one, a refusal too; checked against the log, or a proof without it."""
    answer = tiny.ask(chat("I am Maria Keller"))
    header = answer.headers["x-sovereign-receipt"]
    assert tiny.wait_for(answer.request, "request.result")
    time.sleep(1.2)  # a checkpoint is signed at least once in a second
    tiny.ask()
    checked = tiny.run("audit", "receipt", header)
    assert checked.returncode == 0, checked.stderr
    assert f"request      {answer.request}" in checked.stdout
    assert "verdict      pseudonymize" in checked.stdout
    refused = tiny.ask(chat("TOPSECRET"))
    assert 'verdict="block"' in refused.headers["x-sovereign-receipt"]
    key = tiny.run("audit", "key").stdout.split()[0]
    proof = tmp_path / "proof"
    index = answer.headers["x-sovereign-record"]
    assert tiny.run("audit", "prove", index, "--out", str(proof)).returncode == 0
    file = tmp_path / "receipt"
    file.write_text(f"x-sovereign-receipt: {header}\n")
    tell = ("audit", "receipt", str(file), "--proof", str(proof), "--key", key)
    assert tiny.run(*tell).returncode == 0
    file.write_text(header.replace("pseudonymize", "allow"))
    forged = tiny.run(*tell)
    assert forged.returncode == 1
    assert "another verdict" in forged.stderr


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


# --- TLS ---


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """Makes certificates: ``pki(name, by=None)`` gives certificate and key files."""
    folder = tmp_path_factory.mktemp("pki")

    def make(name: str, by: str | None = None) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        if cert.exists():
            return cert, key
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key)]
        command += ["-out", str(cert)]
        if by is None:
            command += ["-addext", "basicConstraints=critical,CA:TRUE"]
        else:
            command += ["-CA", str(folder / f"{by}.pem"), "-CAkey", str(folder / f"{by}.key")]
            command += ["-addext", "basicConstraints=CA:FALSE"]
            command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)
        return cert, key

    make("ca")
    make("other-ca")
    return make


def _over_tls(gateway: Any, ca: Path, client: tuple[Path, Path] | None, key: str | None) -> int:
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(*map(str, client))
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(gateway.url + CHAT, json.dumps(HELLO).encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as e:
        return e.code


def _speaks(gateway: Any, version: str, client: tuple[Path, Path]) -> bool:
    """Whether OpenSSL's own client, told to take any cipher, agrees on this version."""
    done = subprocess.run(
        [
            *("openssl", "s_client", version, "-cipher", "DEFAULT@SECLEVEL=0"),
            *("-cert", str(client[0]), "-key", str(client[1])),
            *("-connect", gateway.url.removeprefix("https://")),
        ],
        input=b"",
        capture_output=True,
        check=False,
        timeout=20,
    )
    return done.returncode == 0 and b"Cipher is (NONE)" not in done.stdout


def test_mutual_tls_binds_keys_and_follows_its_files(
    gateway_at: Any, pki: Callable[..., tuple[Path, Path]]
) -> None:
    """Without a certificate of the right authority there is no connection; a bound key opens only
    with its own; a new certificate and other authorities take effect without a restart; a broken
    file leaves the old one; nothing older than TLS 1.2 is spoken."""
    ca, other = pki("ca")[0], pki("other-ca")[0]
    mine, yours, foreign = pki("mine", "ca"), pki("yours", "ca"), pki("foreign", "other-ca")
    gateway = gateway_at(tiny=True)
    files = {n: gateway.folder / n for n in ("cert.pem", "key.pem", "clients.pem")}

    def install(server: tuple[Path, Path], clients: Path) -> None:
        for to, source in zip(files.values(), (*server, clients), strict=True):
            to.write_bytes(source.read_bytes())

    install(pki("server", "ca"), ca)
    configure(
        gateway,
        more='[tls]\ncert_file = "cert.pem"\nkey_file = "key.pem"\n'
        'client_ca_file = "clients.pem"\n',
    )
    gateway.start()
    assert gateway.url.startswith("https://")
    bound = gateway.run(
        *("keys", "create", "--team", "it", "--certificate", str(mine[0]), "--json")
    )
    key = json.loads(bound.stdout)["key"]
    assert _over_tls(gateway, ca, mine, key) == 200
    assert _over_tls(gateway, ca, yours, key) == 401
    assert _over_tls(gateway, ca, yours, gateway.key) == 200
    for client in (None, foreign):
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            _over_tls(gateway, ca, client, key)
    assert _speaks(gateway, "-tls1_2", mine)
    assert not _speaks(gateway, "-tls1_1", mine)
    install(pki("renewed", "other-ca"), other)

    def renewed() -> bool:
        try:
            return _over_tls(gateway, other, foreign, gateway.key) == 200
        except (ssl.SSLError, urllib.error.URLError, ConnectionError):
            return False

    until(renewed)
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        _over_tls(gateway, other, mine, gateway.key)  # of the authority that is gone
    files["cert.pem"].write_text("not a certificate")
    time.sleep(1.5)
    assert _over_tls(gateway, other, foreign, gateway.key) == 200
    assert "tls: the old certificate stays in use" in gateway.stderr()
    assert gateway.stop() == 0


# --- a destination that misbehaves in time ---


class _Destination(ThreadingHTTPServer):
    """Answers by its script, one entry per request; the last entry stays."""

    daemon_threads = True

    def __init__(self, script: list[str], context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.seen, self.sent = script, 0, 0
        self.headers: list[dict[str, str]] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is what some of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Destination
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        at = min(self.server.seen, len(self.server.script) - 1)
        step, self.server.seen = self.server.script[at], self.server.seen + 1
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        if step.startswith("busy"):
            self.send_response(503)
            self.send_header("Retry-After", step.removeprefix("busy "))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif step in ("flood", "stall", "stall at once"):
            if step == "stall at once":
                time.sleep(5)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.close_connection = True
            chunk = {"choices": [{"index": 0, "delta": {"content": "x" * 4000}}]}
            event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
            for _ in range(50_000 if step == "flood" else 1):
                self.wfile.write(event)
                self.server.sent += len(event)
            time.sleep(5)
        else:
            said = json.loads(raw)["messages"][-1]["content"]
            message = {"role": "assistant", "content": said}
            body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def _before(gateway_at: Any, url: str, settings: str = "", more: str = "") -> Any:
    """A gateway before one more destination, "own", that answers the model "own-test"."""
    gateway = gateway_at(tiny=True)
    own = f'[upstream.own]\nside = "hosted"\nbase_url = "{url}/v1"\nmodels = ["own-test"]\n'
    configure(gateway, more=own + settings + more)
    return gateway.start()


def test_only_what_nobody_acted_on_is_sent_again(gateway_at: Any) -> None:
    """Busy with a Retry-After that fits: tried again, and the result says how often. Longer ones
    are the caller's to wait for; a connection that breaks is not tried again."""
    own = _Destination(["busy 0", "ok", "busy 60", "ok", "busy 0"])
    gateway = _before(gateway_at, f"http://127.0.0.1:{own.server_port}", "retries = 2\n")
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, own.seen) == (200, 2)
    assert gateway.wait_for(answer.request, "request.result")["tries"] == 2
    assert [r["type"] for r in gateway.records(answer.request)] == [
        *("request.intent", "request.result")
    ]
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, answer.headers["retry-after"], own.seen) == (503, "60", 3)
    assert gateway.ask(chat("x", "own-test")).status == 200
    answer = gateway.ask(chat("x", "own-test"))
    assert (answer.status, own.seen) == (503, 7)
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_a_destination_that_stalls_is_given_up(gateway_at: Any) -> None:
    """Before its first byte: 504. In the middle of a stream: an error event, so that the SDK
    raises."""
    own = _Destination(["stall at once", "stall"])
    gateway = _before(
        gateway_at, f"http://127.0.0.1:{own.server_port}", "first_byte_s = 0.5\nidle_s = 0.5\n"
    )
    began = time.monotonic()
    answer = gateway.ask(chat("x", "own-test", stream=True))
    assert (answer.status, answer.error["code"]) == (504, "upstream_failed")
    answer = gateway.ask(chat("x", "own-test", stream=True))
    assert answer.status == 200
    assert b'"error"' in answer.body.split(b"\n\n")[-2]
    assert time.monotonic() - began < 4
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_a_slow_caller_does_not_fill_memory(gateway_at: Any) -> None:
    """200 MB of stream, and a caller who reads nothing: what is not taken stays with the
    destination."""
    own = _Destination(["flood"])
    gateway = _before(gateway_at, f"http://127.0.0.1:{own.server_port}")
    assert gateway.process is not None
    gateway.ask()

    def resident() -> int:
        lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("VmRSS")).split()[1])

    before = resident()
    request = urllib.request.Request(
        gateway.url + CHAT,
        json.dumps(chat("x", "own-test", stream=True)).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {gateway.key}"},
    )
    with urllib.request.urlopen(request, timeout=20):
        last = -1
        while own.sent != last:  # until the destination is held back
            last = own.sent
            time.sleep(0.7)
        assert own.sent < 50_000_000
        assert resident() - before < 30_000
    gateway.stop()
    own.shutdown()
    own.server_close()


def test_a_destination_is_trusted_by_its_own_authority(
    gateway_at: Any, pki: Callable[..., tuple[Path, Path]]
) -> None:
    """ca_file and cert_file of the upstream: without the first its certificate is not trusted;
    without the second it does not take us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, pki("destination", "ca")))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(pki("other-ca")[0]))
    own = _Destination(["ok"], context)
    url = f"https://127.0.0.1:{own.server_port}"
    client = pki("gateway", "other-ca")
    trusted = f'ca_file = "{pki("ca")[0]}"\n'
    ours = f'cert_file = "{client[0]}"\nkey_file = "{client[1]}"\n'
    more = f'[upstream.bare]\nside = "hosted"\nbase_url = "{url}/v1"\nmodels = ["bare-test"]\n'
    gateway = _before(gateway_at, url, trusted + ours, more)
    assert gateway.ask(chat("x", "own-test")).status == 200
    answer = gateway.ask(chat("x", "bare-test"))
    assert answer.status == 502
    assert "not trusted" in answer.error["message"]
    gateway.stop()
    own.shutdown()
    own.server_close()


# --- traces ---


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


def test_the_gateways_log_can_be_read_by_machines(several: Any) -> None:
    """JSON on every line of stderr, once the workers run, and nothing of a request in it."""
    lines = several.stderr().splitlines()
    assert lines
    for line in lines:
        assert set(json.loads(line)) >= {"time", "level", "logger", "message"}
