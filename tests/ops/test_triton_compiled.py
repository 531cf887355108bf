"""Triton's kernels compiled for sm_90, an H100 or H200, without one: that is all but running them.

Each call is made as it would be, up to the launch, and what would be launched is compiled from the
same arguments. Shared memory of a block may be 227 KB there, a thread has 255 registers, and what
does not fit into them spills to memory. Before the loop over time it may, once: a weight of an odd
H comes in number by number. In the loop it may not.
"""

import re
import subprocess
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.ops import triton as backend
from tests.ops.cases import INTERPRETED

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="Triton is not installed")

SHARED = 227 * 1024
bf16, f16, f32, f64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
#: H, N, dtype, and what else the call has, its gates first.
CALLS = {
    "the whole weight, bfloat16": (256, 64, bf16, ""),
    "with everything, packed": (256, 64, bf16, "gqe packed reverse"),
    "an odd H": (201, 9, f16, "gqe"),
    "many rows": (256, 2000, bf16, " packed"),
    "backward": (256, 64, bf16, "p linear packed reverse"),
    "a row each, float32": (128, 1, f32, ""),
    "a row each, backward": (128, 64, f32, "p linear reverse"),
    "many rows, float32": (128, 300, f32, "gqe packed"),
    "a small H": (10, 32, f32, "g"),
    "float64": (64, 20, f64, "gqe packed"),
    "re-read, bfloat16": (1024, 16, bf16, "gqe packed"),
    "re-read, float32": (512, 32, f32, " groups"),
    "re-read, float32, odd": (999, 32, f32, "p linear packed"),
    "re-read, float64": (300, 4, f64, "q"),
}


class Recorder:
    """In the place of a kernel: what it would have been launched with."""

    def __init__(self):
        self.launched = None

    def __getitem__(self, grid):
        def launch(*arguments, **choices):
            self.launched = arguments, choices

        return launch


@pytest.fixture(scope="module")
def kernels():
    """The kernels once more, to be compiled."""
    import triton

    path = Path(backend.__file__).with_name("triton_kernels.py")
    spec = util.spec_from_file_location("kernels_to_be_compiled", path)
    module = util.module_from_spec(spec)
    assert triton.knobs.runtime.interpret is False
    spec.loader.exec_module(module)
    assert not module.INTERPRETED
    return module


def call(H, N, dtype, more):
    """The scan of such sizes, on tensors without numbers that matter."""
    L, row = 2, (2, H) if "groups" in more else (H,)
    sizes = torch.tensor([N, 1]) if "packed" in more else None
    rows = (L, N) if sizes is None else (N + 1,)
    x, W, s_0 = torch.ones(*rows, *row), torch.ones(*row, H), torch.ones(N, *row)
    factors = {name: torch.ones_like(x) for name in "gqep" if name in more.split(" ")[0]}
    given = {n: t.to(dtype) for n, t in factors.items()}
    tensors = [t.to(dtype) for t in (x, W, s_0)]
    time = {"batch_sizes": sizes, "reverse": "reverse" in more}
    if "linear" in more:
        backend.linear_scan(*tensors, **given, **time)
    else:
        backend.gated_scan(*tensors, **given, **time)


def compiled(kernel, arguments: tuple, choices: dict[str, Any]):
    """What Triton's own launcher would make of these arguments, for sm_90."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kinds = {bf16: "*bf16", f16: "*fp16", f32: "*fp32", f64: "*fp64"}
    kinds |= {torch.int64: "*i64", torch.int32: "*i32"}
    constants, attributes = {}, {}

    def kind(value, path):
        if isinstance(value, tuple):
            return tuple(kind(v, (*path, k)) for k, v in enumerate(value))
        if value is None or (isinstance(value, int) and value == 1):
            constants[path] = value
            return "constexpr"
        if isinstance(value, torch.Tensor) or value % 16 == 0:
            attributes[path] = [["tt.divisibility", 16]]
        return kinds[value.dtype] if isinstance(value, torch.Tensor) else "i32"

    warps = choices.pop("num_warps")
    names = kernel.arg_names
    signature = {n: kind(v, (k,)) for k, (n, v) in enumerate(zip(names, arguments, strict=False))}
    for name, value in choices.items():
        signature[name] = "constexpr"
        constants[names.index(name),] = value
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, GPUTarget("cuda", 90, 32), {"num_warps": warps})


def spilled_in_a_loop(lines):
    """The loads and stores of spilled registers between a label and a jump back to it."""
    labels, loops = {}, []
    for k, line in enumerate(lines):
        if label := re.match(r"\.(L_x_\d+):", line.strip()):
            labels[label[1]] = k
        elif (jump := re.search(r"BRA.*\.(L_x_\d+)", line)) and labels.get(jump[1], k) < k - 20:
            loops.append(range(labels[jump[1]], k))  # the last jump is to itself, after the end
    assert loops, "a loop over time"
    spilled = [k for k, line in enumerate(lines) if re.search(r"\b(LDL|STL)\b", line)]
    return [lines[k] for k in spilled if any(k in loop for loop in loops)]


def test_what_spills_is_found():
    lines = ["STL [R1]", ".L_x_0:", *["FFMA"] * 30, "LDL R1, [R1]", "@P0 BRA `(.L_x_0)", "LDL"]
    assert spilled_in_a_loop(lines) == ["LDL R1, [R1]"]


@pytest.mark.parametrize("given", CALLS.values(), ids=CALLS)
def test_it_compiles_fits_and_spills_nothing(given, kernels, monkeypatch, tmp_path):
    import triton

    recorders = {name: Recorder() for name in ("resident", "streamed")}
    for name, recorder in recorders.items():
        monkeypatch.setattr(backend._kernels(), name, recorder)
    call(*given)
    ((name, (arguments, choices)),) = (
        (n, r.launched) for n, r in recorders.items() if r.launched is not None
    )
    assert (name == "streamed") == (given[0] > backend._KEPT[given[2]])
    with triton.knobs.cache.scope():
        triton.knobs.cache.dir = str(tmp_path)
        made = compiled(getattr(kernels, name), arguments, choices)
    assert made.asm["cubin"]
    assert made.metadata.shared <= SHARED
    (tmp_path / "kernel.cubin").write_bytes(made.asm["cubin"])
    disassembler = [triton.knobs.nvidia.nvdisasm.path, "-c", "kernel.cubin"]
    lines = subprocess.run(disassembler, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert spilled_in_a_loop(lines.stdout.splitlines()) == []
    if given[2] in (bf16, f16):
        assert "mma" in made.asm["ptx"], "no tensor core"
