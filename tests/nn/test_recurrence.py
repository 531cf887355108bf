"""Dynamics, wiring, flags and states against the same by hand: values and every gradient.

Tolerance: L · layers · (H + 8) roundings in a state, over at most L·N rows in a gradient's sum, as
in tests/ops/test_agreement.py; no weight grows anything, so nothing is larger than a few tens.
"""

import contextlib
import copy

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman import Dynamics, Wiring
from elman.ops import cpu, use_backend
from tests.nn.by_hand import by_hand
from tests.tolerances import distance, worst

L, N, K, H = 6, 4, 3, 4
UNITS = (0.2, 0.5, 0.9, 1.0)
LAYERS = {
    "plain": {},
    "leak": {"dynamics": Dynamics(leak=0.3)},
    "leak of each unit": {"dynamics": Dynamics(leak=UNITS)},
    "leak learned, two layers, both ways": {
        "dynamics": Dynamics(leak=0.4, learn_leak=True), "num_layers": 2, "bidirectional": True,
    },
    "zoneout in the mean": {"dynamics": Dynamics(zoneout=0.2, leak=0.5)},
    "clip": {"dynamics": Dynamics(clip=0.4)},
    "clip, sigmoid, leak, both ways": {
        "dynamics": Dynamics(clip=0.5, leak=0.7), "nonlinearity": "sigmoid", "bidirectional": True,
    },
    "layer norm": {"dynamics": Dynamics(layer_norm=True)},
    "layer norm, leak, two layers, both ways": {
        "dynamics": Dynamics(layer_norm=True, leak=0.6), "num_layers": 2, "bidirectional": True,
    },
    "softplus, no bias": {"nonlinearity": "softplus", "bias": False},
    "a function": {"nonlinearity": torch.sin, "dynamics": Dynamics(leak=0.5)},
    "sizes": {"num_layers": 3, "wiring": Wiring(hidden_sizes=(5, 2, 4))},
    "sizes, both ways, learned h_0": {
        "num_layers": 2, "bidirectional": True,
        "wiring": Wiring(hidden_sizes=(5, 4), learn_h_0=True),
    },
    "residual": {"num_layers": 3, "wiring": Wiring(residual=True), "dynamics": Dynamics(leak=0.5)},
    "sum, residual": {
        "num_layers": 2, "bidirectional": True, "wiring": Wiring(merge="sum", residual=True),
    },
    "mean, one bias": {"bidirectional": True, "wiring": Wiring(merge="mean", one_bias=True)},
    "reverse": {"num_layers": 2, "wiring": Wiring(reverse=True), "dynamics": Dynamics(leak=0.5)},
}  # fmt: skip
every_layer = pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)


def made(arguments, **more):
    """A layer whose weights grow nothing, with numbers of its own wherever there are any."""
    torch.manual_seed(0)
    rnn = elman.RNN(K, H, dtype=torch.float64, **arguments, **more)
    for name, parameter in rnn.named_parameters():
        if not name.startswith("weight"):
            torch.nn.init.uniform_(parameter, -1, 1)
    return rnn.eval()


def flags():
    torch.manual_seed(1)
    return torch.rand(L, N) < 0.7, torch.rand(L, N) < 0.3


CALLS = {
    "dense": {},
    "lengths": {"lengths": [3, 0, 6, 1]},
    "mask": {"mask": flags()[0]},
    "reset": {"reset": flags()[1]},
    "all": {"lengths": [3, 0, 6, 5], "mask": flags()[0], "reset": flags()[1]},
}


def states_of(rnn):
    D = 2 if rnn.bidirectional else 1
    return [torch.randn(D, N, size, dtype=torch.float64, requires_grad=True)
            for size in rnn.hidden_sizes]  # fmt: skip


def as_hx(rnn, h_0):
    return tuple(h_0) if len(set(rnn.hidden_sizes)) > 1 else torch.cat(h_0)


def by_layer(rnn, h_n):
    return h_n if isinstance(h_n, tuple) else h_n.split(2 if rnn.bidirectional else 1)


def gradients(results, to):
    torch.manual_seed(2)
    bars = [torch.rand_like(r) * 2 - 1 for r in results]
    return torch.autograd.grad(results, to, bars, allow_unused=True, materialize_grads=True)


def same(got, want, layers):
    allowed = worst(L * layers * (H + 8) * L * N, 100)
    for k, (one, other) in enumerate(zip(got, want, strict=True)):
        assert distance(one, other) <= allowed, k


@every_layer
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.filterwarnings("ignore:nonlinearity=:UserWarning")
def test_values_and_gradients_are_those_by_hand(arguments, call):
    rnn = made(arguments)
    x = torch.randn(L, N, K, dtype=torch.float64, requires_grad=True)
    h_0 = states_of(rnn)
    outputs, h_n = rnn(x, as_hx(rnn, h_0), **call, states="all")
    want, last = by_hand(rnn, x, h_0, **call)
    got = [*outputs, *by_layer(rnn, h_n)]
    to = [x, *h_0, *rnn.parameters()]
    same(got, [*want, *last], len(want))
    same(gradients(got, to), gradients([*want, *last], to), len(want))


@every_layer
@pytest.mark.filterwarnings("ignore:nonlinearity=:UserWarning")
def test_every_form_of_input_says_the_same(arguments):
    """Batch first, unbatched, packed, and the states asked for, all without a first state."""
    if arguments.get("dynamics") == Dynamics(zoneout=0.2, leak=0.5):
        arguments = {**arguments, "num_layers": 2}
    rnn, first = made(arguments), made(arguments, batch_first=True)
    x = torch.randn(L, N, K, dtype=torch.float64)
    mask, reset = flags()
    call = {} if rnn.wiring is not None and rnn.wiring.learn_h_0 else {"reset": reset}
    call["mask"] = mask
    every, h_n = rnn(x, states="all", **call)
    output, again = rnn(x, **call)
    assert torch.equal(output, every[-1])
    none, last = rnn(x, states="last", **call)
    assert none is None
    turned = {name: t.T for name, t in call.items()}
    by_rows, _ = first(x.transpose(0, 1), **turned)
    for one, other, third in zip(*(by_layer(rnn, h) for h in (h_n, again, last)), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)
    assert torch.equal(by_rows.transpose(0, 1), output)
    single, _ = rnn(x[:, 1], **{name: t[:, 1] for name, t in call.items()})
    torch.testing.assert_close(single, output[:, 1], rtol=1e-12, atol=1e-12)
    lengths = torch.tensor([3, 1, 6, 5])
    padded, h_n = rnn(x, lengths=lengths)
    packed, h_packed = rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
    assert torch.equal(pad_packed_sequence(packed)[0], padded)
    for one, other in zip(by_layer(rnn, h_n), by_layer(rnn, h_packed), strict=True):
        assert torch.equal(one, other)


def test_what_lies_in_a_gap_is_never_read():
    rnn = made({"num_layers": 2, "bidirectional": True})
    mask, _ = flags()
    x = torch.randn(L, N, K, dtype=torch.float64)
    spoiled = torch.where(mask[..., None], x, torch.nan).requires_grad_()
    output, h_n = rnn(spoiled, mask=mask)
    assert torch.equal(output, rnn(x, mask=mask)[0])
    (output.sum() + h_n.sum()).backward()
    assert torch.equal(spoiled.grad[~mask], torch.zeros(int((~mask).sum()), K).double())
    assert all(p.grad.isfinite().all() for p in rnn.parameters())


@pytest.mark.parametrize("units", [1, 17, 40])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_nor_where_the_kernels_pass_over_it_without_a_copy(units, rows):
    torch.manual_seed(0)
    x, mask = torch.randn(L, rows, K), torch.rand(L, rows) < 0.6
    mask[0, 0] = False  # a gap before anything else
    x[~mask] = torch.tensor([torch.nan, torch.inf, 3e38])
    kept = torch.where(mask[..., None], x, 0.0)
    lengths = [L - k % L for k in range(rows)]
    for f in ("tanh", "relu", "softsign"):
        rnn = elman.RNN(K, units, num_layers=2, bidirectional=True, nonlinearity=f)
        h_0 = torch.randn(4, rows, units)
        for more in ({}, {"lengths": lengths}, {"states": "all"}):
            with torch.no_grad():
                got = flattened(rnn(x, h_0, mask=mask, **more))
            want = flattened(rnn(kept, h_0, mask=mask, **more))
            for one, other in zip(got, want, strict=True):
                assert torch.equal(one, other)


def flattened(found):
    output, h_n = found
    return [*output, h_n] if isinstance(output, tuple) else [output, h_n]


def test_documents_in_one_row_are_read_as_if_alone():
    rnn = made({"num_layers": 2, "bidirectional": True})
    x = torch.randn(L, 1, K, dtype=torch.float64)
    reset = torch.zeros(L, 1, dtype=torch.bool)
    reset[0] = reset[4] = True
    output, h_n = rnn(x, reset=reset)
    for part in (slice(0, 4), slice(4, None)):
        torch.testing.assert_close(output[part], rnn(x[part])[0], rtol=1e-12, atol=1e-12)
    D = 2
    forward, backward = rnn(x[4:])[1], rnn(x[:4])[1]  # each direction ends in a document of its own
    torch.testing.assert_close(h_n[0::D], forward[0::D], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(h_n[1::D], backward[1::D], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("states", ["output", "all", "last"])
def test_no_steps_and_no_rows(shape, states):
    steps, rows = shape
    rnn = made({"num_layers": 2, "dynamics": Dynamics(leak=0.5), "bidirectional": True})
    x = torch.randn(*shape, K, dtype=torch.float64)
    h_0 = torch.randn(4, rows, H, dtype=torch.float64)
    mask = torch.ones(shape, dtype=torch.bool)
    output, h_n = rnn(x, h_0, lengths=[steps] * rows, mask=mask, reset=~mask, states=states)
    assert torch.equal(h_n, h_0)
    if states == "output":
        assert output.shape == (*shape, 2 * H)


def test_nested_rows_in_and_out():
    rnn = made({"num_layers": 2, "bidirectional": True, "dynamics": Dynamics(leak=0.5)})
    rows = [torch.randn(n, K, dtype=torch.float64) for n in (3, 0, 5)]
    x = torch.nested.nested_tensor(rows, layout=torch.jagged, requires_grad=True)
    output, h_n = rnn(x)
    assert output.is_nested
    for k, (row, got) in enumerate(zip(rows, output.unbind(), strict=True)):
        want, last = rnn(row)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(h_n[:, k], last, rtol=1e-12, atol=1e-12)
    output.values().square().sum().backward()
    leaves = [row.requires_grad_() for row in rows]
    sum(rnn(row)[0].square().sum() for row in leaves).backward()
    for got, row in zip(x.grad.unbind(), leaves, strict=True):
        torch.testing.assert_close(got, row.grad, rtol=1e-10, atol=1e-12)
    every, _ = rnn(x, states="all")
    assert [layer.is_nested for layer in every] == [True, True]
    assert rnn(x, states="last")[0] is None


def test_what_was_said_is_printed_and_travels():
    import copy

    rnn = made({"num_layers": 2, "dynamics": Dynamics(leak=0.5, learn_leak=True),
                "wiring": Wiring(hidden_sizes=(6, H), learn_h_0=True)})  # fmt: skip
    assert "leak=0.5" in repr(rnn)
    assert "hidden_sizes=(6, 4)" in repr(rnn)
    x = torch.randn(L, N, K, dtype=torch.float64)
    twin = elman.RNN(K, H, 2, dtype=torch.float64, dynamics=rnn.dynamics, wiring=rnn.wiring)
    twin.load_state_dict(rnn.state_dict())
    for other in (twin, copy.deepcopy(rnn)):
        assert torch.equal(other(x)[0], rnn(x)[0])
    rnn.reset_parameters()
    torch.testing.assert_close(rnn.leak_logit_l0, torch.zeros(6, dtype=torch.float64))
    assert torch.equal(rnn.h_0_l1, torch.zeros(1, H, dtype=torch.float64))


@pytest.mark.parametrize("backend", ["aten", "reference"])
def test_every_backend_says_the_same(backend):
    from elman.ops import use_backend

    rnn = made({"bidirectional": True, "dynamics": Dynamics(leak=UNITS, clip=0.8)})
    x = torch.randn(L, N, K, dtype=torch.float64, requires_grad=True)
    call, to = CALLS["all"], [x, *rnn.parameters()]
    ours = rnn(x, **call)
    with use_backend(backend):
        theirs = rnn(x, **call)
    same([*ours, *gradients(ours, to)], [*theirs, *gradients(theirs, to)], 1)


def test_compiled_in_one_graph():
    rnn = made({"num_layers": 2, "bidirectional": True, "dynamics": Dynamics(leak=0.5, clip=1.0),
                "wiring": Wiring(merge="mean", residual=True)})  # fmt: skip
    compiled = torch.compile(rnn, fullgraph=True)
    x = torch.randn(L, N, K, dtype=torch.float64, requires_grad=True)
    mask, reset = flags()
    to = [x, *rnn.parameters()]
    ours, theirs = (f(x, mask=mask, reset=reset) for f in (compiled, rnn))
    same([*ours, *gradients(ours, to)], [*theirs, *gradients(theirs, to)], 2)


def test_under_vmap_and_twice_differentiated():
    from torch.func import functional_call, grad, jvp, vmap

    rnn = made({"dynamics": Dynamics(leak=0.4, learn_leak=True), "bidirectional": True})
    weights = {n: p.detach() for n, p in rnn.named_parameters()}
    x = torch.randn(L, N, K, dtype=torch.float64)

    def loss(weights, row):
        return functional_call(rnn, weights, (row,))[0].square().sum()

    each = vmap(grad(loss), (None, 1))(weights, x)
    for n in range(N):
        alone = grad(loss)(weights, x[:, n])
        for name, g in alone.items():
            torch.testing.assert_close(each[name][n], g, rtol=1e-9, atol=1e-12)
    tangents = {n: torch.randn_like(w) for n, w in weights.items()}
    _, along = jvp(lambda w: grad(loss)(w, x[:, 0]), (weights,), (tangents,))
    step = 1e-6
    ahead, behind = (
        grad(loss)({n: w + s * tangents[n] for n, w in weights.items()}, x[:, 0])
        for s in (step, -step)
    )
    for name in weights:  # a central difference is right to step² and eps/step
        torch.testing.assert_close(along[name], (ahead[name] - behind[name]) / (2 * step),
                                   rtol=1e-6, atol=1e-7)  # fmt: skip


@pytest.mark.parametrize(
    "leak",
    [torch.tensor(0.5), np.float32(0.5), np.full(4, 0.5), torch.full((4,), 0.5), (1, 1, 1, 1)],
    ids=["a tensor's", "NumPy's", "an array", "a tensor", "integers"],
)
def test_a_leak_is_a_number_wherever_it_comes_from(leak):
    x, values = torch.randn(5, 2, 3), torch.as_tensor(leak).tolist()
    dynamics = Dynamics(leak=leak)
    assert dynamics == Dynamics(leak=values)
    torch.manual_seed(0)
    output, _ = elman.RNN(3, 4, dynamics=dynamics)(x)
    torch.manual_seed(0)
    one = values if isinstance(values, float) else float(values[0])
    torch.testing.assert_close(output, elman.RNN(3, 4, dynamics=Dynamics(leak=one))(x)[0])


def test_other_numbers_may_be_numpys():
    made = Dynamics(zoneout=np.float32(0.25), noise=np.float64(0.5), clip=np.int64(2))
    assert made == Dynamics(zoneout=0.25, noise=0.5, clip=2)
    assert repr(made) == repr(Dynamics(zoneout=0.25, noise=0.5, clip=2))


def test_a_leak_that_is_given_is_put_back_too():
    """Built without numbers, as for a model that is sharded, and then filled."""
    rnn = elman.RNN(3, 4, dynamics=Dynamics(leak=UNITS), device="meta").to_empty(device="cpu")
    rnn.leak_l0.fill_(torch.nan)
    rnn.reset_parameters()
    torch.testing.assert_close(rnn.leak_l0, torch.tensor(UNITS))


def test_a_gap_in_numbers_that_are_lazily_negated():
    x = torch.randn(5, 2, 3, dtype=torch.complex64).conj().imag
    mask, rnn = torch.rand(5, 2) < 0.5, elman.RNN(3, 4)
    assert x.is_neg()
    torch.testing.assert_close(rnn(x, mask=mask)[0], rnn(x.resolve_neg(), mask=mask)[0])


AUTOCAST = {
    "a leak of each unit": {"dynamics": Dynamics(leak=UNITS)},
    "a leak learned": {"dynamics": Dynamics(leak=0.3, learn_leak=True)},
    "layer norm": {"dynamics": Dynamics(layer_norm=True)},
    "recurrent dropout": {"dynamics": Dynamics(recurrent_dropout=0.1)},
}


@pytest.mark.parametrize("arguments", AUTOCAST.values(), ids=AUTOCAST)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("backend", [None, "aten"])
def test_autocast_casts_what_lies_between_the_states(arguments, dtype, backend):
    """A layer above another is given its output, in autocast's dtype."""
    rnn = elman.RNN(3, 4, num_layers=2, **arguments)
    narrow = copy.deepcopy(rnn).bfloat16()
    x, found = torch.randn(5, 2, 3), []
    for layer, given, enabled in ((rnn, x.to(dtype), True), (narrow, x.bfloat16(), False)):
        torch.manual_seed(1)
        chosen = contextlib.nullcontext() if backend is None else use_backend(backend)
        with chosen, torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output, h_n = layer(given)
        found.append((output, h_n))
        output.float().sum().backward()
        assert layer.weight_hh_l0.grad.dtype == layer.weight_hh_l0.dtype
    for one, other in zip(*found, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other, rtol=0, atol=2**-6)  # a few roundings of two bytes


@pytest.mark.skipif(cpu.problem() is not None, reason="of the kernels: others multiply")
@pytest.mark.parametrize("arguments", [{}, {"dynamics": Dynamics(leak=0.5)}], ids=["plain", "leak"])
@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_nothing_passes_a_reset_not_even_nan(arguments, D):
    """What a row had read before is as if it had never been, and the other way round."""
    rnn = elman.RNN(3, 20, bidirectional=D == 2, nonlinearity="relu", **arguments)
    x = torch.randn(8, 3, 3)
    reset = torch.zeros(8, 3, dtype=torch.bool)
    reset[4, 1] = True
    for bad, good in ((slice(0, 4), slice(4, 8)), (slice(4, 8), slice(0, 4))):
        spoiled = x.clone()
        spoiled[bad, 1] = torch.nan
        spoiled.requires_grad_()
        output, _ = rnn(spoiled, reset=reset)
        alone = x[good, 1:2].clone().requires_grad_()
        expected, _ = rnn(alone)
        torch.testing.assert_close(output[good, 1:2], expected)
        (found,) = torch.autograd.grad(output[:, 1].sum(), spoiled)
        (wanted,) = torch.autograd.grad(expected.sum(), alone)
        torch.testing.assert_close(found[good, 1:2], wanted)


@pytest.mark.skipif(cpu.problem() is not None, reason="torch's own operators go on without")
def test_a_leak_without_its_numbers_is_said():
    rnn = elman.RNN(3, 4, dynamics=Dynamics(leak=UNITS))
    rnn.leak_l0.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="a factor has no numbers"), torch.no_grad():
        rnn(torch.randn(5, 2, 3))
