"""Recipes against machines that are described: what no GPU here can show, up to the launch."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sovereign import recipes
from sovereign.cli import cli
from sovereign.errors import ConfigError
from sovereign.tune.machine import Machine, Plan, find_machine, plan
from sovereign.tune.recipe import find_recipe, load_recipe
from sovereign.weights.dims import model_card

LLAMA = "tune/lora_llama31_8b"


def machine(**said: Any) -> Machine:
    return Machine(**({"name": "m", "memory": "80GB", "compute_capability": 9.0} | said))


def planned(there: Machine, *overrides: str, recipe: str = LLAMA) -> Plan:
    loaded = load_recipe(find_recipe(recipe), overrides)
    return plan(loaded, model_card(loaded.model).dims, there, (recipe, *overrides))


@pytest.mark.parametrize(
    ("there", "overrides", "says", "turn"),
    [
        ({"compute_capability": 7.5}, (), "bf16 needs compute capability 8.0", "precision=fp32"),
        ({"compute_capability": 5.2}, ("train.quantize=nf4",), "nf4 needs", "quantize=none"),
        ({"compute_capability": 7.0}, ("train.quantize=int8",), "int8 needs", "quantize=nf4"),
        ({}, ("train.attention=flash_attention_2",), "the package flash-attn", "attention=sdpa"),
        (
            {"compute_capability": 7.5, "flash_attn": True},
            ("train.attention=flash_attention_2",),
            "flash_attention_2 needs compute capability 8.0",
            "attention=sdpa",
        ),
        ({}, ("train.shard=true",), "has one", "shard=false"),
        ({"gpus": 8, "host_memory": "100GB"}, (), "8 processes load 128 GB", "fewer processes"),
        ({"gpus": 2}, ("privacy.epsilon=8",), "one process", "one GPU"),
    ],
)
def test_what_a_machine_cannot_do_is_said_with_what_mends_it(
    there: dict[str, Any], overrides: tuple[str, ...], says: str, turn: str
) -> None:
    """Each of them would otherwise show after the weights were loaded, on a machine that is paid
    for by the hour. What is mended is a recipe, with no fault left of that kind."""
    found = planned(machine(**there), *overrides)
    fault = next(f for f in found.faults if says in f.says)
    assert turn in (fault.turn or fault.hint)
    if fault.turn:
        assert found.turns is not None
        assert fault.turn in found.turns[0]
        mended = planned(machine(**there), *overrides, *found.turns[0])
        assert not mended.faults
        assert mended.fits
        assert mended.each == found.turns[1]


def test_what_a_machine_can_do_is_not_refused() -> None:
    """NF4 and int8 on an older card, FlashAttention and a cut model on a new one."""
    old = machine(compute_capability=7.5)
    for kind in ("nf4", "int8"):
        assert not planned(old, f"train.quantize={kind}", "train.precision=fp32").faults
    new = machine(gpus=4, flash_attn=True, host_memory="500GB")
    assert not planned(new, "train.attention=flash_attention_2", "train.shard=true").faults


def test_a_cut_model_takes_its_part_of_each_gpu_and_is_the_first_thing_that_is_tried() -> None:
    """A full fine-tune of 8B: 16 bytes a weight and 2 more to compute with; of which each of eight
    GPUs has an eighth, and two layers whole."""
    alone = planned(machine(gpus=8), "train.method=full")
    assert not alone.fits
    assert alone.turns is not None
    assert alone.turns[0] == ["train.shard=true"]
    cut = planned(machine(gpus=8), "train.method=full", "train.shard=true")
    assert cut.fits
    assert cut.each.optimizer * 8 == alone.each.optimizer
    assert cut.each.activations == alone.each.activations
    assert alone.each.weights / 8 < cut.each.weights < alone.each.weights / 4
    one = planned(machine(), "train.method=full")
    assert one.turns is not None
    assert "train.shard=true" not in one.turns[0]


def test_weights_in_four_bits_are_never_offered_cut() -> None:
    """Such a recipe is refused (recipe.py), so no hint may lead to it."""
    small = machine(gpus=2, memory="12GB")
    for start in ((), ("train.shard=true",)):
        found = planned(small, *start)
        assert found.turns is not None
        assert "train.quantize=nf4" in found.turns[0]
        turned = planned(small, *start, *found.turns[0])
        assert turned.fits
        assert turned.each == found.turns[1]


def test_plain_attention_keeps_every_pair_and_the_kernels_do_not() -> None:
    """Scores in bf16, their softmax in fp32 and in bf16 again: eight bytes for each pair and head,
    in the one layer that is there at a time; twice the length, four times as much."""
    heads, width = 32, 2048

    def more(*overrides: str) -> float:
        pairs = planned(machine(), "train.attention=eager", *overrides)
        assert pairs.faults == ()
        return pairs.each.activations - planned(machine(), *overrides).each.activations

    assert more() == 2 * width * width * heads * 8
    assert more("train.max_length=4096") == 4 * more()


@pytest.mark.parametrize("nodes", [1, 2])
def test_accelerate_reads_the_command_that_starts_it(nodes: int) -> None:
    """With its own parser and its own way from there to torchrun's: as many processes on each node
    as there are GPUs, and our script with the recipe."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    found = planned(machine(gpus=4, nodes=nodes), "train.shard=true")
    assert len(found.launch) == nodes
    for rank, line in enumerate(found.launch):
        said = shlex.split(line)
        assert said[:2] == ["accelerate", "launch"]
        args = launch_command_parser().parse_args(said[2:])
        assert args.training_script == "scripts/finetune.py"
        assert args.training_script_args[:2] == [LLAMA, "train.shard=true"]
        args.gpu_ids = "all"
        prepare_multi_gpu_env(args)
        assert int(args.nproc_per_node) == 4
        if nodes > 1:
            assert (int(args.nnodes), int(args.node_rank)) == (nodes, rank)
            assert args.rdzv_endpoint == "FIRST_NODE:29500"


def test_one_gpu_needs_no_launcher() -> None:
    """The script is enough."""
    assert planned(machine()).launch == (
        "python scripts/finetune.py tune/lora_llama31_8b --out runs/lora_llama31_8b",
    )


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["tune", "check", *arguments])


def test_every_shipped_machine_is_checked_by_the_command() -> None:
    """What each GPU would hold, and the line; or why not, and the nearest recipe that would."""
    for name in recipes.names("machines"):
        assert find_machine(name).name == name
    fits = check(LLAMA, "--machine", "h100x8-two-nodes")
    assert fits.exit_code == 0, fits.output
    assert "on each of 16 GPUs" in fits.output
    assert fits.output.count("start it with: accelerate launch") == 2
    said = json.loads(check(LLAMA, "--machine", "a100x8", "--json").stdout)
    assert said["fits"]
    assert said["processes"] == 8
    assert said["faults"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "m"\nmemory = "lots"\ncompute_capability = 8.0\n', "no amount of memory"),
        ('name = "m"\nmemory = "8GB"\n', "compute_capability"),
        ('name = "m"\nmemory = "8GB"\ncompute_capability = 8.0\ngpu = 4\n', "unknown key gpu"),
        ('name = "m"\nmemory = "8GB"\ncompute_capability = 8.0\ngpus = 0\n', "gpus"),
    ],
)
def test_a_machine_that_cannot_be_read_is_explained(tmp_path: Path, text: str, says: str) -> None:
    """By file and key."""
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        find_machine(str(tmp_path / "m.toml"))
    with pytest.raises(ConfigError, match="no such machine"):
        find_machine(str(tmp_path / "other.toml"))
