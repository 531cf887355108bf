"""What a caller may do to the output without the backward pass noticing, as with torch."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman


def pair(**arguments):
    torchs = torch.nn.RNN(3, 4, dtype=torch.float64, **arguments)
    ours = elman.RNN(3, 4, dtype=torch.float64, **arguments)
    ours.load_state_dict(torchs.state_dict())
    return torchs, ours


def data(output):
    return output.data if isinstance(output, PackedSequence) else output


def halved(o, _):
    o.register_hook(lambda gradient: gradient / 2)


def masked(o, _):
    o[3:] = 0


def rectified(o, _):
    torch.nn.functional.relu_(o)


def written_unseen(o, _):
    with torch.no_grad():
        o[3:] = 0


def h_n_written(_, h):
    h.mul_(2)


USES = (halved, masked, rectified, written_unseen, h_n_written)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("packed", [False, True], ids=["dense", "packed"])
@pytest.mark.parametrize("arguments", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
def test_gradients_after_use(use, packed, arguments):
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    given = pack_padded_sequence(x, [5, 3]) if packed else x
    gradients = []
    for rnn in pair(**arguments):
        output, h_n = rnn(given)
        use(data(output), h_n)
        (data(output).sum() + h_n.square().sum()).backward()
        gradients.append([parameter.grad for parameter in rnn.parameters()])
    for expected, got in zip(*gradients, strict=True):
        # equal formulas in float64: 5 steps of sums of 4 terms
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_h_n_does_not_depend_on_the_output():
    for rnn in pair():
        output, h_n = rnn(torch.randn(5, 2, 3, dtype=torch.float64))
        output.retain_grad()
        (output.sum() + h_n.sum()).backward(retain_graph=True)
        assert torch.equal(output.grad, torch.ones_like(output))
        assert torch.autograd.grad(h_n.sum(), output, allow_unused=True) == (None,)


def test_inference_copies_nothing():
    rnn = elman.RNN(3, 4)
    with torch.no_grad():
        output, _ = rnn(torch.randn(5, 2, 3))
    assert output.untyped_storage().nbytes() == output.numel() * output.element_size()
    assert not output.requires_grad


def test_a_parametrised_weight_is_computed_once_a_call():
    class Counting(torch.nn.Module):
        calls = 0

        def forward(self, weight):
            Counting.calls += 1
            return weight

    rnn = elman.RNN(3, 4)
    torch.nn.utils.parametrize.register_parametrization(rnn, "weight_ih_l0", Counting())
    Counting.calls = 0
    rnn(torch.randn(5, 2, 3))
    assert Counting.calls == 1


def test_export_and_trace_take_another_batch_size():
    rnn = elman.RNN(3, 4, bidirectional=True)
    x, y = torch.randn(5, 2, 3), torch.randn(5, 7, 3)
    free = {1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(rnn, (x,), dynamic_shapes=(free,)).module()
    torch.testing.assert_close(program(y)[0], rnn(y)[0])
