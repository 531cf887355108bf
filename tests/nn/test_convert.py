"""convert and unconvert: the same objects with the same parameters, under another class."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal

import elman
from elman import convert, unconvert
from tests.tolerances import distance

BOUND = 1e-12  # as in test_parity.py, for numbers below one


class Tagger(nn.Module):
    """A model with recurrent modules at several depths, one of them used twice."""

    def __init__(self, rnn=nn.RNN, cell=nn.RNNCell):
        super().__init__()
        self.reader = rnn(2, 4, num_layers=2, bidirectional=True)
        self.blocks = nn.ModuleDict({"a": nn.ModuleList([rnn(8, 8, nonlinearity="relu")])})
        self.again = self.blocks["a"][0]
        self.step = cell(8, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        h, _ = self.reader(x)
        h, _ = self.blocks["a"][0](h)
        h, _ = self.again(h)
        return self.head(self.step(h[-1]))


class Mine(nn.RNN):
    """A subclass with code of its own."""

    def forward(self, x, hx=None):
        output, h_n = super().forward(x, hx)
        return output * 2, h_n


class MineOfElman(elman.RNN):
    """A subclass of ours, likewise."""


def tagger(*kinds):
    torch.manual_seed(0)
    return Tagger(*kinds).double()


def numbers(model):
    """The output and every gradient for one fixed input."""
    torch.manual_seed(1)
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    output = model(x)
    output = output[0] if isinstance(output, tuple) else output
    gradients = torch.autograd.grad(output.sum(), list(model.parameters()))
    return [output.detach(), *gradients]


def same(ours, theirs):
    for mine, expected in zip(ours, theirs, strict=True):
        assert distance(mine, expected) <= BOUND * max(1, expected.abs().max().item())


def test_a_whole_model_there_and_back():
    model = tagger()
    objects = list(model.modules())
    parameters, names = list(model.parameters()), list(model.state_dict())
    shown, expected = repr(model), numbers(model)

    assert convert(model) == 3  # the one used twice counts once
    assert type(model.reader) is type(model.again) is elman.RNN
    assert type(model.step) is elman.RNNCell
    assert type(model.head) is nn.Linear
    assert convert(model) == 0  # nothing is left to swap
    same(numbers(model), expected)
    assert repr(model) == shown

    assert unconvert(model) == 3
    assert type(model.reader) is type(model.again) is nn.RNN
    assert type(model.step) is nn.RNNCell
    assert unconvert(model) == 0
    assert all(torch.equal(x, y) for x, y in zip(numbers(model), expected, strict=True))

    assert all(x is y for x, y in zip(model.modules(), objects, strict=True))
    assert all(x is y for x, y in zip(model.parameters(), parameters, strict=True))
    assert list(model.state_dict()) == names


@pytest.mark.parametrize(("kind", "other"), [(nn.RNN, elman.RNN), (nn.RNNCell, elman.RNNCell)])
def test_the_model_itself(kind, other):
    module = kind(2, 4)
    assert convert(module) == 1
    assert type(module) is other
    assert unconvert(module) == 1
    assert type(module) is kind


def test_models_without_any_are_left_alone():
    model = nn.Sequential(nn.LSTM(2, 4), nn.GRU(2, 4), nn.LSTMCell(2, 4), nn.Linear(4, 4))
    kinds = [type(module) for module in model]
    assert convert(model) == unconvert(model) == 0
    assert [type(module) for module in model] == kinds


def test_subclasses_are_left_alone():
    model = nn.ModuleList([Mine(2, 4), MineOfElman(2, 4), nn.RNN(2, 4)])
    assert convert(model) == 1
    assert [type(module) for module in model] == [Mine, MineOfElman, elman.RNN]
    assert unconvert(model) == 1
    assert [type(module) for module in model] == [Mine, MineOfElman, nn.RNN]


def test_a_model_of_ours_becomes_torchs():
    model, theirs = tagger(elman.RNN, elman.RNNCell), tagger()
    expected = numbers(model)
    assert unconvert(model) == 3
    same(numbers(model), expected)
    same(numbers(model), numbers(theirs))  # the same seed began both
    assert str(model) == str(theirs)


def test_an_optimiser_made_before_goes_on():
    ours, theirs = tagger(), tagger()
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (ours, theirs)]

    def step():
        for model, optimiser in zip((ours, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            torch.manual_seed(3)
            model(torch.randn(5, 3, 2, dtype=torch.float64)).square().sum().backward()
            optimiser.step()

    step()
    assert convert(ours) == 3
    before = ours.reader.weight_hh_l0.detach().clone()
    step()
    assert distance(ours.reader.weight_hh_l0.detach(), before) > 1e-3
    assert unconvert(ours) == 3
    step()
    # three steps of 0.01 times at most three gradients each, whose size is below 100
    for mine, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert distance(mine.detach(), expected.detach()) <= 3 * 0.01 * 3 * 100 * BOUND


def test_hooks_buffers_and_flags_stay():
    rnn = nn.RNN(2, 4, num_layers=2, dropout=0.5).eval()
    rnn.register_buffer("note", torch.ones(1))
    rnn.weight_ih_l0.requires_grad_(False)
    seen = []
    rnn.register_forward_hook(lambda module, given, result: seen.append(type(module)))
    x = torch.zeros(3, 1, 2)
    for swap, kind in ((convert, elman.RNN), (unconvert, nn.RNN)):
        assert swap(rnn) == 1
        rnn(x)
        assert seen.pop() is kind
        assert not rnn.training
        assert rnn.dropout == 0.5
        assert rnn.note.item() == 1
        assert not rnn.weight_ih_l0.requires_grad


@pytest.mark.parametrize("used", [False, True], ids=["new", "after a forward"])
def test_parametrized_modules(used):
    torch.manual_seed(0)
    model = nn.Sequential(nn.RNN(2, 4, dtype=torch.float64))
    orthogonal(model[0], "weight_hh_l0")
    expected = numbers(model) if used else numbers(copy.deepcopy(model))

    assert convert(model) == 1
    assert isinstance(model[0], elman.RNN)
    assert parametrize.is_parametrized(model[0], "weight_hh_l0")
    same(numbers(model), expected)
    twin = copy.deepcopy(model)
    assert isinstance(twin[0], elman.RNN)
    same(numbers(twin), expected)
    with torch.no_grad():
        model[0].parametrizations.weight_hh_l0.original.add_(torch.randn(4, 4))
    assert distance(numbers(model)[0], expected[0]) > 1e-3  # the weight is computed anew

    moved = numbers(model)
    assert unconvert(model) == 1
    assert isinstance(model[0], nn.RNN)
    same(numbers(model), moved)
    parametrize.remove_parametrizations(model[0], "weight_hh_l0")
    assert type(model[0]) is nn.RNN
    assert distance(numbers(model)[0], moved[0]) <= BOUND


def test_parametrizing_another_module_of_the_class_stays_apart():
    """torch gives each parametrised module its own class: swapping one moves no other."""
    model = nn.ModuleList([nn.RNN(2, 4), nn.RNN(2, 4), nn.RNN(2, 4)])
    orthogonal(model[0], "weight_hh_l0")
    orthogonal(model[1], "weight_ih_l0")
    assert convert(model[0]) == 1
    assert isinstance(model[0], elman.RNN)
    assert isinstance(model[1], nn.RNN)
    assert type(model[2]) is nn.RNN
    assert convert(model) == 2


def test_tied_weights_stay_tied():
    rnn = nn.RNN(4, 4, num_layers=2, dtype=torch.float64)
    rnn.weight_hh_l1 = rnn.weight_hh_l0
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    expected = rnn(x)[0]
    for swap in (convert, unconvert):
        swap(rnn)
        assert rnn.weight_hh_l1 is rnn.weight_hh_l0
        assert distance(rnn(x)[0], expected) <= BOUND


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


def by_torch_save(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("through", [copy.deepcopy, by_pickle, by_torch_save])
def test_copies_after_each_swap(through):
    model = tagger()
    expected = numbers(model)
    for swap, kind in ((convert, elman.RNN), (unconvert, nn.RNN)):
        swap(model)
        numbers(model)
        twin = through(model)
        assert type(twin.reader) is kind
        same(numbers(twin), expected)
        assert twin.reader.weight_ih_l0 is not model.reader.weight_ih_l0


def test_unconverted_modules_follow_new_weights_as_torchs_do():
    """torch keeps a second list of its weights; it must be of these weights."""
    rnn = elman.RNN(2, 4)
    unconvert(rnn)
    twin = nn.RNN(2, 4)
    x = torch.randn(5, 3, 2)
    twin.load_state_dict(rnn.state_dict())
    assert torch.equal(rnn(x)[0], twin(x)[0])
    rnn.weight_hh_l0 = nn.Parameter(torch.zeros(4, 4))
    twin.weight_hh_l0 = nn.Parameter(torch.zeros(4, 4))
    assert torch.equal(rnn(x)[0], twin(x)[0])
    assert rnn.double()(x.double())[0].dtype == torch.float64


@pytest.mark.parametrize("kind", [elman.RNN, elman.RNNCell])
def test_identity_has_no_way_back_and_nothing_is_swapped(kind):
    model = nn.Sequential(elman.RNN(2, 4), kind(2, 4, nonlinearity="identity"))
    with pytest.raises(ValueError, match=r"1: .*identity"):
        unconvert(model)
    assert [type(module) for module in model] == [elman.RNN, kind]
    with pytest.raises(ValueError, match=r"the model itself: .*identity"):
        unconvert(model[1])


def test_identity_in_a_subclass_that_stays_is_no_hindrance():
    model = nn.ModuleList([MineOfElman(2, 4, nonlinearity="identity"), elman.RNN(2, 4)])
    assert unconvert(model) == 1
    assert [type(module) for module in model] == [MineOfElman, nn.RNN]


def test_the_mode_decides_for_torch_and_goes_with_the_swap():
    rnn = torch.nn.RNN(2, 4)
    rnn.mode = "RNN_RELU"  # what torch computes, whatever its nonlinearity says
    x = torch.randn(5, 1, 2)
    expected, _ = rnn(x)
    elman.convert(rnn)
    torch.testing.assert_close(rnn(x)[0], expected)
    rnn.nonlinearity = "tanh"
    expected, _ = rnn(x)
    elman.unconvert(rnn)
    assert rnn.mode == "RNN_TANH"
    torch.testing.assert_close(rnn(x)[0], expected)


def test_the_way_back_leads_to_torchs_own_class_where_its_name_was_given_away(monkeypatch):
    theirs = torch.nn.RNN
    monkeypatch.setattr(torch.nn, "RNN", elman.RNN)  # the shortest way to change a program over
    model = nn.Sequential(torch.nn.RNN(3, 4))
    x = torch.randn(5, 2, 3)
    expected, _ = model(x)
    assert elman.unconvert(model) == 1
    assert type(model[0]) is theirs
    torch.testing.assert_close(model(x)[0], expected)


@pytest.mark.parametrize("swap", [elman.convert, elman.unconvert])
def test_what_is_no_module(swap):
    with pytest.raises(TypeError, match=r"model should be a torch\.nn\.Module, got list"):
        swap([torch.nn.RNN(2, 4)])
