"""Layers in Opacus's GradSampleModule: grad_sample is the gradient of each row alone.

The truth is a loop over rows of torch.nn.RNN, or of the model before it is wrapped.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import elman
from elman.models import LanguageModel, SequenceClassifier
from elman.nn.opacus import OneTensorRNN, restore
from tests.tolerances import distance, largest, worst

opacus = pytest.importorskip("opacus")

N, L, H_IN, H = 5, 7, 3, 4
LAYERS = ({}, {"num_layers": 2, "bidirectional": True}, {"nonlinearity": "relu", "bias": False})

# torch's word on inputs that need no gradient, as data does not
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")


def of_output(results):
    return results[0].square().sum()


def of_h_n(results):
    return results[1].square().sum()


def of_both(results):
    return results[0].sin().sum() + results[1].square().sum()


def row_by_row(model, loss, *inputs):
    """Every parameter's gradient for each row, one after another."""
    found = []
    for k in range(N):
        row = [x[k : k + 1] for x in inputs]
        gradients = torch.autograd.grad(loss(model, *row), list(model.parameters()))
        found.append(gradients)
    return [torch.stack(rows) for rows in zip(*found, strict=True)]


def agree(model, expected):
    # a gradient here sums, over L steps and as many back, products of 2 layers of 2·H + 5 terms
    for (name, parameter), want in zip(model.named_parameters(), expected, strict=True):
        allowed = worst(2 * L * L * (2 * H + H_IN + 5), max(1, largest(want)))
        assert distance(parameter.grad_sample, want) <= allowed, name


def samples(model, loss, *inputs, reduction="sum", batch_first=True):
    wrapped = opacus.GradSampleModule(model, loss_reduction=reduction, batch_first=batch_first)
    total = loss(wrapped, *inputs)
    (total / N if reduction == "mean" else total).backward()


def pair(batch_first, **arguments):
    kinds = (elman.RNN, nn.RNN)
    ours, theirs = (
        k(H_IN, H, batch_first=batch_first, dtype=torch.float64, **arguments) for k in kinds
    )
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def data():
    return torch.randn(N, L, H_IN, dtype=torch.float64)


@pytest.mark.parametrize("arguments", LAYERS, ids=str)
@pytest.mark.parametrize("loss", [of_output, of_h_n, of_both], ids=lambda f: f.__name__)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_each_row_alone(arguments, loss, reduction):
    ours, theirs = pair(True, **arguments)
    x = data()
    expected = row_by_row(theirs, lambda m, x: loss(m(x)), x)
    samples(ours, lambda m, x: loss(m(x)), x, reduction=reduction)
    agree(ours, expected)


@pytest.mark.parametrize("batch_first", [False, True], ids=["model's second", "model's first"])
def test_time_first(batch_first):
    ours, theirs = pair(False, num_layers=2)

    def loss(m, x):
        return of_both(m(x.transpose(0, 1)))

    x = data()
    expected = row_by_row(theirs, loss, x)
    samples(ours, loss, x, batch_first=batch_first)
    agree(ours, expected)


@pytest.mark.parametrize("named", [False, True], ids=["by place", "by name"])
@pytest.mark.parametrize("layers", [1, 2, 7])
def test_a_first_state(named, layers):
    ours, theirs = pair(True, num_layers=layers)
    h_0 = torch.randn(N, layers, H, dtype=torch.float64)

    def loss(m, x, h_0):
        h_0 = h_0.transpose(0, 1)
        return of_output(m(x, hx=h_0) if named else m(x, h_0))

    x = data()
    expected = row_by_row(theirs, loss, x, h_0)
    samples(ours, loss, x, h_0, reduction="mean")
    agree(ours, expected)


def test_models():
    x, tokens = data(), torch.randint(9, (N, L))

    def in_two_chunks(m, tokens):
        first, state = m(tokens[:, :3])
        return first.square().sum() + m(tokens[:, 3:], state)[0].square().sum()

    for model, loss, given in (
        (SequenceClassifier(H_IN, H, num_layers=2), lambda m, x: m(x).square().sum(), x),
        (LanguageModel(9, 5, H), lambda m, x: m(x)[0].square().sum(), tokens),
        (LanguageModel(9, 5, H), in_two_chunks, tokens),
    ):
        model.double()
        expected = row_by_row(model, loss, given)
        samples(model, loss, given)
        agree(model, expected)


def test_a_cell_needs_nothing():
    cell = elman.RNNCell(H_IN, H, dtype=torch.float64)
    x = data()[:, 0]
    expected = row_by_row(cell, lambda m, x: m(x).square().sum(), x)
    opacus.GradSampleModule(cell, loss_reduction="sum")(x).square().sum().backward()
    agree(cell, expected)


def test_a_class_made_of_it_is_refused():
    class Mine(elman.RNN):
        pass

    with pytest.raises(TypeError, match=r"Opacus reads an elman\.RNN, got Mine"):
        opacus.GradSampleModule(Mine(H_IN, H))


def test_what_rows_do_not_have():
    rnn, _ = pair(True, num_layers=2, dropout=0.5)
    wrapped = opacus.GradSampleModule(rnn)
    with pytest.raises(TypeError, match="packed input cannot be told apart; pad it"):
        rnn(pack_sequence([torch.zeros(3, H_IN)]))
    with pytest.raises(ValueError, match="3-D, got 2-D"):
        rnn(torch.zeros(L, H_IN))
    with pytest.raises(RuntimeError, match=r"hx should be \(2, 5, 4\), got \(2, 4, 4\)"):
        rnn(data(), torch.zeros(2, 4, H))
    with pytest.raises(RuntimeError, match="random"):  # the mask would be another
        wrapped(data())[0].sum().backward()


def test_wrapped_and_restored_a_layer_is_as_it_was():
    rnn, _ = pair(True, num_layers=2)
    twin = copy.deepcopy(rnn)
    model = nn.ModuleList([rnn, elman.RNNCell(2, 2)])
    x, h_0 = data(), torch.randn(2, N, H, dtype=torch.float64)
    wrapped = opacus.GradSampleModule(model)
    assert type(rnn) is OneTensorRNN
    assert list(rnn.state_dict()) == list(twin.state_dict())
    for given in ((x,), (x, h_0)):
        for got, want in zip(rnn(*given), twin(*given), strict=True):
            assert torch.equal(got, want)
    wrapped.to_standard_module()
    assert (restore(model), restore(model)) == (1, 0)
    assert vars(rnn).keys() - vars(twin).keys() == {"activations"}  # Opacus leaves its own
    assert type(rnn) is elman.RNN


@pytest.mark.filterwarnings("ignore")  # Opacus's own: its generator is not a secure one
@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_private_training(mode):
    model = SequenceClassifier(H_IN, H)
    assert opacus.validators.ModuleValidator.validate(model) == []
    rows = torch.utils.data.TensorDataset(data().float(), torch.tensor([0, 1, 0, 1, 1]))
    before = model.rnn.weight_hh_l0.detach().clone()
    engine = opacus.PrivacyEngine(accountant="rdp")
    private, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        data_loader=torch.utils.data.DataLoader(rows, batch_size=5),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    for x, labels in loader:
        nn.functional.cross_entropy(private(x), labels).backward()
        assert model.rnn.weight_hh_l0.grad_sample.shape == (5, H, H)
        optimizer.step()
    assert not torch.equal(model.rnn.weight_hh_l0, before)
    assert engine.get_epsilon(1e-5) > 0
