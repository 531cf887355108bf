"""The CUDA kernel on the processor: its C++ compiled with emulator.h in the place of ptx.cuh."""

import ctypes
import subprocess
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import torch

from elman.ops.cuda.compiled import Launch, Source

HERE = Path(__file__).parent


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
