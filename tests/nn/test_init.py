"""Where recurrent weights begin: the presets, plain and parametrised, in layers and cells."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import elman
from elman.nn import Bounded, Dale, DropConnect, Integrator, Mask, constrain, init_recurrent
from tests.tolerances import distance, worst

H = 7
KINDS = {
    "layers": lambda **a: elman.RNN(3, H, num_layers=2, bidirectional=True, **a),
    "cell": lambda **a: elman.RNNCell(3, H, **a),
    "in a model": lambda **a: nn.Sequential(nn.Linear(3, 3), elman.RNN(3, H, **a)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind, how, **options):
    rnn = KINDS[kind](dtype=torch.float64)
    before = {name: p.detach().clone() for name, p in rnn.named_parameters()}
    init_recurrent(rnn, how, **options)
    return {name: (before[name], p.detach()) for name, p in rnn.named_parameters()}


def of(parameters, part):
    return [pair for name, pair in parameters.items() if part in name]


def radius(W):
    return torch.linalg.eigvals(W).abs().max().item()


@every_kind
@pytest.mark.parametrize("how", ["torch", "orthogonal", "identity", "critical"])
def test_touches_nothing_else(kind, how):
    for name, (before, after) in made(kind, how).items():
        changed = "weight_hh" in name and how != "torch"
        changed = changed or (how == "identity" and "bias_" in name)
        assert torch.equal(before, after) != changed, name


@every_kind
def test_orthogonal_with_a_gain(kind):
    eye = torch.eye(H, dtype=torch.float64)
    drawn = [W for _, W in of(made(kind, "orthogonal", gain=1.5), "weight_hh")]
    for W in drawn:
        assert distance(W @ W.T / 2.25, eye) <= worst(20 * H, 1)
    assert len({W[0, 0].item() for W in drawn}) == len(drawn)


def test_orthogonal_draws_as_torchs_own():
    torch.manual_seed(3)
    expected = nn.init.orthogonal_(torch.empty(H, H))
    rnn = elman.RNN(3, H)
    torch.manual_seed(3)
    init_recurrent(rnn, "orthogonal")
    assert torch.equal(rnn.weight_hh_l0, expected)


@every_kind
def test_identity_with_a_gain(kind):
    parameters = made(kind, "identity", gain=0.5)
    for _, W in of(parameters, "weight_hh"):
        assert torch.equal(W, torch.eye(H, dtype=torch.float64) / 2)
    for _, b in of(parameters, "bias_"):
        assert (b == 0).all() or b.shape == (3,)  # that of the linear layer stays


@every_kind
@pytest.mark.parametrize("wanted", [0.3, 1.0, 1.7])
def test_the_spectral_radius_is_exact(kind, wanted):
    for _, W in of(made(kind, "critical", radius=wanted), "weight_hh"):
        # an eigenvalue moves by its condition number times what the matrix does; as drawn, < 50
        assert abs(radius(W) - wanted) <= worst(50 * H, wanted)
        assert not torch.equal(W, W.T)


@every_kind
def test_integrator(kind):
    parameters = made(kind, "integrator", coupling=0.25)
    readers = 3
    for _, W in of(parameters, "weight_hh"):
        expected = torch.zeros(H, H, dtype=torch.float64)
        expected[3:, 3:] = torch.eye(4)
        expected[3:6, :3] = torch.eye(3) / 4
        assert torch.equal(W, expected)
    for _, W in of(parameters, "weight_ih"):
        bound = math.sqrt(3 / W.shape[1])
        assert (W[readers:] == 0).all()
        assert 0.5 * bound < W[:readers].abs().max() <= bound
    for _, b in of(parameters, "bias_hh"):
        assert (b == 0).all()
    for _, b in of(parameters, "bias_ih"):
        assert b.tolist() == [-0.5] * 3 + [0] * 4


def test_a_keeper_holds_the_sum_of_its_reader():
    rnn = elman.RNN(3, H, nonlinearity="relu", dtype=torch.float64)
    init_recurrent(rnn, "integrator", coupling=0.25)
    x = torch.randn(400, 2, 3, dtype=torch.float64)
    output, _ = rnn(x)
    read = (x @ rnn.weight_ih_l0[:3].T - 0.5).relu()
    assert distance(output[..., :3], read) <= worst(10, 10)
    sums = 0.25 * read[:-1].sum(0)
    assert distance(output[-1, :, 3:6], sums) <= worst(2 * 400, sums.max().item())
    assert (output[..., 6] == 0).all()


def test_without_biases():
    rnn = elman.RNN(3, H, bias=False)
    for how in ("identity", "integrator"):
        init_recurrent(rnn, how)


def test_on_meta_nothing_is_drawn():
    rnn = elman.RNN(3, H, device="meta")
    for how in ("orthogonal", "identity", "critical", "integrator"):
        init_recurrent(rnn, how)
    assert rnn.weight_hh_l0.is_meta


@pytest.mark.parametrize("how", ["orthogonal", "identity", "critical", "integrator"])
@pytest.mark.parametrize("on", [Bounded(9.0), DropConnect(0.5), Mask(torch.ones(H, H))], ids=repr)
def test_what_a_parametrised_weight_is_used_as(how, on):
    """Not what lies below it; and with dropping, what it is in eval()."""
    plain, held = elman.RNN(3, H), constrain(elman.RNN(3, H), on)
    for rnn in (plain, held):
        torch.manual_seed(4)
        init_recurrent(rnn, how)
    assert all(m.training for m in held.modules())
    W = held.eval().weight_hh_l0
    assert distance(W, plain.weight_hh_l0) <= 1e-5  # two eigenvalue problems in "critical"
    assert not torch.equal(W, constrain(elman.RNN(3, H), on).eval().weight_hh_l0)


def test_critical_within_a_mask_and_dales_law():
    band = (torch.arange(H)[:, None] - torch.arange(H)).abs() < 3
    rnn = elman.RNN(3, H, num_layers=2, dtype=torch.float64)
    constrain(constrain(rnn, Mask(band)), Dale(0.6))
    init_recurrent(rnn, "critical", radius=0.9)
    for W in (rnn.weight_hh_l0, rnn.weight_hh_l1):
        assert abs(radius(W.detach()) - 0.9) <= worst(50 * H, 1)
        assert torch.equal(W == 0, ~band)


def test_orthogonal_where_it_is_kept():
    rnn = elman.RNN(3, H, dtype=torch.float64)
    parametrizations.orthogonal(rnn, "weight_hh_l0")
    init_recurrent(rnn, "identity")
    eye = torch.eye(H, dtype=torch.float64)
    assert distance(rnn.weight_hh_l0, eye) <= worst(100 * H, 1)


ORDER = [3, 0, 6, 2, 5, 1, 4]
REFUSED = {
    "identity, no diagonal": (Mask(~torch.eye(H).bool()), "identity"),
    "orthogonal, Dale": (Dale(), "orthogonal"),
    "critical, orthogonal": ("orthogonal", "critical"),
    "critical, triangular": (Mask(torch.ones(H, H).tril(-1)), "critical"),
    "critical, no way back": (Mask(torch.ones(H, H).tril(-1)[ORDER][:, ORDER]), "critical"),
    "orthogonal, integrator": (Integrator(), "orthogonal"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_parametrization_rules_out_is_said(case):
    on, how = REFUSED[case]
    rnn = constrain(elman.RNN(3, H), on)
    options = {"radius": 1.5} if how == "critical" else {}
    with pytest.raises(ValueError, match="parametrization of weight_hh_l0"):
        init_recurrent(rnn, how, **options)


@pytest.mark.parametrize(
    ("rnn", "how", "options", "says"),
    [
        (elman.RNN(3, H), "zeros", {}, "torch, orthogonal, .* got 'zeros'"),
        (elman.RNN(3, H), "critical", {"radius": 0.0}, "radius should"),
        (elman.RNN(3, H), "orthogonal", {"gain": math.nan}, "gain should"),
        (elman.RNN(3, H), "integrator", {"coupling": -1}, "coupling should"),
        (elman.RNN(3, 1), "integrator", {}, "hidden_size"),
        (nn.Linear(3, 3), "orthogonal", {}, "got Linear"),
    ],
)
def test_mistakes(rnn, how, options, says):
    with pytest.raises(ValueError, match=says):
        init_recurrent(rnn, how, **options)


def test_models_hand_it_on():
    from elman.models import init_recurrent as handed

    assert handed is init_recurrent
