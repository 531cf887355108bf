"""What does not go together says so: dynamics, wiring, flags, states, parts."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import elman
from elman import Dynamics, Wiring

X = torch.zeros(4, 2, 3)
ROWS_OF_ROWS = torch.nested.nested_tensor([torch.zeros(2, 2, 3)], layout=torch.jagged)
ROWS_OF_STEPS = torch.nested.nested_tensor([torch.zeros(2, 3)], layout=torch.jagged)
FLAGS = torch.ones(4, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Dynamics(leak=0), ValueError, r"leak should be in \(0, 1\], got 0"),
        (lambda: Dynamics(leak=1.5), ValueError, "leak should be"),
        (lambda: Dynamics(leak="0.5"), TypeError, "leak should be a number"),
        (lambda: Dynamics(learn_leak=True), ValueError, "below 1 where it is learned"),
        (lambda: Dynamics(zoneout=1), ValueError, r"zoneout should be in \[0, 1\)"),
        (lambda: Dynamics(recurrent_dropout=-0.1), ValueError, "recurrent_dropout"),
        (lambda: Dynamics(noise=-1), ValueError, "noise should be at least 0"),
        (lambda: Dynamics(clip=0), ValueError, "clip should be above 0"),
        (lambda: Dynamics(layer_norm=1), TypeError, "layer_norm should be a bool"),
        (lambda: elman.RNN(3, 4, dynamics=Dynamics(leak=[0.5])), ValueError, "each of 4 units"),
        (lambda: elman.RNN(3, 4, dynamics={"leak": 1}), TypeError, "elman.Dynamics"),
        (lambda: elman.RNN(3, 4, wiring=Dynamics()), TypeError, "elman.Wiring"),
        (lambda: Wiring(merge="max"), ValueError, "merge should be one of"),
        (lambda: Wiring(hidden_sizes=[0]), ValueError, "greater than zero"),
        (lambda: Wiring(hidden_sizes=[2.0]), TypeError, "should be ints"),
        (lambda: Wiring(input_dropout=1), ValueError, "input_dropout"),
        (lambda: elman.RNN(3, 4, 2, wiring=Wiring(hidden_sizes=[4])), ValueError, "num_layers"),
        (lambda: elman.RNN(3, 4, wiring=Wiring(hidden_sizes=[5])), ValueError, "hidden_size = 4"),
        (lambda: elman.RNN(3, 4, wiring=Wiring(merge="sum")), ValueError, "bidirectional=True"),
        (lambda: elman.RNN(3, 4, bidirectional=True, wiring=Wiring(reverse=True)), ValueError,
         "has the other already"),
        (lambda: elman.RNN(3, 4, bias=False, wiring=Wiring(one_bias=True)), ValueError,
         "bias=True"),
        (lambda: elman.RNN(3, 4, bidirectional=True, checkpoint_every=2), ValueError,
         "forward only"),
        (lambda: elman.RNN(3, 4, checkpoint_every=0), ValueError, "at least 1"),
        (lambda: elman.RNN(3, 4, checkpoint_every=True), TypeError, "should be an int"),
    ],
)  # fmt: skip
def test_made_wrong(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda r: r(X, states="some"), ValueError, "states should be one of"),
        (lambda r: r(X, mask=FLAGS.float()), TypeError, "mask should be a Tensor of bools"),
        (lambda r: r(X, mask=FLAGS.T), ValueError, r"mask should be \(4, 2\)"),
        (lambda r: r(X, reset=FLAGS[0]), ValueError, "a flag for every step"),
        (lambda r: r(X[:, 0], lengths=[1], mask=FLAGS[:, 0]), ValueError, "3-D"),
        (lambda r: r(pack_sequence([X[:, 0]]), mask=FLAGS), ValueError, "padded input"),
        (lambda r: r(X, [X[:1, :, :2]], states="all"), RuntimeError, r"hx\[0\] should be"),
        (lambda r: r(X, [X, X], states="all"), ValueError, "1 tensors"),
        (lambda r: r(ROWS_OF_ROWS), ValueError, "torch.jagged"),
        (lambda r: r(ROWS_OF_STEPS.transpose(1, 2)), ValueError, r"should be \(N, j, H_in\)"),
        (lambda r: r(torch.nested.nested_tensor([X[:, 0]], layout=torch.jagged), lengths=[4]),
         ValueError, "nested tensor"),
        (lambda r: elman.unconvert(torch.nn.Sequential(leaky())), ValueError, "dynamics="),
        (lambda r: elman.Stream(leaky()), ValueError, "plain layers"),
        (lambda r: learned()(X, reset=FLAGS), ValueError, "learn_h_0"),
        (lambda r: sizes()(X, torch.zeros(2, 2, 4)), ValueError, "a tensor for each layer"),
    ],
)  # fmt: skip
def test_called_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call(elman.RNN(3, 4))


def leaky():
    return elman.RNN(3, 4, dynamics=Dynamics(leak=0.5))


def learned():
    return elman.RNN(3, 4, wiring=Wiring(learn_h_0=True))


def sizes():
    return elman.RNN(3, 4, 2, wiring=Wiring(hidden_sizes=[5, 4]))


def test_a_function_is_served_by_the_plain_loop_and_says_so():
    with pytest.warns(UserWarning, match="runs in a plain loop"):
        rnn = elman.RNN(3, 4, nonlinearity=torch.sin)
    assert "sin" in repr(rnn)
    assert rnn(X)[0].shape == (4, 2, 4)
