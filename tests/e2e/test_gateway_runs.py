"""A gateway at work: what stays inside, who may come in, and when the door does not open."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import openai

CHAT = "/v1/chat/completions"


def chat(text: str, model: str = "gpt-test", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def test_local_keeps_the_request_inside_and_says_so(tiny: Any) -> None:
    """A finding that must stay inside moves the whole request to the local model, on both wires."""
    before = len(tiny.hosted.received())
    answer = tiny.ask(chat("KEEPINSIDE Maria Keller"))
    assert answer.status == 200
    assert answer.headers["x-sovereign-verdict"] == "local"
    assert answer.headers["x-sovereign-destination"] == "inside"
    assert json.loads(answer.body)["model"] == "local-test"
    assert b"Maria Keller" in answer.body
    intent = tiny.wait_for(answer.request, "request.intent")
    assert (intent["rerouted"], intent["side"], intent["verdict"]) == (True, "local", "local")
    body = {**chat("KEEPINSIDE", "claude-test"), "max_tokens": 9}
    answer = tiny.ask(body, "/v1/messages")
    assert json.loads(answer.body)["content"][0]["text"] == "You said: KEEPINSIDE"
    assert len(tiny.hosted.received()) == before
    assert tiny.local.received()[-1]["path"] == CHAT


def test_an_input_that_is_one_text_stays_inside(tiny: Any) -> None:
    """Responses take a text in the place of turns."""
    before = len(tiny.hosted.received())
    answer = tiny.ask({"model": "gpt-test", "input": "KEEPINSIDE"}, "/v1/responses")
    assert (answer.status, answer.headers["x-sovereign-destination"]) == (200, "inside")
    assert len(tiny.hosted.received()) == before


IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"


def test_what_cannot_be_read_stays_inside(tiny: Any) -> None:
    """This policy says ``unreadable = "local"``: an image goes to the local model as it is or, over
    a wire that cannot carry it there, nowhere."""
    before = len(tiny.hosted.received())
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    answer = tiny.ask({"model": "gpt-test", "messages": [{"role": "user", "content": parts}]})
    assert (answer.status, answer.headers["x-sovereign-destination"]) == (200, "inside")
    assert IMAGE.encode() in tiny.local.received()[-1]["body"]
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE.partition(",")[2]}
    block = {"type": "document", "source": source}
    body = {
        "model": "claude-test",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [block]}],
    }
    answer = tiny.ask(body, "/v1/messages")
    assert answer.status == 400
    assert tiny.wait_for(answer.request, "request.refusal")["code"] == "unsupported"
    assert len(tiny.hosted.received()) == before


def test_a_conversation_stays_inside_when_its_beginning_is_cut_off(tiny: Any) -> None:
    """What the policy found is no longer there; what was said inside since is."""
    long = "The plan that we made last week holds, with a look at all values on Tuesday. " * 2
    said = [
        {"role": "user", "content": f"KEEPINSIDE {long}"},
        {"role": "assistant", "content": f"{long} Yes."},
        {"role": "user", "content": f"{long} Sure?"},
    ]
    before = len(tiny.hosted.received())
    assert tiny.ask({"model": "gpt-test", "messages": said}).status == 200
    later = [*said[1:], {"role": "assistant", "content": "Sure."}, {"role": "user", "content": "?"}]
    answer = tiny.ask({"model": "gpt-test", "messages": later})
    assert answer.headers["x-sovereign-destination"] == "inside"
    intent = tiny.wait_for(answer.request, "request.intent")
    assert (intent["rerouted"], intent["verdict"]) == (True, "local")
    assert len(tiny.hosted.received()) == before
    other = [{"role": "user", "content": "hi"}, {"role": "user", "content": f"{long} Other."}]
    answer = tiny.ask({"model": "gpt-test", "messages": other})
    assert answer.headers["x-sovereign-destination"] != "inside"


def test_a_caller_who_hangs_up_is_recorded(tiny: Any) -> None:
    """The upstream is let go, and the result says client_gone."""
    host, port = tiny.url.removeprefix("http://").split(":")
    body = json.dumps(chat("x " * 200, "standin-slow", stream=True)).encode()
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tiny.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = line.recv(4096).decode()
    request = next(h for h in head.split("\r\n") if h.startswith("x-sovereign-request")).split()[1]
    assert tiny.wait_for(request, "request.result")["outcome"] == "client_gone"


def test_a_revoked_key_is_refused_without_a_restart(gateway_at: Any, tiny: Any) -> None:
    """The gateway sees the file change; a new key works at once, for its models only."""
    made = tiny.run("keys", "create", "--team", "it", "--models", "gpt-*", "--json")
    new = json.loads(made.stdout)
    assert tiny.ask(key=new["key"]).status == 200
    answer = tiny.ask(chat("x", "local-test"), key=new["key"])
    assert (answer.status, answer.error["code"]) == (403, "not_permitted")
    assert tiny.run("keys", "revoke", new["id"]).returncode == 0
    assert tiny.ask(key=new["key"]).status == 401
    kinds = [r["type"] for r in tiny.records() if r.get("key_id") == new["id"]]
    assert kinds[0] == "key.create"
    assert kinds[-1] == "key.revoke"


def test_over_the_limit_callers_are_told_to_come_back(gateway_at: Any) -> None:
    """503 with Retry-After, recorded, once max_concurrent requests are under way."""
    gateway = gateway_at(tiny=True, max_concurrent=2).start()
    slow = chat("x " * 60, "standin-slow")
    threads = [threading.Thread(target=gateway.ask, args=(slow,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.15)
    answer = gateway.ask()
    for thread in threads:
        thread.join()
    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert gateway.wait_for(answer.request, "request.refusal")["code"] == "overloaded"
    assert gateway.ask().status == 200
    assert gateway.stop() == 0


def test_without_a_log_nothing_is_sent(gateway_at: Any) -> None:
    """The log is taken away under a running gateway: 503, nothing reaches the upstream, and
    /readyz says so; once it is back, requests pass again."""
    gateway = gateway_at(tiny=True).start()
    assert gateway.ask().status == 200
    before = len(gateway.hosted.received())
    database = gateway.folder / "audit" / "log.db"
    database.rename(database.with_suffix(".away"))
    answer = gateway.ask()
    assert (answer.status, answer.error["code"]) == (503, "audit_unavailable")
    assert gateway.ask(chat("TOPSECRET")).status == 503
    assert len(gateway.hosted.received()) == before
    ready = gateway.ask(b"", "/readyz", method="GET")
    assert (ready.status, json.loads(ready.body)["log"]) == (503, "audit_unavailable")
    database.with_suffix(".away").rename(database)
    assert gateway.ask().status == 200
    assert gateway.stop() == 0


def test_health_readiness_and_metrics_hold_no_content(tiny: Any) -> None:
    """Open to anybody, so they tell only names of the configuration, and numbers."""
    tiny.ask(chat("I am Maria Keller"))
    assert tiny.ask(b"", "/healthz", method="GET", key=None).status == 200
    ready = tiny.ask(b"", "/readyz", method="GET", key=None)
    said = json.loads(ready.body)
    assert len(said.pop("policy")) == 64
    assert said == {"ready": True, "guard": "ok", "log": "ok"}
    numbers = tiny.ask(b"", "/metrics", method="GET", key=None).body.decode()
    assert 'sovereign_verdicts_total{destination="openai",verb="pseudonymize"}' in numbers
    assert "Maria" not in numbers


def test_the_listener_does_not_open_on_what_is_wrong(gateway_at: Any) -> None:
    """A port in use, a log without its key: one error line with a hint, and nothing listens."""
    gateway = gateway_at(tiny=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = gateway.run("gateway", "--port", port)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: cannot listen at 127.0.0.1:{port}: address already")
    assert failed.stderr.splitlines()[1].startswith("hint: --port 0")
    assert len(failed.stderr.splitlines()) == 2
    (gateway.folder / "audit.key").unlink()
    failed = gateway.run("gateway")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: audit.key_file")
    assert len(failed.stderr.splitlines()) == 2


def test_a_recogniser_that_finds_nothing_keeps_the_door_shut(gateway_at: Any) -> None:
    """With no working guard there is no listener: the canary runs before it opens."""
    gateway = gateway_at(tiny=True)
    script = gateway.folder / "blind.py"
    source = gateway.command[1]
    script.write_text(
        f"import runpy\nmodule = runpy.run_path({source!r})\n"
        "module['PATTERNS'].clear()\nmodule['main']()\n"
    )
    ready = gateway.folder / "never.json"
    failed = subprocess.run(
        [sys.executable, str(script), str(gateway.config), str(ready)],
        env={**os.environ, "HOSTED_KEY": "x"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: the recognisers no longer find")
    assert not ready.exists()


def test_concurrent_callers_never_get_each_others_values(tiny: Any) -> None:
    """Sixteen callers at once, each with names of its own, streamed and not: each gets back exactly
    what it sent, and the hosted side none of it."""
    wrong: list[str] = []

    def call(number: int) -> None:
        client = openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=tiny.key)
        with client:
            for turn in range(4):
                mine = f"Maria K{chr(97 + number)}x{number}t{turn}"
                messages: Any = [{"role": "user", "content": f"I am {mine}."}]
                if turn % 2:
                    chunks = client.chat.completions.create(
                        model="gpt-test", messages=messages, stream=True
                    )
                    said = "".join(c.choices[0].delta.content or "" for c in chunks)
                else:
                    reply = client.chat.completions.create(model="gpt-test", messages=messages)
                    said = reply.choices[0].message.content or ""
                if said != f"You said: I am {mine}.":
                    wrong.append(said)

    callers = [threading.Thread(target=call, args=(n,)) for n in range(16)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
    sent = b"".join(r["body"] for r in tiny.hosted.received())
    assert b"Maria K" not in sent


def test_gateway_imports_no_torch() -> None:
    """A crash of torch must never take the door with it, nor its import slow it down."""
    code = (
        "import sys, sovereign.gateway.server, sovereign.gateway.standin, sovereign.cli.gateway;"
        "bad = {'torch', 'transformers', 'spacy', 'presidio_analyzer'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
