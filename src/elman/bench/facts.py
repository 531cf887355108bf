"""On what it was measured: versions, processor, backend."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import elman
from elman.bench.contestant import Contestant, version_of
from elman.ops import select


def facts(kinds: Sequence[type[Contestant]]) -> dict[str, str]:
    """By the names of the CSV's columns; a package that took no part has no version."""
    present = {kind.name for kind in kinds}
    return {
        "elman": elman.__version__,
        "torch": torch.__version__,
        "jax": version_of("jax") if "jax" in present else "",
        "onnxruntime": version_of("onnxruntime") if "onnxruntime" in present else "",
        "python": platform.python_version(),
        "cpu": cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "backend": select(torch.device("cpu"), torch.float32).backend,
    }


def cpu() -> str:
    """The processor's name, as the system has it."""
    info = Path("/proc/cpuinfo")
    if sys.platform == "linux" and info.is_file():
        for line in info.read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
