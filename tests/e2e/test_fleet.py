"""Four gateways, one log in PostgreSQL: `kill -9` of anybody, and crashes of the server."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import Cluster

from sovereign.audit.cosign import cosignatures
from sovereign.audit.note import Verifier, open_checkpoint
from sovereign.audit.witness import open_witness, server

SOVEREIGN = Path(sys.executable).with_name("sovereign")
GATEWAYS, CALLERS = 4, 1
PATIENCE_S = 4
KILLS = int(os.environ.get("SOVEREIGN_KILLS", "6"))
"""In turn: a third of them each. A run of all tests takes few; `SOVEREIGN_KILLS` is for more."""

VICTIMS = ("gateway", "sequencer", "server")


class Caller(threading.Thread):
    """Asks one gateway until it is told to stop. ``promised`` is what answers said of the log."""

    def __init__(self, gateway: Any, number: int) -> None:
        super().__init__()
        self._gateway, self._number = gateway, number
        self.promised: dict[str, str] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self.ended.is_set():
            turn += 1
            text = f"Maria Kx{self._number}x{turn} asks"
            model = "gpt-test" if turn % 3 else "local-test"
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            request = urllib.request.Request(
                f"{self._gateway.url}/v1/chat/completions",
                data=json.dumps(body).encode(),
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {self._gateway.key}",
                },
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as reply:
                    reply.read()
                    said = reply.headers
                    self.promised[said["x-sovereign-request"]] = said["x-sovereign-record"]
            except urllib.error.HTTPError as e:
                e.close()
            except (urllib.error.URLError, HTTPException, OSError):
                time.sleep(0.02)


@pytest.fixture
def fleet(gateway_at: Any, cluster: Cluster) -> Any:
    """They share the database and the key that signs; each has a folder of its own."""
    more = f'store = "{cluster.url}"\npatience_s = {PATIENCE_S}\n'
    gateways = [gateway_at(tiny=True, audit=more, seed=b"k" * 32) for _ in range(GATEWAYS)]
    with ThreadPoolExecutor() as pool:  # together: each takes seconds
        list(pool.map(lambda gateway: gateway.start(), gateways))
    yield gateways
    for gateway in gateways:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.stop()


def stored(cluster: Cluster) -> list[dict[str, Any]]:
    with psycopg.connect(cluster.url) as db:
        rows = db.execute("SELECT bytes FROM sovereign_audit.record_1 ORDER BY idx").fetchall()
    return [json.loads(data) for (data,) in rows]


def test_a_fleet_loses_nothing_whoever_dies(fleet: Any, cluster: Cluster) -> None:
    """A random gateway, a random gateway's sequencer (both `kill -9`) and the database server (as
    `pg_ctl stop -m immediate` does) are killed in turn, again and again, under load. Nothing
    acknowledged is missing, nothing left without its intent, no number is there twice, and the one
    log verifies."""
    before = fleet[0].hosted.ids() | fleet[0].local.ids()
    chance, kills = random.Random(), Counter[str]()
    callers = [Caller(gateway, n) for n, gateway in enumerate(fleet * CALLERS)]
    for caller in callers:
        caller.start()
    try:
        while sum(kills.values()) < KILLS:
            before_it = sum(len(caller.promised) for caller in callers)
            until = time.monotonic() + 60
            while sum(len(caller.promised) for caller in callers) < before_it + 20:
                assert time.monotonic() < until, "nothing is answered any more"
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.1))
            gateway, victim = chance.choice(fleet), VICTIMS[sum(kills.values()) % 3]
            if victim == "gateway":
                gateway.kill()
                gateway.start()
            elif victim == "sequencer":
                pid = int((gateway.folder / "audit" / "sequencer.lock").read_text())
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it was killed a moment ago
            else:
                cluster.stop("immediate")
                time.sleep(chance.uniform(0, 0.5))
                cluster.start()
            kills[victim] += 1
        time.sleep(1.0)
    finally:
        for caller in callers:
            caller.ended.set()
        for caller in callers:
            caller.join()
    assert [gateway.stop() for gateway in fleet] == [0] * GATEWAYS, fleet[0].stderr()[-2000:]
    assert all(kills[victim] >= KILLS // 3 for victim in VICTIMS)
    records = stored(cluster)
    promised = {k: v for caller in callers for k, v in caller.promised.items()}
    assert len(promised) > 5 * KILLS, "there was load"
    for request, place in promised.items():
        assert records[int(place)]["request"] == request
    numbers = Counter((r["source"], r["seq"]) for r in records)
    assert max(numbers.values()) == 1
    intents = {r["request"]: r for r in records if r["type"] == "request.intent"}
    hosted, local = fleet[0].hosted.received(), fleet[0].local.received()
    by_id = {dict(r["headers"]).get("x-request-id", ""): r["body"] for r in [*hosted, *local]}
    reached = by_id.keys() - before
    assert reached <= intents.keys()
    for request in reached:
        assert hashlib.sha256(by_id[request]).hexdigest() == intents[request]["body_sha256"]
    assert len({r["source"].split("-")[0] for r in records if r["type"] == "log.open"}) >= 2
    verified = fleet[0].run("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    print(
        f"{dict(kills)}: {len(promised)} acknowledged, {len(records)} stored,"
        f" {len(reached)} reached an upstream"
    )


def _answer_again(fleet: Any) -> None:
    for gateway in fleet:
        until = time.monotonic() + 20
        while (status := gateway.ask().status) != 200:
            assert time.monotonic() < until, status


def test_without_its_database_nothing_leaves_and_its_return_is_enough(
    fleet: Any, cluster: Cluster
) -> None:
    """Refused within the patience that is configured, by every gateway, and not ready; nothing
    reaches an upstream meanwhile. With the server back, no gateway has to be started again."""
    assert all(gateway.ask().status == 200 for gateway in fleet)
    seen = len(fleet[0].hosted.received())
    for lose, back in (
        (lambda: cluster.stop("immediate"), cluster.start),
        (cluster.freeze, cluster.thaw),
    ):
        lose()
        try:
            for gateway in fleet:
                began = time.monotonic()
                answer = gateway.ask()
                assert answer.status == 503
                assert answer.error["code"] == "audit_unavailable"
                assert time.monotonic() - began < 15
            assert fleet[0].ask(b"", "/readyz", method="GET", key=None).status == 503
            assert len(fleet[0].hosted.received()) == seen
        finally:
            back()
        _answer_again(fleet)
        seen = len(fleet[0].hosted.received())
    verified = fleet[0].run("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def test_a_database_that_is_started_again_refuses_nobody(fleet: Any, cluster: Cluster) -> None:
    """Within the patience that is configured a request waits for it, and is sent. On a machine so
    busy that the server takes as long as that to start, it may be refused."""
    with ThreadPoolExecutor() as pool:
        for _ in range(2):
            cluster.stop("immediate")
            began = time.monotonic()
            asked = [pool.submit(gateway.ask) for gateway in fleet]
            time.sleep(0.5)
            assert not any(future.done() for future in asked)
            cluster.start()
            took = time.monotonic() - began
            refused = [answer for f in asked if (answer := f.result()).status != 200]
            assert not refused or took > PATIENCE_S / 2, took
            assert all(answer.error["code"] == "audit_unavailable" for answer in refused)
            if refused:
                _answer_again(fleet)
    assert fleet[0].run("audit", "verify").returncode == 0


def test_the_commands_read_the_log_of_the_fleet(fleet: Any) -> None:
    """`show`, `prove` and `search` at one machine find what another one wrote."""
    asked = fleet[1].ask({"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]})
    place = asked.headers["x-sovereign-record"]
    shown = fleet[0].run("audit", "show", "--request", asked.request, "--json")
    assert shown.returncode == 0, shown.stderr
    assert asked.request in shown.stdout
    out, deadline = fleet[0].folder / "proof", time.monotonic() + 10
    while (proved := fleet[0].run("audit", "prove", place, "--out", str(out))).returncode:
        assert time.monotonic() < deadline, proved.stderr  # its checkpoint is a second away
    exported = fleet[0].run("audit", "export", "--format", "jsonl")
    assert asked.request in exported.stdout, exported.stderr
    report = fleet[0].folder / "report.json"
    period = ("--from", "2020-01-01", "--to", "2100-01-01", "--framework", "gdpr")
    reported = fleet[0].run("audit", "report", *period, "--out", str(report))
    assert reported.returncode == 0, reported.stderr
    assert json.loads(report.read_text())["counts"]["events"]["request.intent"] >= 1
    key = fleet[0].run("audit", "key").stdout.strip()
    checked = subprocess.run(
        [SOVEREIGN, "audit", "check-proof", str(out), "--key", key],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.request in checked.stdout, checked.stderr


def test_a_witness_cosigns_the_log_of_the_fleet(fleet: Any, tmp_path: Path) -> None:
    """The cosignature lies in the machine's own folder, beside the checkpoints that its sequencer
    is held to, and not only in the copy that commands read; a proof carries it."""
    gateway = fleet[0]
    key = Verifier.parse(gateway.run("audit", "key").stdout.strip())
    witness, cosigner = open_witness(tmp_path / "w", name="witness.example", logs=[key])
    with server(witness, "127.0.0.1", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{serving.server_port}"
        asked = gateway.run("audit", "witness-ask", url, "--witness", str(cosigner.public))
        serving.shutdown()
        thread.join()
    assert "cosigned by witness.example" in asked.stdout, asked.stderr
    kept = (gateway.folder / "audit" / "cosigned").read_text()
    assert [c.witness for c in cosignatures(kept, [cosigner.public])] == ["witness.example"]
    size = open_checkpoint(kept, key).size
    assert f"{size} records" in asked.stdout
    proof = str(tmp_path / "proof")
    assert gateway.run("audit", "prove", "0", "--out", proof).returncode == 0
    checked = ("check-proof", proof, "--key", str(key), "--witness", str(cosigner.public))
    said = subprocess.run(
        [SOVEREIGN, "audit", *checked], capture_output=True, text=True, check=False
    )
    assert "cosigned by witness.example" in said.stdout, said.stderr
