"""The models through torch.onnx.export, at lengths and batches never traced."""

import pytest
import torch

from elman.models import ConcatRNN, LanguageModel, SequenceClassifier, SequenceRegressor
from tests.exported import NEAR, QUIET, Exported

pytestmark = QUIET

ROWS = {0: "N", 1: "L"}
LENGTHS = [[2, 7, 0, 1], [0], [1], [3, 3, 3]]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_classifier_of_vectors(bidirectional):
    model = SequenceClassifier(3, 8, num_layers=2, bidirectional=bidirectional, dropout=0.5)
    exported = Exported(model, input=(torch.randn(2, 5, 3), ROWS))
    assert exported.nodes["RNN"] == 2
    for L, N in ((7, 3), (1, 1)):
        assert exported.distance(input=torch.randn(N, L, 3)) <= NEAR


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_classifier_of_vectors_and_lengths(bidirectional):
    model = SequenceClassifier(3, 8, bidirectional=bidirectional)
    example = {"input": (torch.randn(2, 5, 3), ROWS), "lengths": (torch.tensor([5, 3]), {0: "N"})}
    exported = Exported(model, **example)
    assert exported.nodes["RNN"] == 1
    for lengths in LENGTHS:
        x = torch.randn(len(lengths), 7, 3)
        for row, length in enumerate(lengths):
            x[row, length:] = float("nan")  # never read
        assert exported.distance(input=x, lengths=torch.tensor(lengths)) <= NEAR


def test_the_classifier_of_tokens_and_lengths():
    model = SequenceClassifier(6, 8, vocab_size=11, num_layers=2, bidirectional=True)
    tokens = torch.randint(11, (2, 5))
    exported = Exported(model, input=(tokens, ROWS), lengths=(torch.tensor([5, 3]), {0: "N"}))
    assert exported.nodes["RNN"] == 2
    assert exported.shapes == {"input": ["N", "L"], "lengths": ["N"]}
    for lengths in LENGTHS:
        tokens = torch.randint(11, (len(lengths), 7))
        for row, length in enumerate(lengths):
            tokens[row, length:] = 10**6  # no token, and never read
        assert exported.distance(input=tokens, lengths=torch.tensor(lengths)) <= NEAR


def test_the_language_model_hands_its_state_on():
    model = LanguageModel(50, 6, 8, num_layers=2)
    tokens, state = torch.randint(50, (2, 5)), torch.zeros(2, 2, 8)
    exported = Exported(model, tokens=(tokens, ROWS), state=(state, {1: "N"}))
    assert exported.nodes["RNN"] == 2
    for L, N in ((7, 3), (1, 1)):
        tokens, state = torch.randint(50, (N, L)), torch.randn(2, N, 8).tanh()
        assert exported.distance(tokens=tokens, state=state) <= NEAR


def test_the_regressor_hands_its_state_on():
    x, state = torch.randn(2, 5, 3), torch.zeros(1, 2, 8)
    exported = Exported(SequenceRegressor(3, 8), x=(x, ROWS), state=(state, {1: "N"}))
    assert exported.nodes["RNN"] == 1
    for L, N in ((7, 3), (1, 1)):
        x, state = torch.randn(N, L, 3), torch.randn(1, N, 8).tanh()
        assert exported.distance(x=x, state=state) <= NEAR


def test_the_concatenated_form_and_its_layer():
    model = ConcatRNN(3, 8, 2)
    example = {"input": torch.randn(2, 3), "hidden": torch.randn(2, 8)}
    exported = Exported(model, **{name: (x, {0: "N"}) for name, x in example.items()})
    for N in (1, 5):
        assert exported.distance(input=torch.randn(N, 3), hidden=torch.randn(N, 8)) <= NEAR
    exported = Exported(model.to_rnn(), input=(torch.randn(5, 2, 3), {0: "L", 1: "N"}))
    assert exported.distance(input=torch.randn(7, 3, 3)) <= NEAR
