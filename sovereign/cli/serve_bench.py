"""``sovereign serve bench``: how fast a server answers your prompts, and how long each waits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from sovereign.errors import ConfigError

__all__ = ["bench_command"]

QUESTIONS = [
    f"Write a long story about {what}."
    for what in ("the sea", "a bank", "two doctors", "winter", "a mill", "rain", "a port", "bees")
]


@click.command("bench")
@click.argument("model")
@click.option(
    "--url",
    default="http://127.0.0.1:8001/v1",
    show_default=True,
    help="Where OpenAI's wire is spoken; nothing else is asked.",
)
@click.option("--socket", type=click.Path(path_type=Path, exists=True), help="A Unix socket there.")
@click.option("--key-env", help="The environment variable that holds a key.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='JSON lines with "messages" or "prompt"; eight short questions without it.',
)
@click.option(
    "--callers",
    default="1,4,8",
    show_default=True,
    help="How many ask at once, one level after the other.",
)
@click.option("--requests", type=click.IntRange(1), help="At each level; four a caller without it.")
@click.option(
    "--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Of an answer."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600,
    show_default=True,
    help="Seconds that an answer may take.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def bench_command(
    model: str,
    url: str,
    socket: Path | None,
    key_env: str | None,
    prompts: Path | None,
    callers: str,
    requests: int | None,
    max_tokens: int,
    timeout: float,
    html: Path | None,
    as_json: bool,
) -> None:
    """Ask a server as many at once as --callers says, and say what they heard.

    Tokens/s of all together; seconds to the first text, between two pieces, and to the end, as p50,
    p95 and p99. No text of a prompt or an answer is kept, shown or written.
    """
    import httpx2

    from sovereign.serve import load_page
    from sovereign.serve.load import Level, ask, level

    chats = _chats(prompts) if prompts else [[{"role": "user", "content": q}] for q in QUESTIONS]
    if key_env and key_env not in os.environ:
        raise ConfigError(f"the environment has no {key_env}", hint="export it, or leave it out")
    headers = {"Authorization": f"Bearer {os.environ[key_env]}"} if key_env else {}
    found: list[Level] = []
    for count in _levels(callers):
        transport = httpx2.HTTPTransport(
            uds=None if socket is None else str(socket),
            limits=httpx2.Limits(max_connections=count),
        )
        with httpx2.Client(
            transport=transport,
            base_url=url.rstrip("/") + "/",
            headers=headers,
            timeout=timeout,
            trust_env=False,
        ) as http:
            found.append(
                level(
                    count,
                    requests or 4 * count,
                    lambda n, http=http: ask(  # type: ignore[misc]
                        http, model, chats[n % len(chats)], max_tokens, time.perf_counter
                    ),
                    time.perf_counter,
                )
            )
    said = f"{len(chats)} prompts, answers of at most {max_tokens} tokens, streamed"
    if as_json:
        click.echo(json.dumps({"model": model, "levels": [_told(one) for one in found]}, indent=2))
    else:
        click.echo(f"{model} at {socket or url}: {said}\n")
        _say(load_page.HEAD, load_page.rows(found))
        for one in found:
            for kind, times in one.failures.items():
                click.echo(f"  failed at {one.callers} callers: {times} × {kind}")
    if html is not None:
        html.write_text(load_page.page(f"{model} under load", said, found), encoding="utf-8")
    if not any(one.whole for one in found):
        raise ConfigError("no request was answered", hint=f"is a server at {socket or url}?")


def _say(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    wide = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        click.echo("  ".join(cell.rjust(width) for cell, width in zip(row, wide, strict=True)))


def _told(one: Any) -> dict[str, Any]:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    whole = bool(one.whole)
    return {
        "callers": one.callers,
        "requests": len(one.answers),
        "failed": dict(one.failures),
        "tokens_per_second": round(one.rate, 2),
        "first_s": {k: round(one.first(v), 4) if whole else None for k, v in shares.items()},
        "gap_s": {
            k: round(one.gap(v), 4) if any(a.gaps_s for a in one.whole) else None
            for k, v in shares.items()
        },
        "whole_s": {k: round(one.took(v), 4) if whole else None for k, v in shares.items()},
    }


def _levels(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 0 < int(part) <= 1000 for part in parts):
        raise ConfigError(f"--callers {text}: not numbers from 1 to 1000", hint="--callers 1,4,8")
    return [int(part) for part in parts]


def _chats(path: Path) -> list[list[dict[str, str]]]:
    """The prompts of a file of JSON lines. The error names a line, and shows none of it."""
    chats = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("prompt"), str):
            chats.append([{"role": "user", "content": said["prompt"]}])
        elif isinstance(said, dict) and isinstance(said.get("messages"), list):
            messages = said["messages"]
            # A row of a fine-tune ends with the answer, which is what is asked for here.
            asked = (
                messages[:-1] if messages[-1:] and _role(messages[-1]) == "assistant" else messages
            )
            if asked:
                chats.append(asked)
        else:
            raise ConfigError(
                f'{path}: line {number} has neither "messages" nor "prompt"',
                hint='one JSON object a line: {"prompt": "…"}',
            )
    if not chats:
        raise ConfigError(f"{path}: no prompts")
    return chats


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None
