"""Many callers at once, each with identifiers of its own: none crossed, none leaked.

``SOVEREIGN_CROWD=10000`` is the large run; the default suits every push.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlsplit

CALLERS = 64
REQUESTS = int(os.environ.get("SOVEREIGN_CROWD", "384"))


def spelled(number: int) -> str:
    """``number`` in letters, so that nothing about it looks like another value."""
    return "".join("bcdfghjklm"[int(digit)] for digit in f"{number:06d}")


def values(number: int) -> tuple[str, str, str]:
    return (
        f"Maria K{spelled(number)}",
        f"{spelled(number)}@clinic.example",
        f"{100 + number % 800}-{10 + number % 90}-{1000 + number % 9000}",
    )


def said(raw: bytes, streamed: bool) -> str:
    if not streamed:
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in raw.decode().splitlines() if "data: {" in line]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def test_of_many_callers_at_once_each_gets_its_own_back(tiny: Any) -> None:
    """64 callers with a connection each; every other answer is streamed. Each gets back exactly
    what it sent; the destination received each request once and none of the values."""
    parts = urlsplit(tiny.url)
    wrong: list[str] = []
    before = len(tiny.hosted.received())

    def call(caller: int) -> None:
        line = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
        headers = {"Authorization": f"Bearer {tiny.key}", "Content-Type": "application/json"}
        for number in range(caller, REQUESTS, CALLERS):
            text = "I am {}, {}, {}.".format(*values(number))
            body = {"model": "gpt-test", "messages": [{"role": "user", "content": text}]}
            streamed = (number // CALLERS) % 2 == 1
            line.request(
                "POST", "/v1/chat/completions", json.dumps({**body, "stream": streamed}), headers
            )
            reply = line.getresponse()
            raw = reply.read()
            if reply.status != 200 or said(raw, streamed) != f"You said: {text}":
                wrong.append(f"{number}: {reply.status}")

    callers = [threading.Thread(target=call, args=(n,)) for n in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
    sent = tiny.hosted.received()[before:]
    assert len(sent) == REQUESTS
    whole = b"\n".join(request["body"] for request in sent)
    assert b"Maria K" not in whole
    assert b"@clinic.example" not in whole
    assert not any(values(n)[2].encode() in whole for n in range(0, REQUESTS, 7))
