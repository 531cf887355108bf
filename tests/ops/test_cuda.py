"""The CUDA kernels, their threads run on the processor (`emulator.h`): against the plain loop.

All that a GPU runs is here but what only it has a word for. Whoever reads what has not come, writes
where another still reads, or waits for ever, is found out: who is next is drawn by lot. A kernel
takes a second to compile, so each case has a reason to be there.

Roundings, for tolerances.py, are those of test_agreement.py.
"""

import pytest
import torch

from elman.ops import cuda, linear_scan, reference, scan
from elman.ops.cuda import compiled
from tests.ops.cases import (
    Layout,
    gated_inputs,
    linear_inputs,
    packed,
    scan_inputs,
    uniform,
    values_and_gradients,
)
from tests.ops.emulator import CUTS
from tests.ops.test_agreement import as_good_as_the_loop, linear_of, named, scan_of
from tests.tolerances import as_good

pytestmark = pytest.mark.usefixtures("emulated")
f32, bf16, f16 = torch.float32, torch.bfloat16, torch.float16

every_cut = pytest.mark.parametrize(("dtype", "cut"), CUTS.values(), ids=CUTS)
#: More rows than a cluster has, units that fill no block, rows that begin late, end early, are not.
DENSE, ODD = Layout(5, 3, 40), Layout(4, 9, 35, strided=True)
ENDING = packed(4, 3, 1, 0, H=40)


def of_scan(layout, dtype, reverse, groups, nonlinearity="tanh", **more):
    tensors = {n: t.to(dtype) for n, t in named(scan_inputs(layout, groups, nonlinearity)).items()}
    hold(layout, tensors, (reference.scan, scan), scan_of, nonlinearity, layout, reverse)


def hold(layout, tensors, functions, of, *how):
    """The CUDA kernel as good as the loop in its dtype, by the loop in float64."""
    loop, ours = of(functions[0], *how), of(functions[1], *how, backend="cuda")
    rows = tensors.get("a", tensors.get("x"))
    out_bar = uniform(*rows.shape).to(rows.dtype)
    wide = {n: t.double() for n, t in tensors.items()}
    truth = values_and_gradients(loop, wide, out_bar.double())
    rival = values_and_gradients(loop, tensors, out_bar)
    as_good_as_the_loop(values_and_gradients(ours, tensors, out_bar), rival, truth, layout)


# --- values and every gradient ---------------------------------------------------------------


@every_cut
@pytest.mark.parametrize(
    ("layout", "reverse", "groups"),
    [(DENSE, False, None), (ENDING, True, None), (ODD, False, 2), (ENDING, False, 2)],
    ids=["dense", "packed, reverse", "strided, groups", "packed, groups"],
)
def test_scan(cut_up, dtype, cut, layout, reverse, groups):
    cut_up(cut)
    of_scan(layout, dtype, reverse, groups, "relu" if groups else "tanh")


@pytest.mark.parametrize("factors", ["", "p", "qe", "pqe"])
@pytest.mark.parametrize("name", ["float32, three blocks", "bfloat16, three blocks"])
def test_linear_scan(cut_up, name, factors):
    dtype, cut = CUTS[name]
    cut_up(cut)
    layout = ENDING if "e" in factors else DENSE
    tensors = {n: t.to(dtype) for n, t in linear_inputs(layout, None, factors).items()}
    hold(layout, tensors, (reference.linear_scan, linear_scan), linear_of, layout, True)


@pytest.mark.parametrize("gates", ["g", "q", "gqe"])
@pytest.mark.parametrize("name", ["float32, alone", "float16, two tiles a warp"])
def test_gated_scan(cut_up, name, gates):
    dtype, cut = CUTS[name]
    cut_up(cut)
    layout = Layout(3, 2, 30) if "alone" in name else packed(3, 2, 2, H=64)
    tensors = {n: t.to(dtype) for n, t in gated_inputs(layout, None, gates).items()}
    given = {name: tensors.get(name) for name in ("a", "weight_hh", "h_0", "g", "q", "e")}
    if given["g"] is not None and given["e"] is None:
        given["e"] = 1 - given["g"]
    a, W, h_0, *between = given.values()
    time = layout.batch_sizes, False
    ours = cuda.gated_scan(a, W, h_0, "tanh", *between, 0.5, *time)
    rival = reference.gated_scan(a, W, h_0, "tanh", *between, 0.5, *time)
    wide = [None if t is None else t.double() for t in between]
    truth = reference.gated_scan(a.double(), W.double(), h_0.double(), "tanh", *wide, 0.5, *time)
    for which, (mine, other, true) in enumerate(zip(ours, rival, truth, strict=True)):
        if which == 1 and between[0] is None and between[2] is None:
            assert mine.numel() == 0  # y is h
            continue
        good, says = as_good(mine, other, true, 4 * layout.L, 1.0)
        assert good, says


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_what_is_not_finite_comes_out_as_torchs(cut_up, nonlinearity):
    cut_up(CUTS["float32, alone"][1])
    a = torch.tensor([float("nan"), float("inf"), -float("inf"), 3e38, -1e-42, 0.0])[None, None]
    zero = torch.zeros(6, 6), torch.zeros(1, 6)
    ours, loop = (f(a, *zero, nonlinearity).flatten() for f in (cuda.scan, reference.scan))
    assert torch.allclose(ours, loop, rtol=1e-6, atol=1e-44, equal_nan=True), (ours, loop)


# --- what the emulator is worth ----------------------------------------------------------------


MISTAKES = {
    "who does not wait": ("wait(gate, turn);", ""),
    "a gate that never opens": ("if (threadIdx.x == 0) expect(gate, BYTES);", ""),
    "inputs not there yet": ("wait_ahead<AHEAD - 1>();", ""),
    "no barrier": ("<AHEAD - 1>();\n    __syncthreads();", "<AHEAD - 1>();"),
}


@pytest.mark.parametrize(("right", "wrong"), MISTAKES.values(), ids=MISTAKES)
def test_a_kernel_that_is_wrong_is_found_out(cut_up, monkeypatch, right, wrong):
    part = compiled.part
    assert sum(part(name).count(right) for name in ("given.cuh", "scan.cuh")) == 1, right
    monkeypatch.setattr(compiled, "part", lambda name: part(name).replace(right, wrong))
    cut_up(CUTS["float32, three blocks"][1])

    def often():
        for _ in range(5):
            of_scan(Layout(6, 3, 90), f32, False, None)

    with pytest.raises(AssertionError):
        often()
