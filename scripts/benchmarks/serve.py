"""The embedded engine beside `transformers serve --continuous-batching`, and the gateway's cost.

    scripts/bench serve [--threads N] [--generate] [--manager]

Tokens/s of all streams together, the slowest stream's seconds to its first text, and memory. All
run here, one after the other, over HTTP, with the same questions and number of threads; only the
ratios mean something elsewhere. Nothing is asserted. ``--generate`` adds plain ``model.generate``,
``--manager`` transformers' ContinuousBatchingManager, both without any wire.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import serve_peers

REPO = Path(__file__).resolve().parent.parent.parent
MODEL = "smollm2-135m-instruct"
QUESTIONS = [
    f"Write a long story about {what}."
    for what in ("the sea", "a bank", "two doctors", "winter", "a mill", "rain", "Oslo", "bees")
]
Rates = dict[int, tuple[float, float, float | None]]
"""Streams -> (tokens/s of all together, tokens per CPU-second, the slowest stream's seconds to its
first text). On a machine that others use too, CPU-seconds are the fairer measure."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=REPO / ".cache" / "test-store-v2")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--tokens", type=int, default=64, help="of each stream")
    parser.add_argument("--generate", action="store_true")
    parser.add_argument("--manager", action="store_true")
    return parser.parse_args()


def _stream(http: httpx2.Client, model: str, question: str, limit: int) -> tuple[float, int]:
    """Seconds to the first text, and how many tokens came."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": limit,
        "temperature": 0,
        "stream": True,
    }
    started, first, tokens = time.monotonic(), 0.0, 0
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if '"content":"' not in line:
                continue
            # Both send a chunk for a token that makes text.
            if json.loads(line.removeprefix("data: "))["choices"][0]["delta"]["content"]:
                tokens += 1
                first = first or time.monotonic() - started
    return first, tokens


def _crowds(http: httpx2.Client, model: str, pid: int, args: argparse.Namespace) -> Rates:
    """Each number of streams, all at once, after one that warms the server up."""
    found: Rates = {}
    _stream(http, model, QUESTIONS[0], 4)
    for n in args.streams:
        ends: list[tuple[float, int]] = []

        def caller(question: str, into: list[tuple[float, int]] = ends) -> None:
            into.append(_stream(http, model, question, args.tokens))

        crowd = [threading.Thread(target=caller, args=(q,)) for q in QUESTIONS[:n]]
        started, cpu = time.monotonic(), serve_peers.cpu_s(pid)
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        took, cpu = time.monotonic() - started, serve_peers.cpu_s(pid) - cpu
        tokens = sum(t for _, t in ends)
        found[n] = (tokens / took, tokens / cpu, max(f for f, _ in ends))
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]
    print(f"resident at most: {int(peak) / 1e6:.2f} GB", flush=True)
    return found


def engine(folder: Path, args: argparse.Namespace) -> Rates:
    """Through the socket, as any caller: JSON, server-sent events and all."""
    from sovereign.config import ModelConfig
    from sovereign.serve import Supervisor

    with tempfile.TemporaryDirectory() as run_dir:
        model = ModelConfig(base=MODEL, threads=args.threads)
        with Supervisor("m", model, weights=folder, run_dir=Path(run_dir)) as supervisor:
            supervisor.start()
            print(supervisor.tail[-1])
            transport = httpx2.HTTPTransport(uds=str(supervisor.socket))
            with httpx2.Client(transport=transport, base_url="http://e", timeout=600) as http:
                assert supervisor.pid is not None
                return _crowds(http, "m", supervisor.pid, args)


def served(folder: Path, args: argparse.Namespace) -> Rates:
    """``transformers serve --continuous-batching``."""
    with (
        serve_peers.transformers_serve(folder, args.threads) as (url, pid),
        httpx2.Client(base_url=url, timeout=600) as http,
    ):
        return _crowds(http, str(folder), pid, args)


def _loaded(folder: Path, dtype: str, threads: int) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    return model, tokenizer


def _prompts(tokenizer: Any, n: int) -> Any:
    chats = [[{"role": "user", "content": q}] for q in QUESTIONS[:n]]
    return tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, return_tensors="pt", padding=True
    )


def plain(folder: Path, args: argparse.Namespace, dtype: str) -> Rates:
    """One static batch with ``model.generate``: nobody joins, nobody leaves."""
    model, tokenizer = _loaded(folder, dtype, args.threads)
    found: Rates = {}
    for n in args.streams:
        inputs = _prompts(tokenizer, n)
        options = {"do_sample": False, "max_new_tokens": args.tokens, "min_new_tokens": args.tokens}
        model.generate(**inputs, **{**options, "max_new_tokens": 2, "min_new_tokens": 2})
        started, cpu = time.monotonic(), time.process_time()
        model.generate(**inputs, **options)
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        found[n] = (n * args.tokens / took, n * args.tokens / cpu, None)
    return found


def continuous(folder: Path, args: argparse.Namespace) -> Rates:
    """transformers' ContinuousBatchingManager in this process, without any wire."""
    from transformers import GenerationConfig

    model, tokenizer = _loaded(folder, "bfloat16", args.threads)
    found: Rates = {}
    config = GenerationConfig(max_new_tokens=args.tokens, do_sample=False, eos_token_id=-1)
    for n in args.streams:
        inputs = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": q}], add_generation_prompt=True
            )["input_ids"]
            for q in QUESTIONS[:n]
        ]
        manager = model.init_continuous_batching(generation_config=config)
        manager.start()
        started, cpu = time.monotonic(), time.process_time()
        manager.add_requests(inputs, max_new_tokens=args.tokens)
        done = [manager.get_result(timeout=600) for _ in inputs]
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        manager.stop(block=True)
        tokens = sum(len(d.generated_tokens) for d in done if d)
        found[n] = (tokens / took, tokens / cpu, None)
    return found


def main() -> None:
    args = _arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sovereign.weights.store import Store

    folder = Store(args.store, args.store / "sovereign.lock").get(MODEL)
    print(f"{args.threads} threads, load {os.getloadavg()[0]:.1f}, {args.tokens} tokens a stream")
    ours = engine(folder, args)
    rows = {"transformers serve, bfloat16": served(folder, args)}
    if args.generate:
        rows["model.generate, bfloat16"] = plain(folder, args, "bfloat16")
        rows["model.generate, float32"] = plain(folder, args, "float32")
    if args.manager:
        rows["ContinuousBatchingManager, bfloat16"] = continuous(folder, args)
    head = f"{'streams':>7s} {'tokens/s':>9s} {'per CPU-s':>9s} {'first, s':>8s}"
    print(f"{'':36s} {head}   engine is, by time and by CPU")
    for n, (rate, per_cpu, first) in ours.items():
        print(f"{'engine, over its socket':36s} {n:7d} {rate:9.1f} {per_cpu:9.1f} {first:8.2f}")
    for what, found in rows.items():
        for n, (rate, per_cpu, first) in found.items():
            ratios = f"{ours[n][0] / rate:5.2f} x  {ours[n][1] / per_cpu:5.2f} x"
            wait = "" if first is None else f"{first:8.2f}"
            print(f"{what:36s} {n:7d} {rate:9.1f} {per_cpu:9.1f} {wait:8s}   {ratios}")
    serve_peers.door()
    print(f"load afterwards {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
