"""What a fine-tune costs beside plain Trainer and plain TRL: loss, tokens per CPU-second, memory.

    scripts/bench tune [--data even|ragged] [--steps 5] [--batch 8] [--store DIR] [--rounds 1]

Needs the small model in a store (`sovereign weights import`), and TRL only if it is to be a peer
(`scripts/clients tune`; not a dependency). Each contender is a process of its own over the same
model, update, rows, steps and threads. On `even` rows all see the same batches in the same order,
so that losses can be compared step by step; on `ragged` ones each orders rows as it does by itself.
The `ragged` rows are seen once each. Padding is nobody's token. Figures are printed, not asserted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sovereign.tune import batches
from sovereign.tune.data import Dataset, Example, encode
from sovereign.tune.model import add_lora, load_base
from sovereign.tune.recipe import LoraConfig, TrainConfig, find_recipe, load_recipe
from sovereign.tune.rows import Row, read_rows

MODEL = "smollm2-135m-instruct"
CONTENDERS = ("sovereign", "Trainer", "TRL")
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ".venv-clients")).resolve()
PEERS = [str(path) for path in (CLIENTS / "clients-tune").glob("lib/python3*/site-packages")]
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
QUIET |= {"TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "false"}


def rows_of(kind: str, count: int) -> list[Row]:
    """A scenario's rows; or made-up notes of very different length, most of them short."""
    if kind == "even":
        return read_rows(load_recipe(find_recipe("scenarios/healthcare")).train_file)[0]
    rng = random.Random(5)
    words = ("ward", "dose", "form", "desk", "rule", "room", "file", "code", "unit", "note")
    rows = []
    for n in range(count):
        long = int(12 * 16 ** rng.random())  # words: 12 to 192, evenly on a logarithmic scale
        asked = " ".join(rng.choice(words) for _ in range(long))
        said = " ".join(rng.choice(words) for _ in range(max(4, long // 3)))
        rows.append(
            Row(n, ({"role": "user", "content": asked}, {"role": "assistant", "content": said}))
        )
    return rows


class Clock:
    """CPU seconds from when training begins."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.begin()

    def begin(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def told(self, tokens: int) -> dict[str, Any]:
        return {
            "losses": self.losses,
            "tokens": tokens,
            "cpu": time.process_time() - self.cpu,
            "wall": time.perf_counter() - self.wall,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def ours(model: Any, data: Dataset, config: TrainConfig, pad: int) -> dict[str, Any]:
    from accelerate import Accelerator

    from sovereign.tune.train import Update, fit

    clock, seen = Clock(), []

    def told(update: Update) -> None:
        clock.losses.append(update.loss or 0.0)
        seen.append(update.tokens)

    clock.begin()
    fit(model, data, config, pad=pad, accelerator=Accelerator(), progress=told)
    return clock.told(seen[-1])


def theirs(
    make: Callable[..., Any], model: Any, data: Dataset, config: TrainConfig, even: bool
) -> dict[str, Any]:
    from transformers import TrainerCallback

    clock = Clock()
    seen: list[int] = []

    class Told(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.begin()
            seen.clear()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.losses.append(float(logs["loss"]))

    examples = list(data.examples)
    if even:  # the batches that we make, in our order
        plan = batches.plan(
            [len(e.ids) for e in examples],
            batch=config.batch,
            batches=config.steps or 0,
            seed=config.seed,
        )
        examples = [examples[i] for batch in plan for i in batch]
    with tempfile.TemporaryDirectory() as out:
        common: dict[str, Any] = {
            "output_dir": out,
            "per_device_train_batch_size": config.batch,
            "max_steps": config.steps,
            "learning_rate": config.lr,
            "lr_scheduler_type": "constant",
            "max_grad_norm": config.clip,
            "weight_decay": config.weight_decay,
            "logging_steps": 1,
            "report_to": "none",
            "save_strategy": "no",
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "seed": config.seed,
            "train_sampling_strategy": "sequential" if even else "random",
        }
        trainer = make(model, examples, common, seen)
        trainer.add_callback(Told())
        trainer.train()
    return clock.told(sum(seen))


def counting(collate: Callable[[list[Any]], Any], seen: list[int]) -> Callable[[list[Any]], Any]:
    """``collate``, which also counts the tokens of each batch."""

    def counted(rows: list[Any]) -> Any:
        seen.append(sum(len(r["input_ids"]) for r in rows))
        return collate(rows)

    return counted


def plain(tokenizer: Any) -> Callable[..., Any]:
    def make(model: Any, examples: list[Example], common: dict[str, Any], seen: list[int]) -> Any:
        from datasets import Dataset as Rows
        from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

        rows = Rows.from_list([{"input_ids": e.ids, "labels": e.labels} for e in examples])
        collate = counting(DataCollatorForSeq2Seq(tokenizer), seen)
        return Trainer(model, TrainingArguments(**common), collate, rows)

    return make


def trl(tokenizer: Any) -> Callable[..., Any]:
    def make(model: Any, examples: list[Example], common: dict[str, Any], seen: list[int]) -> Any:
        from datasets import Dataset as Rows
        from trl import SFTConfig, SFTTrainer

        rows = Rows.from_list(
            [
                {"input_ids": e.ids, "completion_mask": [int(x != -100) for x in e.labels]}
                for e in examples
            ]
        )
        args = SFTConfig(**common, max_length=None, completion_only_loss=True)
        made = SFTTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
        made.data_collator = counting(made.data_collator, seen)
        return made

    return make


def one(name: str, kind: str, folder: Path, config: TrainConfig) -> dict[str, Any]:
    import torch

    torch.set_num_threads(config.threads)
    model, tokenizer, template = load_base(folder, precision="fp32", quantize="none")
    data = encode(
        rows_of(kind, (config.steps or 0) * config.batch), template, where=kind, max_length=2048
    )
    model = add_lora(model, LoraConfig(r=8, alpha=16), config)
    even = kind == "even"
    if name == "sovereign":
        return ours(model, data, config, tokenizer.pad_token_id)
    make = {"Trainer": plain, "TRL": trl}[name](tokenizer)
    return theirs(make, model, data, config, even)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("even", "ragged"), default="even")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1, help="of all contenders, in turns")
    parser.add_argument("--store", type=Path, default=Path(".cache/test-store-v2"))
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = TrainConfig(
        steps=args.steps, batch=args.batch, lr=1e-3, warmup=0.0, schedule="constant", threads=1
    )
    folder = next((args.store / MODEL).iterdir())
    if args.one:
        print(json.dumps(one(args.one, args.data, folder, config)))
        return
    sys.path += PEERS
    names = [n for n in CONTENDERS if n != "TRL" or importlib.util.find_spec("trl")]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(args.rounds):
        for name in names:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
            env = os.environ | QUIET | {"OMP_NUM_THREADS": "1"}
            if name == "TRL":
                path = [os.environ.get("PYTHONPATH", ""), *PEERS]
                env["PYTHONPATH"] = os.pathsep.join(p for p in path if p)
            done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    report(found, args.data == "even")


def report(found: dict[str, list[dict[str, Any]]], even: bool) -> None:
    speed = {n: max(r["tokens"] / r["cpu"] for r in runs) for n, runs in found.items()}
    peak = {n: min(r["peak"] for r in runs) for n, runs in found.items()}
    print(f"{'':10} {'tokens/CPU-s':>12} {'peak GB':>8} {'last loss':>10}  apart at most")
    for name, (run, *_) in found.items():
        pairs = list(zip(found["sovereign"][0]["losses"], run["losses"], strict=True))
        apart = f"{max(abs(a / b - 1) for a, b in pairs):.2%}" if even else "(other batches)"
        said = f"{speed[name]:12.1f} {peak[name] / 1e9:8.2f} {run['losses'][-1]:10.4f}"
        print(f"{name:10} {said}  {apart}")
    peers = [n for n in found if n != "sovereign"]
    best, least = max(speed[n] for n in peers), min(peak[n] for n in peers)
    print(f"tokens per CPU-second: {speed['sovereign'] / best:.2f} of the better peer's")
    print(f"peak memory: {peak['sovereign'] / least:.2f} of the smaller peer's")


if __name__ == "__main__":
    main()
