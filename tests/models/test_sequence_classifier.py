"""SequenceClassifier: every row is answered as if it were alone, and padding is never read."""

import pytest
import torch
from torch import nn

from elman.models import SequenceClassifier

LENGTHS = torch.tensor([3, 0, 9, 1, 9, 0, 4])
FORMS = [
    pytest.param({"num_layers": layers, "bidirectional": both, "nonlinearity": f}, id=name)
    for layers, both, f, name in [
        (1, False, "tanh", "plain"),
        (2, False, "relu", "two layers"),
        (1, True, "tanh", "both ways"),
        (3, True, "identity", "three layers both ways"),
    ]
]


def vectors_model(**form):
    return SequenceClassifier(4, 6, 3, **form).double().eval()


def tokens_model(**form):
    return SequenceClassifier(4, 6, 3, vocab_size=11, **form).double().eval()


def padded(kind, filling):
    """Seven rows of the lengths above, with `filling` beyond them."""
    if kind == "vectors":
        x = torch.randn(7, 9, 4, dtype=torch.float64)
    else:
        x = torch.randint(0, 11, (7, 9))
    for row, length in zip(x, LENGTHS.tolist(), strict=True):
        row[length:] = filling
    return x


MODELS = {"vectors": vectors_model, "tokens": tokens_model}


def answers_alone(model, x):
    """What torch's own layers say of each row cut to its length."""
    rnn = model.rnn
    mirror = nn.RNN(
        rnn.input_size, rnn.hidden_size, rnn.num_layers, batch_first=True,
        nonlinearity="tanh" if rnn.nonlinearity == "identity" else rnn.nonlinearity,
        bidirectional=rnn.bidirectional, dtype=torch.float64,
    )  # fmt: skip
    mirror.load_state_dict(rnn.state_dict())
    answers = []
    for row, length in zip(x, LENGTHS.tolist(), strict=True):
        if length == 0:
            answers.append(model.linear.bias)
            continue
        data = row[None, :length]
        _, h_n = mirror(data if model.embedding is None else model.embedding(data))
        directions = 2 if rnn.bidirectional else 1
        answers.append(model.linear(torch.cat(list(h_n[-directions:, 0]))))
    return torch.stack(answers)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_each_row_as_if_alone(kind, form):
    model = MODELS[kind](**form)
    x = padded(kind, 0)
    together = model(x, LENGTHS)
    for i, length in enumerate(LENGTHS.tolist()):
        alone = model(x[i : i + 1, :length])
        assert torch.allclose(together[i], alone[0], rtol=0, atol=1e-12)
    order = torch.randperm(7)
    assert torch.allclose(model(x[order], LENGTHS[order]), together[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("kind", MODELS)
def test_the_numbers_are_those_of_torch_layers(kind, form):
    model = MODELS[kind](**form)
    x = padded(kind, 0)
    assert torch.allclose(model(x, LENGTHS), answers_alone(model, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "filling"), [("vectors", torch.nan), ("tokens", 10**9)])
def test_padding_is_never_read(kind, filling, form):
    model = MODELS[kind](**form)
    results = []
    for value in (0, filling):
        torch.manual_seed(1)
        x = padded(kind, value)
        if kind == "vectors":
            x.requires_grad_()
        model.zero_grad()
        scores = model(x, LENGTHS)
        scores.square().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        if kind == "vectors":
            gradients.append(x.grad)
            for row, length in zip(x.grad, LENGTHS.tolist(), strict=True):
                assert (row[length:] == 0).all()
                assert (row[:length] != 0).any(1).all()
        results.append([scores, *gradients])
    for clean, filled in zip(*results, strict=True):
        assert torch.isfinite(filled).all()
        assert torch.equal(clean, filled)


def test_an_empty_row_is_answered_by_the_bias():
    model = vectors_model()
    scores = model(torch.randn(2, 3, 4).double(), torch.tensor([0, 3]))
    assert torch.equal(scores[0], model.linear.bias)
    assert not torch.equal(scores[1], model.linear.bias)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_no_steps_and_no_rows(kind, form):
    model = MODELS[kind](**form)
    x = padded(kind, 0)
    assert torch.equal(model(x[:, :0]), model.linear.bias.expand(7, 3))
    assert torch.equal(model(x, torch.zeros(7, dtype=torch.int64)), model.linear.bias.expand(7, 3))
    for none in (model(x[:0]), model(x[:0], LENGTHS[:0]), model(x[:0, :0])):
        assert none.shape == (0, 3)
        none.sum().backward()  # nothing to learn from, and no error


def test_without_lengths_every_step_counts():
    model = vectors_model()
    x = torch.randn(5, 9, 4).double()
    assert torch.equal(model(x), model(x, torch.full((5,), 9)))
    assert torch.equal(model(x), model(x, torch.full((5,), 9, dtype=torch.int32)))


def test_encoder_vectors_to_two_classes():
    model = SequenceClassifier(input_size=768, hidden_size=128, num_classes=2)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes == {
        "rnn.weight_ih_l0": (128, 768),
        "rnn.weight_hh_l0": (128, 128),
        "rnn.bias_ih_l0": (128,),
        "rnn.bias_hh_l0": (128,),
        "linear.weight": (2, 128),
        "linear.bias": (2,),
    }
    assert model(torch.randn(3, 5, 768), torch.tensor([5, 0, 2])).shape == (3, 2)


def test_dropout_only_while_training():
    model = SequenceClassifier(4, 6, 3, dropout=0.5)
    x = torch.randn(5, 9, 4)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([1, 2]), r"lengths should be 3 integers, got torch.int64 of \(2,\)"),
        (torch.tensor([1.0, 2.0, 3.0]), r"lengths should be 3 integers, got torch.float32"),
        (torch.tensor([True, True, False]), r"lengths should be 3 integers, got torch.bool"),
        (torch.tensor([[1, 2, 3]]), r"got torch.int64 of \(1, 3\)"),
        (torch.tensor([1, -1, 3]), "between 0 and L = 5, got -1 to 3"),
        (torch.tensor([1, 6, 3]), "between 0 and L = 5, got 1 to 6"),
    ],
)
def test_bad_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        vectors_model()(torch.zeros(3, 5, 4).double(), lengths)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("vectors", (5, 4), r"input should be \(N, L, input_size\).*, got \(5, 4\)"),
        ("tokens", (5,), r"input should be token ids \(N, L\), got \(5,\)"),
        ("tokens", (2, 5, 4), r"input should be token ids \(N, L\), got \(2, 5, 4\)"),
    ],
)
def test_a_wrong_rank(kind, shape, message):
    with pytest.raises(ValueError, match=message):
        MODELS[kind]()(torch.zeros(shape, dtype=torch.float64))


def test_a_wrong_width():
    for x in (torch.zeros(2, 5, 3).double(), torch.zeros(2, 0, 3).double()):
        with pytest.raises(ValueError, match=r"4.*got.*3"):
            vectors_model()(x)
