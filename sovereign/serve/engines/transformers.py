"""The embedded engine: ``python -m sovereign.serve.engines.transformers --weights … --socket …``.

A process of its own, outside every network, that serves one model on one Unix socket.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.errors import ServeError
from sovereign.serve import adapter, cell
from sovereign.serve.launch import keyed

if TYPE_CHECKING:
    import uvicorn

    from sovereign.serve.engines.batch import Batcher

__all__ = ["main"]


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sovereign-engine-transformers", allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--adapter", action="append", default=[], metavar="[KEY=]FOLDER")
    parser.add_argument("--base-digest", default="")
    parser.add_argument("--trust", action="append", default=[], metavar="HEX")
    parser.add_argument("--name", required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--max-context", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--slots", type=int, default=8, help="requests that run at once")
    parser.add_argument("--waiting", type=int, default=64, help="requests that may wait")
    parser.add_argument("--exit-with-stdin", action="store_true")
    parser.add_argument("--keep-network", action="store_true")
    return parser.parse_args(argv)


def _fingerprint(
    args: argparse.Namespace, adapters: Mapping[str, Path], dtype: str, torch_version: str
) -> str:
    """Changes when a seed may mean another text: OpenAI's ``system_fingerprint``."""
    parts = [args.base_digest.encode()]
    for key, folder in sorted(adapters.items()):
        raw = (folder / "adapter_model.safetensors").read_bytes()
        parts += [key.encode(), hashlib.sha256(raw).digest()]
    parts += [dtype.encode(), torch_version.encode()]
    return "fp_" + hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _serve(args: argparse.Namespace, network: str) -> None:
    started = time.monotonic()
    # The socket first: a path that cannot be used should not cost the load of a model.
    sock = cell.listen(args.socket)
    ours = args.socket.stat().st_ino
    try:
        import torch
        import uvicorn

        from sovereign.serve.engines import model as loader
        from sovereign.serve.engines.answer import Identity
        from sovereign.serve.engines.app import create_app
        from sovereign.serve.engines.batch import Batcher
        from sovereign.serve.engines.constrain import Grammars
        from sovereign.serve.engines.prompt import Prompter

        adapters = keyed(args.adapter)
        told = {
            key: adapter.check(folder, args.base_digest, args.trust).predicate.get("effect")
            for key, folder in (adapters.items() if args.base_digest else ())
        }
        threads = loader.choose_threads(args.threads)
        torch.set_num_threads(threads)
        loaded = loader.load(
            args.weights, adapters, told, dtype=args.dtype, max_context=args.max_context
        )
        prompter = Prompter(loaded.tokenizer)
        broken, leaving = threading.Event(), threading.Event()
        batcher = Batcher(
            loaded.model,
            prompter.decode,
            loaded.eos,
            slots=args.slots,
            waiting=args.waiting,
            adapted=bool(adapters),
            broken=broken.set,
        )
        grammars = Grammars(loaded.tokenizer, loaded.width, loaded.eos)
        batcher.start()
        who = Identity(
            name=args.name,
            context=loaded.context,
            fingerprint=_fingerprint(args, adapters, loaded.dtype, torch.__version__),
            created=int(time.time()),
            adapters=tuple(adapters),
        )
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(who, prompter, batcher, grammars, leaving),
                access_log=False,
                log_level="critical",
                lifespan="off",
                server_header=False,
                # Longer than the gateway keeps one (30 s): else we may close a connection at the
                # moment that it sends a request there.
                timeout_keep_alive=35,
                timeout_graceful_shutdown=5,
            )
        )

        def leave(*_: object) -> None:
            if not leaving.is_set():
                leaving.set()
                threading.Thread(target=_leave, args=(server, batcher), daemon=True).start()

        def watch() -> None:
            broken.wait()
            server.should_exit = True

        threading.Thread(target=watch, daemon=True).start()
        signal.signal(signal.SIGUSR1, leave)
        cell.say(
            f"serving {args.name}: {loaded.dtype}, {threads} threads, context {loaded.context}, "
            f"{_adapters(args.name, loaded.effects)}, "
            f"network {network}, ready after {time.monotonic() - started:.1f} s"
        )
        try:
            server.run(sockets=[sock])
        finally:
            batcher.close()
        if broken.is_set():
            raise ServeError(
                "the model does not work any more", hint="less at once, or more memory"
            )
    finally:
        sock.close()
        cell.give_up(args.socket, ours)


def _leave(server: uvicorn.Server, batcher: Batcher) -> None:
    """End once nobody is connected any more: each answer is the last on its connection, idle ones
    are closed in time, and new ones go to whoever is at our path now."""
    quiet = 0
    while quiet < 3:
        time.sleep(0.1)
        busy = server.server_state.connections or batcher.load != (0, 0)
        quiet = 0 if busy else quiet + 1
    server.should_exit = True


def _adapters(name: str, effects: Mapping[str, float]) -> str:
    if not effects:
        return "no adapter"
    told = [f"{f'{name}:{k}' if k else name} by {e:.2f}" for k, e in effects.items()]
    return "adapters move logits: " + ", ".join(told)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 could not start (one ``error:`` line says why, and a ``hint:``)."""
    args = _arguments(argv)
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        DO_NOT_TRACK="1",
        TOKENIZERS_PARALLELISM="false",
    )
    # Nothing here is quantised. PEFT would import it for two seconds, and it would look for CPU
    # kernels on a hub.
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]

    def work() -> int:
        network = "kept, as asked"
        if not args.keep_network:
            network = "none" if cell.close_off() else "not closed"
        if args.exit_with_stdin:
            cell.die_with_stdin()
        _serve(args, network)
        return 0

    try:
        return cell.run(work)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
