"""What W_hh is held to stays so in training, in copies, under transforms; and is what it says."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parametrizations, parametrize

import elman
from elman.nn import Bounded, Dale, DropConnect, Integrator, Mask, constrain, long_memory
from elman.nn.clipping import clip_singular_values
from tests.tolerances import distance, largest, worst

H = 6
EPS = torch.finfo(torch.float64).eps
SIGNS = [1, -1, 1, 1, -1, -1]
BAND = (torch.arange(H)[:, None] - torch.arange(H)).abs() < 3


def is_orthogonal(W):
    # Q by torch.matrix_exp: some products of (H, H) more than this one
    return distance(W @ W.T, torch.eye(H, dtype=W.dtype)) <= worst(100 * H, 1)


def is_bounded(W):
    return torch.linalg.svdvals(W).max() <= 0.7 * (1 + 4 * H * EPS)


def is_integrator(W):
    return torch.equal(W[:, H // 2 :], torch.eye(H, dtype=W.dtype)[:, H // 2 :])


def is_masked(W):
    return bool(((W == 0) == ~BAND).all())


def is_dale(W):
    return bool(((W * torch.tensor(SIGNS)) > 0).all())


WAYS = {
    "orthogonal": ("orthogonal", is_orthogonal),
    "bounded": (Bounded(0.7), is_bounded),
    "integrator": (Integrator(), is_integrator),
    "mask": (Mask(BAND), is_masked),
    "dale": (Dale(SIGNS), is_dale),
}
every_way = pytest.mark.parametrize("way", WAYS)
KINDS = {
    "layer": lambda: elman.RNN(3, H, dtype=torch.float64),
    "relu, two layers, both ways": lambda: elman.RNN(
        3, H, num_layers=2, bidirectional=True, nonlinearity="relu", dtype=torch.float64
    ),
    "cell": lambda: elman.RNNCell(3, H, dtype=torch.float64),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind, how):
    torch.manual_seed(0)
    return constrain(KINDS[kind](), how)


def names(rnn):
    return ["weight_hh"] if isinstance(rnn, elman.RNNCell) else [n[1] for n in rnn._all_weights]


def weights(rnn):
    return [getattr(rnn, name) for name in names(rnn)]


def output(rnn, x):
    if not isinstance(rnn, elman.RNNCell):
        return rnn(x)[0]
    h = None
    for x_t in x:
        h = rnn(x_t, h)
    return h


def inputs():
    return torch.randn(7, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def train(rnn, steps=5):
    optimizer = torch.optim.SGD(rnn.parameters(), 0.3)
    for _ in range(steps):
        optimizer.zero_grad()
        (output(rnn, inputs()) - 0.5).square().mean().backward()
        optimizer.step()


@every_way
@every_kind
def test_holds_in_training_and_training_goes_on(way, kind):
    how, holds = WAYS[way]
    rnn = made(kind, how)
    begun = [W.detach().clone() for W in weights(rnn)]
    assert all(holds(W) for W in begun)
    plain = KINDS[kind]()
    assert not all(holds(W) for W in weights(plain))
    train(rnn)
    for before, W in zip(begun, weights(rnn), strict=True):
        assert holds(W)
        assert distance(before, W) > 1e-4


@every_way
@every_kind
def test_gives_what_a_plain_layer_with_the_same_weights_gives(way, kind):
    rnn, plain = made(kind, WAYS[way][0]), KINDS[kind]()
    held = {name: getattr(rnn, name).detach() for name, _ in plain.named_parameters()}
    plain.load_state_dict(held)
    assert torch.equal(output(rnn, inputs()), output(plain, inputs()))


@every_way
@every_kind
def test_copies_saves_and_comes_off(way, kind):
    rnn = made(kind, WAYS[way][0])
    train(rnn, 2)
    expected = output(rnn, inputs())
    twin = copy.deepcopy(rnn)
    train(twin, 1)
    assert not torch.equal(output(twin, inputs()), expected)
    assert torch.equal(output(rnn, inputs()), expected)
    other = KINDS[kind]()
    nn.init.normal_(other.weight_hh if kind == "cell" else other.weight_hh_l0)
    constrain(other, WAYS[way][0]).load_state_dict(rnn.state_dict())
    assert torch.equal(output(other, inputs()), expected)
    for name in names(rnn):
        parametrize.remove_parametrizations(rnn, name)
    assert torch.equal(output(rnn, inputs()), expected)
    assert type(rnn) in (elman.RNN, elman.RNNCell)


@every_way
@every_kind
def test_can_be_set_to_what_it_allows(way, kind):
    rnn, other = made(kind, WAYS[way][0]), made(kind, WAYS[way][0])
    train(rnn, 2)
    for name in names(rnn):
        setattr(other, name, getattr(rnn, name).detach())
        # an SVD and an orthogonal completion round; a mask and signs do not
        assert distance(getattr(other, name), getattr(rnn, name)) <= worst(100 * H, 1)


@every_way
def test_per_sample_gradients(way):
    rnn = made("layer", WAYS[way][0])
    parameters = {name: p.detach() for name, p in rnn.named_parameters()}

    def loss(parameters, x):
        return functional_call(rnn, parameters, (x,))[0].square().sum()

    x = inputs().transpose(0, 1).unsqueeze(2)  # (N, L, 1, H_in)
    together = vmap(grad(loss), (None, 0))(parameters, x)
    for n in range(len(x)):
        for name, gradient in grad(loss)(parameters, x[n]).items():
            # a few hundred roundings in each of 7 steps
            bound = worst(7 * 300, max(1, largest(gradient)))
            assert distance(together[name][n], gradient) <= bound


@every_way
@pytest.mark.filterwarnings(
    r"ignore:`isinstance\(treespec, LeafSpec\):FutureWarning"
)  # torch's own
def test_compiles_in_one_graph(way):
    torch._dynamo.reset()
    rnn = made("layer", WAYS[way][0])
    output(torch.compile(rnn, fullgraph=True, backend="aot_eager"), inputs()).sum().backward()
    compiled = {n: p.grad.clone() for n, p in rnn.named_parameters()}
    rnn.zero_grad()
    output(rnn, inputs()).sum().backward()
    for name, p in rnn.named_parameters():
        assert distance(compiled[name], p.grad) <= worst(2000, max(1, largest(p.grad))), name


@pytest.mark.parametrize("way", WAYS)
def test_moves_to_another_dtype(way):
    rnn = made("layer", WAYS[way][0]).float()
    assert rnn.weight_hh_l0.dtype == torch.float32
    assert rnn(inputs().float())[0].dtype == torch.float32


def test_one_on_top_of_the_other():
    rnn = made("layer", Mask(BAND))
    constrain(constrain(rnn, Dale(0.5)), DropConnect(0.4))
    train(rnn)
    W = rnn.eval().weight_hh_l0
    assert is_masked(W)
    assert (W[:, :3] >= 0).all()
    assert (W[:, 3:] <= 0).all()
    dropped = rnn.train().weight_hh_l0
    kept = dropped != 0
    assert 0 < kept.sum() < BAND.sum()
    assert torch.equal(dropped[kept], (W / 0.6)[kept])


def test_all_in_a_model_and_each_with_its_own():
    model = nn.ModuleList([elman.RNN(3, H, num_layers=2), nn.Linear(3, 3), elman.RNNCell(3, H)])
    how = DropConnect(0.5)
    assert constrain(model, how) is model
    found = [m for m in model.modules() if isinstance(m, DropConnect)]
    assert len(found) == 3
    assert all(m is not how for m in found)


MISTAKES = {
    "unknown name": (lambda: constrain(elman.RNN(3, H), "unitary"), ValueError, "'unitary'"),
    "a class": (lambda: constrain(elman.RNN(3, H), Bounded), TypeError, "Bounded"),
    "no layer": (lambda: constrain(nn.Linear(3, 3), Bounded()), ValueError, "got Linear"),
    "torch's layer": (lambda: constrain(nn.RNN(3, 3), Bounded()), ValueError, "elman.convert"),
    "limit": (lambda: Bounded(0), ValueError, "limit"),
    "limit infinite": (lambda: Bounded(math.inf), ValueError, "limit"),
    "mask's rank": (lambda: Mask(torch.ones(3)), ValueError, r"\(3,\)"),
    "mask's numbers": (lambda: Mask(torch.full((2, 2), 0.5)), ValueError, "0 and 1"),
    "mask's size": (
        lambda: constrain(elman.RNN(3, H), Mask(torch.eye(4))), ValueError, r"\(6, 6\)",
    ),
    "share": (lambda: Dale(1.2), ValueError, "share"),
    "sign": (lambda: Dale([1, 0]), ValueError, "1 and -1"),
    "signs": (lambda: constrain(elman.RNN(3, H), Dale([1, -1])), ValueError, "6 units, got 2"),
    "p": (lambda: DropConnect(1.0), ValueError, "p should"),
    "what": (lambda: long_memory(elman.RNN(3, H), "all"), ValueError, "'all'"),
    "tanh sums": (lambda: long_memory(elman.RNN(3, H), "sum"), ValueError, "relu"),
    "relu in order": (
        lambda: long_memory(elman.RNN(3, H, nonlinearity="relu"), "order"), ValueError, "identity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    make, kind, says = MISTAKES[mistake]
    with pytest.raises(kind, match=says):
        make()


# Bounded


def matrix(*values):
    """A matrix with these singular values, in float64."""
    n = len(values)
    U, V = (torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for _ in range(2))
    return (U * torch.tensor(values, dtype=torch.float64)) @ V.T


MATRICES = {
    "apart": (3.0, 1.7, 0.9, 0.4),
    "tied above and below": (2.0, 2.0, 0.5, 0.5),
    "all above, tied": (2.0, 2.0, 2.0, 2.0),
    "all within": (0.9, 0.5, 0.2, 0.0),
    "zeros": (2.0, 1.5, 0.0, 0.0),
}


@pytest.mark.parametrize("values", MATRICES.values(), ids=MATRICES)
def test_derivative_of_clipping_ties_too(values):
    x = matrix(*values).requires_grad_()

    def clip(x):
        return clip_singular_values(x, 1.0)

    assert torch.autograd.gradcheck(clip, x, check_forward_ad=True, check_batched_grad=True)


@pytest.mark.parametrize("values", MATRICES.values(), ids=MATRICES)
def test_clipping_is_the_nearest_matrix_within_the_norm(values):
    x = matrix(*values)
    clipped = clip_singular_values(x, 1.0)
    bound = worst(40 * len(values), 3)
    got = torch.linalg.svdvals(clipped)
    assert distance(got, torch.tensor(values, dtype=torch.float64).clamp_max(1)) <= bound
    # nearest in a convex set: no step towards any other point of it comes nearer
    for _ in range(50):
        other = torch.randn_like(x)
        other /= torch.linalg.matrix_norm(other, 2)
        assert ((x - clipped) * (other - clipped)).sum() <= 10 * bound


def test_what_is_within_is_not_touched():
    x = matrix(0.9, 0.5, 0.2, 0.1)
    assert torch.equal(clip_singular_values(x, 1.0), x)
    eye = torch.eye(5, requires_grad=True)
    clip_singular_values(eye, 1.0).sum().backward()
    assert torch.equal(eye.grad, torch.ones(5, 5))


def test_half_precision_is_bounded_as_well_as_it_can_be():
    x = torch.randn(8, 8, dtype=torch.bfloat16)
    clipped = clip_singular_values(x, 1.0)
    assert clipped.dtype == torch.bfloat16
    # each of 64 elements is off by half an ulp of one below 1 at the most
    assert torch.linalg.matrix_norm(clipped.float(), 2) <= 1 + 8 * 2**-9


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
def test_a_bounded_layer_lets_no_difference_grow(nonlinearity):
    rnn = elman.RNN(3, H, nonlinearity=nonlinearity, dtype=torch.float64)
    nn.init.normal_(rnn.weight_hh_l0)
    x, h_0 = torch.randn(200, 1, 3, dtype=torch.float64), torch.randn(2, H, dtype=torch.float64)
    x = x.expand(200, 2, 3)
    constrain(rnn, Bounded(0.95))
    states = torch.cat([h_0[None], rnn(x, h_0[None])[0]])
    apart = (states[:, 0] - states[:, 1]).norm(dim=-1)
    scale = largest(states)
    assert (apart[1:] <= 0.95 * apart[:-1] + worst(100, scale)).all()


def test_a_weight_that_is_not_finite_is_told_of():
    rnn = constrain(elman.RNN(3, H), Bounded())
    with torch.no_grad():
        rnn.parametrizations.weight_hh_l0.original[0, 0] = math.nan
    with pytest.raises(RuntimeError, match="non-finite"):
        rnn(torch.zeros(2, 1, 3))


# Mask, Dale, Integrator


def test_masked_weights_learn_nothing_and_hold_whatever_lies_below():
    rnn = made("layer", Mask(BAND))
    original = rnn.parametrizations.weight_hh_l0.original
    with torch.no_grad():
        original[~BAND] = math.nan
    output(rnn, inputs()).sum().backward()
    assert torch.equal(original.grad == 0, ~BAND)
    assert rnn.weight_hh_l0.isfinite().all()


@pytest.mark.parametrize(("share", "excitatory"), [(0.8, 5), (0.0, 0), (1.0, 6), (0.5, 3)])
def test_dales_share(share, excitatory):
    W = made("layer", Dale(share)).weight_hh_l0
    assert (W[:, :excitatory] > 0).all()
    assert (W[:, excitatory:] < 0).all()


def test_dale_mirrors_and_keeps_sizes():
    rnn = KINDS["layer"]()
    before = rnn.weight_hh_l0.detach().clone()
    W = constrain(rnn, Dale(SIGNS)).weight_hh_l0
    assert torch.equal(W.abs(), before.abs())
    right = (before * torch.tensor(SIGNS)) > 0
    assert torch.equal(before == W, right)


def test_signs_of_a_layer_in_half():
    assert constrain(elman.RNN(3, H), Dale(SIGNS)).bfloat16().weight_hh_l0.dtype == torch.bfloat16


def test_a_keeper_hands_its_gradient_on_unchanged():
    rnn = long_memory(elman.RNN(3, H, nonlinearity="relu", dtype=torch.float64), "sum")
    with torch.no_grad():  # so that every keeper takes in something at each step
        rnn.bias_ih_l0.fill_(1.0)
    h_0 = torch.ones(1, 2, H, dtype=torch.float64, requires_grad=True)
    _, h_n = rnn(torch.rand(500, 2, 3, dtype=torch.float64), h_0)
    h_n[..., H // 2 :].sum().backward()
    assert torch.equal(h_0.grad[..., H // 2 :], torch.ones(1, 2, H // 2, dtype=torch.float64))


def test_a_memory_in_order_loses_nothing():
    rnn = long_memory(
        elman.RNN(3, H, nonlinearity="identity", bias=False, dtype=torch.float64), "order"
    )
    assert is_orthogonal(rnn.weight_hh_l0)
    h_0 = torch.randn(1, 2, H, dtype=torch.float64)
    _, h_n = rnn(torch.zeros(500, 2, 3, dtype=torch.float64), h_0)
    # each step may lengthen a state by what W lacks to be orthogonal
    assert distance(h_n.norm(dim=-1), h_0.norm(dim=-1)) <= worst(500 * 200 * H, largest(h_0))


# DropConnect


def test_dropconnect_takes_away_a_share_and_scales_the_rest():
    rnn = constrain(elman.RNN(3, 200), DropConnect(0.3))
    W = rnn.weight_hh_l0
    plain = rnn.eval().weight_hh_l0
    share = (W == 0).double().mean().item()
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 200**2)  # four standard deviations
    kept = W != 0
    # a product with 1/0.7, rounded, or a quotient
    assert ((W - plain / 0.7)[kept].abs() <= 2 * 2**-23 * plain[kept].abs() / 0.7).all()


def test_dropconnect_is_one_mask_a_call_and_the_same_from_the_same_seed():
    rnn = made("relu, two layers, both ways", DropConnect(0.5))
    x = inputs()[:, :1].expand(7, 4, 3)
    torch.manual_seed(5)
    first = rnn(x)[0]
    assert torch.equal(first, first[:, :1].expand_as(first))  # every row has the same mask
    second = rnn(x)[0]
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(rnn(x)[0], first)
    torch.manual_seed(5)  # and every step: a plain layer with the weights of one reading
    held = {name: getattr(rnn, name).detach() for names in rnn._all_weights for name in names}
    plain = KINDS["relu, two layers, both ways"]()
    plain.load_state_dict(held)
    assert torch.equal(plain(x)[0], first)


def test_dropconnect_does_nothing_in_eval():
    rnn, plain = made("layer", DropConnect(0.5)).eval(), made("layer", Mask(torch.ones(H, H)))
    assert torch.equal(rnn(inputs())[0], plain(inputs())[0])


def test_dropconnect_in_a_cell_is_one_a_step_or_one_where_cached():
    cell = made("cell", DropConnect(0.5))
    x, h = inputs()[0], torch.ones(4, H, dtype=torch.float64)
    assert not torch.equal(cell(x, h), cell(x, h))
    with parametrize.cached():
        assert torch.equal(cell(x, h), cell(x, h))


def test_dropped_connections_learn_nothing_in_that_call():
    rnn = made("layer", DropConnect(0.5))
    torch.manual_seed(5)
    gone = rnn.weight_hh_l0 == 0
    torch.manual_seed(5)
    rnn(inputs())[0].sum().backward()
    assert torch.equal(rnn.parametrizations.weight_hh_l0.original.grad == 0, gone)


def test_orthogonal_is_torchs():
    ours, theirs = made("layer", "orthogonal"), KINDS["layer"]()
    torch.manual_seed(0)
    theirs = KINDS["layer"]()
    parametrizations.orthogonal(theirs, "weight_hh_l0")
    assert torch.equal(ours.weight_hh_l0, theirs.weight_hh_l0)
