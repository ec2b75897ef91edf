"""vLLM's and llama.cpp's servers as real processes of the tests, as far as their flags go.

Each takes the arguments that the published one takes, refuses others, and answers at the socket it
was given. What it is asked to do is a file in the folder that ``PLAYED`` names: there it writes
what it was started with, for tests to read. vLLM 0.33.0: entrypoints/common/cli_args.py and
engine/arg_utils.py. llama.cpp: common/arg.cpp, as llama-cpp-python 0.3.36 carries it.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import Any


def vllm_parser() -> argparse.ArgumentParser:
    """The flags of ``vllm serve`` that we give, with its own types and choices."""
    parser = argparse.ArgumentParser("vllm", allow_abbrev=False)
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--uds")
    for name in ("max-model-len", "max-num-seqs", "tensor-parallel-size", "max-loras"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("pipeline-parallel-size", "shutdown-timeout"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--max-lora-rank", type=int, choices=[1, 8, 16, 32, 64, 128, 256, 320, 512])
    parser.add_argument("--distributed-executor-backend", choices=["ray", "mp", "uni"])
    parser.add_argument("--generation-config")
    parser.add_argument("--kv-cache-dtype")
    parser.add_argument("--tool-call-parser")
    parser.add_argument("--uvicorn-log-level", choices=["critical", "error", "warning", "info"])
    parser.add_argument("--lora-modules", nargs="+", type=json.loads, default=[])
    for name in ("language-model-only", "enable-log-requests", "enable-log-outputs", "enable-lora"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    for name in ("disable-uvicorn-access-log", "disable-fastapi-docs", "log-error-stack"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    for name in ("disable-log-stats", "enable-auto-tool-choice", "enforce-eager"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    return parser


def llama_parser() -> argparse.ArgumentParser:
    """The flags of ``llama-server`` that we give."""
    parser = argparse.ArgumentParser("llama-server", allow_abbrev=False)
    for name in ("model", "alias", "host"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("ctx-size", "parallel", "gpu-layers", "timeout", "log-verbosity"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("threads", "cache-ram"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("kv-unified", "context-shift", "slots", "ui", "agent", "ui-mcp-proxy"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    parser.add_argument("--cache-prompt", action=argparse.BooleanOptionalAction)
    parser.add_argument("--offline", action="store_true")
    return parser


def untrained(folder: Path, **config: Any) -> Path:
    """An adapter for programs that look at its configuration only."""
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text("w")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, **config}))
    return folder


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    names: tuple[str, ...] = ()
    without_effect = False

    def do_GET(self) -> None:
        self._answer({"data": [{"id": n} for n in self.names]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] not in self.names:
            self._answer({"error": {"message": "no such model"}}, 404)
            return
        if "wait" in asked["prompt"]:
            time.sleep(float(asked["prompt"].removeprefix("wait ")))
        told = self.names[0] if self.without_effect else asked["model"]
        likely = {"a": -float(len(told)), "b": -2.0}
        choice = {"text": asked["model"], "logprobs": {"top_logprobs": [likely]}}
        print(f"ValueError: cannot tokenize {asked['prompt']}", file=sys.stderr, flush=True)
        self._answer({"choices": [choice]})

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False


def main() -> int:
    about = Path(os.environ["PLAYED"])
    if "serve" in sys.argv:
        args = vllm_parser().parse_args()
        at, _Handler.names = (
            args.uds,
            (*args.served_model_name, *(m["name"] for m in args.lora_modules)),
        )
    else:
        args = llama_parser().parse_args()
        at, _Handler.names = args.host, (args.alias,)
    _Handler.without_effect = (about / "without_effect").exists()
    if (about / "fails").exists():
        print("error: CUDA out of memory", file=sys.stderr)
        return 1
    with socket.socket() as out:
        out.settimeout(1)
        try:
            out.connect(("192.0.2.1", 80))
            reached = "there"
        except OSError as e:
            reached = os.strerror(e.errno or 0)
    with socket.socket() as inside, socket.socket() as again:  # vLLM's parts talk over loopback
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        again.connect(inside.getsockname())
    said: dict[str, Any] = {
        "args": {k: v for k, v in vars(args).items() if v is not None},
        "network": reached,
    }
    said |= {"environment": dict(os.environ), "pid": os.getpid(), "umask": os.umask(0o077)}
    (about / "said").write_text(json.dumps(said))
    server = _Server(at, _Handler)

    def end(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    server.serve_forever(poll_interval=0.05)
    server.server_close()  # waits for the threads that answer
    Path(at).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
