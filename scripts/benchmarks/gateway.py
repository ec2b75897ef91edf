"""What the door costs: the stand-in alone, the floor, a gateway that inspects nothing, ours.

    scripts/bench gateway [--rounds 5] [--ner none] [--litellm VENV] [--peer NAME=URL,KEY]

One run, one machine, one worker each; every request is durable in the log before it is sent.
Three loads: a fresh message, the same message again (its verdict is remembered), and a chat of 21
messages whose last is fresh. Prints p50 and requests/s at 1 and 8 callers, what the door adds to
direct, its CPU time per request, and the time to the first streamed token; asserts nothing. All
run at once and are asked by turns. The load comes from wrk where it is installed (Debian: apt
install wrk), else from a small asyncio loop, which shares the cores: compare within one run only.
Peers get the same load. The floor is the least that such a road can be in Python (``floor.py``);
it is laid where aiohttp and Starlette are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import peers
from floor import floor, missing

CALLERS = (1, 8)
TEXT = (
    "Please draft a short letter to Maria Keller, who was seen on 4 March by Dr. Tom Brandt. Her "
    "phone is +1 212 555 0143 and her address is 14 Elm Street, Springfield. She asks whether the "
    "new dose may be taken with breakfast, and when her next visit should be. Keep it kind. No. {n}"
)
PATH = "/v1/chat/completions"

BARE = """
import sys
from pathlib import Path
from sovereign.config import load_config
from sovereign.gateway.server import run
from sovereign.guard import Guard
from sovereign.policy import load_policy

class Bare(Guard):
    def canary(self):
        "Nothing is looked for, so nothing can be missed."

run(load_config(sys.argv[1]),
    make=lambda _: Bare(load_policy(preset="direct"), [], key=b"k" * 32),
    ready_file=Path(sys.argv[2]), say=lambda _: None)
"""

CONFIG = """
[policy]
preset = "direct"
[guard]
ner = "{ner}"
key_file = "surrogate.key"
[gateway]
port = 0
[upstream.openai]
side = "hosted"
base_url = "{url}/v1"
models = ["gpt-test"]
[keys]
file = "keys.json"
[audit]
path = "audit"
key_file = "audit.key"
"""

LUA = """
local head, tail = %s, %s
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local n = os.time() * 1000
request = function()
  n = n + %d
  return wrk.format(nil, nil, nil, head .. n .. tail)
end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read
  io.write(string.format("RESULT %%f %%f %%d\\n", latency:percentile(50) / 1000,
    summary.requests / summary.duration * 1e6, bad))
end
"""


@dataclass(frozen=True)
class Measured:
    """Milliseconds and requests per second of one target at one number of callers."""

    p50_ms: float
    per_s: float


LOADS = ("fresh", "cached", "chat of 21")

Load = tuple[str, str, int]
"""A target, a load, and how many callers."""

Figures = tuple[float, float, float]
"""p50 in ms, requests per second, ms of CPU per request."""


def body(number: int, load: str = "fresh", *, stream: bool = False) -> bytes:
    before = 20 if load == "chat of 21" else 0
    texts = [TEXT.format(n=turn) for turn in range(before)] + [TEXT.format(n=number)]
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return json.dumps({"model": "gpt-test", "messages": messages, "stream": stream}).encode()


def measure(url: str, key: str, load: str, callers: int) -> Measured:
    """One second."""
    if shutil.which("wrk"):
        return _wrk(url, key, load, callers)
    return asyncio.run(_loop(url, key, load, callers))


def _wrk(url: str, key: str, load: str, callers: int) -> Measured:
    marked = body(7777777777, load).decode()
    head, tail = marked.split("7777777777")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (json.dumps(head), json.dumps(tail), key, int(load != "cached")))
        script.flush()
        run = subprocess.run(
            [
                *("wrk", "-t1", f"-c{callers}", "-d1s"),
                *("-s", script.name, url + PATH),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(x for x in run.stdout.splitlines() if x.startswith("RESULT"))
    p50, per_s, bad = line.split()[1:]
    if int(bad):
        print(f"  {bad} requests failed", file=sys.stderr)
    return Measured(float(p50), float(per_s))


async def _loop(url: str, key: str, load: str, callers: int) -> Measured:
    parts = urlsplit(url)
    took: list[float] = []
    end = time.perf_counter() + 1

    async def caller(which: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        number = which * 10_000_000
        while time.perf_counter() < end:
            number += load != "cached"
            raw = body(number, load)
            began = time.perf_counter()
            writer.write(
                f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
                + raw
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"error: {head[:40]!r}")
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller(n) for n in range(callers)))
    return Measured(statistics.median(took) * 1000, len(took) / (time.perf_counter() - began))


@contextlib.contextmanager
def process(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        started.terminate()
        started.wait(timeout=30)


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    command = [sys.executable, "-m", "sovereign.gateway.standin", "--record", os.devnull]
    with process(command, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        yield json.loads(started.stdout.readline())["url"]


@contextlib.contextmanager
def gateway(folder: Path, url: str, ner: str, *, bare: bool) -> Iterator[tuple[str, str, int]]:
    """(base URL, key, process id) of a gateway in a fresh folder."""
    folder.mkdir()
    config = folder / "sovereign.toml"
    config.write_text(CONFIG.format(url=url, ner=ner))
    for name in ("audit.key", "surrogate.key"):
        (folder / name).write_bytes(os.urandom(32))
        (folder / name).chmod(0o600)
    program = Path(sys.executable).with_name("sovereign")
    create = [str(program), "keys", "create", "--team", "bench", "--config", str(config)]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    ready = folder / "ready.json"
    command = [str(program), "gateway", "--config", str(config), "--ready-file", str(ready)]
    if bare:
        command = [sys.executable, "-c", BARE, str(config), str(ready)]
    with process(command, stdout=subprocess.DEVNULL) as started:
        while not ready.exists():
            if started.poll() is not None:
                raise SystemExit("error: the gateway did not start")
            time.sleep(0.05)
        yield json.loads(ready.read_text())["url"], key, started.pid


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith("VmRSS")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """CPU seconds that the process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_token_ms(url: str, key: str, load: str, count: int = 60) -> float:
    """The median time to the first event of a stream that holds text, one caller."""
    parts = urlsplit(url)
    took = []
    line = http.client.HTTPConnection(str(parts.hostname), parts.port)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for number in range(count):
        began = time.perf_counter()
        text = 40_000_000 + number * (load != "cached")
        line.request("POST", PATH, body(text, stream=True), headers)
        answer = line.getresponse()
        while b'"content"' not in answer.readline():
            pass
        took.append(time.perf_counter() - began)
        answer.read()
    line.close()
    return statistics.median(took) * 1000


@dataclass(frozen=True)
class Target:
    """A gateway, a peer, or the stand-in; ``pid`` is 0 if its own costs are not asked."""

    name: str
    url: str
    key: str
    pid: int = 0


def rounds(targets: Sequence[Target], count: int) -> tuple[dict[Load, Figures], dict[Load, float]]:
    """Each load at each target for a second, by turns, ``count`` times; and the time to a first
    token. A machine that others use is twice as slow in one minute as in the next: what is compared
    has to be measured side by side. Medians."""
    found: dict[Load, list[Figures]] = {}
    firsts: dict[Load, list[float]] = {}
    for at in targets:
        measure(at.url, at.key, "fresh", 1)  # warm
    for _ in range(count):
        for load, callers, at in itertools.product(LOADS, CALLERS, targets):
            before = cpu_s(at.pid) if at.pid else 0.0
            got = measure(at.url, at.key, load, callers)
            cpu = (cpu_s(at.pid) - before) / max(1.0, got.per_s) * 1000 if at.pid else 0.0
            found.setdefault((at.name, load, callers), []).append((got.p50_ms, got.per_s, cpu))
        for load, at in itertools.product(("fresh", "cached"), targets):
            firsts.setdefault((at.name, load, 1), []).append(first_token_ms(at.url, at.key, load))
    middle = {
        key: (_median(one, 0), _median(one, 1), _median(one, 2)) for key, one in found.items()
    }
    return middle, {key: statistics.median(one) for key, one in firsts.items()}


def _median(figures: Sequence[Figures], at: int) -> float:
    return statistics.median(one[at] for one in figures)


def show(targets: Sequence[Target], count: int) -> None:
    """Measure, and print. What is added is against the first target."""
    found, firsts = rounds(targets, count)
    direct = targets[0].name
    for at in targets:
        for load, callers in itertools.product(LOADS, CALLERS):
            p50, per_s, cpu = found[at.name, load, callers]
            plain = found[direct, load, callers][0]
            own = f"{cpu:>8.2f}{resident_mb(at.pid):>6.0f}" if at.pid else ""
            print(
                f"{at.name:<16}{load:<12}{callers:>7}{p50:>9.2f}{p50 - plain:>9.2f}{per_s:>8.0f}"
                f"{p50 / plain:>9.1f}{own}"
            )
        for load in ("fresh", "cached"):
            got, plain = firsts[at.name, load, 1], firsts[direct, load, 1]
            what = f"first token, {load}"
            print(f"{at.name:<16}{what:<19}{got:>9.2f}{got - plain:>9.2f}")
        chat, one = found[at.name, "chat of 21", 1][0], found[at.name, "fresh", 1][0]
        print(f"{at.name:<16}a chat takes {chat / one:.2f} times as long as one message")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of a second for each measurement")
    parser.add_argument("--ner", default="tagger", help="[guard].ner")
    parser.add_argument("--litellm", type=Path, help="a virtual environment with litellm[proxy]")
    parser.add_argument("--peer", action="append", default=[], help="NAME=URL,KEY: it runs already")
    options = parser.parse_args()
    tool = "wrk" if shutil.which("wrk") else "asyncio loop in Python (apt install wrk for more)"
    print(f"load from {tool}; {len(TEXT)} characters a message; ner={options.ner}")
    print(
        f"{'':<16}{'load':<12}{'callers':>7}{'p50 ms':>9}{'added':>9}{'req/s':>8}"
        f"{'x direct':>9}{'CPU ms':>8}{'MB':>6}",
        flush=True,
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(stand_in())
        targets = [Target("direct", url, "none")]
        if missing():
            print(
                f"no floor beside it: {', '.join(missing())} is not installed (floor.py says how)"
            )
        else:
            made = floor(folder / "floor", url)
            targets.append(Target("floor", *stack.enter_context(made)))
        for name in ("bare gateway", "guarded gateway"):
            bare = name.startswith("bare")
            made = gateway(folder / name.split()[0], url, options.ner, bare=bare)
            targets.append(Target(name, *stack.enter_context(made)))
        if options.litellm is not None:
            other = peers.litellm(folder / "litellm", options.litellm.absolute(), url)
            targets.append(Target("LiteLLM+Presidio", *stack.enter_context(other)))
        for peer in options.peer:
            name, _, where = peer.partition("=")
            base, _, key = where.partition(",")
            targets.append(Target(name, base, key or "none"))
        show(targets, options.rounds)


if __name__ == "__main__":
    main()
