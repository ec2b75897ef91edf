"""What a GPU can hold, move and multiply: numbers of data sheets, and nothing about models.

Memory is what the driver reports (nvidia-smi, rocm-smi), which is less than the name says. FLOP/s
are dense, in bfloat16: data sheets lead with the doubled figure for sparse matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sovereign.errors import ConfigError

__all__ = ["GPUS", "Bfloat16", "Gpu", "bfloat16", "find"]

Bfloat16 = Literal["tiles", "vectors", "no"]

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Gpu:
    """``memory`` in bytes, ``bandwidth`` in bytes/s, ``flops`` in FLOP/s, ``watts`` at most."""

    name: str
    memory: float
    bandwidth: float
    flops: float
    watts: float


def _gpu(name: str, mib: int, gb_s: float, tflops: float, watts: float) -> Gpu:
    return Gpu(name, mib * MIB, gb_s * 1e9, tflops * 1e12, watts)


# Sources: the makers' data sheets of each card (NVIDIA L4, A10, L40S, RTX 4090, RTX 6000 Ada, A100,
# H100, H200, DGX B200; AMD Instinct MI300X).
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        _gpu("L4", 23_034, 300, 121, 72),
        _gpu("A10", 23_028, 600, 125, 150),
        _gpu("RTX-4090", 24_564, 1_008, 165, 450),
        _gpu("A100-40", 40_960, 1_555, 312, 400),
        _gpu("L40S", 46_068, 864, 362, 350),
        _gpu("RTX-6000-Ada", 49_140, 960, 364, 300),
        _gpu("A100-80", 81_920, 2_039, 312, 400),
        _gpu("H100", 81_559, 3_350, 989, 700),
        _gpu("H200", 143_771, 4_800, 989, 700),
        _gpu("B200", 183_359, 8_000, 2_250, 1_000),
        _gpu("MI300X", 196_592, 5_300, 1_307, 750),
    )
}


def find(name: str) -> Gpu:
    """The GPU of this name, in any case. Raises :class:`ConfigError`."""
    for known, gpu in GPUS.items():
        if known.lower() == name.lower():
            return gpu
    raise ConfigError(f"no GPU {name!r} is known here", hint=f"known: {', '.join(GPUS)}")


def bfloat16() -> Bfloat16:
    """How this machine's CPU multiplies bfloat16, as its kernel says: in tiles (AMX), in vectors
    (AVX-512), or not. Others emulate it, at half the speed."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return "no"
    if "amx_bf16" in flags:
        return "tiles"
    return "vectors" if "avx512_bf16" in flags else "no"
