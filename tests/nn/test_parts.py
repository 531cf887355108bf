"""Long sequences in parts: recomputed in the backward pass, or with nothing kept but the state."""

import subprocess
import sys

import pytest
import torch

import elman
from elman import Dynamics, Wiring

L, N, K, H = 11, 4, 3, 4


def pair(**arguments):
    """The same layer, at once and three steps at a time."""
    torch.manual_seed(0)
    plain = elman.RNN(K, H, dtype=torch.float64, **arguments)
    parts = elman.RNN(K, H, dtype=torch.float64, checkpoint_every=3, **arguments)
    parts.load_state_dict(plain.state_dict())
    return plain, parts


ARGUMENTS = {
    "plain": {},
    "two layers, batch first": {"num_layers": 2, "batch_first": True},
    "leak learned": {"dynamics": Dynamics(leak=0.5, learn_leak=True)},
    "masks of one sequence": {
        "num_layers": 2, "dynamics": Dynamics(recurrent_dropout=0.4),
        "wiring": Wiring(hidden_sizes=(5, 4), input_dropout=0.3, output_dropout=0.3),
    },
}  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("states", ["output", "all", "last"])
@pytest.mark.parametrize("lengths", [None, [4, 0, 11, 7]], ids=["dense", "lengths"])
def test_the_same_values_and_gradients(arguments, states, lengths):
    results = []
    for rnn in pair(**arguments):
        torch.manual_seed(3)
        shape = (N, L) if rnn.batch_first else (L, N)
        x = torch.randn(*shape, K, dtype=torch.float64, requires_grad=True)
        mask, reset = torch.rand(shape) < 0.8, torch.rand(shape) < 0.2
        torch.manual_seed(4)
        output, h_n = rnn(x, lengths=lengths, mask=mask, reset=reset, states=states)
        given = [] if output is None else [output] if states == "output" else [*output]
        found = [*given, *(h_n if isinstance(h_n, tuple) else [h_n])]
        bars = [torch.linspace(-1, 1, r.numel(), dtype=torch.float64).view(r.shape) for r in found]
        gradients = torch.autograd.grad(found, [x, *rnn.parameters()], bars)
        results.append([*found, *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_what_is_drawn_in_a_part_is_drawn_again_when_it_is_recomputed():
    """Zoneout and noise: a step against the gradient must lower the same draw's loss."""
    _, rnn = pair(dynamics=Dynamics(zoneout=0.3, noise=0.2))
    x = torch.randn(L, N, K, dtype=torch.float64)

    def loss():
        torch.manual_seed(8)
        return rnn(x)[0].square().sum()

    gradients = torch.autograd.grad(loss(), list(rnn.parameters()))
    step, squared = 1e-6, sum(g.square().sum().item() for g in gradients)
    values = []
    for sign in (1, -2):
        with torch.no_grad():
            for p, g in zip(rnn.parameters(), gradients, strict=True):
                p += sign * step * g
        values.append(loss().item())  # with gradients on: without, there would be no parts
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(squared, rel=1e-6)


def test_each_part_draws_anew():
    _, rnn = pair(dynamics=Dynamics(zoneout=0.5))
    x = torch.randn(3, 1, K, dtype=torch.float64).repeat(3, 1, 1)
    torch.manual_seed(0)
    output, _ = rnn(x)
    before = torch.cat([torch.zeros(1, 1, H, dtype=torch.float64), output[:-1]])
    held = (output == before).view(3, -1)  # of each part, which units kept their states
    assert not torch.equal(held[0], held[1])
    assert not torch.equal(held[1], held[2])


@pytest.mark.parametrize(
    "arguments",
    [{"num_layers": 2, "dropout": 0.5}, {"dynamics": Dynamics(zoneout=0.3, noise=0.2)}],
    ids=["dropout", "zoneout and noise"],
)
def test_the_mode_is_that_of_the_call(arguments):
    """Who evaluates between the loss and its gradient still gets the gradient of the loss."""
    _, rnn = pair(**arguments)
    x, found = torch.randn(L, N, K, dtype=torch.float64), []
    for evaluate in (False, True):
        rnn.train()
        torch.manual_seed(5)
        loss = rnn(x)[0].square().sum()
        if evaluate:
            rnn.eval()
        found.append(torch.autograd.grad(loss, list(rnn.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["dropout", "nonlinearity"])
def test_the_layer_is_that_of_the_call(name):
    """As without parts: what is set between the loss and its gradient holds from then on."""
    _, rnn = pair(num_layers=2, dropout=0.5)
    x, found = torch.randn(L, N, K, dtype=torch.float64), []
    for other in (getattr(rnn, name), {"dropout": 0.0, "nonlinearity": "relu"}[name]):
        torch.manual_seed(5)
        loss = rnn(x)[0].square().sum()
        setattr(rnn, name, other)
        found.append(torch.autograd.grad(loss, list(rnn.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_many_gradients_at_once_are_refused():
    _, rnn = pair()
    output, _ = rnn(torch.randn(L, N, K, dtype=torch.float64))
    bars = torch.randn(2, *output.shape, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="one gradient at a time"):
        torch.autograd.grad(output, rnn.weight_hh_l0, bars, is_grads_batched=True)


def test_on_the_meta_device_too():
    rnn = elman.RNN(K, H, checkpoint_every=3, device="meta")
    rnn(torch.randn(L, N, K, device="meta"))[0].sum().backward()
    assert rnn.weight_hh_l0.grad.is_meta
    with pytest.raises(ValueError, match=r"input is torch.float64 but the weights are"):
        rnn(torch.randn(L, N, K, device="meta", dtype=torch.float64))


@pytest.mark.parametrize("name", ["mask", "lengths"])
def test_what_has_been_written_in_since_is_told_of(name):
    _, rnn = pair()
    given = {"mask": torch.rand(L, N) < 0.8, "lengths": torch.tensor([4, 0, 11, 7])}[name]
    output, _ = rnn(torch.randn(L, N, K, dtype=torch.float64), **{name: given})
    given.fill_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_a_gradient_that_is_to_be_differentiated_is_refused():
    """Without a word its derivative would be zero."""
    _, rnn = pair()
    loss = rnn(torch.randn(L, N, K, dtype=torch.float64))[0].sum()
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(loss, rnn.weight_hh_l0, create_graph=True)


SCRIPT = """
import resource, sys, torch, elman
L, states = int(sys.argv[1]), sys.argv[2]
rnn = elman.RNN(1, 64, checkpoint_every=None if states == "free" else 1000)
x = torch.randn(L, 1, 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if states == "free":
    with torch.no_grad():
        rnn(x, states="last")
else:
    rnn(x[:2000], states="last")[1].sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rnn(x, states="last")[1].sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("states", ["free", "train"])
def test_memory_does_not_grow_with_the_states(states):
    """200,000 steps of 64 units would be 49 MiB; in parts they are a few."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "200000", states],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) / 1024 < 25, done.stdout
