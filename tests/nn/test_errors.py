"""The same mistake made with torch's layer and with ours raises the same type of error."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

import elman

PAIRS = {"RNN": (elman.RNN, nn.RNN), "RNNCell": (elman.RNNCell, nn.RNNCell)}


def zeros(*shape, **options):
    return torch.zeros(shape, **options)


def packed(*shape, order=None, **options):
    order = order if order is None else torch.tensor(order)
    return PackedSequence(zeros(*shape, **options), torch.tensor([2, 1]), order, order)


def making(*args, **kwargs):
    return lambda kind: kind(*args, **kwargs)


def calling(*given, **arguments):
    return lambda kind: kind(3, 4, **arguments)(*given)


RNN_MISTAKES = {
    "input_size-float": making(3.0, 4),
    "input_size-string": making("3", 4),
    "input_size-none": making(None, 4),
    "input_size-zero": making(0, 4),
    "input_size-negative": making(-1, 4),
    "hidden_size-float": making(3, 4.0),
    "hidden_size-zero": making(3, 0),
    "hidden_size-negative": making(3, -1),
    "hidden_size-missing": making(3),
    "num_layers-float": making(3, 4, 1.0),
    "num_layers-none": making(3, 4, None),
    "num_layers-zero": making(3, 4, 0),
    "num_layers-negative": making(3, 4, -1),
    "nonlinearity-unknown": making(3, 4, nonlinearity="swish"),
    "nonlinearity-none": making(3, 4, nonlinearity=None),
    "nonlinearity-list": making(3, 4, nonlinearity=["tanh"]),
    "nonlinearity-by-position": making(3, 4, 1, "TANH"),
    "proj_size": making(3, 4, proj_size=2),
    "proj_size-zero": making(3, 4, proj_size=0),
    "keyword-unknown": making(3, 4, hidden=4),
    "keyword-mode": making(3, 4, mode="RNN_TANH"),
    "bias-int": making(3, 4, bias=1),
    "bias-none": making(3, 4, bias=None),
    "batch_first-int": making(3, 4, batch_first=0),
    "batch_first-string": making(3, 4, batch_first="yes"),
    "dropout-above": making(3, 4, 2, dropout=1.5),
    "dropout-below": making(3, 4, 2, dropout=-0.1),
    "dropout-nan": making(3, 4, 2, dropout=float("nan")),
    "dropout-bool": making(3, 4, 2, dropout=True),
    "dropout-word": making(3, 4, 2, dropout="x"),
    "dropout-number-in-words": making(3, 4, 2, dropout="0.5"),
    "dropout-none": making(3, 4, 2, dropout=None),
    "dropout-list": making(3, 4, 2, dropout=[0.5]),
    "device-unknown": making(3, 4, device="nowhere"),
    "dtype-integer": making(3, 4, dtype=torch.int64),
    "input-missing": calling(),
    "input-list": calling([1.0, 2.0, 3.0]),
    "input-none": calling(None),
    "input-rank-0": calling(zeros()),
    "input-rank-1": calling(zeros(3)),
    "input-rank-4": calling(zeros(2, 2, 2, 3)),
    "input-features": calling(zeros(5, 2, 4)),
    "input-features-unbatched": calling(zeros(5, 4)),
    "input-features-batch_first": calling(zeros(2, 5, 4), batch_first=True),
    "input-float64": calling(zeros(5, 2, 3).double()),
    "input-bfloat16": calling(zeros(5, 2, 3).bfloat16()),
    "input-integer": calling(zeros(5, 2, 3).long()),
    "input-float64-and-hx": calling(zeros(5, 2, 3).double(), zeros(1, 2, 4).double()),
    "hx-tuple": calling(zeros(5, 2, 3), (zeros(1, 2, 4),)),
    "hx-rank-1": calling(zeros(5, 2, 3), zeros(4)),
    "hx-rank-2": calling(zeros(5, 2, 3), zeros(1, 4)),
    "hx-rank-4": calling(zeros(5, 2, 3), zeros(1, 1, 2, 4)),
    "hx-rank-3-unbatched": calling(zeros(5, 3), zeros(1, 1, 4)),
    "hx-layers": calling(zeros(5, 2, 3), zeros(2, 2, 4)),
    "hx-layers-unbatched": calling(zeros(5, 3), zeros(2, 4)),
    "hx-directions": calling(zeros(5, 2, 3), zeros(1, 2, 4), bidirectional=True),
    "hx-rows": calling(zeros(5, 2, 3), zeros(1, 5, 4)),
    "hx-rows-batch_first": calling(zeros(5, 2, 3), zeros(1, 2, 4), batch_first=True),
    "hx-units": calling(zeros(5, 2, 3), zeros(1, 2, 5)),
    "hx-float64": calling(zeros(5, 2, 3), zeros(1, 2, 4).double()),
    "hx-bfloat16": calling(zeros(5, 2, 3), zeros(1, 2, 4).bfloat16()),
    "hx-integer": calling(zeros(5, 2, 3), zeros(1, 2, 4).long()),
    "packed-rank-1": calling(packed(3)),
    "packed-rank-3": calling(packed(3, 1, 3)),
    "packed-features": calling(packed(3, 4)),
    "packed-float64": calling(packed(3, 3, dtype=torch.float64)),
    "packed-hx-rows": calling(packed(3, 3), zeros(1, 3, 4)),
    "packed-hx-too-few-rows-unsorted": calling(packed(3, 3, order=[1, 0]), zeros(1, 1, 4)),
    "packed-hx-rank": calling(packed(3, 3), zeros(2, 4)),
    "packed-hx-rank-unsorted": calling(packed(3, 3, order=[1, 0]), zeros(2, 4)),
    "packed-hx-units": calling(packed(3, 3, order=[1, 0]), zeros(1, 2, 5)),
    "packed-hx-float64": calling(packed(3, 3), zeros(1, 2, 4).double()),
}

CELL_MISTAKES = {
    "input_size-float": making(3.0, 4),
    "hidden_size-float": making(3, 4.0),
    "input_size-negative": making(-1, 4),
    "hidden_size-negative": making(3, -1),
    "input_size-none": making(None, 4),
    "keyword-unknown": making(3, 4, num_layers=2),
    "dtype-integer": making(3, 4, dtype=torch.int64),
    "nonlinearity-unknown": calling(zeros(2, 3), nonlinearity="swish"),
    "nonlinearity-none": calling(zeros(2, 3), nonlinearity=None),
    "nonlinearity-list": calling(zeros(2, 3), nonlinearity=["tanh"]),
    "input-list": calling([1.0, 2.0, 3.0]),
    "input-rank-0": calling(zeros()),
    "input-rank-3": calling(zeros(1, 2, 3)),
    "input-features": calling(zeros(2, 4)),
    "input-features-unbatched": calling(zeros(4)),
    "input-float64": calling(zeros(2, 3).double()),
    "input-bfloat16": calling(zeros(2, 3).bfloat16()),
    "input-integer": calling(zeros(2, 3).long()),
    "hx-list": calling(zeros(2, 3), [1.0]),
    "hx-rank-0": calling(zeros(2, 3), zeros()),
    "hx-rank-3": calling(zeros(2, 3), zeros(1, 2, 4)),
    "hx-rank-1-batched": calling(zeros(2, 3), zeros(4)),
    "hx-rank-2-unbatched": calling(zeros(3), zeros(1, 4)),
    "hx-units": calling(zeros(2, 3), zeros(2, 5)),
    "hx-units-unbatched": calling(zeros(3), zeros(5)),
    "hx-rows": calling(zeros(2, 3), zeros(3, 4)),
    "hx-one-row": calling(zeros(2, 3), zeros(1, 4)),
    "hx-float64": calling(zeros(2, 3), zeros(2, 4).double()),
}

# Ours alone say more than a type: the argument, what was wanted and what came.
WORDS = {
    "input_size-float": ["input_size", "int", "float"],
    "hidden_size-zero": ["hidden_size", "greater than zero", "0"],
    "num_layers-negative": ["num_layers", "greater than zero", "-1"],
    "nonlinearity-unknown": ["nonlinearity", "'tanh', 'relu', 'identity'", "'swish'"],
    "proj_size": ["proj_size", "LSTM"],
    "keyword-unknown": ["'hidden'"],
    "bias-int": ["bias", "bool", "int"],
    "batch_first-string": ["batch_first", "bool", "str"],
    "dropout-above": ["dropout", "[0, 1]", "1.5"],
    "input-rank-4": ["input", "2-D or 3-D", "4-D"],
    "input-features": ["input", "input_size, 3", "got 4"],
    "input-float64": ["input", "torch.float64", "torch.float32", "input.to(torch.float32)"],
    "hx-rank-2": ["hx", "3-D", "2-D"],
    "hx-units": ["hx", "(1, 2, 4)", "(1, 2, 5)"],
    "hx-float64": ["hx", "torch.float64", "torch.float32"],
    "packed-rank-3": ["packed", "2-D", "3-D"],
    "packed-hx-rows": ["hx", "(1, 2, 4)", "(1, 3, 4)"],
}


def raised(mistake, kind):
    with pytest.raises(Exception) as caught:
        mistake(kind)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [("RNN", m) for m in RNN_MISTAKES] + [("RNNCell", m) for m in CELL_MISTAKES],
)
def test_the_error_is_of_torchs_type(kind, mistake):
    attempt = {"RNN": RNN_MISTAKES, "RNNCell": CELL_MISTAKES}[kind][mistake]
    ours, theirs = (raised(attempt, k) for k in PAIRS[kind])
    assert type(ours) is type(theirs), f"{ours!r}, torch's is {theirs!r}"


@pytest.mark.parametrize("mistake", WORDS)
def test_the_error_says_what_was_wanted_and_what_came(mistake):
    message = str(raised(RNN_MISTAKES[mistake], elman.RNN))
    assert all(word in message for word in WORDS[mistake]), message


def test_the_right_calls_raise_nothing():
    """So that the mistakes above are the mistakes, and not the way they are made."""
    for kind in PAIRS["RNN"]:
        for given in ((zeros(5, 2, 3), zeros(1, 2, 4)), (zeros(5, 3), zeros(1, 4))):
            calling(*given)(kind)
        calling(packed(3, 3, order=[1, 0]), zeros(1, 2, 4))(kind)
        making(3, 4, 2, dropout=1)(kind)
    for kind in PAIRS["RNNCell"]:
        calling(zeros(2, 3), zeros(2, 4))(kind)
        calling(zeros(3), zeros(4))(kind)


@pytest.mark.parametrize("kind", PAIRS["RNN"], ids=["elman", "torch"])
def test_dropout_in_one_layer_warns(kind):
    with pytest.warns(UserWarning, match="dropout") as caught:
        kind(3, 4, dropout=0.5)
    assert [w.category for w in caught] == [UserWarning]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(3, 4, 2, dropout=0.5)
        kind(3, 4, dropout=0.0)


def test_the_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="num_layers=1") as caught:
        elman.RNN(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", ["no", 1, None])
def test_bidirectional_is_a_bool(value):
    """torch tells on the first call; told here at once, of the same type."""
    with pytest.raises(TypeError):
        torch.nn.RNN(3, 4, bidirectional=value)(torch.randn(5, 2, 3))
    with pytest.raises(TypeError, match="bidirectional should be a bool"):
        elman.RNN(3, 4, bidirectional=value)


def test_hx_on_another_device():
    with pytest.raises(RuntimeError, match="hx is on meta but input on cpu"):
        elman.RNN(3, 4)(torch.randn(5, 2, 3), torch.zeros(1, 2, 4, device="meta"))


@pytest.mark.parametrize("which", ["input", "hx", "weight_hh_l0"])
def test_what_is_sparse(which):
    """torch.nn.RNN refuses it by the same type, in words of its inside."""
    rnn, x, hx = elman.RNN(3, 4), torch.randn(5, 2, 3), torch.zeros(1, 2, 4)
    if which == "input":
        x = x.to_sparse()
    elif which == "hx":
        hx = hx.to_sparse()
    else:
        rnn.weight_hh_l0 = torch.nn.Parameter(rnn.weight_hh_l0.detach().to_sparse())
    with pytest.raises(RuntimeError, match=r"should be dense, got one of .* tensor.to_dense\(\)"):
        rnn(x, hx)
