"""The CUDA kernels compiled for sm_90, an H100 or H200, without one: that is all but running them.

NVRTC compiles them as it does where there is a GPU. Shared memory of a block may be 227 KB there;
a thread has 255 registers, and what does not fit into them spills to memory. In the loop over time
nothing may; a part of the weight may have, before it, and is read from there.
"""

import re
import subprocess
from importlib import util

import pytest
import torch

from elman.ops.cuda import compiled, products
from elman.ops.cuda.kinds import ANYHOW, BACK, BY_COLUMNS, BY_ROWS, FORWARD, LINEAR, Kind, source
from elman.ops.cuda.plans import DTYPES, plan
from tests.ops.test_triton_compiled import spilled_in_a_loop

MISSING = compiled.problem() is not None or util.find_spec("triton") is None
pytestmark = pytest.mark.skipif(MISSING, reason="NVRTC or Triton's disassembler is not installed")
bf16, f16, f32 = torch.bfloat16, torch.float16, torch.float32
PLAIN = Kind(0, 0, FORWARD, 0, None, *[False] * 6, True, BY_ROWS)
BACKWARD = {"MODE": BACK, "LIES": BY_COLUMNS}
#: H, N, dtype, and what else is computed.
CALLS = {
    "sixteen blocks": (1024, 16, bf16, {}),
    "sixteen blocks, backward": (1024, 16, bf16, BACKWARD),
    "some of the weight in shared memory": (1024, 64, bf16, {}),
    "the same, backward, packed": (1024, 64, bf16, {**BACKWARD, "PACKED": True}),
    "rows with lengths": (256, 64, bf16, {**BACKWARD, "RAGGED": True}),
    "one block": (128, 64, f16, {"PACKED": True}),
    "every gate": (256, 9, bf16, {"HAS_G": 1, "HAS_Q": 1, "HAS_E": 1, "HAS_Y": 1, "PACKED": 1}),
    "an odd H": (201, 9, bf16, {"ALIGNED": 0, "LIES": ANYHOW}),
    "float32, one row": (128, 1, f32, {}),
    "float32, a small H": (10, 32, f32, {"MODE": LINEAR, "HAS_G": True, "LIES": BY_COLUMNS}),
    "float32, eight blocks": (512, 32, f32, BACKWARD),
    "float32, sixteen blocks": (1024, 8, f32, {}),
}  # fmt: skip


def disassembled(code, folder):
    import triton

    (folder / "kernel.cubin").write_bytes(code)
    command = [triton.knobs.nvidia.nvdisasm.path, "-c", "kernel.cubin"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


@pytest.mark.parametrize(("H", "N", "dtype", "more"), CALLS.values(), ids=CALLS)
def test_it_compiles_fits_and_spills_nothing(H, N, dtype, more, tmp_path):
    cut = plan(H, N, 1, dtype)
    kind = PLAIN._replace(DTYPE=DTYPES[dtype], H=H, **more)
    lines = disassembled(compiled.machine_code(source(kind, cut), (9, 0)), tmp_path)
    spilled = spilled_in_a_loop(lines)
    assert len(spilled) <= 16
    assert not any("STL" in line for line in spilled)
    named = {m[1] for line in lines if (m := re.search(r"\s(HMMA|FFMA|STAS|LDGSTS)\b", line))}
    assert "LDGSTS" in named or not kind.ALIGNED, "inputs are waited for"
    assert ("HMMA" in named) == (dtype != f32), "tensor cores"
    assert ("STAS" in named) == (cut.BLOCKS > 1), "no part is sent"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_products_compile(dtype, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(compiled, "loaded", lambda source, *_: seen.append(source))
    products._kernel.__wrapped__(DTYPES[dtype], 5, torch.device("cpu"))
    lines = disassembled(compiled.machine_code(seen[0], (9, 0)), tmp_path)
    assert any("FFMA" in line for line in lines)


def test_what_does_not_compile_is_an_error_in_nvrtcs_words(monkeypatch):
    monkeypatch.setattr(compiled, "part", lambda name: "int x = y;")
    with pytest.raises(RuntimeError, match=r'(?s)scan with .*identifier "y" is undefined'):
        compiled.machine_code(source(PLAIN._replace(H=8), plan(8, 1, 1, f32)), (9, 0))


def test_without_nvrtc_the_reason_is_told(monkeypatch):
    from cuda.bindings import nvrtc

    def none():
        raise RuntimeError("libnvrtc.so is nowhere")

    monkeypatch.setattr(nvrtc, "nvrtcVersion", none)
    said = compiled.problem.__wrapped__()
    assert said == "NVRTC, which compiles its kernel, is not to be found: libnvrtc.so is nowhere"
    monkeypatch.setattr(compiled.util, "find_spec", lambda name: None)
    assert "pip install 'elman[cuda]'" in compiled.problem.__wrapped__()
