"""A layer in one piece under autograd: kept, used up, written in, differentiated again."""

import weakref

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

import elman
from elman.ops import cpu, layer
from tests.ops.cases import LAYOUTS, Layout
from tests.ops.layers import (
    bars_for,
    flat,
    make,
    nested,
    one_or_two,
    same,
)

pytestmark = pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))


def small(D=1, layout=None):
    layout = layout or Layout(3, 2, 2)
    tensors = [t.requires_grad_() for t in flat(*make(layout, D))]
    return (
        layout,
        tensors,
        lambda *t: layer(t[0], t[1], nested(t[2:], D), "tanh", layout.batch_sizes),
    )


@one_or_two
@pytest.mark.parametrize("layout", [Layout(3, 2, 2), LAYOUTS["packed,L=1"]], ids=str)
def test_derivatives_are_differences(D, layout):
    _, tensors, f = small(D, layout)
    assert torch.autograd.gradcheck(f, tensors)
    assert torch.autograd.gradgradcheck(f, tensors)


@one_or_two
def test_a_gradient_to_be_differentiated_is_the_same(D):
    layout, tensors, f = small(D, LAYOUTS["packed"])
    bars = bars_for(layout, D)
    plain = torch.autograd.grad(f(*tensors), tensors, bars)
    further = torch.autograd.grad(f(*tensors), tensors, bars, create_graph=True)
    assert all(g.requires_grad for g in further)
    same([tensors[0].detach(), *further], [tensors[0].detach(), *plain], layout)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_callers_hooks_run_once(create_graph):
    _, tensors, f = small(2)
    calls = [0] * len(tensors)

    def count(k):
        def hook(_):
            calls[k] += 1

        return hook

    for k, t in enumerate(tensors):
        t.register_hook(count(k))
    output, h_n = f(*[t * 1 for t in tensors])
    torch.autograd.grad(output.sum() + h_n.sum(), tensors, create_graph=create_graph)
    assert calls == [1] * len(tensors)


# --- what the caller does to the graph -------------------------------------------------------


def test_a_graph_kept_gives_the_same_again():
    _, tensors, f = small(2)
    output, h_n = f(*tensors)
    loss = output.square().sum() + h_n.sum()
    first = torch.autograd.grad(loss, tensors, retain_graph=True)
    second = torch.autograd.grad(loss, tensors, retain_graph=True)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_a_graph_used_up_says_so():
    _, tensors, f = small()
    loss = f(*tensors)[0].square().sum()
    torch.autograd.grad(loss, tensors)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, tensors)


@pytest.mark.parametrize("written", ["all", "a part", "a view", "unseen"])
def test_an_output_written_in_is_computed_again(written):
    _, tensors, f = small(2)
    expected = torch.autograd.grad(f(*tensors)[1].sum(), tensors)
    output, h_n = f(*tensors)
    with torch.set_grad_enabled(written != "unseen"):
        {"all": output, "a part": output[1:], "a view": output.view(-1), "unseen": output}[
            written
        ].mul_(3)
    for got, want in zip(torch.autograd.grad(h_n.sum(), tensors), expected, strict=True):
        assert torch.equal(got, want)


def test_an_input_written_in_is_an_error():
    _, tensors, f = small()
    x = tensors[0] * 1
    output, _ = f(x, *tensors[1:])
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_backward_frees_what_was_kept():
    _, tensors, f = small()
    output, h_n = f(*tensors)
    node = output.grad_fn
    assert len(node.saved_tensors) == len(tensors) + 2  # and the output, and batch_sizes
    (output.sum() + h_n.sum()).backward()
    with pytest.raises(RuntimeError, match="already been freed"):
        _ = node.saved_tensors


def test_nothing_is_kept_when_the_graph_goes():
    _, tensors, f = small()
    output, h_n = f(*tensors)
    node = weakref.ref(output.grad_fn)
    del output, h_n
    assert node() is None, "no cycle keeps the graph until the garbage collector comes"


def in_checkpoint(f, tensors):
    return checkpoint(f, *tensors, use_reentrant=False)


def kept_elsewhere(f, tensors):
    with torch.autograd.graph.save_on_cpu():
        return f(*tensors)


def kept_in_another_form(f, tensors):
    def pack(t):
        return t.shape, t.flatten().tolist()

    def unpack(kept):
        return torch.tensor(kept[1], dtype=torch.float64).view(kept[0])

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return f(*tensors)


@pytest.mark.parametrize("run", [in_checkpoint, kept_elsewhere, kept_in_another_form])
@one_or_two
def test_saved_tensors_may_be_kept_another_way(run, D):
    _, tensors, f = small(D)
    expected = torch.autograd.grad([r.sum() for r in f(*tensors)], tensors)
    got = torch.autograd.grad([r.sum() for r in run(f, tensors)], tensors)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


# --- a backward pass that is itself transformed ----------------------------------------------


def beside_torch():
    theirs = nn.RNN(3, 4, dtype=torch.float64)
    ours = elman.RNN(3, 4, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    return [(rnn(x)[0], x) for rnn in (ours, theirs)]


def test_many_gradients_at_once():
    bars = torch.randn(6, 5, 2, 4, dtype=torch.float64)
    got, expected = (
        torch.autograd.grad(output, x, bars, is_grads_batched=True)[0]
        for output, x in beside_torch()
    )
    # five steps of sums of seven terms, twice
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)


def test_a_tangent_that_comes_with_the_gradient_goes_on():
    tangents = []
    for output, x in beside_torch():
        with forward_ad.dual_level():
            bar = forward_ad.make_dual(torch.ones_like(output), torch.full_like(output, 0.5))
            (gradient,) = torch.autograd.grad(output, x, bar)
            tangents.append(forward_ad.unpack_dual(gradient).tangent)
    torch.testing.assert_close(*tangents, rtol=0, atol=1e-13)


def test_batch_sizes_written_in_are_an_error():
    sizes = torch.tensor([2, 2])
    rnn = elman.RNN(3, 4)
    data, _, _, _ = rnn(PackedSequence(torch.randn(4, 3), sizes))[0]
    sizes[0] = 3
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        data.sum().backward()
