"""Every model: deepcopy, state_dict, pickle, and one backward pass."""

import copy
import pickle

import pytest
import torch

from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor


def concat():
    model = ConcatRNN(3, 4, 2, nonlinearity=None)
    return model, (torch.randn(5, 3), torch.randn(5, 4))


def vectors():
    model = SequenceClassifier(3, 4, 2, num_layers=2, bidirectional=True, dropout=0.3)
    return model, (torch.randn(5, 6, 3), torch.tensor([6, 0, 2, 1, 5]))


def tokens():
    return SequenceClassifier(3, 4, 2, vocab_size=7), (torch.randint(0, 7, (5, 6)),)


def regressor():
    return SequenceRegressor(3, 4, 2), (torch.randn(5, 6, 3), torch.randn(1, 5, 4))


def language():
    return LanguageModel(7, 3, 4), (torch.randint(0, 7, (5, 6)), torch.randn(1, 5, 4))


MODELS = pytest.mark.parametrize("make", [concat, vectors, tokens, regressor, language])


def results(model, inputs):
    output = model.eval()(*inputs)
    return list(output) if isinstance(output, tuple) else [output]


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@MODELS
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_answers_alike_and_lives_its_own_life(make, copied):
    model, inputs = make()
    before = results(model, inputs)
    twin = copied(model)
    assert same(results(twin, inputs), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.5)
    assert not same(results(twin, inputs), before)
    assert same(results(model, inputs), before)


@MODELS
def test_weights_go_from_one_to_another(make):
    model, inputs = make()
    other, _ = make()
    assert not same(results(other, inputs), results(model, inputs))
    other.load_state_dict(model.state_dict())
    assert same(results(other, inputs), results(model, inputs))


@MODELS
def test_every_parameter_gets_a_gradient(make):
    model, inputs = make()
    sum(output.square().sum() for output in results(model, inputs)).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
