"""Weights that are computed from others: parametrizations, pruning, tying; as with torch.nn.RNN."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import pack_padded_sequence

import elman
from tests.nn.parity import build
from tests.tolerances import distance, largest

LAYERS = ({}, {"num_layers": 2, "bidirectional": True})
every_layer = pytest.mark.parametrize("arguments", LAYERS, ids=str)


def orthogonal(rnn):
    for name in [n for n, _ in rnn.named_parameters() if "weight_hh" in n]:
        parametrizations.orthogonal(rnn, name)


def weight_norm(rnn):
    for name in [n for n, _ in rnn.named_parameters() if "weight" in n]:
        parametrizations.weight_norm(rnn, name)


def spectral_norm(rnn):
    for name in [n for n, _ in rnn.named_parameters() if "weight" in n]:
        parametrizations.spectral_norm(rnn, name)
    # its iteration goes on at every reading, and torch's layer reads a weight many times a call
    rnn.parametrizations.eval()


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


class Shifted(nn.Module):
    def forward(self, weight):
        return weight.tanh() - 0.1


def two_in_a_row(rnn):
    for name in ("weight_ih_l0", "bias_hh_l0"):
        parametrize.register_parametrization(rnn, name, Doubled())
        parametrize.register_parametrization(rnn, name, Shifted())


def pruned_by_size(rnn):
    for name in [n for n, _ in rnn.named_parameters() if "weight_hh" in n]:
        prune.l1_unstructured(rnn, name, amount=0.3)


def pruned_by_rows(rnn):
    prune.ln_structured(rnn, "weight_ih_l0", amount=0.5, n=2, dim=0)


def pruned_over_all(rnn):
    prune.global_unstructured(
        [(rnn, "weight_hh_l0"), (rnn, "weight_ih_l0"), (rnn, "bias_ih_l0")],
        pruning_method=prune.L1Unstructured,
        amount=0.4,
    )


PARAMETRIZED = (orthogonal, weight_norm, spectral_norm, two_in_a_row)
PRUNED = (pruned_by_size, pruned_by_rows, pruned_over_all)


def ids(way):
    return way.__name__


def train(rnn, packed=False, steps=3):
    """A few steps of SGD: the losses on the way, and the output of the trained layer."""
    x = torch.randn(5, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    form = pack_padded_sequence(x, [5, 3, 2]) if packed else x
    optimizer, losses = torch.optim.SGD(rnn.parameters(), 0.05), []
    for _ in range(steps):
        output, h_n = rnn(form)
        loss = (output.data if packed else output).square().sum() + h_n.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [torch.stack(losses), *(r.detach() for r in rnn.eval()(x))]


def agree(ours, theirs):
    """Equal formulas: some hundred roundings a step, in matrices with a condition near one."""
    for mine, other in zip(ours, theirs, strict=True):
        assert distance(mine, other) <= 1e-12 * max(1, largest(other))


def made(kind, way, arguments):
    rnn = build(kind, arguments, torch.float64)
    torch.manual_seed(3)  # spectral_norm draws the vectors it begins with
    way(rnn)
    return rnn


@pytest.mark.parametrize("way", [*PARAMETRIZED, *PRUNED], ids=ids)
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@every_layer
def test_trains_as_torchs(way, packed, arguments):
    ours, theirs = (made(kind, way, arguments) for kind in (elman.RNN, nn.RNN))
    plain = train(build(elman.RNN, arguments, torch.float64), packed)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    results = train(ours, packed)
    agree(results, train(theirs, packed))
    agree(ours.state_dict().values(), theirs.state_dict().values())
    assert distance(results[0], plain[0]) > 1e-3  # and it made a difference


@pytest.mark.parametrize("way", PARAMETRIZED, ids=ids)
@every_layer
def test_a_parametrized_copy_goes_its_own_way(way, arguments):
    rnn = made(elman.RNN, way, arguments)
    train(rnn, steps=1)
    rnn.train()
    twin = copy.deepcopy(rnn)
    before = {name: value.clone() for name, value in rnn.state_dict().items()}
    results = train(twin)
    assert all(torch.equal(rnn.state_dict()[name], value) for name, value in before.items())
    agree(train(rnn), results)


@pytest.mark.parametrize("way", PARAMETRIZED, ids=ids)
def test_a_parametrization_taken_off_leaves_its_numbers(way):
    rnn = made(elman.RNN, way, {})
    train(rnn)
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    expected = rnn.eval()(x)
    for name in list(rnn.parametrizations):
        parametrize.remove_parametrizations(rnn, name)
    assert type(rnn) is elman.RNN
    assert {n for n, _ in rnn.named_parameters()} == {
        n for names in rnn._all_weights for n in names
    }
    for got, want in zip(rnn(x), expected, strict=True):
        assert torch.equal(got, want)
    train(rnn.train())


@pytest.mark.parametrize("way", PARAMETRIZED, ids=ids)
def test_computed_once_where_cached(way):
    rnn = made(elman.RNN, way, {}).eval()
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    expected = rnn(x)[0]
    with parametrize.cached():
        assert torch.equal(rnn(x)[0], expected)
        assert rnn.all_weights[0][0] is rnn.all_weights[0][0]


@pytest.mark.parametrize("way", PRUNED, ids=ids)
@every_layer
def test_what_is_pruned_stays_so(way, arguments):
    rnn = made(elman.RNN, way, arguments)
    pruned = {hook._tensor_name for hook in rnn._forward_pre_hooks.values()}
    masks = {name: getattr(rnn, f"{name}_mask").clone() for name in pruned}
    assert any((mask == 0).any() for mask in masks.values())
    with torch.no_grad():  # the copy is of leaves: torch copies no others
        rnn(torch.zeros(5, 3, 2, dtype=torch.float64))
    for twin in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn)), rnn):
        train(twin)
        for name, mask in masks.items():
            assert torch.equal(getattr(twin, name) == 0, mask == 0), name
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    expected = rnn(x)
    for name in pruned:
        prune.remove(rnn, name)
    assert not prune.is_pruned(rnn)
    for got, want in zip(rnn(x), expected, strict=True):
        assert torch.equal(got, want)


def test_spectral_norm_iterates_once_a_call_as_in_any_other_module():
    rnn, linear = elman.RNN(30, 40, bias=False), nn.Linear(30, 40, bias=False)
    with torch.no_grad():
        linear.weight.copy_(rnn.weight_ih_l0)
    for module, name in ((rnn, "weight_ih_l0"), (linear, "weight")):
        torch.manual_seed(3)
        parametrizations.spectral_norm(module, name)
    for _ in range(3):
        for module in (rnn, linear):
            module(torch.ones(5, 3, 30))
        vectors = (m.parametrizations for m in (rnn, linear))
        ours, theirs = (next(iter(v.values()))[0]._u for v in vectors)
        assert torch.equal(ours, theirs)


def test_weights_shared_by_two_layers():
    found = []
    for kind in (elman.RNN, nn.RNN):
        first, second = (build(kind, {}, torch.float64) for _ in range(2))
        second.weight_hh_l0, second.bias_hh_l0 = first.weight_hh_l0, first.bias_hh_l0
        model = nn.ModuleList([first, second])
        assert len(list(model.parameters())) == 6
        x = torch.ones(5, 3, 2, dtype=torch.float64)
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for _ in range(3):
            optimizer.zero_grad()
            (first(x)[0].square().sum() - second(x)[1].sum()).backward()
            optimizer.step()
        assert second.weight_hh_l0 is first.weight_hh_l0
        found.append([p.detach() for p in model.parameters()])
    agree(*found)
