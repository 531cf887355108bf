"""A layer in one piece: its values and every gradient, however its tensors lie."""

import itertools
import subprocess
import sys

import pytest
import torch

from elman.ops import cpu, layer
from tests.ops.cases import LAYOUTS, NONLINEARITIES, Layout
from tests.ops.layers import (
    LYING,
    agree,
    bars_for,
    by_scans,
    every_layout,
    flat,
    make,
    one_or_two,
    results,
)
from tests.tolerances import as_good, largest

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


@every_layout
@one_or_two
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_values_and_every_gradient(layout, D, nonlinearity, bias):
    tensors = flat(*make(layout, D, bias, nonlinearity))
    agree(tensors, layout, D, bars_for(layout, D), nonlinearity)


@pytest.mark.parametrize("layout", [LAYOUTS["dense,odd"], LAYOUTS["packed,zero-length"]], ids=str)
@one_or_two
def test_the_gradient_may_come_from_either_result_or_be_expanded(layout, D):
    tensors = flat(*make(layout, D))
    output_bar, h_n_bar = bars_for(layout, D)
    one = torch.ones((), dtype=torch.float64)
    for bars in (
        (output_bar, None),
        (None, h_n_bar),
        (one.expand(output_bar.shape), None),
        (None, one.expand(h_n_bar.shape)),
        (output_bar.narrow(-1, 0, 1).expand(output_bar.shape), one.expand(h_n_bar.shape)),
    ):
        agree(tensors, layout, D, bars, case=[None if b is None else b.stride() for b in bars])


@pytest.mark.parametrize("layout", [LAYOUTS["dense"], LAYOUTS["packed"]], ids=["dense", "packed"])
@one_or_two
def test_any_of_the_gradients_may_be_wanted(layout, D):
    tensors = flat(*make(layout, D))
    for wants_x, wants_h_0, *some in itertools.product((False, True), repeat=4):
        wanted = [wants_x, wants_h_0, *(some * len(tensors))[: len(tensors) - 2]]
        agree(tensors, layout, D, bars_for(layout, D), case=wanted, wanted=wanted)


@pytest.mark.parametrize("lie", LYING.values(), ids=LYING)
@one_or_two
def test_tensors_may_lie_in_memory_as_they_like(lie, D):
    layout = Layout(5, 4, 6)
    x, h_0, weights = make(layout, D)
    matrices = [[lie(w) if w.dim() == 2 else w for w in direction] for direction in weights]
    strides = [[w[:1].expand(w.shape) if w.dim() == 1 else w for w in d] for d in weights]
    bars = bars_for(layout, D)
    agree(flat(lie(x), lie(h_0), weights), layout, D, bars, case="x, h_0")
    agree(flat(x, h_0, matrices), layout, D, bars, case="weights")
    agree(flat(x, h_0, strides), layout, D, bars, case="biases")
    agree(flat(x, h_0, weights), layout, D, tuple(lie(b) for b in bars), case="gradients")


@one_or_two
def test_no_numbers_at_all(D):
    """H_in or H nought, dense and packed, one row and more: empty, and still no crash."""
    script = f"""
import torch
from elman.ops import layer
for K, H, N, L in ((0, 4, 1, 50), (0, 4, 3, 50), (3, 0, 1, 50), (3, 0, 3, 50), (0, 0, 2, 5)):
    for sizes in (None, torch.full((L,), N)):
        x = torch.randn((L, N, K) if sizes is None else (L * N, K), requires_grad=True)
        h_0 = torch.randn({D}, N, H, requires_grad=True)
        W = [[torch.randn(H, K, requires_grad=True), torch.randn(H, H, requires_grad=True)]
             for _ in range({D})]
        output, h_n = layer(x, h_0, W, "tanh", sizes)
        (output.sum() + h_n.sum()).backward()
        assert output.shape[-1] == {D} * H and h_0.grad.shape == h_0.shape
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"


@one_or_two
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
def test_as_good_as_torch_in_float32(D, nonlinearity, packed):
    for L, N, H in ((1, 3, 4), (7, 5, 3), (20, 9, 33), (5, 2, 1), (6, 1, 70), (3, 18, 70)):
        lengths = tuple(max(1, L - k) for k in range(N)) if packed else None
        layout = Layout(L, N, H, lengths)
        low = [t.float() for t in flat(*make(layout, D, True, nonlinearity))]
        bars = [b.float() for b in bars_for(layout, D)]

        def torchs(x, h_0, weights, f, batch_sizes):
            run = torch._VF.rnn_tanh if f == "tanh" else torch._VF.rnn_relu
            every = [w for direction in weights for w in direction]
            both = len(weights) == 2
            if batch_sizes is None:
                return run(x, h_0, every, True, 1, 0.0, False, both, False)
            return run(x, batch_sizes, h_0, every, True, 1, 0.0, False, both)

        given = D, bars, nonlinearity, layout.batch_sizes
        ours, rival = results(layer, low, *given), results(torchs, low, *given)
        wide = [b.double() for b in bars]
        truth = results(by_scans, [t.double() for t in low], D, wide, *given[2:])
        for k, (got, theirs, want) in enumerate(zip(ours, rival, truth, strict=True)):
            scale = max(largest(want), 0.0 if k < 2 else 1.0)
            good, says = as_good(got, theirs, want, 4 * L, scale)
            assert good, f"{(L, N, H)}, {k}: {says}"
