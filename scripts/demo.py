"""The demonstration that scripts/demo runs once the environment is there.

It uses the toolkit as a team would: the `sovereign` command, sovereign.toml, and the unmodified
`openai` client. Every check that it prints is made, and a check that fails ends it with status 1.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo_prompts import CONFIG, IDENTIFIERS, POLICY, PROMPTS, TOOL_ARGUMENTS
from demo_table import Row, short, table
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("SOVEREIGN_DEMO", ROOT / ".demo"))
GGUF = Path(os.environ.get("SOVEREIGN_CACHE", ROOT / ".cache")) / "SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
SCENARIO = "scenarios/healthcare"
BASE = "smollm2-135m-instruct"
HOSTED_MODEL = "gpt-4o-mini"
ASKED = 6  # held-out questions put to the model before and after tuning


class DemoError(Exception):
    """A step failed; the message is for the person in front of the terminal."""


def main() -> int:
    """Run the steps in order. 0 when every check held."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--hosted", action="store_true", help="send to OpenAI itself")
    parser.add_argument("--hub", action="store_true", help="fetch the weights from the Hub")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument("--plain", action="store_true", help="no colours or moving bars")
    options = parser.parse_args()
    wide = max(shutil.get_terminal_size((150, 40)).columns, 110)
    console = Console(
        width=wide, no_color=options.plain, force_terminal=False if options.plain else None
    )
    started = time.monotonic()
    try:
        _run(console, options)
    except DemoError as e:
        console.print(f"error: {e}", style="red", markup=False)
        return 1
    console.print(f"[dim]{time.monotonic() - started:.0f} seconds[/dim]")
    return 0


def _run(console: Console, options: argparse.Namespace) -> None:
    if options.fresh:
        shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    network = "none: an empty network namespace" if _isolated() else "this machine's"
    console.print(f"[bold]sovereign[/bold] in {WORK.name}/   network: {network}")
    with _hosted_side(options) as (hosted_url, key_env, record):
        _configure(hosted_url, key_env)
        _step(console, "open weights, verified")
        _weights(options)
        _step(console, "fine-tune on synthetic clinical rows")
        _tune()
        _step(console, "open the door")
        with _gateway() as base_url:
            key = json.loads(_sovereign("keys", "create", "--team", "demo", "--json"))["key"]
            client = _client(base_url, key)
            _step(console, "what the model knew before and after")
            _facts(console, client)
            _step(console, "seven prompts through the unmodified openai client")
            rows = [_send(client, kind, body, record) for kind, body in PROMPTS]
    console.print(table(rows))
    if record is not None:
        _nothing_left(console, record)
    _audit(console)
    _next(console)


def _isolated() -> bool:
    """True if this process sees no network device but loopback."""
    devices = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return [line.split(":")[0].strip() for line in devices] == ["lo"]


def _step(console: Console, what: str) -> None:
    console.print(f"\n[bold]{what}[/bold]")


def _sovereign(*arguments: str) -> str:
    """Run a `sovereign` command in the demo's folder; its progress goes to the terminal."""
    run = subprocess.run(
        [sys.executable, "-m", "sovereign", *arguments],
        cwd=WORK,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise DemoError(f"`sovereign {' '.join(arguments)}` failed")
    return run.stdout


@contextmanager
def _hosted_side(options: argparse.Namespace) -> Iterator[tuple[str, str, Path | None]]:
    """The hosted API: OpenAI itself, or a stand-in that writes down every byte it receives."""
    if options.hosted:
        if not os.environ.get("OPENAI_API_KEY"):
            raise DemoError("--hosted needs OPENAI_API_KEY")
        yield "https://api.openai.com/v1", "OPENAI_API_KEY", None
        return
    record = WORK / "hosted-received.jsonl"
    record.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "sovereign.gateway.standin", "--port", "0", "--record", str(record)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DemoError("the stand-in for the hosted API did not start")
        os.environ["DEMO_HOSTED_KEY"] = "stand-in"
        yield f"{json.loads(line)['url']}/v1", "DEMO_HOSTED_KEY", record
    finally:
        process.terminate()
        process.wait(timeout=10)


def _configure(hosted_url: str, key_env: str) -> None:
    if not (WORK / ".sovereign" / "audit.key").exists():
        (WORK / "sovereign.toml").unlink(missing_ok=True)
        _sovereign("init", ".")
    text = CONFIG.format(here=WORK.name, hosted_url=hosted_url, key_env=key_env, base=BASE)
    (WORK / "sovereign.toml").write_text(text)
    (WORK / "policy.toml").write_text(POLICY)


def _weights(options: argparse.Namespace) -> None:
    there = {e["name"] for e in json.loads(_sovereign("weights", "ls", "--json"))}
    if BASE in there:
        print(_sovereign("weights", "verify", BASE), end="")
    elif options.hub:
        from huggingface_hub import HfApi

        commit = HfApi().model_info(HUB_REPO).sha
        print(
            _sovereign("weights", "pull", f"{HUB_REPO}@{commit}", "--name", BASE),
            end="",
        )
    else:
        name = ("--name", BASE, "--licence", "Apache-2.0")
        print(_sovereign("weights", "import", str(GGUF), *name), end="")


def _tune() -> None:
    if (WORK / "run" / "adapter").is_dir():
        print(f"reused {WORK.name}/run/adapter (start over with --fresh)")
        return
    print(_sovereign("tune", "run", SCENARIO, "--out", "run"), end="")


@contextmanager
def _gateway() -> Iterator[str]:
    """`sovereign gateway` as a process; yields its base URL once it answers."""
    ready = WORK / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sovereign", "gateway", "--ready-file", ready.name]
    process = subprocess.Popen(command, cwd=WORK, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 180
        with Console(stderr=True).status("guard, log and two engines are starting"):
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DemoError("the gateway did not start")
                time.sleep(0.1)
        url = json.loads(ready.read_text())["url"]
        print(f"listening at {url}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def _client(base_url: str, key: str) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0, timeout=120)


def _facts(console: Console, client: Any) -> None:
    """Held-out questions, worded as no training row is, put to the base and to the tuned model."""
    from sovereign import recipes

    held_out = recipes.find("scenarios", "healthcare").parent / "healthcare" / "eval.jsonl"
    rows = [json.loads(line) for line in held_out.read_text(encoding="utf-8").splitlines()]
    step = max(1, len(rows) // ASKED)
    asked_of = Table("question (held out)", "before tuning", "after tuning", "the rows say")
    right = [0, 0]
    for row in track(
        rows[::step][:ASKED], "asking both", console=Console(stderr=True), transient=True
    ):
        *asked, wanted = row["messages"]
        answers = []
        for position, model in enumerate(("base", "clinic")):
            reply = client.chat.completions.create(
                model=model, messages=asked, temperature=0, max_tokens=24
            )
            answers.append((reply.choices[0].message.content or "").strip())
            right[position] += answers[-1] == wanted["content"].strip()
        asked_of.add_row(
            *(escape(short(t, 60)) for t in (asked[-1]["content"], *answers, wanted["content"]))
        )
    console.print(asked_of)
    console.print(f"right before: {right[0]} of {ASKED}; right after: {right[1]} of {ASKED}")
    if right[0] or right[1] < ASKED // 2:
        raise DemoError("tuning did not teach what it should have, or the base model knew it")


def _send(client: Any, kind: str, body: dict[str, Any], record: Path | None) -> Row:
    """One prompt through the door, and what the hosted side has recorded since."""
    import openai

    before = len(_received(record))
    shown = body["messages"][-1]["content"]
    shown = TOOL_ARGUMENTS if kind.startswith("in a tool") else shown
    shown = shown[0]["text"] + " [image]" if isinstance(shown, list) else shown
    try:
        raw = client.chat.completions.with_raw_response.create(
            model=HOSTED_MODEL, max_tokens=40, **body
        )
        parsed = raw.parse()
        if body.get("stream"):
            answer = "".join(c.choices[0].delta.content or "" for c in parsed if c.choices)
        else:
            answer = parsed.choices[0].message.content or ""
        verdict, went = raw.headers["x-sovereign-verdict"], raw.headers["x-sovereign-destination"]
    except openai.APIStatusError as e:
        verdict, went = "block", "nowhere"
        answer = f"{e.status_code}: {e.body.get('message', '') if isinstance(e.body, dict) else e}"
    arrived = _received(record)[before:]
    received = _last_text(arrived[-1]) if arrived else "nothing"
    if record is None:
        received = "see the audit log" if went == "hosted" else "nothing"
    elif bool(arrived) != (went == "hosted"):
        raise DemoError(f"{kind}: the gateway says {went}, the hosted side received {len(arrived)}")
    return Row(kind, shown, verdict, went, received, answer)


def _received(record: Path | None) -> list[dict[str, Any]]:
    if record is None or not record.exists():
        return []
    return [json.loads(line) for line in record.read_text().splitlines()]


def _last_text(entry: dict[str, Any]) -> str:
    """What the last message said, as the hosted side really got it."""
    messages = json.loads(base64.b64decode(entry["body"]))["messages"]
    calls = [c for m in messages for c in m.get("tool_calls") or ()]
    if calls:
        return str(calls[0]["function"]["arguments"])
    return str(messages[-1]["content"])


def _nothing_left(console: Console, record: Path) -> None:
    """Every identifier of the prompts is looked for in every byte that the hosted side received."""
    entries = _received(record)
    seen = b"\n".join(
        base64.b64decode(e["body"]) + json.dumps([e["path"], e["headers"]]).encode()
        for e in entries
    )
    folded = seen.decode("utf-8", "replace").casefold()
    packed = "".join(folded.split())
    found = [
        i for i in IDENTIFIERS if i.casefold() in folded or "".join(i.casefold().split()) in packed
    ]
    console.print(
        f"the hosted side received {len(entries)} requests, {len(seen)} bytes: "
        f"{len(found)} of {len(IDENTIFIERS)} identifiers in them"
    )
    if found:
        raise DemoError(f"{len(found)} identifiers reached the hosted side")


def _audit(console: Console) -> None:
    """The log verifies; a copy with one byte changed does not, and the record is named."""
    _step(console, "the audit log")
    print(_sovereign("audit", "show", "-n", "12"), end="")
    print(_sovereign("audit", "verify"), end="")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "audit"
        shutil.copytree(
            WORK / ".sovereign" / "audit", copy, ignore=shutil.ignore_patterns("*.sock")
        )
        changed = _change_one_byte(copy)
        run = subprocess.run(
            [sys.executable, "-m", "sovereign", "audit", "verify", "--path", str(copy)],
            capture_output=True,
            text=True,
            check=False,
        )
        said = run.stderr.strip().splitlines()[:1]
        console.print(
            f"one byte of record {changed} changed in a copy: {said[0] if said else '?'}",
            markup=False,
        )
        if run.returncode == 0 or f"record {changed}" not in run.stderr:
            raise DemoError("the changed byte was not found")


def _change_one_byte(log: Path) -> int:
    """Flip one bit of one record in the database file itself; returns the record's number."""
    database = log / "log.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    number, record = connection.execute(
        "SELECT idx, bytes FROM record WHERE instr(bytes, CAST('request.intent' AS BLOB)) LIMIT 1"
    ).fetchone()
    connection.close()
    file = bytearray(database.read_bytes())
    file[file.index(record) + record.index(b"destination") + 15] ^= 1
    database.write_bytes(file)
    return int(number)


def _next(console: Console) -> None:
    console.print("\n[bold]next[/bold]")
    for command, what in (
        (
            f"cd {WORK.name} && ../.venv/bin/sovereign gateway",
            "open the door again; scripts/demo --hosted uses the real API",
        ),
        (
            f"cd {WORK.name} && ../.venv/bin/sovereign check",
            "what happens to each kind of data, in plain words",
        ),
        ("sovereign init", "a configuration of your own; then docs/gateway.md"),
        ("sovereign tune ls", "recipes for your own records; then docs/tune.md"),
        ("sovereign audit verify", "whenever you like, and docs/audit.md for your auditor"),
    ):
        console.print(f"  {command:48} {what}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
