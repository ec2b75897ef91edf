"""What the door costs: the stand-in alone, a gateway that inspects nothing, the guarded gateway.

    scripts/bench gateway [--seconds 3] [--ner none]

One run, one machine, one worker each; every request has fresh text and is durable in the log before
it is sent. Prints p50 and requests/s at 1 and 8 callers, ratios, and the gateway's CPU time per
request; asserts nothing. The load comes from wrk where it is installed (Debian: apt install wrk),
else from a small asyncio loop, which shares the cores: compare within one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

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
  n = n + 1
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


def body(number: int) -> bytes:
    message = {"role": "user", "content": TEXT.format(n=number)}
    return json.dumps({"model": "gpt-test", "messages": [message]}).encode()


def load(url: str, key: str, callers: int, seconds: float) -> Measured:
    if shutil.which("wrk"):
        return _wrk(url, key, callers, seconds)
    return asyncio.run(_loop(url, key, callers, seconds))


def _wrk(url: str, key: str, callers: int, seconds: float) -> Measured:
    marked = body(7777777777).decode()
    head, tail = marked.split("7777777777")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (json.dumps(head), json.dumps(tail), key))
        script.flush()
        run = subprocess.run(
            [
                *("wrk", "-t1", f"-c{callers}", f"-d{max(1, round(seconds))}s"),
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


async def _loop(url: str, key: str, callers: int, seconds: float) -> Measured:
    parts = urlsplit(url)
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(which: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        number = which * 10_000_000
        while time.perf_counter() < end:
            number += 1
            raw = body(number)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--ner", default="tagger", help="[guard].ner")
    options = parser.parse_args()
    tool = "wrk" if shutil.which("wrk") else "asyncio loop in Python (apt install wrk for more)"
    print(f"load from {tool}; {len(TEXT)} characters, fresh in each request; ner={options.ner}")
    print(
        f"{'':<18}{'callers':>8}{'p50 ms':>10}{'req/s':>10}"
        f"{'p50 x direct':>14}{'CPU ms':>8}{'MB':>6}"
    )
    direct: dict[int, Measured] = {}
    with tempfile.TemporaryDirectory() as temp, stand_in() as url:
        for name in ("direct", "bare gateway", "guarded gateway"):
            with contextlib.ExitStack() as stack:
                base, key, pid = url, "none", 0
                if name != "direct":
                    folder = Path(temp) / name.split()[0]
                    bare = name.startswith("bare")
                    base, key, pid = stack.enter_context(
                        gateway(folder, url, options.ner, bare=bare)
                    )
                load(base, key, 1, min(1.0, options.seconds))  # warm
                for callers in CALLERS:
                    before = cpu_s(pid) if pid else 0.0
                    got = load(base, key, callers, options.seconds)
                    direct.setdefault(callers, got)
                    ratio = got.p50_ms / direct[callers].p50_ms
                    own = ""
                    if pid:
                        count = got.per_s * max(1, round(options.seconds))
                        own = (
                            f"{(cpu_s(pid) - before) / count * 1000:>8.2f}{resident_mb(pid):>6.0f}"
                        )
                    print(
                        f"{name:<18}{callers:>8}{got.p50_ms:>10.2f}{got.per_s:>10.0f}"
                        f"{ratio:>14.1f}{own}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
