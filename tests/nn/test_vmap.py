"""vmap over the layer and the cell is a loop over the copies, whatever is batched, and where."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, linearize, stack_module_state, vjp, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman
from tests.nn.parity import LENGTHS, build, make_inputs
from tests.tolerances import distance, largest

B = 3
FORMS = ("unbatched", "batched", "batch first", *LENGTHS)
ARGUMENTS = ({}, {"num_layers": 2, "bidirectional": True}, {"nonlinearity": "relu", "bias": False})
every_form = pytest.mark.parametrize("form", FORMS)
every_layer = pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
whats = pytest.mark.parametrize(
    "batched", ["x", "h_0", "weights", "x h_0", "x weights", "x h_0 weights"]
)


class Copies:
    """A layer as a function of x, h_0 and its weights, with B copies of each."""

    def __init__(self, form="batched", kind=elman.RNN, **arguments):
        arguments = {"num_layers": 1, "bidirectional": False, **arguments}
        arguments |= {"batch_first": form == "batch first"}
        self.rnn = build(kind, arguments, torch.float64)
        x, h_0 = make_inputs(arguments, form, True, torch.float64)
        x, self.packed = x.detach(), None
        if form in LENGTHS:  # how many rows a step has is one for all copies
            self.packed = pack_padded_sequence(
                x, LENGTHS[form], enforce_sorted=form == "packed sorted"
            )
            x = self.packed.data
        weights = {n: p.detach() for n, p in self.rnn.named_parameters()}
        self.one = {"x": x, "h_0": h_0.detach(), "weights": weights}
        self.many = torch.utils._pytree.tree_map(self.copied, self.one)

    @staticmethod
    def copied(t):
        return t + torch.randn(B, *t.shape, dtype=t.dtype) / 4

    def __call__(self, x, h_0, weights):
        given = x if self.packed is None else self.packed._replace(data=x)
        output, h_n = functional_call(self.rnn, weights, (given, h_0))
        return (output.data if isinstance(output, PackedSequence) else output), h_n

    def loss(self, *given):
        output, h_n = self(*given)
        return output.square().sum() + (h_n * torch.arange(h_n.numel()).view(h_n.shape)).sum()

    def arguments(self, batched):
        """The arguments, each of one copy or of many, and where their copies are."""
        names = batched.split()
        given = [(self.many if name in names else self.one)[name] for name in self.one]
        return given, tuple(0 if name in names else None for name in self.one)


def at(tree, dim, k):
    return tree if dim is None else torch.utils._pytree.tree_map(lambda t: t.select(dim, k), tree)


def looped(f, in_dims, given, copies=B):
    """What vmap should give: f on each copy, one after another."""
    found = [
        f(*(at(t, dim, k) for t, dim in zip(given, in_dims, strict=True))) for k in range(copies)
    ]
    return torch.utils._pytree.tree_map(lambda *each: torch.stack(each), *found)


def by_autograd(loss, argnums):
    """The gradients that torch.func.grad gives, by autograd, through the layer in one piece."""

    def of(*given):
        given = torch.utils._pytree.tree_map(lambda t: t.detach().requires_grad_(), given)
        leaves, tree = torch.utils._pytree.tree_flatten(given)
        gradients = torch.autograd.grad(loss(*given), leaves)
        every = torch.utils._pytree.tree_unflatten(gradients, tree)
        return tuple(every[k] for k in argnums) if isinstance(argnums, tuple) else every[argnums]

    return of


def agree(got, expected):
    """The same products in another order: some hundred roundings of numbers so large."""
    got, tree = torch.utils._pytree.tree_flatten(got)
    expected, same_tree = torch.utils._pytree.tree_flatten(expected)
    assert tree == same_tree
    for one, other in zip(got, expected, strict=True):
        assert distance(one, other) <= 1e-13 * max(1, largest(other))


@every_form
@every_layer
@whats
def test_values_and_gradients(form, arguments, batched):
    f = Copies(form, **arguments)
    given, in_dims = f.arguments(batched)
    agree(vmap(f, in_dims)(*given), looped(f, in_dims, given))
    every = (0, 1, 2)
    expected = looped(by_autograd(f.loss, every), in_dims, given)
    agree(vmap(grad(f.loss, every), in_dims)(*given), expected)


@every_form
def test_against_torchs_layer_on_each_copy(form):
    ours, theirs = (
        Copies(form, kind, num_layers=2, bidirectional=True) for kind in (elman.RNN, nn.RNN)
    )
    given, in_dims = ours.arguments("x h_0 weights")
    agree(vmap(ours)(*given), looped(theirs, in_dims, given))


@pytest.mark.parametrize("place", [1, 2, -1])
def test_copies_elsewhere_than_first(place):
    f = Copies(num_layers=2)
    given, _ = f.arguments("x h_0")
    x, h_0, weights = given
    expected = looped(f, (0, 0, None), given)
    moved = (x.movedim(0, place), h_0.movedim(0, place), weights)
    output, h_n = vmap(f, (place, place, None), out_dims=place)(*moved)
    agree((output.movedim(place, 0), h_n.movedim(place, 0)), expected)
    last = torch.utils._pytree.tree_map(lambda t: t.movedim(0, -1), f.many["weights"])
    got = vmap(f, (None, None, -1))(f.one["x"], f.one["h_0"], last)
    agree(got, looped(f, *reversed(f.arguments("weights"))))


@pytest.mark.parametrize("chunk_size", [1, 2, 4])
def test_in_chunks(chunk_size):
    f = Copies()
    given, in_dims = f.arguments("x weights")
    agree(vmap(f, in_dims, chunk_size=chunk_size)(*given), looped(f, in_dims, given))


@every_form
def test_an_ensemble_of_per_sample_gradients(form):
    f = Copies(form, bidirectional=True)
    given, _ = f.arguments("x weights")
    got = vmap(vmap(grad(f.loss, 2), (0, None, None)), (None, None, 0))(*given)

    def of_rows(*one_net):
        return looped(by_autograd(f.loss, 2), (0, None, None), one_net)

    agree(got, looped(of_rows, (None, None, 0), given))


def test_an_ensemble_of_modules():
    nets = [
        nn.Sequential(nn.Linear(2, 3), elman.RNN(3, 4, num_layers=2)).double() for _ in range(B)
    ]
    parameters, buffers = stack_module_state(nets)
    x = torch.randn(5, 2, 2, dtype=torch.float64)

    def run(parameters, buffers, x):
        return functional_call(nets[0], (parameters, buffers), (x,))

    got = vmap(run, (0, 0, None))(parameters, buffers, x)
    agree(got, looped(lambda k: nets[k](x), (0,), (torch.arange(B),)))
    for p in parameters.values():
        p.grad = None
    got[0].square().sum().backward()  # and autograd through it, as in training an ensemble
    for k, net in enumerate(nets):
        net(x)[0].square().sum().backward()
        agree(
            {n: p.grad[k] for n, p in parameters.items()},
            {n: p.grad for n, p in net.named_parameters()},
        )


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_dropout(randomness):
    f = Copies(num_layers=2, dropout=0.5)
    x = f.one["x"].expand(B, *f.one["x"].shape)
    rest = f.one["h_0"], f.one["weights"]
    output, _ = vmap(f, (0, None, None), randomness=randomness)(x, *rest)
    assert torch.equal(output[0], output[1]) == (randomness == "same")
    f.rnn.eval()
    assert distance(output[0], f(x[0], *rest)[0]) > 0.01
    f.rnn.train()
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(f, (0, None, None))(x, *rest)
    torch.manual_seed(3)
    output, _ = vmap(f, (0, None, None), randomness="same")(x, *rest)
    torch.manual_seed(3)
    agree(output[0], f(x[0], *rest)[0])


# --- with the other transforms -----------------------------------------------------------


@every_form
def test_tangents_and_cotangents(form):
    f = Copies(form, num_layers=2, bidirectional=True)
    given, in_dims = f.arguments("x h_0 weights")
    tangents = torch.utils._pytree.tree_map(torch.randn_like, tuple(given))

    def forward(*both):
        return jvp(f, both[:3], both[3:])

    def back(*primals):
        results, pull = vjp(f, *primals)
        return pull(results)

    agree(vmap(forward)(*given, *tangents), looped(forward, (0,) * 6, (*given, *tangents)))
    agree(vmap(back)(*given), looped(back, in_dims, given))


@every_form
def test_second_tangents_of_an_ensembles_samples(form):
    """Forward mode twice between two vmaps, against autograd twice on each net and sample."""
    f = Copies(form, bidirectional=True)
    (x, h_0, weights), _ = f.arguments("x weights")
    direction = torch.utils._pytree.tree_map(torch.randn_like, f.one["weights"])

    def at_step(s, x, weights):
        moved = {name: w + s * direction[name] for name, w in weights.items()}
        return f.loss(x, h_0, moved)

    def second(weights):
        def samples(s):
            return vmap(at_step, (None, 0, None))(s, x, weights)

        start = torch.zeros((), dtype=torch.float64)
        one = (torch.ones_like(start),)
        return jvp(lambda s: jvp(samples, (s,), one)[1], (start,), one)[1]

    def by_autograd_twice(x, weights):
        s = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(at_step(s, x, weights), s, create_graph=True)
        return torch.autograd.grad(slope, s)[0]

    def of_rows(weights):
        return looped(by_autograd_twice, (0, None), (x, weights))

    agree(vmap(second)(weights), looped(of_rows, (0,), (weights,)))


# torch's own word on what its tracer wrote down; packed it cannot trace
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
@pytest.mark.parametrize("form", ["unbatched", "batched", "batch first"])
def test_a_tangent_map_made_once(form):
    f = Copies(form, num_layers=2, bidirectional=True)
    one = tuple(f.one.values())
    results, push = linearize(f, *one)
    for _ in range(2):
        tangent = torch.utils._pytree.tree_map(torch.randn_like, one)
        agree((results, push(*tangent)), jvp(f, one, tangent))


# --- the cell ----------------------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("in_dims", [(0, None, None), (0, 0, None), (None, None, 0), (0, 0, 0)])
@pytest.mark.parametrize("rows", [(), (2,)], ids=["unbatched", "batched"])
def test_the_cell(nonlinearity, in_dims, rows):
    cell = elman.RNNCell(2, 4, nonlinearity=nonlinearity, dtype=torch.float64)
    one = (
        torch.randn(*rows, 2, dtype=torch.float64),
        torch.randn(*rows, 4, dtype=torch.float64),
        {n: p.detach() for n, p in cell.named_parameters()},
    )
    given = [
        t if dim is None else torch.utils._pytree.tree_map(Copies.copied, t)
        for t, dim in zip(one, in_dims, strict=True)
    ]

    def f(x, h, weights):
        return functional_call(cell, weights, (x, h))

    agree(vmap(f, in_dims)(*given), looped(f, in_dims, given))

    def loss(*given):
        return f(*given).sin().sum()

    every = (0, 1, 2)
    expected = looped(by_autograd(loss, every), in_dims, given)
    agree(vmap(grad(loss, every), in_dims)(*given), expected)
