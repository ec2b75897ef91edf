"""Half an hour of mixed traffic through one guarded gateway: does it leak, cross, or grow?

    scripts/bench soak [--minutes 30] [--rate 8] [--warm 70000] [--out docs/measured/soak]

Fresh text in each request, every fourth streamed, long chats, refused and hung-up requests between
them. Each answer must hold its caller's own value and nobody else's; at the end none is in what the
stand-in received, and the log verifies. Memory, open files and threads of the gateway are sampled
every five seconds, from when its caches were filled with ``--warm`` texts: at this rate that alone
would take hours. ``--out`` names the data (.json) and the plot (.svg).
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

from gateway import PATH, gateway, process, resident_mb

SAMPLE_S = 5.0
CALLERS = 4
IN_ONE_CHAT = 50
LETTERS = "bcdfghjklmnpqrstvwxz"


@dataclass
class Seen:
    """What the callers saw, under one lock."""

    sent: list[str] = field(default_factory=list)
    wrong: int = 0
    failed: int = 0
    refused: int = 0
    hung_up: int = 0
    took_ms: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def value(chance: random.Random) -> str:
    """A mail address that nobody else in this run has."""
    return "".join(chance.choices(LETTERS, k=12)) + "@northvale.org"


def body(chance: random.Random, mine: str, turn: int) -> dict[str, Any]:
    """A chat that ends in ``mine``; every tenth has twenty messages before."""
    past = [
        {"role": "user", "content": f"Question {i} of visit {turn}: is it warm?"}
        for i in range(20 if turn % 10 == 0 else 0)
    ]
    words = " ".join(
        chance.choices(["please", "write", "a", "short", "kind", "letter", "to"], k=30)
    )
    last = {"role": "user", "content": f"{words} {mine}"}
    return {"model": "gpt-test", "messages": [*past, last], "stream": turn % 4 == 1}


def said(raw: bytes, streamed: bool) -> str:
    """The text of one answer."""
    if not streamed:
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    text = ""
    for line in raw.decode().splitlines():
        if line.startswith("data: {"):
            text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
    return text


def call(url: str, key: str, number: int, rate: float, until: float, seen: Seen) -> None:
    """One caller, at ``rate`` requests a second."""
    parts = urlsplit(url)
    chance = random.Random(number)
    turn, due = 0, time.monotonic()
    while time.monotonic() < until:
        turn += 1
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))
        mine = value(chance)
        asked = body(chance, mine, turn)
        line = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if turn % 25 == 0:  # not JSON: a refusal
            line.request("POST", PATH, json.dumps(asked)[:-3], headers)
            ok = line.getresponse().status == 400
            with seen.lock:
                seen.refused += ok
                seen.failed += not ok
            line.close()
            continue
        began = time.perf_counter()
        try:
            line.request("POST", PATH, json.dumps(asked), headers)
            if turn % 40 == 0:  # a caller that does not wait
                line.close()
                with seen.lock:
                    seen.sent.append(mine)
                    seen.hung_up += 1
                continue
            reply = line.getresponse()
            raw = reply.read()
        except OSError:
            with seen.lock:
                seen.failed += 1
            continue
        finally:
            line.close()
        took = (time.perf_counter() - began) * 1000
        good = reply.status == 200
        text = said(raw, bool(asked["stream"])) if good else ""
        with seen.lock:
            seen.sent.append(mine)
            seen.took_ms.append(took)
            seen.failed += not good
            seen.wrong += good and not text.endswith(mine)


def warm(url: str, key: str, texts: int) -> None:
    """Fill what remembers texts and words, with texts like those that follow: as many findings in
    each, and each seen twice, as the turns of a chat are. Or memory would grow for hours, until the
    last of the smaller entries is forgotten."""
    parts = urlsplit(url)
    chance = random.Random("warm")
    line = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for _ in range(0, texts, IN_ONE_CHAT):
        messages = [body(chance, value(chance), 1)["messages"][-1] for _ in range(IN_ONE_CHAT)]
        asked = json.dumps({"model": "gpt-test", "messages": messages})
        for _ in range(2):
            line.request("POST", PATH, asked, headers)
            reply = line.getresponse()
            reply.read()
            if reply.status != 200:
                raise SystemExit(f"error: {reply.status} while warming")
    line.close()


def sample(pid: int, began: float, seen: Seen) -> dict[str, float]:
    """One row of the plot."""
    with seen.lock:
        took, seen.took_ms = sorted(seen.took_ms), []
        count = len(seen.sent)
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return {
        "s": round(time.monotonic() - began, 1),
        "mb": round(resident_mb(pid), 2),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": threads,
        "sent": count,
        "p50_ms": round(statistics.median(took), 2) if took else 0.0,
        "p99_ms": round(took[int(len(took) * 0.99)], 2) if took else 0.0,
    }


def slope(rows: list[dict[str, float]]) -> float:
    """Megabytes per hour over the last two thirds, by least squares."""
    late = rows[len(rows) // 3 :]
    xs, ys = [r["s"] / 3600 for r in late], [r["mb"] for r in late]
    return statistics.linear_regression(xs, ys).slope if len(late) > 2 else 0.0


def svg(rows: list[dict[str, float]], title: str) -> str:
    """Memory over time, and open files below it, as one picture without any script."""
    wide, high, left, top = 860, 300, 60, 40
    last = max(r["s"] for r in rows)
    most = max(r["mb"] for r in rows) * 1.15
    files = max(r["files"] for r in rows) * 1.15

    def line(key: str, most: float) -> str:
        points = (
            f"{left + r['s'] / last * wide:.1f},{top + high - r[key] / most * high:.1f}"
            for r in rows
        )
        return " ".join(points)

    marks = "".join(
        f'<text x="{left - 8}" y="{top + high - share * high + 4:.0f}" text-anchor="end">'
        f"{most * share:.0f}</text>"
        f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{top + high - share * high:.0f}" '
        f'y2="{top + high - share * high:.0f}"/>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    times = "".join(
        f'<text x="{left + share * wide:.0f}" y="{top + high + 20}" text-anchor="middle">'
        f"{last * share / 60:.0f} min</text>"
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 400" role="img">
<title>{title}</title>
<style>text{{font:13px system-ui,sans-serif;fill:#333}}.grid{{stroke:#ddd}}
.mb{{stroke:#0b62a4}}.files{{stroke:#b5651d}}polyline{{fill:none;stroke-width:2}}
@media(prefers-color-scheme:dark){{text{{fill:#ddd}}.grid{{stroke:#444}}}}</style>
<text x="{left}" y="20">{title}</text>
{marks}{times}
<polyline class="files" points="{line("files", files)}"/>
<polyline class="mb" points="{line("mb", most)}"/>
<text x="{left}" y="{top + high + 45}">blue: resident memory, MB (axis) · brown: open files, at most
{max(r["files"] for r in rows):.0f}</text>
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=8.0, help="requests a second, all callers")
    parser.add_argument("--warm", type=int, default=70_000, help="texts before the clock starts")
    parser.add_argument("--out", type=Path, help="where data (.json) and plot (.svg) go")
    options = parser.parse_args()
    seen, rows = Seen(), []
    with tempfile.TemporaryDirectory() as temp:
        record = Path(temp) / "received.jsonl"
        command = [sys.executable, "-m", "sovereign.gateway.standin", "--record", str(record)]
        with process(command, stdout=subprocess.PIPE) as started:
            assert started.stdout is not None
            url = json.loads(started.stdout.readline())["url"]
            folder = Path(temp) / "gateway"
            with gateway(folder, url, "tagger", bare=False) as (base, key, pid):
                warm(base, key, options.warm)
                began = time.monotonic()
                until = began + options.minutes * 60
                callers = [
                    threading.Thread(
                        target=call, args=(base, key, n, options.rate / CALLERS, until, seen)
                    )
                    for n in range(CALLERS)
                ]
                for caller in callers:
                    caller.start()
                while time.monotonic() < until:
                    time.sleep(SAMPLE_S)
                    rows.append(sample(pid, began, seen))
                    print(json.dumps(rows[-1]), flush=True)
                for caller in callers:
                    caller.join()
            program = Path(sys.executable).with_name("sovereign")
            verified = subprocess.run(
                [program, "audit", "verify", "--config", str(folder / "sovereign.toml")],
                capture_output=True,
                text=True,
                check=False,
            )
        arrived = [
            base64.b64decode(json.loads(line)["body"]) for line in record.read_text().splitlines()
        ]
    runs = {run for body in arrived for run in re.findall(rb"[%s]{12}" % LETTERS.encode(), body)}
    leaked = sum(mine.partition("@")[0].encode() in runs for mine in seen.sent)
    summary = {
        "minutes": options.minutes,
        "rate": options.rate,
        "warm_texts": options.warm,
        "requests": len(seen.sent),
        "arrived": len(arrived),
        "leaked": leaked,
        "crossed_or_wrong": seen.wrong,
        "failed": seen.failed,
        "refused_as_told": seen.refused,
        "hung_up": seen.hung_up,
        "mb_first_minute": rows[min(12, len(rows) - 1)]["mb"],
        "mb_last": rows[-1]["mb"],
        "mb_per_hour_last_two_thirds": round(slope(rows), 2),
        "files_most": max(r["files"] for r in rows),
        "threads_most": max(r["threads"] for r in rows),
        "log_verifies": verified.returncode == 0,
    }
    print(json.dumps(summary, indent=1))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        data = {"summary": summary, "rows": rows}
        options.out.with_suffix(".json").write_text(json.dumps(data) + "\n")
        title = f"{len(seen.sent):,} requests in {options.minutes:g} minutes through one gateway"
        options.out.with_suffix(".svg").write_text(svg(rows, title))
    sys.exit(bool(leaked or seen.wrong or not arrived or verified.returncode))


if __name__ == "__main__":
    main()
