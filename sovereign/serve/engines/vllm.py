"""vLLM as an engine: its command line, its environment, its adapters. It runs in a venv or a
container of its own, and nothing of it is imported here.

Flags and variables as in vLLM 0.33.0 (entrypoints/common/cli_args.py, engine/arg_utils.py, envs.py,
lora/peft_helper.py). Nobody but us can open its socket, so what it serves beside the wire without
asking for a key (/tokenize, /invocations, /metrics, ...) is open to nobody.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError
from sovereign.serve.launch import SOCKET, Command, Launch, Probe, kept
from sovereign.serving import VllmConfig

__all__ = ["VllmEngine"]

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
DRAIN_S = 600

_ENVIRONMENT = {
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
    "VLLM_SERVER_DEV_MODE": "0",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "false",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_PLUGINS": "",  # unset means whatever is installed
    # Longer than the gateway keeps a connection: else it may be closed as a request is sent there.
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "35",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_ALONE = {"VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""Where there is no network, it must not look for an address in one."""


class VllmEngine:
    """Builds ``vllm serve`` for one machine, or for a Ray cluster."""

    def command(self, launch: Launch) -> Command:
        """Raises :class:`ConfigError` for an adapter that vLLM would not serve as it is."""
        options = launch.model.vllm or VllmConfig()
        base = f"{launch.name}/base" if "" in launch.adapters else launch.name
        argv = [*options.program, "serve", str(launch.weights)]
        argv += ["--served-model-name", base, "--uds", SOCKET]
        argv += ["--max-model-len", str(launch.max_context)]
        argv += ["--max-num-seqs", str(options.max_requests)]
        argv += ["--gpu-memory-utilization", f"{options.gpu_memory:g}"]
        argv += ["--tensor-parallel-size", str(options.tensor_parallel)]
        argv += ["--pipeline-parallel-size", str(options.pipeline_parallel)]
        if options.ray is not None:
            argv += ["--distributed-executor-backend", "ray"]
        # The wire's defaults, not those of the weights' folder; text only.
        argv += ["--generation-config", "vllm", "--language-model-only"]
        argv += ["--shutdown-timeout", str(DRAIN_S)]
        argv += ["--no-enable-log-requests", "--no-enable-log-outputs", "--disable-log-stats"]
        argv += ["--disable-uvicorn-access-log", "--uvicorn-log-level", "error"]
        argv += ["--disable-fastapi-docs", "--no-log-error-stack"]
        if options.tool_parser is not None:
            argv += ["--enable-auto-tool-choice", "--tool-call-parser", options.tool_parser]
        served = {key: f"{launch.name}:{key}" if key else launch.name for key in launch.adapters}
        if launch.adapters:
            rank = max(_rank(folder) for folder in launch.adapters.values())
            argv += ["--enable-lora", "--max-lora-rank", str(rank)]
            argv += ["--max-loras", str(len(launch.adapters)), "--lora-modules"]
            for key, folder in launch.adapters.items():
                argv.append(json.dumps({"name": served[key], "path": str(folder)}))
        argv += options.arguments
        env = {**options.environment, **_ENVIRONMENT}
        if launch.threads:
            env["OMP_NUM_THREADS"] = str(launch.threads)
        if options.ray is None:
            env |= _ALONE
        else:
            env["RAY_ADDRESS"] = options.ray
        return Command(
            kept(argv, launch.socket, network=options.ray is not None, drains=True),
            env,
            drain_signal=signal.SIGUSR1,
            foreign=True,
            probe=Probe(base, tuple(served.values())) if served else None,
        )


def _rank(folder: Path) -> int:
    """The least of vLLM's ranks that holds the adapter in ``folder``. Raises :class:`ConfigError`
    for what vLLM refuses at load, or leaves out."""
    try:
        said: dict[str, Any] = json.loads((folder / "adapter_config.json").read_bytes())
        ranks = [int(said["r"]), *map(int, (said.get("rank_pattern") or {}).values())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{folder}: no adapter_config.json that says its rank") from None
    for field, wrong in (
        ("use_dora", bool(said.get("use_dora"))),
        ("lora_bias", bool(said.get("lora_bias"))),
        ("bias", said.get("bias", "none") != "none"),
        ("modules_to_save", bool(said.get("modules_to_save"))),
        ("init_lora_weights", said.get("init_lora_weights", True) not in (True, False, "gaussian")),
        ("alora_invocation_tokens", bool(said.get("alora_invocation_tokens"))),
        ("layer_replication", bool(said.get("layer_replication"))),
    ):
        if wrong:
            raise ConfigError(
                f"{folder}: vLLM does not serve an adapter with {field}",
                hint='engine = "transformers" serves it, or `sovereign tune export` merges it',
            )
    fits = [rank for rank in RANKS if rank >= max(ranks)]
    if not fits:
        raise ConfigError(f"{folder}: vLLM serves ranks up to {RANKS[-1]}")
    return fits[0]
