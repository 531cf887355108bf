"""elman.RNN as a module: begun, named, saved, copied, moved and called as torch.nn.RNN is."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

import elman
from tests.nn.parity import combinations, make_inputs, run
from tests.tolerances import distance

ARGUMENTS = list(combinations())
IDS = {"num_layers": 2, "bidirectional": True}
BOUND = 1e-12  # as in test_parity.py

pytestmark = pytest.mark.filterwarnings("ignore:.*dropout.*:UserWarning")


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        assert distance(ours[name], expected) <= BOUND, name


def made(kind, **arguments):
    torch.manual_seed(0)
    return kind(2, 4, dtype=torch.float64, **arguments)


def results(rnn, form="batched"):
    arguments = {k: getattr(rnn, k) for k in ("num_layers", "bidirectional", "batch_first")}
    return run(rnn, *make_inputs(arguments, form, True, torch.float64), form)


def test_the_same_seed_gives_the_same_parameters():
    for arguments in [*ARGUMENTS, *combinations(num_layers=3)]:
        ours, theirs = made(elman.RNN, **arguments), made(nn.RNN, **arguments)
        mine, others = dict(ours.named_parameters()), dict(theirs.named_parameters())
        assert list(mine) == list(others), arguments
        assert all(torch.equal(mine[n], others[n]) for n in others), arguments
        torch.manual_seed(5)
        ours.reset_parameters()
        torch.manual_seed(5)
        theirs.reset_parameters()
        assert all(torch.equal(mine[n], others[n]) for n in others), arguments


def test_state_dicts_go_both_ways():
    for arguments in ARGUMENTS:
        ours, theirs = elman.RNN(2, 4, **arguments), nn.RNN(2, 4, **arguments)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for source, target in ((ours, theirs), (theirs, elman.RNN(2, 4, **arguments))):
            assert (
                str(target.load_state_dict(source.state_dict()))
                == "<All keys matched successfully>"
            )
            for name, value in source.state_dict().items():
                assert torch.equal(target.state_dict()[name], value), (arguments, name)


def test_state_dict_is_strict():
    with pytest.raises(RuntimeError, match="bias_ih_l0"):
        elman.RNN(2, 4, bias=False).load_state_dict(nn.RNN(2, 4).state_dict())


def test_prints_as_torchs():
    for arguments in ARGUMENTS:
        assert repr(elman.RNN(2, 4, **arguments)) == repr(nn.RNN(2, 4, **arguments))
    assert repr(elman.RNN(2, 4, 1, "identity")) == "RNN(2, 4, nonlinearity=identity)"


def test_has_torchs_attributes():
    for arguments in ARGUMENTS:
        ours, theirs = elman.RNN(2, 4, **arguments), nn.RNN(2, 4, **arguments)
        for name in (*arguments, "input_size", "hidden_size", "mode", "proj_size", "training"):
            assert getattr(ours, name) == getattr(theirs, name), (arguments, name)
        shapes = [[w.shape for w in group] for group in ours.all_weights]
        assert shapes == [[w.shape for w in group] for group in theirs.all_weights]
        assert ours.all_weights[0][0] is ours.weight_ih_l0


def by_pickle(rnn):
    return pickle.loads(pickle.dumps(rnn))


def by_torch_save(rnn):
    file = io.BytesIO()
    torch.save(rnn, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def by_weights_only(rnn):
    file = io.BytesIO()
    torch.save(rnn.state_dict(), file)
    file.seek(0)
    fresh = elman.RNN(2, 4, dtype=torch.float64, **IDS)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


@pytest.mark.parametrize("through", [by_pickle, by_torch_save, by_weights_only, copy.deepcopy])
@pytest.mark.parametrize("used", [False, True], ids=["new", "after a forward"])
def test_copies(through, used):
    rnn = made(elman.RNN, **IDS)
    if used:
        rnn(torch.zeros(3, 2, 2, dtype=torch.float64))[0].sum().backward()
    twin = through(rnn)
    assert type(twin) is elman.RNN
    assert twin.weight_ih_l0 is not rnn.weight_ih_l0
    before = results(rnn)
    same(results(twin), before)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    same(results(rnn), before)  # its own numbers, not ours


@pytest.mark.parametrize("used", [False, True], ids=["new", "after a forward"])
def test_orthogonal_weights_copy_and_learn(used):
    rnn = made(elman.RNN)
    orthogonal(rnn, "weight_hh_l0")
    x = torch.randn(3, 2, 2, dtype=torch.float64)
    if used:
        rnn(x)[0].sum().backward()
    twin = copy.deepcopy(rnn)
    assert torch.equal(twin(x)[0], rnn(x)[0])
    theirs = made(nn.RNN)
    orthogonal(theirs, "weight_hh_l0")
    theirs.load_state_dict(rnn.state_dict())
    # orthogonal() computes W anew on each side: the same code on the same numbers
    assert distance(twin(x)[0], theirs(x)[0]) <= BOUND
    with torch.no_grad():
        twin.parametrizations.weight_hh_l0.original.add_(torch.randn(4, 4))
    assert distance(twin(x)[0], rnn(x)[0]) > 1e-3
    W = twin.weight_hh_l0
    assert distance(W @ W.mT, torch.eye(4, dtype=torch.float64)) <= BOUND


def test_tied_weights_share_one_gradient():
    ours, theirs = made(elman.RNN, num_layers=2), made(nn.RNN, num_layers=2)
    for rnn in (ours, theirs):
        rnn.weight_hh_l1 = rnn.weight_hh_l0
    assert len(list(ours.parameters())) == len(list(theirs.parameters())) == 7
    same(results(ours), results(theirs))
    twin = copy.deepcopy(ours)
    assert twin.weight_hh_l1 is twin.weight_hh_l0


def test_a_new_parameter_is_used():
    ours, theirs = made(elman.RNN), made(nn.RNN)
    new = torch.randn(4, 4, dtype=torch.float64)
    for rnn in (ours, theirs):
        rnn.weight_hh_l0 = nn.Parameter(new.clone())
    same(results(ours), results(theirs))


def test_functional_call():
    ours, theirs = made(elman.RNN, **IDS), made(nn.RNN, **IDS)
    x = torch.randn(3, 2, 2, dtype=torch.float64)
    before = ours(x)[0]
    other = {n: torch.randn_like(p).requires_grad_() for n, p in theirs.named_parameters()}
    gradients = []
    for rnn in (ours, theirs):
        output, _ = torch.func.functional_call(rnn, other, (x,))
        gradients.append([output, *torch.autograd.grad(output.sum(), list(other.values()))])
    for mine, expected in zip(*gradients, strict=True):
        assert distance(mine, expected) <= BOUND * max(1, expected.abs().max().item())
    assert torch.equal(ours(x)[0], before)


def test_func_grad_sees_the_parameters():
    ours, theirs = made(elman.RNN), made(nn.RNN)
    x = torch.randn(3, 2, 2, dtype=torch.float64)

    def loss(parameters):
        return torch.func.functional_call(ours, parameters, (x,))[0].square().sum()

    got = torch.func.grad(loss)(dict(ours.named_parameters()))
    theirs(x)[0].square().sum().backward()
    for name, parameter in theirs.named_parameters():
        assert distance(got[name].detach(), parameter.grad) <= BOUND * 30, name  # 3·2·4 terms


def test_flatten_parameters_changes_nothing():
    rnn = made(elman.RNN)
    before = {n: (p, p.clone(), p.data_ptr()) for n, p in rnn.named_parameters()}
    assert rnn.flatten_parameters() is None
    for name, (parameter, value, place) in before.items():
        assert getattr(rnn, name) is parameter
        assert torch.equal(parameter, value)
        assert parameter.data_ptr() == place


def test_double_and_back():
    ours, theirs = elman.RNN(2, 4), nn.RNN(2, 4)
    theirs.load_state_dict(ours.state_dict())
    same(results(ours.double()), results(theirs.double()))
    assert ours.float()(torch.zeros(3, 2, 2))[0].dtype == torch.float32


@pytest.mark.parametrize("batch_first", [False, True])
def test_on_the_meta_device_shapes_are_torchs(batch_first):
    ours, theirs = (k(2, 4, batch_first=batch_first, **IDS) for k in (elman.RNN, nn.RNN))
    ours.to("meta")
    assert {p.device.type for p in ours.parameters()} == {"meta"}
    for shape in ((5, 3, 2), (5, 2)):
        for mine, other in zip(
            ours(torch.zeros(shape, device="meta")), theirs(torch.zeros(shape)), strict=True
        ):
            assert mine.device.type == "meta"
            assert mine.shape == other.shape
    # and back, with memory but no numbers yet
    ours.to_empty(device="cpu").load_state_dict(theirs.state_dict())
    x = torch.randn(5, 3, 2)
    # two layers, two ways, five steps of 15 roundings (test_parity.py) of numbers below one
    allowed = 2 * 2 * 5 * 15 * torch.finfo(torch.float32).eps
    assert distance(ours(x)[0], theirs(x)[0]) <= allowed


def test_made_on_the_meta_device():
    rnn = elman.RNN(2, 4, device="meta", dtype=torch.bfloat16)
    assert rnn.weight_hh_l0.is_meta
    assert rnn.weight_hh_l0.dtype == torch.bfloat16
