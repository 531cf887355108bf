"""What users hang on a layer or do to its graph: as often and with the numbers of torch.nn.RNN."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils.checkpoint import checkpoint

import elman
from tests.nn.parity import build
from tests.tolerances import distance, largest

KINDS = (elman.RNN, nn.RNN)
LAYERS = (
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "dropout": 0.5, "batch_first": True, "bias": False},
)
every_layer = pytest.mark.parametrize("arguments", LAYERS, ids=str)
dense_and_packed = pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])


def given(packed=False):
    """Input of five steps and three rows, the same whenever asked for."""
    x = torch.randn(5, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    return x, (pack_padded_sequence(x, [5, 4, 2]) if packed else x)


def tensors(tree):
    """The tensors of what a hook was given, in order; None where there was none."""
    if isinstance(tree, PackedSequence):
        return [tree.data]
    if isinstance(tree, (tuple, list)):
        return [t for part in tree for t in tensors(part)]
    return [None if tree is None else tree.detach().clone()]


def agree(ours, theirs):
    """Equal formulas in float64: some hundred roundings of the largest number."""
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (name, mine), (_, others) in zip(ours, theirs, strict=True):
        assert len(mine) == len(others), name
        for one, other in zip(mine, others, strict=True):
            assert (one is None) == (other is None), name
            if one is not None:
                assert distance(one, other) <= 1e-13 * max(1, largest(other)), name


def gradients(rnn, x):
    return [("x", [x.grad]), *((name, [p.grad]) for name, p in rnn.named_parameters())]


def backward(results):
    output, h_n = results
    (tensors_of(output).square().sum() + h_n.sin().sum()).backward()


def tensors_of(output):
    return output.data if isinstance(output, PackedSequence) else output


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # torch's, packed
@every_layer
@dense_and_packed
def test_hooks_of_the_module(arguments, packed):
    found = []
    for kind in KINDS:
        rnn, (x, form), seen = build(kind, arguments, torch.float64), given(packed), []

        def note(name, seen=seen):
            return lambda module, *values: seen.append((name, tensors(values)))

        rnn.register_forward_pre_hook(note("forward pre"))
        rnn.register_forward_hook(note("forward"))
        rnn.register_full_backward_pre_hook(note("backward pre"))
        rnn.register_full_backward_hook(note("backward"))
        for _ in range(2):
            torch.manual_seed(2)
            backward(rnn(form))
            if packed:  # a packed form's graph is used up
                x, form = given(packed)
        found.append([*seen, *gradients(rnn, x)[1:]])
    assert len([name for name, _ in found[0] if name == "backward"]) == 2
    agree(*found)


@every_layer
def test_hooks_that_change_what_passes(arguments):
    found = []
    for kind in KINDS:
        rnn, (x, form) = build(kind, arguments, torch.float64), given()
        rnn.register_forward_pre_hook(lambda _, args: (args[0] * 2,))
        rnn.register_forward_hook(lambda _m, _a, results: (results[0].tanh(), results[1] * 3))
        rnn.register_full_backward_pre_hook(lambda _, bars: (bars[0] / 2, bars[1]))
        rnn.register_full_backward_hook(lambda _m, bars, _o: (bars[0] * 5,))
        torch.manual_seed(2)
        backward(rnn(form))
        found.append(gradients(rnn, x))
    agree(*found)


@every_layer
@dense_and_packed
def test_hooks_of_tensors(arguments, packed):
    found = []
    for kind in KINDS:
        rnn, (x, form), seen = build(kind, arguments, torch.float64), given(packed), []

        def note(name, seen=seen):
            return lambda gradient: seen.append((name, tensors(gradient)))

        def used(name, seen=seen):
            return lambda leaf: seen.append((name, tensors(leaf.grad)))

        for name, p in rnn.named_parameters():
            p.register_hook(note(name))
            p.register_post_accumulate_grad_hook(used(f"{name}.grad"))
        x.register_hook(note("x"))
        torch.manual_seed(2)
        output, h_n = rnn(form)
        tensors_of(output).register_hook(note("output"))
        h_n.register_hook(note("h_n"))
        tensors_of(output).retain_grad()
        backward((output, h_n))
        # which leaf comes first is the engine's own affair
        found.append(sorted([*seen, ("kept", [tensors_of(output).grad])], key=lambda n: n[0]))
    agree(*found)


def test_a_step_within_the_backward_pass():
    found = []
    for kind in KINDS:
        rnn, (_, form) = build(kind, {"num_layers": 2}, torch.float64), given()
        optimizers = {p: torch.optim.SGD([p], 0.1) for p in rnn.parameters()}

        def step(p, optimizers=optimizers):
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in rnn.parameters():
            p.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            backward(rnn(form.detach()))
        assert all(p.grad is None for p in rnn.parameters())
        found.append([(name, [p.detach()]) for name, p in rnn.named_parameters()])
    agree(*found)


# --- the graph kept another way ----------------------------------------------------------


def plainly(f, x):
    return f(x)


def checkpointed(f, x):
    return checkpoint(f, x, use_reentrant=False)


def checkpointed_reentrant(f, x):
    return checkpoint(f, x, use_reentrant=True)


def saved_on_cpu(f, x):
    with torch.autograd.graph.save_on_cpu():
        return f(x)


def saved_as_numpy(f, x):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), torch.from_numpy):
        return f(x)


def watched(f, x):
    with torch.autograd.detect_anomaly():
        return f(x)


WAYS = (checkpointed, checkpointed_reentrant, saved_on_cpu, saved_as_numpy, watched)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@every_layer
@dense_and_packed
def test_gradients_are_the_same_to_the_last_bit(way, arguments, packed):
    found = []
    for way_here in (plainly, way):
        rnn, (x, _) = build(elman.RNN, arguments, torch.float64), given()

        def f(x, rnn=rnn):
            output, h_n = rnn(pack_padded_sequence(x, [5, 4, 2]) if packed else x)
            return tensors_of(output), h_n

        torch.manual_seed(2)
        backward(way_here(f, x))
        found.append(gradients(rnn, x))
    for (name, (one,)), (_, (other,)) in zip(*found, strict=True):
        assert torch.equal(one, other), name


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.filterwarnings("ignore:Error detected in:UserWarning")
def test_anomaly_mode_finds_the_layer():
    rnn = build(elman.RNN, {}, torch.float64)
    x = torch.full((5, 3, 2), torch.inf, dtype=torch.float64)  # tanh(inf) is 1, of slope 0
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="returned nan values"):
        rnn(x)[0].sum().backward()


def test_inference_mode():
    for arguments in LAYERS:
        rnn, (x, form) = build(elman.RNN, arguments, torch.float64).eval(), given()
        with torch.inference_mode():
            output, h_n = rnn(form)
        assert output.is_inference()
        assert h_n.is_inference()
        for got, want in zip((output, h_n), rnn(x), strict=True):
            assert torch.equal(got, want)
        with torch.inference_mode(), torch.enable_grad():  # as torch's layer: it stays inference
            output, _ = rnn(form)
        assert output.is_inference()
        with pytest.raises(RuntimeError, match="nference tensors cannot be saved"):
            rnn(x, h_n)  # as any operation whose gradient needs it


@pytest.mark.parametrize("backend", [None, "aten"])
@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ({}, torch.bfloat16),
        ({"dynamics": elman.Dynamics(leak=0.5)}, torch.float32),
        ({"dynamics": elman.Dynamics(leak=0.5)}, torch.bfloat16),
        ({"dynamics": elman.Dynamics(layer_norm=True)}, torch.float32),
        ({"checkpoint_every": 2}, torch.float32),
    ],
    ids=["bfloat16", "gates", "gates in bfloat16", "a norm", "in parts"],
)
def test_gradients_asked_for_within_inference_mode_are_none_as_in_torch(backend, arguments, dtype):
    rnn, x = elman.RNN(3, 5, dtype=dtype, **arguments), torch.randn(4, 2, 3, dtype=dtype)
    chosen = contextlib.nullcontext() if backend is None else elman.ops.use_backend(backend)
    with chosen:
        with torch.inference_mode(), torch.enable_grad():
            output, _ = rnn(x)
        assert output.is_inference()
        assert not output.requires_grad
        assert torch.equal(output, rnn(x)[0])
