"""The tables of sovereign.toml that say which models are run here, and by which engine."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sovereign.fields import FilePath, Seconds
from sovereign.toml import StrictModel

__all__ = ["LlamaCppConfig", "ModelConfig", "VllmConfig"]

AdapterKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

TUNING = frozenset(
    {"--async-scheduling", "--attention-backend", "--block-size", "--cpu-offload-gb"}
    | {"--enforce-eager", "--kv-cache-dtype", "--kv-cache-memory-bytes", "--max-num-batched-tokens"}
    | {"--optimization-level", "--performance-mode", "--quantization", "--reasoning-parser"}
)
"""What a team may add to vLLM's command line. Not what opens an address, a log or other code."""
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")


def _tuning(argument: str) -> str:
    if argument.partition("=")[0] not in TUNING:
        raise ValueError(f'must be "--flag" or "--flag=value" of {", ".join(sorted(TUNING))}')
    return argument


def _environment(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or _SECRET.search(name):
            raise ValueError(f"{name}: must be a variable's name, and no secret's")
    return variables


def _list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Program = Annotated[tuple[str, ...], BeforeValidator(_list), Field(min_length=1)]
Arguments = Annotated[tuple[Annotated[str, AfterValidator(_tuning)], ...], BeforeValidator(_list)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]


class VllmConfig(StrictModel):
    """``[models.NAME.vllm]``: how vLLM is started. It has an environment of its own: it pins
    another torch."""

    program: Program = Field(
        ("vllm",), description='what starts it, such as ["/opt/vllm/bin/vllm"], or a container'
    )
    tensor_parallel: int = Field(1, gt=0, le=64, description="GPUs that share each layer")
    pipeline_parallel: int = Field(1, gt=0, le=64, description="groups of them, by layers")
    ray: str | None = Field(
        None,
        pattern=r"^[a-z0-9.-]+:[0-9]{1,5}$",
        description="HOST:PORT of a running Ray cluster, for several machines; "
        "the engine then keeps its network",
    )
    gpu_memory: float = Field(0.9, gt=0, le=1, description="the part of a GPU's memory it takes")
    max_requests: int = Field(64, gt=0, description="that run at once; the next ones wait")
    tool_parser: str | None = Field(
        None,
        pattern=r"^[a-z0-9_.-]+$",
        description='how the model writes calls, such as "llama3_json"; without it, no tools',
    )
    arguments: Arguments = Field(
        (), description='more of its flags for speed and memory, such as "--kv-cache-dtype=fp8"'
    )
    environment: Environment = Field({}, description="variables that it gets besides ours")


class LlamaCppConfig(StrictModel):
    """``[models.NAME.llamacpp]``: how llama.cpp's server is started, and on which file."""

    program: Program = Field(("llama-server",), description="what starts it")
    gguf: FilePath = Field(
        description="the file that `sovereign weights import` made the base of: its hash is locked"
    )
    slots: int = Field(1, gt=0, le=64, description="requests at once, each with max_context tokens")
    gpu_layers: int = Field(0, ge=0, description="layers that a GPU takes")
    prompt_cache: bool = Field(
        False,
        description="keep prompts for the next request: faster chats, and by its timing anybody "
        "can learn what another team asked",
    )
    environment: Environment = Field({}, description="variables that it gets besides ours")


class ModelConfig(StrictModel):
    """``[models.NAME]``: a model that this toolkit runs, in a process of its own."""

    base: str = Field(description="a name in the weights store: `sovereign weights ls`")
    adapter: FilePath | None = Field(None, description="a folder that `sovereign tune run` wrote")
    adapters: dict[AdapterKey, FilePath] = Field(
        {}, description="more of them, each served as NAME:KEY beside NAME, by one process"
    )
    engine: str = Field(
        "transformers",
        description='"transformers", "vllm", "llamacpp", "whisper", "diffusers", or a plugin of '
        "sovereign.engines",
    )
    vllm: VllmConfig | None = Field(None, description='[models.NAME.vllm], for engine = "vllm"')
    llamacpp: LlamaCppConfig | None = Field(
        None, description='[models.NAME.llamacpp], for engine = "llamacpp"'
    )
    max_context: int = Field(
        2048, gt=0, description="tokens; a longer prompt is refused, never cut"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes what is free")
    start_s: Seconds = Field(600.0, description="an engine that takes longer to load is ended")

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        for name in ("vllm", "llamacpp"):
            if getattr(self, name) is not None and self.engine != name:
                raise ValueError(f'a table {name} needs engine = "{name}"')
        if self.engine == "llamacpp":
            if self.llamacpp is None:
                raise ValueError('engine = "llamacpp" needs a table llamacpp that names its gguf')
            if self.adapter is not None or self.adapters:
                raise ValueError(
                    "llama.cpp is served without adapters: a request cannot name one on this wire. "
                    "`sovereign tune export` merges one into its base"
                )
        return self
