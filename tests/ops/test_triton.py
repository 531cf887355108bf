"""Triton's kernels, in its interpreter: against the plain loop, at every edge of a tile.

Roundings, for tolerances.py, are those of test_agreement.py and test_gated_scan.py, whose checks
these are. A step takes ten milliseconds here, so each case has a reason to be there.
"""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import elman
from elman.ops import linear_scan, reference, scan, select, triton, use_backend
from elman.ops.activations import NONLINEARITIES
from elman.ops.on_device import lies
from elman.ops.triton import Plan
from tests.ops import test_gated_scan as between
from tests.ops.cases import (
    INTERPRETED,
    LAYOUTS,
    Layout,
    gated_inputs,
    linear_inputs,
    packed,
    scan_inputs,
    uniform,
    values_and_gradients,
)
from tests.ops.test_agreement import (
    FACTORS,
    as_good_as_the_loop,
    linear_of,
    named,
    same,
    scan_of,
)
from tests.tolerances import LOW_PRECISION, as_good, largest

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="Triton is not installed")

#: However a scan is cut up: tiles that no size here divides, and the whole in one.
CUTS = {
    "whole": Plan(8, None, 8, 1),
    "two rows": Plan(8, None, 2, 1),
    "one row": Plan(8, None, 1, 1),
    "re-read": Plan(4, 2, 4, 1),
    "re-read, one row": Plan(2, 4, 1, 1),
}
every_cut = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
#: Rows over a tile and units over a tile; rows that begin late, end early, or have no step.
EDGES = {
    "dense": Layout(2, 5, 5),
    "even": Layout(2, 4, 4),
    "packed": packed(3, 2, 1, 0, 0, H=3),
    "strided": packed(2, 2, 1, H=3, strided=True),
}


@pytest.fixture
def cut_up(monkeypatch):
    """Have every scan cut up so."""

    def by(cut):
        monkeypatch.setattr(triton, "plan", lambda H, rows, dtype: cut)

    return by


def of_scan(layout, reverse, groups, nonlinearity="tanh"):
    tensors = named(scan_inputs(layout, groups, nonlinearity))
    out_bar = uniform(*layout.sequence_shape(groups))
    loop = scan_of(reference.scan, nonlinearity, layout, reverse)
    ours = scan_of(scan, nonlinearity, layout, reverse, backend="triton")
    truth = values_and_gradients(loop, tensors, out_bar)
    same(values_and_gradients(ours, tensors, out_bar), truth, layout)


# --- values and every gradient ---------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout(cut_up, layout):
    cut_up(CUTS["two rows"])
    of_scan(layout, False, None)
    of_scan(layout, True, 2, "identity")


@every_cut
@pytest.mark.parametrize(
    ("layout", "reverse"),
    [("dense", False), ("even", False), ("packed", False), ("packed", True), ("strided", True)],
)
def test_every_edge_of_a_tile(cut_up, cut, layout, reverse):
    cut_up(cut)
    layout = EDGES[layout]
    of_scan(layout, reverse, 2 if reverse else None, "relu" if layout.L == 2 else "tanh")


@pytest.mark.parametrize(
    ("cut", "factors"),
    [*(("two rows", f) for f in FACTORS), *(("re-read", f) for f in ("", "q", "pqe"))],
)
def test_linear_scan(cut_up, cut, factors):
    cut_up(CUTS[cut])
    for layout, reverse, groups in (
        (EDGES["dense"], False, None),
        (EDGES["strided"], True, 2),
        (EDGES["packed"], True, None),
    ):
        tensors = linear_inputs(layout, groups, factors)
        out_bar = uniform(*layout.sequence_shape(groups))
        loop = linear_of(reference.linear_scan, layout, reverse)
        ours = linear_of(linear_scan, layout, reverse, backend="triton")
        truth = values_and_gradients(loop, tensors, out_bar)
        same(values_and_gradients(ours, tensors, out_bar), truth, layout, f"{layout}: ")


@pytest.mark.parametrize(
    ("cut", "gates"),
    [*(("two rows", g) for g in between.GATES), ("re-read", "q"), ("re-read", "gqe")],
)
def test_gates(cut_up, cut, gates):
    cut_up(CUTS[cut])
    for layout, reverse, groups in ((EDGES["dense"], True, 2), (EDGES["packed"], False, None)):
        tensors = gated_inputs(layout, groups, gates)
        out_bar = uniform(*layout.sequence_shape(groups))
        truth = values_and_gradients(between.gated(between.loop, layout, reverse), tensors, out_bar)
        ours = between.gated(scan, layout, reverse, backend="triton")
        between.same(values_and_gradients(ours, tensors, out_bar), truth, layout)


@pytest.mark.parametrize("bound", [None, 0.4])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity_and_bound(cut_up, nonlinearity, bound):
    cut_up(CUTS["whole"])
    layout = EDGES["packed"]
    tensors = gated_inputs(layout, None, "gqe", nonlinearity)
    out_bar = uniform(*layout.sequence_shape(None))
    given = layout, False, nonlinearity, bound
    truth = values_and_gradients(between.gated(between.loop, *given), tensors, out_bar)
    ours = between.gated(scan, *given, backend="triton")
    between.same(values_and_gradients(ours, tensors, out_bar), truth, layout)


def test_gates_expanded_from_one_step_row_or_column(cut_up):
    cut_up(CUTS["whole"])
    layout = EDGES["dense"]
    L, N, H = layout.L, layout.N, layout.H
    tensors = gated_inputs(layout, None, "")
    for shapes in (((1, N, H), (L, 1, 1), (1, 1, 1)), ((L, 1, H), (1, 1, H), (L, N, 1))):
        gates = [(torch.rand(shape) / 2).double().expand(L, N, H) for shape in shapes]
        given = dict(zip("gqe", gates, strict=True)) | tensors
        ours = between.gated(scan, layout, False, backend="triton")(**given)
        truth = between.gated(between.loop, layout, False)(**given)
        between.same({"output": ours}, {"output": truth}, layout)


# --- f ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_f_itself(cut_up, dtype, nonlinearity):
    """Of numbers of every size, one step of W = 0; five roundings, each of half an ulp or one."""
    cut_up(Plan(256, None, 1, 1))
    z = torch.tensor([0.0, 1e-30, 1e-5, 0.02, 0.3, 0.549, 0.551, 1.0, 2.5, 5, 9, 11, 19, 21, 90])
    z = torch.cat([z, -z, torch.linspace(-4, 4, 226)]).to(dtype)
    W, h_0 = torch.zeros(256, 256, dtype=dtype), torch.zeros(1, 256, dtype=dtype)
    ours = scan(z.view(1, 1, -1), W, h_0, nonlinearity, backend="triton").flatten()
    truth = NONLINEARITIES[nonlinearity](z.double())
    eps = torch.finfo(dtype).eps
    # what is near zero where z is not may be a difference of larger numbers: ulps of z, at most one
    scale = truth.abs().maximum(z.double().abs().clamp(max=1))
    assert ((ours.double() - truth).abs() <= 5 * eps * scale).all()


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_nan_and_infinity_as_torchs(cut_up, nonlinearity):
    cut_up(Plan(4, None, 1, 1))
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30], dtype=dtype)
        W, h_0 = torch.zeros(4, 4, dtype=dtype), torch.zeros(1, 4, dtype=dtype)
        ours = scan(z.view(1, 1, -1), W, h_0, nonlinearity, backend="triton").flatten()
        torchs = NONLINEARITIES[nonlinearity](z)
        torch.testing.assert_close(ours, torchs, rtol=1e-6, atol=0, equal_nan=True)


# --- precision -------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [CUTS["whole"], CUTS["re-read"]], ids=["kept", "re-read"])
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_low_precision(cut_up, cut, dtype):
    """As good as the loop in the same dtype, twice its error and a few ulps, as test_agreement."""
    cut_up(cut)
    for layout, reverse in ((EDGES["dense"], False), (EDGES["packed"], True)):
        out_bar = uniform(*layout.sequence_shape(None)).to(dtype)
        low = named(t.to(dtype) for t in scan_inputs(layout, None, "tanh"))
        linear = {n: t.to(dtype) for n, t in linear_inputs(layout, None, "pqe").items()}
        time = layout, reverse
        for tensors, loop, kernel in (
            (
                low,
                scan_of(reference.scan, "tanh", *time),
                scan_of(scan, "tanh", *time, backend="triton"),
            ),
            (
                linear,
                linear_of(reference.linear_scan, *time),
                linear_of(linear_scan, *time, backend="triton"),
            ),
        ):
            wide = {n: t.double() for n, t in tensors.items()}
            truth = values_and_gradients(loop, wide, out_bar)
            rival = values_and_gradients(loop, tensors, out_bar)
            ours = values_and_gradients(kernel, tensors, out_bar)
            as_good_as_the_loop(ours, rival, truth, layout)


@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_an_error_is_at_most_twice_that_of_aten(dtype):
    """At a size with something to add up; the sizes are the kernels' own plan."""
    L, N, H = 12, 3, 40
    a, W, h_0 = torch.randn(L, N, H), torch.randn(H, H) / H**0.5, torch.randn(N, H).tanh()
    low = named(t.to(dtype) for t in (a, W, h_0))
    bar = torch.randn(L, N, H).to(dtype)
    layout = Layout(L, N, H)
    wide = {n: t.double() for n, t in low.items()}
    truth = values_and_gradients(scan_of(reference.scan, "tanh", layout, False), wide, bar)
    aten = values_and_gradients(scan_of(scan, "tanh", layout, False, backend="aten"), low, bar)
    ours = values_and_gradients(scan_of(scan, "tanh", layout, False, backend="triton"), low, bar)
    for name, expected in truth.items():
        good, says = as_good(ours[name], aten[name], expected, 4 * L, largest(expected))
        assert good, f"{name}: {says}"


# --- memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [CUTS["two rows"], CUTS["re-read"]], ids=["kept", "re-read"])
def test_every_place_of_the_output_is_written_and_the_inputs_are_only_read(cut_up, cut):
    cut_up(cut)
    layout = EDGES["packed"]
    tensors = gated_inputs(layout, 2, "gqe")
    run = between.gated(scan, layout, True, backend="triton")
    before = {n: t.clone() for n, t in tensors.items()}
    expected = run(**tensors)
    torch.use_deterministic_algorithms(True)  # torch then fills fresh memory with NaN
    try:
        assert torch.empty_like(torch.ones(3)).isnan().all()
        poisoned = run(**tensors)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(poisoned, expected)
    assert all(torch.equal(t, before[n]) for n, t in tensors.items())


@pytest.mark.parametrize("cut", [CUTS["two rows"], CUTS["re-read"]], ids=["kept", "re-read"])
def test_what_lies_far_apart_is_counted_in_64_bits(cut_up, cut, monkeypatch):
    cut_up(cut)
    monkeypatch.setattr(triton, "_FAR", 0)
    of_scan(EDGES["strided"], True, 2)


def test_batch_sizes_are_copied_once_and_anew_when_they_change():
    sizes = torch.tensor([2, 1])
    once = lies(sizes, 3, torch.device("cpu"))
    assert [t.tolist() for t in once] == [[0, 2], [2, 1, 0]]
    assert lies(sizes, 3, torch.device("cpu"))[0] is once[0]
    sizes[1] = 2
    again = lies(sizes, 3, torch.device("cpu"))
    assert [t.tolist() for t in again] == [[0, 2], [2, 2, 0]]
    with torch.inference_mode():
        assert lies(torch.tensor([1]), 1, torch.device("cpu"))[1].tolist() == [1]


# --- in use ----------------------------------------------------------------------------------


def test_a_layer_in_use_and_its_derivatives_of_derivatives():
    x = nn.utils.rnn.pack_sequence([torch.randn(n, 2).double() for n in (3, 2)])
    rnn = elman.RNN(2, 3, num_layers=2, bidirectional=True).double()

    def results(backend):
        data = x.data.clone().requires_grad_()
        with use_backend(backend):
            output, h_n = rnn(nn.utils.rnn.PackedSequence(data, x.batch_sizes))
            loss = output.data.square().sum() + h_n.sum()
            leaves = [data, *rnn.parameters()]
            first = torch.autograd.grad(loss, leaves, create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        return [output.data, h_n, *first, *second]

    for ours, loop in zip(results("triton"), results("reference"), strict=True):
        assert ours.dtype == torch.float64
        assert torch.allclose(ours, loop, rtol=1e-12, atol=1e-12)


def test_the_rules_hold(cut_up):
    cut_up(CUTS["two rows"])
    sizes = torch.tensor([2, 1])
    inputs = [t.requires_grad_() for t in scan_inputs(packed(2, 1, H=1), None, "tanh")]

    def f(a, weight_hh, h_0):
        return scan(a, weight_hh, h_0, batch_sizes=sizes, reverse=True, backend="triton")

    assert gradcheck(f, inputs, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(f, inputs, fast_mode=True)


def test_copies_at_once_are_rows_or_groups():
    a, W, h_0 = scan_inputs(Layout(2, 2, 3), 2, "tanh")  # two groups, here two copies
    a, h_0 = a.movedim(2, 0), h_0.movedim(1, 0)

    def run(a, W, h_0):
        return scan(a, W, h_0, backend="triton")

    each = torch.stack([reference.scan(*t) for t in zip(a, W, h_0, strict=True)])
    assert torch.allclose(torch.vmap(run)(a, W, h_0), each, rtol=1e-13)
    shared = torch.stack([reference.scan(a_k, W[0], h) for a_k, h in zip(a, h_0, strict=True)])
    assert torch.allclose(torch.vmap(run, (0, None, 0))(a, W[0], h_0), shared, rtol=1e-13)


# torch's own word on what its tracer wrote down
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
def test_where_torch_writes_down_or_asks_for_shapes_its_own_operators_stand_in():
    a, W, h_0 = (t.float() for t in scan_inputs(Layout(2, 2, 3), None, "tanh"))
    expected = reference.scan(a, W, h_0)

    def run(a):
        return scan(a, W, h_0, backend="triton")

    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert run(mode.from_tensor(a)).shape == a.shape
    written = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.allclose(written(a), expected, atol=1e-6)
    value, tangent_map = torch.func.linearize(run, a)
    assert torch.allclose(value, expected)
    assert tangent_map(torch.ones_like(a)).shape == a.shape
    leaf = a.clone().requires_grad_()
    bars = torch.eye(12).view(12, 2, 2, 3)
    many = torch.autograd.grad(run(leaf), leaf, bars, is_grads_batched=True)[0]
    one = torch.stack([torch.autograd.grad(run(leaf), leaf, bar)[0] for bar in bars[::4]])
    assert torch.allclose(many[::4], one, atol=1e-6)


# --- the choice ------------------------------------------------------------------------------


def test_it_is_chosen_where_it_keeps_the_weight():
    gpu, f32 = torch.device("cuda"), torch.float32
    choice = select(gpu, f32, H=128)
    assert choice.backend == "triton"
    assert choice.reason.startswith("not cpu: ")
    assert "not cuda: " in choice.reason
    choice = select(gpu, f32, H=129)
    assert choice.backend == "aten"
    assert "not triton: ask for it by name: to read a weight of 129 by 129 anew" in choice.reason
    assert "have not been timed" in select(gpu, torch.float64).reason
    assert select(torch.device("cpu"), f32).backend != "triton"
    assert select(torch.device("cpu"), f32, "triton").backend == "triton"


def test_what_it_cannot_serve_it_says(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert "torch.complex64" in triton.serves(cuda, torch.complex64)
    assert "not for mps" in triton.serves(torch.device("mps"), torch.float32)
    monkeypatch.setattr(triton, "interpreted", lambda: False)
    assert "set TRITON_INTERPRET=1" in triton.serves(cpu, torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert triton.serves(cuda, torch.float32) == "it needs compute capability 8.0, this GPU has 7.5"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert triton.serves(cuda, torch.float32) is None
    monkeypatch.setattr(triton.util, "find_spec", lambda name: None)
    assert "pip install 'elman[triton]'" in triton.serves(cuda, torch.float32)


def test_tf32_is_taken_only_where_torch_allows_it():
    assert triton._precision() == "ieee"
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert triton._precision() == "tf32"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("H", "dtype"), [*product((1, 17, 128, 129, 257), LOW_PRECISION)])
def test_a_plan_holds_all_units_or_reads_them_in_parts(H, dtype):
    for rows in (1, 200, 100_000):
        cut = triton.plan(H, rows, dtype)
        assert (cut.others is not None) or cut.units >= H
        assert cut.units.bit_count() == cut.rows.bit_count() == cut.warps.bit_count() == 1


APART = """
import sys, torch, elman
from elman.ops import select, scan, triton
assert elman.RNN(2, 3)(torch.zeros(4, 1, 2))[0].shape == (4, 1, 3)
asked = sys.argv[1:] == ["asked"]
assert ("triton" in sys.modules) is False, "imported with elman"
tensors = torch.ones(2, 1, 1), torch.ones(1, 1), torch.zeros(1, 1)
if asked:
    assert scan(*tensors, "identity", backend="triton").flatten().tolist() == [1, 2]
else:
    try:
        scan(*tensors, backend="triton")
    except ValueError as error:
        assert "set TRITON_INTERPRET=1" in str(error), error
    assert ("triton" in sys.modules) is False, "imported to be refused"
"""


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "not"])
def test_the_variable_decides_and_triton_is_imported_only_when_used(asked):
    environment = {n: v for n, v in os.environ.items() if n != "TRITON_INTERPRET"}
    environment |= {"PYTHONWARNINGS": "ignore"} | ({"TRITON_INTERPRET": "1"} if asked else {})
    ran = subprocess.run(
        [sys.executable, "-c", APART, *(["asked"] if asked else [])],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_what_torch_compiles_is_not_interpreted():
    import triton as package

    assert package.knobs.runtime.interpret is False

    def kernel():
        pass

    assert isinstance(package.jit(kernel), package.JITFunction)
