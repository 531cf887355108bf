"""`lengths`: rows of unequal length, in any order, some of no steps, without packing them."""

import pytest
import torch

import elman
from elman.nn.lengths import packing

LAYERS = {
    "plain": {},
    "two layers, both ways": {"num_layers": 2, "bidirectional": True},
    "batch first, relu, no bias": {"batch_first": True, "nonlinearity": "relu", "bias": False},
}
LENGTHS = {
    "any order": [3, 0, 5, 1, 4],
    "all whole": [6, 6, 6, 6, 6],
    "none at all": [0, 0, 0, 0, 0],
    "as int32": torch.tensor([1, 2, 3, 4, 5], dtype=torch.int32),
    "as uint8": torch.tensor([1, 2, 3, 4, 5], dtype=torch.uint8),
}


def made(arguments, N=5, L=6):
    rnn = elman.RNN(3, 4, dtype=torch.float64, **arguments)
    x = torch.randn(*((N, L) if rnn.batch_first else (L, N)), 3, dtype=torch.float64)
    D = (2 if rnn.bidirectional else 1) * rnn.num_layers
    return rnn, x.requires_grad_(), torch.randn(D, N, 4, dtype=torch.float64, requires_grad=True)


def one_by_one(rnn, x, h_0, lengths):
    """The plain layer over each row cut to its length; zero beyond."""
    outputs, last = [], []
    L = x.shape[1] if rnn.batch_first else x.shape[0]
    for row, length in enumerate(map(int, lengths)):
        cut = x[row, :length] if rnn.batch_first else x[:length, row]
        output, h_n = rnn(cut, h_0[:, row])
        outputs.append(torch.cat([output, output.new_zeros(L - length, output.shape[1])]))
        last.append(h_n)
    return torch.stack(outputs, 0 if rnn.batch_first else 1), torch.stack(last, 1)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("arguments", LAYERS.values(), ids=LAYERS)
def test_each_row_is_read_to_its_own_end(arguments, lengths):
    rnn, x, h_0 = made(arguments)
    got, want = rnn(x, h_0, lengths=lengths), one_by_one(rnn, x, h_0, lengths)
    bars = [torch.randn_like(t) for t in want]
    to = [x, h_0, *rnn.parameters()]
    gradients = [
        torch.autograd.grad(r, to, bars, allow_unused=True, materialize_grads=True)
        for r in (got, want)
    ]
    for one, other in zip([*got, *gradients[0]], [*want, *gradients[1]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16])
def test_lengths_of_few_bits_may_go_with_many_steps(dtype):
    """300 steps, more than such a number can say, in parts that are counted from their ends."""
    rnn = elman.RNN(3, 4, dtype=torch.float64)
    parts = elman.RNN(3, 4, dtype=torch.float64, checkpoint_every=16)
    parts.load_state_dict(rnn.state_dict())
    x, lengths = torch.randn(300, 3, 3, dtype=torch.float64), torch.tensor([100, 20, 120])
    output, h_n = rnn(x, lengths=lengths)
    for given in (lengths.to(dtype), lengths.to(dtype).numpy(), [*lengths.to(dtype).numpy()]):
        torch.testing.assert_close(parts(x, lengths=given)[0], output)
        with torch.no_grad():
            torch.testing.assert_close(rnn(x, lengths=given, states="last")[1], h_n)


def test_lengths_of_each_sample_are_not_for_vmap():
    rnn, x = elman.RNN(3, 4), torch.randn(2, 5, 3, 3)
    lengths = torch.tensor([[1, 2, 5], [5, 0, 3]])
    with pytest.raises(RuntimeError, match="lengths should be the same for every sample"):
        torch.vmap(lambda x, lengths: rnn(x, lengths=lengths)[0])(x, lengths)


def test_what_lies_beyond_is_never_read():
    rnn, x, h_0 = made({"bidirectional": True, "num_layers": 2})
    lengths = torch.tensor([3, 0, 5, 1, 4])
    output, h_n = rnn(x, h_0, lengths=lengths)
    spoiled = x.detach().clone()
    spoiled[torch.arange(6)[:, None] >= lengths] = torch.nan
    spoiled.requires_grad_()
    other, other_n = rnn(spoiled, h_0, lengths=lengths)
    assert torch.equal(output, other)
    assert torch.equal(h_n, other_n)
    other.sum().backward()
    assert spoiled.grad.isfinite().all()
    assert not spoiled.grad[torch.arange(6)[:, None] >= lengths].any()


@pytest.mark.parametrize(("N", "L"), [(0, 6), (3, 0), (0, 0)])
def test_nothing_to_read(N, L):
    rnn, x, h_0 = made({"bidirectional": True}, N, L)
    output, h_n = rnn(x, h_0, lengths=torch.zeros(N, dtype=torch.int64))
    assert output.shape == (L, N, 8)
    assert torch.equal(h_n, h_0)


def test_the_state_begins_at_zero():
    rnn, x, h_0 = made({"num_layers": 2})
    lengths = [3, 0, 5, 1, 4]
    for got, want in zip(
        rnn(x, lengths=lengths), rnn(x, torch.zeros_like(h_0), lengths=lengths), strict=True
    ):
        assert torch.equal(got, want)


def test_derivatives_of_every_order_and_vmap():
    rnn, x, h_0 = made({"bidirectional": True}, N=3, L=4)
    lengths = torch.tensor([2, 4, 0])

    def f(x, h_0):
        return rnn(x, h_0, lengths=lengths)

    assert torch.autograd.gradcheck(f, (x, h_0), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, (x, h_0))
    many = torch.randn(2, *x.shape, dtype=torch.float64)
    output, _ = torch.func.vmap(lambda x: f(x, h_0))(many)
    for k in range(2):
        torch.testing.assert_close(output[k], f(many[k], h_0)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("lengths", "word"),
    [
        ([1, 2], "5 integers"),
        ([1.0] * 5, "5 integers"),
        ([1, 2, 3, 4, 7], "between 0 and L = 6, got 1 to 7"),
        ([1, 2, 3, 4, -1], "between 0 and L = 6, got -1 to 4"),
    ],
)
def test_lengths_that_do_not_fit_are_an_error(lengths, word):
    rnn, x, _ = made({})
    with pytest.raises(ValueError, match=word):
        rnn(x, lengths=lengths)


def test_lengths_go_with_a_padded_batch_only():
    rnn, x, _ = made({})
    with pytest.raises(ValueError, match="3-D padded input, got 2-D"):
        rnn(x[:, 0], lengths=[3])
    packed = packing(torch.tensor([3, 0, 5, 1, 4]), 6).pack(x)
    with pytest.raises(ValueError, match="3-D padded input, got a PackedSequence"):
        rnn(packed, lengths=[3])


def test_packing_there_and_back():
    plan = packing(torch.tensor([1, 3, 0]), 4, batch_first=True)
    x = torch.arange(12.0).view(3, 4, 1)
    packed = plan.pack(x)
    assert packed.data.flatten().tolist() == [4, 0, 5, 6]  # rows 1 and 0, then row 1 alone
    assert packed.batch_sizes.tolist() == [2, 1, 1, 0]
    back = plan.pad(packed.data, x.shape[:2])
    assert back.flatten().tolist() == [0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("lengths", [3, "ab", [[1], [2, 3]]], ids=str)
def test_what_is_no_list_of_integers_is_an_error(lengths):
    rnn, x, _ = made({})
    with pytest.raises(TypeError, match="lengths should be a Tensor or a list of integers, got"):
        rnn(x, lengths=lengths)
