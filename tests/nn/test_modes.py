"""The ways elman.RNN differs from torch on purpose, autocast, and torch.compile."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman
from tests.nn.parity import FORMS, LENGTHS, build, combinations, make_inputs, run
from tests.tolerances import as_good, distance, largest, worst

BOUND = 1e-12  # as in test_parity.py


# --- differences on purpose --------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("shape", [(0, 2), (0, 3, 2), (0, 0, 2)], ids=str)
def test_no_steps_give_no_output_and_the_state_that_came(nonlinearity, shape):
    for arguments in combinations(nonlinearity=nonlinearity, dropout=0.0, batch_first=False):
        rnn = elman.RNN(2, 4, **arguments)
        states = len(rnn.all_weights)
        hx = torch.randn(states, *shape[1:-1], 4, requires_grad=True)
        output, h_n = rnn(torch.zeros(shape), hx)
        assert output.shape == (*shape[:-1], 4 * (2 if rnn.bidirectional else 1))
        assert torch.equal(h_n, hx)
        h_n.sum().backward()
        assert torch.equal(hx.grad, torch.ones_like(hx))
        assert torch.equal(rnn(torch.zeros(shape))[1], torch.zeros_like(hx))


def test_no_steps_batch_first():
    output, h_n = elman.RNN(2, 4, batch_first=True)(torch.zeros(3, 0, 2))
    assert output.shape == (3, 0, 4)
    assert h_n.shape == (1, 3, 4)


@pytest.mark.parametrize("form", LENGTHS)
def test_packed_with_hx_of_more_rows_is_refused(form):
    """torch takes the first rows of an unsorted one in silence."""
    packed = pack_padded_sequence(
        torch.randn(5, 3, 2), LENGTHS[form], enforce_sorted=form == "packed sorted"
    )
    with pytest.raises(RuntimeError, match=r"hx should be \(1, 3, 4\), got \(1, 5, 4\)"):
        elman.RNN(2, 4)(packed, torch.zeros(1, 5, 4))


def test_packed_data_that_batch_sizes_do_not_divide_is_refused():
    """torch leaves the last rows of its output as they come."""
    packed = PackedSequence(torch.zeros(4, 2), torch.tensor([2, 1]))
    with pytest.raises(ValueError, match="add up to 3 rows, but the sequence has 4"):
        elman.RNN(2, 4)(packed)


@pytest.mark.parametrize("form", FORMS)
def test_identity_is_the_equation_without_f(form):
    """Close to zero tanh is the identity: tanh z = z - z³/3 + ..., and |z| < 1e-5 here."""
    for arguments in combinations(nonlinearity="identity", bias=False, dropout=0.0):
        ours = build(elman.RNN, arguments, torch.float64)
        small = build(nn.RNN, {**arguments, "nonlinearity": "tanh"}, torch.float64)
        small.load_state_dict(ours.state_dict())
        x, hx = make_inputs(arguments, form, True, torch.float64)
        with torch.no_grad():
            x.mul_(1e-7)
            hx.mul_(1e-7)
        mine, expected = (run(rnn, x, hx, form) for rnn in (ours, small))
        assert mine["output"].abs().max().item() < 1e-5 if mine["output"].numel() else True
        for name, value in expected.items():
            # d = 1 - tanh² is 1 within 1e-10, over 5 steps, 2 layers and 15 rows of terms
            assert distance(mine[name], value) <= 1e-10 * 5 * 2 * 15, (arguments, name)


def test_identity_has_one_hand_computed_run():
    rnn = elman.RNN(1, 1, nonlinearity="identity", bias=False)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(2)
        rnn.weight_hh_l0.fill_(3)
    output, h_n = rnn(torch.tensor([[1.0], [0.0], [-1.0]]))
    assert output.flatten().tolist() == [2, 6, 16]  # 2·1; 3·2; 3·6 - 2
    assert h_n.item() == 16


# --- autocast ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_hx", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_autocast_gives_torchs_dtypes(form, with_hx, dtype):
    for arguments in combinations(nonlinearity="tanh", dropout=0.0, bias=True):
        found = []
        for kind in (elman.RNN, nn.RNN):
            rnn = build(kind, arguments, dtype)
            x, hx = make_inputs(arguments, form, with_hx, dtype)
            with torch.autocast("cpu", torch.bfloat16):
                result = run(rnn, x, hx, form)
            found.append({name: t.dtype for name, t in result.items()})
        assert found[0] == found[1], arguments


def test_autocast_of_cells_gives_torchs_dtypes():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        for hx in (None, torch.zeros(3, 4, dtype=dtype)):
            ours, theirs = (k(2, 4, dtype=dtype) for k in (elman.RNNCell, nn.RNNCell))
            x = torch.randn(3, 2, dtype=dtype)
            with torch.autocast("cpu", torch.bfloat16):
                assert ours(x, hx).dtype == theirs(x, hx).dtype


def test_autocast_numbers_are_as_good_as_torchs():
    ours, theirs, exact = (elman.RNN(2, 4), nn.RNN(2, 4), nn.RNN(2, 4).double())
    theirs.load_state_dict(ours.state_dict())
    exact.load_state_dict(ours.state_dict())
    x = torch.randn(5, 3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        mine, other = ours(x)[0], theirs(x)[0]
    truth = exact(x.double())[0]
    # eight roundings a step: the four inputs, two products, the sum and f
    good, says = as_good(mine, other, truth, roundings=8 * 5, scale=1.0)
    assert good, says


# --- torch.compile -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo's own
@pytest.mark.parametrize("form", ["batched", "packed unsorted"])
def test_compiled_models_give_the_same_numbers(form):
    arguments = {"num_layers": 2, "bidirectional": True, "batch_first": False}
    rnn = build(elman.RNN, arguments, torch.float64)
    x, hx = make_inputs(arguments, form, True, torch.float64)
    expected = run(rnn, x, hx, form)
    torch._dynamo.reset()
    rnn.compile(backend="aot_eager")  # needs no compiler; fullgraph is not asked for
    for name, value in run(rnn, x, hx, form).items():
        # each sum may run in another order: the bound of test_parity.py
        assert distance(value, expected[name]) <= worst(3375, max(1, largest(value))), name
