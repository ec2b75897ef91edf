"""The fault matrix: each row injects one fault into running processes, and holds what was promised:
the answer, and the record of it. docs/faults.md is made from these tables by scripts/faults_doc.py.
"""

# ruff: noqa: E501 - a table is read by its rows

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
from faulty import WAYS, Faulty
from operate import until

REPO = Path(__file__).resolve().parents[2]
TEXT = "I am Maria Keller"


class Fault(NamedTuple):
    """One row. ``record`` is the code of a refusal, or ``result: `` and the outcome."""

    what: str
    status: int
    record: str
    stream: bool = False


UPSTREAM: dict[str, Fault] = {
    "silent": Fault("takes the request and never answers", 504, "result: upstream_failed"),
    "reset": Fault("resets the connection", 502, "result: upstream_failed"),
    "huge": Fault("answers with more than 64 MB", 502, "result: upstream_failed"),
    "no-http": Fault("answers with something that is not HTTP", 502, "result: upstream_failed"),
    "half": Fault("breaks off in the middle of its answer", 502, "result: upstream_failed"),
    "too-long": Fault("sends more than it announced", 502, "result: upstream_failed"),
    "two-lengths": Fault("announces two lengths", 502, "result: upstream_failed"),
    "not-json": Fault("says JSON and sends none", 502, "result: upstream_failed"),
    "html": Fault("answers with another content type", 502, "result: upstream_failed"),
    "redirect": Fault("redirects", 502, "result: upstream_failed"),
    "switch": Fault("switches protocols", 502, "result: upstream_failed"),
    "endless-header": Fault("sends a header of a megabyte", 502, "result: upstream_failed"),
    "broken-first": Fault(
        "begins its stream with an event that is not JSON", 502, "result: upstream_failed", True
    ),
    "broken-event": Fault(
        "streams an event that is not JSON after others", 200, "result: upstream_failed", True
    ),
    "no-end": Fault("ends its stream without its last event", 200, "result: upstream_failed", True),
    "empty-stream": Fault("streams nothing at all", 502, "result: upstream_failed", True),
    "no-name": Fault("has a name that does not resolve", 502, "result: upstream_failed"),
    "no-tls": Fault(
        "does not speak TLS where https:// is configured", 502, "result: upstream_failed"
    ),
    "refuses": Fault("refuses the connection", 502, "result: upstream_failed"),
}
"""What a destination does, and what the caller gets. In every row the request was recorded before it
was sent, no stand-in was asked in its place, and half an answer never looks like a whole one."""

GUARD: dict[str, Fault] = {
    "EXPLODE": Fault("a recogniser raises", 503, "recognizer_failed"),
    "NONSENSE": Fault("a recogniser finds something outside of the text", 503, "recognizer_failed"),
    "OVERLONG": Fault("a recogniser passes the deadline", 503, "recognizer_failed"),
    "NEVERENDING": Fault("a recogniser never returns", 503, "recognizer_failed"),
    "OUTOFMEMORY": Fault("a recogniser runs out of memory", 503, "recognizer_failed"),
    "LEAVEIT": Fault("a value is still in the outgoing bytes", 500, "residual_found"),
}
"""What goes wrong in the guard. Nothing is sent."""

HERE = {
    "keys broken": Fault("the key file is not JSON", 503, "gateway"),
    "keys readable": Fault("others may read the key file", 503, "gateway"),
    "keys gone": Fault("the key file is gone", 401, "invalid_api_key"),
}
"""What goes wrong around the gateway. Nothing is sent; once it is well again, requests pass."""

ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    ("the canary is not found at the start", "the listener does not open", "test_gateway_runs.py::test_a_recogniser_that_finds_nothing_keeps_the_door_shut"),
    ("a port in use, a missing key of the log", "the listener does not open", "test_gateway_runs.py::test_the_listener_does_not_open_on_what_is_wrong"),
    ("the policy file breaks while it runs", "the old policy stays, /metrics and the log say so", "test_gateway_operated.py::test_a_policy_file_is_taken_over_whole_or_not_at_all"),
    ("the log's database is taken away", "503, nothing sent; back again, requests pass", "test_gateway_runs.py::test_without_a_log_nothing_is_sent"),
    ("the log's disk is full", "appends are refused, and go on once there is room", "test_audit_crash.py::test_a_full_disk_refuses_and_goes_on_once_there_is_room"),
    ("the log's sequencer is killed under load", "another takes over; every request upstream has its record", "test_gateway_killed.py::test_every_request_that_got_out_is_in_the_log"),
    ("the gateway is killed between intent and answer", "every request upstream has its record, the log verifies", "test_gateway_killed.py::test_every_request_that_got_out_is_in_the_log"),
    ("a worker of several is killed", "it is started again, the others serve on", "test_gateway_operated.py::test_a_worker_that_is_killed_is_started_again"),
    ("a worker cannot start", "the door stays shut", "test_gateway_operated.py::test_a_worker_that_cannot_start_keeps_the_door_shut"),
    ("a local engine is killed", "502 or 503, nothing falls back to outside, it comes back", "test_whole_road.py::test_a_killed_engine_is_a_clear_error_and_comes_back"),
    ("more requests than max_concurrent", "503 with Retry-After, recorded", "test_gateway_runs.py::test_over_the_limit_callers_are_told_to_come_back"),
    ("a rate is used up", "429 with Retry-After on both wires, recorded", "test_gateway_limits.py::test_a_key_over_its_limit_gets_429_on_both_wires"),
    ("the caller hangs up before its body is whole", "never read as a whole one, recorded", "test_gateway_wire.py::test_a_caller_that_leaves_before_sending_all_is_no_request"),
    ("the caller hangs up during its answer", "the destination is let go, recorded", "test_gateway_runs.py::test_a_caller_who_hangs_up_is_recorded"),
    ("the caller reads its answer too slowly", "memory stays bounded", "test_gateway_upstream.py::test_a_slow_caller_does_not_fill_memory"),
    ("a body too large, too deep, compressed, smuggled", "refused in the shape of its wire, recorded", "test_gateway_refuses.py::test_refused_recorded_and_nothing_sent"),
    ("SIGTERM under load", "running answers end, then the log closes", "test_gateway_wire.py::test_a_stop_lets_running_answers_end"),
    ("the destination answers 429 or 5xx", "its status and restored message, recorded", "test_gateway_refuses.py::test_a_failing_destination_is_an_error_and_a_result"),
    ("the log's sequencer is stopped, and answers nothing", "503 once its patience is over, nothing sent; it goes on, requests pass", "test_faults.py::test_a_sequencer_that_stands_still_stops_every_request"),
    ("more recognisers hang than there are threads", "others are served on, and it still stops when told to", "test_faults.py::test_hanging_recognisers_hold_up_nobody_else"),
    ("a caller never sends the end of its head, or its body", "its connection is closed, others are served", "test_gateway_smuggling.py::test_a_caller_that_never_ends_its_head_is_let_go"),
    ("a caller takes nothing of a large answer", "given up, its connection dropped", "test_gateway_smuggling.py::test_a_caller_that_takes_nothing_is_let_go"),
    ("LiteLLM's proxy asks, and the log is gone", "BLOCKED", "test_litellm_guardrail.py::test_without_a_log_it_blocks"),
)  # fmt: skip
"""Faults whose tests stand elsewhere in this folder: fault, what is promised, test."""


@pytest.fixture(scope="module")
def faulted(gateway_at: Any) -> Iterator[Any]:
    """A gateway before a destination that fails in every way there is."""
    destination = Faulty()
    gateway = gateway_at(tiny=True)
    places = {way: f"http://127.0.0.1:{destination.port}/{way}/v1" for way in WAYS}
    places["no-name"] = "http://nowhere.invalid/v1"
    places["no-tls"] = f"https://127.0.0.1:{destination.port}/v1"
    places["refuses"] = "http://127.0.0.1:9/v1"
    settings = gateway.config.read_text()
    key = 'key_file = "surrogate.key"'
    gateway.config.write_text(settings.replace(key, f"{key}\ndeadline_s = 3.0"))
    with gateway.config.open("a") as config:
        config.write("[documents]\nseconds = 1.0\n")
        for way, place in places.items():
            config.write(
                f'[upstream.f-{way}]\nside = "hosted"\nbase_url = "{place}"\n'
                f'timeout_s = {2.0 if way == "silent" else 20.0}\nmodels = ["fault-{way}"]\n'
            )
    yield gateway.start()
    destination.close()


def chat(model: str, text: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


def refused(gateway: Any, answer: Any, fault: Fault) -> None:
    assert answer.status == fault.status, answer.body
    if fault.record:
        assert gateway.wait_for(answer.request, "request.refusal")["code"] == fault.record
    assert b"Maria" not in answer.body
    assert "Maria" not in gateway.stderr()


@pytest.mark.parametrize("way", UPSTREAM)
def test_a_failing_destination_is_recorded_and_never_half_an_answer(faulted: Any, way: str) -> None:
    """Intent before, result after; an error of the caller's wire, or an error event in a stream."""
    fault = UPSTREAM[way]
    before = len(faulted.hosted.received()) + len(faulted.local.received())
    answer = faulted.ask(chat(f"fault-{way}", TEXT, stream=fault.stream))
    assert answer.status == fault.status, answer.body[:300]
    if fault.status == 200:
        events = answer.body.decode().strip().split("\n\n")
        assert "error" in json.loads(events[-1].removeprefix("data: "))
        assert "[DONE]" not in answer.body.decode()
    else:
        assert answer.error["code"] == "upstream_failed"
    kinds = [r["type"] for r in faulted.records(answer.request)]
    result = faulted.wait_for(answer.request, "request.result")
    assert f"result: {result['outcome']}" == fault.record
    assert kinds[0] == "request.intent"
    assert len(faulted.hosted.received()) + len(faulted.local.received()) == before


@pytest.mark.parametrize("word", GUARD)
def test_a_failing_guard_sends_nothing(faulted: Any, word: str) -> None:
    """Refused and recorded, with a code that says what failed and no word of the request."""
    before = len(faulted.hosted.received()) + len(faulted.local.received())
    refused(faulted, faulted.ask(chat("gpt-test", f"{word} {TEXT}")), GUARD[word])
    assert len(faulted.hosted.received()) + len(faulted.local.received()) == before
    assert faulted.ask().status == 200


def test_hanging_recognisers_hold_up_nobody_else(gateway_at: Any) -> None:
    """More of them than threads: each is refused when its time is over, others are served in
    between and afterwards, /metrics says how many hang, and SIGTERM still ends the process."""
    gateway = gateway_at(tiny=True)
    key = 'key_file = "surrogate.key"'
    settings = gateway.config.read_text().replace(key, f"{key}\ndeadline_s = 0.5")
    gateway.config.write_text(settings + "[documents]\nseconds = 1.0\n")
    gateway.start()
    before = len(gateway.hosted.received())
    with ThreadPoolExecutor(12) as callers:
        answers = list(
            callers.map(lambda n: gateway.ask(chat("gpt-test", f"NEVERENDING {n}")), range(12))
        )
    # Those that got no thread in their time are told to come back.
    codes = {a.error["code"] for a in answers}
    assert {a.status for a in answers} == {503}
    assert "recognizer_failed" in codes
    assert codes <= {"recognizer_failed", "overloaded"}
    assert len(gateway.hosted.received()) == before
    assert gateway.ask().status == 200
    with urlopen(f"{gateway.url}/metrics", timeout=10) as page:
        stuck = re.search(rb"^sovereign_guard_stuck (\d+)", page.read(), re.MULTILINE)
    assert stuck is not None
    assert int(stuck[1]) == sum(a.error["code"] == "recognizer_failed" for a in answers)
    assert gateway.stop() == 0


def test_a_sequencer_that_stands_still_stops_every_request(gateway_at: Any) -> None:
    """It is there, and says nothing: no intent is acknowledged, so nothing is sent. Once it goes
    on, requests pass again, and the log is whole."""
    gateway = gateway_at(tiny=True, audit="patience_s = 1.0\n").start()
    assert gateway.ask().status == 200
    sequencer = sequencer_of(gateway)
    before = len(gateway.hosted.received())
    os.kill(sequencer, signal.SIGSTOP)
    try:
        answer = gateway.ask(chat("gpt-test", TEXT))
        assert answer.status == 503
        assert answer.error["code"] == "audit_unavailable"
        assert len(gateway.hosted.received()) == before
    finally:
        os.kill(sequencer, signal.SIGCONT)
    until(lambda: gateway.ask().status == 200, seconds=30)
    assert gateway.stop() == 0
    verified = gateway.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def sequencer_of(gateway: Any) -> int:
    """The process that holds the log's lock open, other than the gateway."""
    log = str(gateway.folder / "audit")
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == gateway.process.pid:
            continue
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()).startswith(log) for fd in (process / "fd").iterdir()):
                return int(process.name)
    raise AssertionError("no sequencer")


@pytest.mark.parametrize("name", HERE)
def test_a_failing_key_file_lets_nobody_in(faulted: Any, name: str) -> None:
    """The keys of before would let a revoked one in, so a file that cannot be read lets in none."""
    file = faulted.folder / "keys.json"
    good = file.read_bytes()
    before = len(faulted.hosted.received())
    try:
        if name == "keys broken":
            file.write_bytes(b"{")
        elif name == "keys readable":
            file.chmod(0o644)
        else:
            file.unlink()
        refused(faulted, faulted.ask(), HERE[name])
    finally:
        file.write_bytes(good)
        file.chmod(0o600)
    assert len(faulted.hosted.received()) == before
    assert faulted.ask().status == 200


def test_a_policy_that_is_broken_at_the_start_keeps_the_door_shut(gateway_at: Any) -> None:
    """One error line with a hint, exit status 1, and nothing listens."""
    gateway = gateway_at(tiny=True)
    (gateway.folder / "policy.toml").write_text('name = "tiny"\n[hosted]\n"*" = "perhaps"\n')
    failed = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("tiny_gateway.py")),
            str(gateway.config),
            "x",
        ],
        env={**os.environ, "HOSTED_KEY": "x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "perhaps" in failed.stderr or "policy" in failed.stderr


def test_the_page_is_made_from_these_tables() -> None:
    """docs/faults.md names every row, and each test that it names is there."""
    page = (REPO / "docs" / "faults.md").read_text()
    rows = [f.what for table in (UPSTREAM, GUARD, HERE) for f in table.values()]
    assert len(rows) + len(ELSEWHERE) >= 40
    for what in (*rows, *(what for what, _, _ in ELSEWHERE)):
        assert what in page, what
    for _, _, test in ELSEWHERE:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (Path(__file__).parent / file).read_text(), test
