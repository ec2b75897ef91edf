"""What vLLM and llama.cpp's server are told: command lines and variables, for their own parsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import played_servers
import pytest
from played_servers import untrained as adapter

from sovereign.config import LlamaCppConfig, ModelConfig, VllmConfig, load_config
from sovereign.errors import ConfigError
from sovereign.serve.engines import LlamaCppEngine, VllmEngine, find
from sovereign.serve.launch import SOCKET, Command, Launch


def program(command: Command) -> list[str]:
    """What the keeper starts."""
    return list(command.argv[command.argv.index("--") + 1 :])


def test_vllms_command_closes_what_it_leaves_open(tmp_path: Path) -> None:
    """Logs of requests, statistics, pages of its own, defaults of the weights' folder, media: all
    said, none left to a default. Its own parser takes the line, whatever stands in it."""
    model = ModelConfig(
        base="b",
        engine="vllm",
        vllm=VllmConfig(
            program=("/opt/vllm/bin/vllm",),
            tensor_parallel=4,
            tool_parser="llama3_json",
            arguments=("--kv-cache-dtype=fp8", "--enforce-eager"),
        ),
    )
    adapters = {"": adapter(tmp_path / "one"), "c": adapter(tmp_path / "a, b=c", r=40)}
    command = VllmEngine().command(
        Launch("m", Path("/w"), Path("/s"), adapters, max_context=8192, model=model)
    )
    argv = program(command)
    assert argv[:3] == ["/opt/vllm/bin/vllm", "serve", "/w"]
    args = played_servers.vllm_parser().parse_args(argv[1:])
    assert args.uds == SOCKET
    assert args.served_model_name == ["m/base"]
    assert args.lora_modules == [
        {"name": "m", "path": str(tmp_path / "one")},
        {"name": "m:c", "path": str(tmp_path / "a, b=c")},
    ]
    assert (args.max_lora_rank, args.max_loras, args.enable_lora) == (64, 2, True)
    assert (args.tensor_parallel_size, args.pipeline_parallel_size) == (4, 1)
    assert args.max_model_len == 8192
    assert args.generation_config == "vllm"
    assert args.enable_log_requests is False
    assert args.enable_log_outputs is False
    assert args.log_error_stack is False
    assert args.disable_log_stats
    assert args.disable_uvicorn_access_log
    assert args.language_model_only
    assert args.tool_call_parser == "llama3_json"
    assert args.kv_cache_dtype == "fp8"
    assert args.enforce_eager
    assert "--network" not in command.argv
    assert command.env["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    assert command.env["VLLM_PLUGINS"] == ""
    assert command.env["VLLM_HOST_IP"] == "127.0.0.1"
    assert command.probe is not None
    assert command.probe.base == "m/base"


def test_over_several_machines_it_is_rays_and_keeps_its_network() -> None:
    """Nothing says to it that it were alone; Ray's own statistics are off."""
    options = VllmConfig(ray="ray.internal:6379", tensor_parallel=4, pipeline_parallel=2)
    model = ModelConfig(base="b", engine="vllm", vllm=options)
    command = VllmEngine().command(Launch("m", Path("/w"), Path("/s"), model=model))
    args = played_servers.vllm_parser().parse_args(program(command)[1:])
    assert args.distributed_executor_backend == "ray"
    assert (args.tensor_parallel_size, args.pipeline_parallel_size) == (4, 2)
    assert "--network" in command.argv
    assert command.env["RAY_ADDRESS"] == "ray.internal:6379"
    assert command.env["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "VLLM_HOST_IP" not in command.env


def test_our_word_on_logs_and_networks_is_the_last() -> None:
    """A team's own variables cannot take it back."""
    options = VllmConfig(environment={"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_CPU_KVCACHE_SPACE": "4"})
    model = ModelConfig(base="b", engine="vllm", vllm=options)
    env = VllmEngine().command(Launch("m", Path("/w"), Path("/s"), model=model)).env
    assert env["VLLM_LOGGING_LEVEL"] == "WARNING"
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "4"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"r": 1024}, "ranks up to 512"),
        ({"r": "x"}, "says its rank"),
    ],
)
def test_an_adapter_that_vllm_would_not_serve_as_it_is_is_refused(
    tmp_path: Path, config: dict[str, Any], field: str
) -> None:
    """Before minutes of loading."""
    launch = Launch("m", Path("/w"), Path("/s"), {"a": adapter(tmp_path / "a", **config)})
    with pytest.raises(ConfigError, match=field):
        VllmEngine().command(launch)


def test_llama_cpps_command_closes_what_it_leaves_open() -> None:
    """Its page, its slots, its tools, its downloads, what it keeps of prompts."""
    options = LlamaCppConfig(gguf=Path("m.gguf"), slots=3)
    model = ModelConfig(base="b", engine="llamacpp", llamacpp=options)
    launch = Launch("m", Path("/m.gguf"), Path("/s"), max_context=1000, threads=2, model=model)
    command = LlamaCppEngine().command(launch)
    args = played_servers.llama_parser().parse_args(program(command)[1:])
    assert (args.model, args.alias, args.host) == ("/m.gguf", "m", SOCKET)
    assert (args.ctx_size, args.parallel, args.kv_unified) == (3000, 3, False)
    assert args.offline
    off = ("context_shift", "slots", "ui", "agent", "ui_mcp_proxy", "cache_prompt")
    assert not any(getattr(args, name) for name in off)
    assert None not in [getattr(args, name) for name in off]
    assert args.cache_ram == 0
    with pytest.raises(ConfigError, match="without adapters"):
        LlamaCppEngine().command(
            Launch("m", Path("/m"), Path("/s"), {"a": Path("/a")}, model=model)
        )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('engine = "llamacpp"', "names its gguf"),
        ('engine = "vllm"\n[models.m.llamacpp]\ngguf = "x"', "llamacpp needs engine"),
        ("[models.m.vllm]", "vllm needs engine"),
        ('engine = "llamacpp"\nadapter = "a"\n[models.m.llamacpp]\ngguf = "x"', "without adapters"),
        ('engine = "vllm"\n[models.m.vllm]\narguments = ["--api-key=x"]', "arguments"),
        ('engine = "vllm"\n[models.m.vllm]\narguments = ["--trust-remote-code"]', "arguments"),
        ('engine = "vllm"\n[models.m.vllm.environment]\nHF_TOKEN = "x"', "no secret"),
        ('engine = "vllm"\n[models.m.vllm]\nprogram = []', "program"),
    ],
)
def test_a_table_that_says_something_else_than_its_engine_is_an_error(
    tmp_path: Path, table: str, problem: str
) -> None:
    """At the start, with the key."""
    file = tmp_path / "sovereign.toml"
    file.write_text(f'[policy]\npreset = "hipaa"\n[models.m]\nbase = "b"\n{table}\n')
    with pytest.raises(ConfigError, match=problem):
        load_config(file)


def test_engines_are_found_by_their_names() -> None:
    assert isinstance(find("vllm"), VllmEngine)
    assert isinstance(find("llamacpp"), LlamaCppEngine)
