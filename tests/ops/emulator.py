"""The CUDA kernel on the processor: its C++ compiled with emulator.h in the place of ptx.cuh."""

import ctypes
import subprocess
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import torch

from elman.ops.cuda.compiled import Launch, Source
from elman.ops.cuda.plans import Plan

HERE = Path(__file__).parent
f32, bf16, f16 = torch.float32, torch.bfloat16, torch.float16

#: A dtype, and blocks, units, rows, warps, slices, tiles, kept, ahead: of the weight all is
#: kept in registers, or some; a cluster has all rows, or some; a unit is of two tiles or one.
CUTS = {
    "float32, alone": (f32, Plan(1, 96, 3, 2, 2, 3, 4, 2)),
    "float32, three blocks": (f32, Plan(3, 32, 2, 4, 4, 1, 4, 3)),
    "float32, two units a lane": (f32, Plan(2, 64, 1, 4, 4, 2, 8, 1)),
    "bfloat16, alone": (bf16, Plan(1, 48, 8, 3, 1, 1, 3, 2)),
    "bfloat16, three blocks": (bf16, Plan(3, 16, 5, 1, 1, 1, 2, 4)),
    "float16, two tiles a warp": (f16, Plan(2, 32, 16, 2, 2, 2, 1, 2)),
}


def loaded(source: Source, blocks: int, threads: int, shared: int, device: torch.device) -> Launch:
    """In the place of `compiled.loaded`: nothing is launched, but all its threads run."""
    assert device.type == "cpu"
    kernel = _built(source.text((HERE / "emulator.h").read_text()), source.name)
    seeds = count(1)  # another order of its threads each time

    def launch(given: bytes, clusters: int) -> None:
        if kernel.emulate(given, clusters, blocks, threads, shared, next(seeds)) != 0:
            raise AssertionError(f"the threads of {source.name} did not come to an end: {source}")

    return launch


@cache
def _built(text: str, name: str) -> ctypes.CDLL:
    """The kernel as a library."""
    end = (HERE / "emulator_end.h").read_text().replace("KERNEL", name)
    source = Path(mkdtemp()) / "kernel.cpp"
    source.write_text(text + end)
    library = source.with_suffix(".so")
    options = ["-std=c++17", "-O1", "-w", "-shared", "-fPIC"]
    subprocess.run(["g++", *options, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
