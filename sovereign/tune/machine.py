"""A recipe held against a machine that is described and not here: what each GPU would hold, whether
its kernels exist there, and the line that starts the run. Nothing is loaded and no GPU is asked.

Minimum compute capabilities are those that bitsandbytes 0.50 (LLM.int8 7.5, NF4 6.0), flash-attn 2
(8.0, heads up to 256 wide) and CUDA's arithmetic in bf16 (8.0) document.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from sovereign import recipes, toml
from sovereign.errors import ConfigError
from sovereign.toml import StrictModel
from sovereign.tune.preflight import Knobs, Need, fitting, need
from sovereign.tune.recipe import Recipe
from sovereign.weights.dims import Dims, parse_memory

__all__ = ["Fault", "Machine", "Plan", "find_machine", "plan"]

BF16, FLASH, NF4, INT8 = 8.0, 8.0, 6.0, 7.5
WIDEST_HEAD = 256


class Machine(StrictModel):
    """A described machine, as TOML; ``recipes/machines`` has some."""

    name: str = Field(description="for messages")
    summary: str = Field("", description="one sentence for people")
    gpus: int = Field(1, ge=1, le=64, description="in each node")
    nodes: int = Field(1, ge=1, le=1024, description="machines of this kind that train together")
    memory: str = Field(description='of one GPU, such as "80GB"')
    host_memory: str | None = Field(None, description='of one node, such as "1000GB"')
    compute_capability: float = Field(
        ge=3, lt=20, description="of NVIDIA's list: 7.5 T4, 8.0 A100, 8.9 L4, 9.0 H100"
    )
    flash_attn: bool = Field(False, description="whether the package flash-attn is installed there")

    @field_validator("memory", "host_memory")
    @classmethod
    def _amount(cls, said: str | None) -> str | None:
        if said is not None:
            try:
                parse_memory(said)
            except ConfigError as e:
                raise ValueError(e.message) from None
        return said

    @property
    def world(self) -> int:
        """Processes: one for each GPU of all nodes."""
        return self.gpus * self.nodes

    @property
    def bytes(self) -> float:
        """Of one GPU."""
        return parse_memory(self.memory)


def find_machine(name: str) -> Machine:
    """The description at the path ``name``, or the shipped one of this name. Raises
    :class:`ConfigError`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = recipes.find("machines", name)
    elif not path.is_file():
        raise ConfigError(f"{path}: no such machine", hint="recipes/machines has examples")
    return toml.read(path, Machine)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a recipe cannot run on a machine, whatever memory there is. ``turn`` is the ``key=value``
    that mends it, and ``changes`` what that does to the count; without one ``hint`` says what."""

    says: str
    turn: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """``each`` is what one of ``world`` processes holds, of ``memory`` bytes. ``turns`` are the
    knobs, as ``key=value``, with which the recipe would run there, and what it needs then: none if
    it does, None if nothing helps. ``launch`` is the command, a line for each node."""

    world: int
    each: Need
    memory: float
    faults: tuple[Fault, ...]
    turns: tuple[list[str], Need] | None
    launch: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.each.total <= self.memory

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {
            "processes": self.world,
            "faults": [{"says": f.says, "turn": f.turn or f.hint} for f in self.faults],
            "launch": list(self.launch),
        }


def plan(recipe: Recipe, dims: Dims, machine: Machine, arguments: Sequence[str]) -> Plan:
    """What ``recipe`` would be on ``machine``; ``arguments`` name it as on a command line."""
    has_bf16 = machine.compute_capability >= BF16
    processes = machine.world if recipe.privacy is None else 1
    parts = processes if recipe.train.shard else 1
    knobs = replace(Knobs.of(recipe), parts=parts, processes=processes, has_bf16=has_bf16)
    if recipe.train.precision == "auto":  # there are GPUs, and that decides it
        knobs = replace(knobs, precision="bf16" if has_bf16 else "fp32")
    faults = tuple(_faults(recipe, knobs, dims, machine))
    mended = knobs
    for fault in faults:
        mended = replace(mended, **fault.changes)
    turns = fitting(dims, mended, machine.bytes)
    if turns is not None:
        # A later turn of a key replaces an earlier one.
        keys = {turn.partition("=")[0]: turn for turn in (*(f.turn for f in faults), *turns[0])}
        turns = [turn for turn in keys.values() if turn], turns[1]
    launch = _launch(recipe, machine, arguments)
    return Plan(machine.world, need(dims, knobs), machine.bytes, faults, turns, launch)


def _faults(recipe: Recipe, knobs: Knobs, dims: Dims, machine: Machine) -> Iterator[Fault]:
    train, capability = recipe.train, machine.compute_capability
    there = f"and {machine.name} has {capability}"
    fp32 = False
    if knobs.precision == "bf16" and capability < BF16:
        fp32 = True
        yield Fault(
            f"bf16 needs compute capability {BF16}, {there}",
            "train.precision=fp32",
            {"precision": "fp32"},
        )
    least = {"nf4": NF4, "int8": INT8}.get(train.quantize, 0.0)
    if capability < least:
        other = "nf4" if capability >= NF4 else "none"
        yield Fault(
            f"bitsandbytes' {train.quantize} needs compute capability {least}, {there}",
            f"train.quantize={other}",
            {"quantize": other},
        )
    if train.attention == "flash_attention_2":
        why = None
        if capability < FLASH:
            why = f"needs compute capability {FLASH}, {there}"
        elif knobs.precision != "bf16" or fp32:
            why = "computes in bf16, and this run would not"
        elif dims.head_dim > WIDEST_HEAD:
            why = f"takes heads up to {WIDEST_HEAD} wide, and these are {dims.head_dim}"
        elif not machine.flash_attn:
            why = f"needs the package flash-attn, and {machine.name} is not said to have it"
        if why is not None:
            yield Fault(f"flash_attention_2 {why}", "train.attention=sdpa", {"attention": "sdpa"})
    if train.shard and machine.world == 1:
        says = f"train.shard cuts over GPUs, and {machine.name} has one"
        yield Fault(says, "train.shard=false", {"parts": 1})
    if recipe.privacy is not None and machine.world > 1:
        yield Fault("a private run has one process", hint="a machine with one GPU")
    if machine.host_memory is not None:
        # Each process reads the whole model before it is cut or copied to its GPU.
        loading = machine.gpus * need(dims, replace(knobs, parts=1)).weights
        if loading > parse_memory(machine.host_memory):
            yield Fault(
                f"{machine.gpus} processes load {loading / 1e9:.0f} GB in a node of "
                f"{machine.host_memory}",
                hint="fewer processes in a node",
            )


def _launch(recipe: Recipe, machine: Machine, arguments: Sequence[str]) -> tuple[str, ...]:
    end = f"scripts/finetune.py {shlex.join(arguments)} --out runs/{recipe.name}"
    if machine.world == 1:
        return (f"python {end}",)
    start = "accelerate launch --multi_gpu --mixed_precision no --dynamo_backend no"
    start += f" --num_processes {machine.world} --num_machines {machine.nodes}"
    if machine.nodes == 1:
        return (f"{start} {end}",)
    start += " --main_process_ip FIRST_NODE --main_process_port 29500"
    return tuple(f"{start} --machine_rank {rank} {end}" for rank in range(machine.nodes))
