"""Reservoir: held against a plain loop, numpy's least squares, and what is known of such nets."""

import math

import numpy as np
import pytest
import torch

from elman.models import Reservoir
from tests.tolerances import distance, worst

DTYPE = torch.float64


def series(L, *others):
    return torch.rand(L, *others, generator=torch.Generator().manual_seed(1), dtype=DTYPE) - 0.5


def by_hand(model, x):
    """[1, x_t, h_t] of every step of (L, N, H_in), by the equation alone."""
    W_in, b, W = (
        model.rnn.get_parameter(f"{name}_l0").numpy()
        for name in ("weight_ih", "bias_ih", "weight_hh")
    )
    alpha = np.asarray(model.rnn.dynamics.leak)
    h, rows = np.zeros((x.shape[1], len(W))), []
    for x_t in x.numpy():
        h = (1 - alpha) * h + alpha * np.tanh(x_t @ W_in.T + b + h @ W.T)
        rows.append(np.concatenate([np.ones((len(h), 1)), x_t, h], 1))
    return np.stack(rows)


def least_squares(z, y, ridge):
    """W_out (F, K) of rows (n, K) and (n, F), by numpy on the augmented system."""
    K, F = z.shape[1], y.shape[1]
    z = np.concatenate([z, math.sqrt(ridge) * np.eye(K)])
    return np.linalg.lstsq(z, np.concatenate([y, np.zeros((K, F))]), rcond=None)[0].T


@pytest.mark.parametrize("leak", [0.3, 1.0, [0.1 + 0.02 * k for k in range(20)]], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=["unbatched", "N=1", "N=3"])
def test_states_and_read_out_are_those_of_the_equations(leak, shape):
    x, y = series(230, *shape, 2), series(230, *shape, 3).cumsum(0)
    model = Reservoir(2, 20, leak, ridge=1e-2, washout=30, dtype=DTYPE).fit(x, y)
    as_batch = x if shape else x[:, None]
    z = by_hand(model, as_batch)
    kept = z[30:].reshape(-1, 23)
    want = least_squares(kept, y[30:].reshape(-1, 3).numpy(), 1e-2)
    # both solvers are backward stable: an error of K² roundings, times the condition number and,
    # for the residual's part, its square over the ridge
    largest = np.linalg.norm(np.concatenate([kept, 0.1 * np.eye(23)]), 2)
    bound = worst(23 * 23, (largest / 0.1) ** 2 * np.abs(want).max())
    assert distance(model.readout, torch.from_numpy(want)) < bound
    assert bound < 1e-5
    predicted = model.predict(x)
    assert predicted.shape == y.shape
    by_ours = torch.from_numpy(z @ model.readout.numpy().T).reshape(y.shape)
    assert distance(predicted, by_ours) < 1e-10 * model.readout.abs().max()


def test_a_fit_in_blocks_is_the_fit_of_all_rows():
    """More than one block of steps for each row, and rows enough for one step a block."""
    for shape in [(3000,), (5, 400)]:
        x = series(*shape, 1)
        model = Reservoir(1, 10, density=0.5, ridge=1e-4, washout=2, dtype=DTYPE).fit(
            x, x.roll(1, 0)
        )
        z = by_hand(model, x if x.dim() == 3 else x[:, None])[2:]
        want = least_squares(z.reshape(-1, 12), x.roll(1, 0)[2:].reshape(-1, 1).numpy(), 1e-4)
        assert distance(model.readout, torch.from_numpy(want)) < 1e-6 * np.abs(want).max()


def test_batch_first_is_the_same():
    x, y = series(150, 3, 2), series(150, 3, 1)
    plain = Reservoir(2, 15, washout=10, dtype=DTYPE).fit(x, y)
    turned = Reservoir(2, 15, washout=10, dtype=DTYPE, batch_first=True)
    turned.fit(x.transpose(0, 1), y.transpose(0, 1))
    torch.testing.assert_close(turned.readout, plain.readout, rtol=1e-6, atol=1e-6)
    got = turned.predict(x.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(got, plain.predict(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(turned.step(x[0]), plain.step(x[0]), rtol=1e-6, atol=1e-6)
    turned.fit(x.transpose(0, 1), x.transpose(0, 1))
    assert turned.generate(4).shape == (3, 4, 2)


def test_what_lies_beyond_a_length_is_not_read():
    x, y = series(90, 3, 1), series(90, 3, 1)
    lengths = [90, 55, 0]
    whole = [(x[:n, k], y[:n, k]) for k, n in enumerate(lengths) if n]
    spoiled_x, spoiled_y = x.clone(), y.clone()
    for k, n in enumerate(lengths):
        spoiled_x[n:, k] = spoiled_y[n:, k] = math.nan
    model = Reservoir(1, 8, washout=5, ridge=1e-3, dtype=DTYPE)
    model.fit(spoiled_x, spoiled_y, lengths=lengths)
    z = np.concatenate([by_hand(model, a[:, None])[5:, 0] for a, _ in whole])
    want = least_squares(z, np.concatenate([b[5:].numpy() for _, b in whole]), 1e-3)
    assert distance(model.readout, torch.from_numpy(want)) < 1e-7 * np.abs(want).max()
    for k, n in enumerate(lengths[:2]):
        got = model.predict(spoiled_x, lengths)[:n, k]
        torch.testing.assert_close(got, model.predict(x[:n, k]))


def test_steps_one_by_one_are_the_whole():
    x, y = series(200, 2, 1), series(200, 2, 1)
    model = Reservoir(1, 30, washout=20, dtype=DTYPE).fit(x[:150], y[:150])
    state = model.state.clone()
    live = torch.stack([model.step(x_t) for x_t in x[150:]])
    model.state = state
    chunks = torch.cat([model.predict(part, carry=True) for part in x[150:].split(7)])
    whole = model.predict(x)[150:]
    scale = 1e-12 * model.readout.abs().max().item()
    for got in (live, chunks):
        torch.testing.assert_close(got, whole, rtol=0, atol=scale)
    model.reset()
    assert model.state is None
    torch.testing.assert_close(model.step(x[0]), model.predict(x[:1])[0])


def test_the_same_seed_gives_the_same_model_and_torchs_generator_is_left_alone():
    before = torch.get_rng_state()
    one, same, other = (Reservoir(2, 40, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    for (name, a), b, c in zip(
        one.named_parameters(), same.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert not torch.equal(a, c), name
        assert not a.requires_grad
    double = Reservoir(2, 40, dtype=DTYPE)
    assert torch.equal(double.rnn.weight_hh_l0.float(), one.rnn.weight_hh_l0)


@pytest.mark.parametrize(("density", "radius"), [(0.1, 0.9), (1.0, 1.4), (0.02, 0.0)])
def test_weights_are_what_was_asked_for(density, radius):
    H = 200
    model = Reservoir(3, H, density=density, spectral_radius=radius, input_scale=0.5, dtype=DTYPE)
    W = model.rnn.weight_hh_l0.numpy()
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(radius, abs=1e-9)
    share, sigma = (W != 0).mean(), math.sqrt(density * (1 - density)) / H
    if radius:
        assert abs(share - density) <= 5 * sigma
    W_in = model.rnn.weight_ih_l0.abs()
    assert 0.45 < W_in.max() <= 0.5


def test_saved_and_loaded(tmp_path):
    x = series(300, 1)
    model = Reservoir(1, 25).fit(x[:-1].float(), x[1:].float())
    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = Reservoir(1, 25, seed=7)  # of other weights
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(again.predict(x.float()), model.predict(x.float()))
    again.load_state_dict(Reservoir(1, 25).state_dict())  # that was never fitted
    assert again.readout is None
    with pytest.raises(RuntimeError, match="size mismatch"):
        Reservoir(1, 26).load_state_dict(model.state_dict())


def test_converted_the_read_out_stays_in_float64_and_the_state_goes_along():
    x = series(300, 1)
    model = Reservoir(1, 25, dtype=DTYPE).fit(x[:200], x[1:201])
    expected = model.predict(x[200:], carry=True)
    model.fit(x[:200], x[1:201])
    found = model.float().predict(x[200:].float(), carry=True)
    assert model.readout.dtype == torch.float64
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-2  # in float32, along a fit that is nearly collinear


def test_gradients_reach_the_input():
    x = series(40, 1)
    model = Reservoir(1, 6, washout=5, ridge=1e-2, dtype=DTYPE).fit(x, x)
    short = x[:5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: model(x)[0], (short,))


def test_memory_capacity():
    """How many steps back a linear network can tell: at most H, and most of that is reached."""
    H, L, washout = 20, 4000, 200
    u = series(L, 1)
    model = Reservoir(1, H, 1.0, 0.95, 0.01, 0.5, ridge=0.0, washout=washout, dtype=DTYPE)
    delayed = torch.stack([u[:, 0].roll(k) for k in range(1, 2 * H + 1)], 1)
    y = model.fit(u, delayed).predict(u)[washout:]
    joint = np.corrcoef(y.numpy().T, delayed[washout:].numpy().T)
    capacity = np.square(np.diag(joint[: 2 * H, 2 * H :])).sum()
    # in theory at most H for white input (Jaeger 2002); chance adds to each of 2 H delays
    # about K / n of what it cannot tell
    assert 0.6 * H < capacity < H + 2 * H * (H + 2) / (L - washout)


def narma10(L):
    """The tenth-order system of Atiya and Parlos (2000), input and output (L, 1)."""
    u, y = series(L).numpy() / 2 + 0.25, np.zeros(L)
    for t in range(9, L - 1):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
    return torch.from_numpy(u)[:, None], torch.from_numpy(y)[:, None]


def test_narma10_beats_a_linear_model_of_the_last_inputs():
    u, y = narma10(3000)
    model = Reservoir(1, leak=1.0, spectral_radius=0.9, input_scale=0.3, dtype=DTYPE)
    got = model.fit(u[:2000], y[:2000]).predict(u[2000:], carry=True)
    true = y[2000:]
    window = np.stack([u[:, 0].roll(k).numpy() for k in range(30)] + [np.ones(3000)], 1)
    W = least_squares(window[100:2000], y[100:2000].numpy(), 1e-6)
    linear = torch.from_numpy(window[2000:] @ W.T)

    def nrmse(y_hat):
        return ((y_hat - true).square().mean() / true.var()).sqrt().item()

    assert nrmse(got) < 0.5 * nrmse(linear) < 0.3


def mackey_glass(L, tau=17, substeps=10):
    """ẋ = 0.2 x(t - τ) / (1 + x(t - τ)¹⁰) - 0.1 x, a value for each unit of time, (L, 1)."""
    past = [1.2] * (tau * substeps + 1)
    for _ in range((L + 100) * substeps):
        delayed = past[-tau * substeps - 1]
        past.append(past[-1] + (0.2 * delayed / (1 + delayed**10) - 0.1 * past[-1]) / substeps)
    return torch.tensor(past[-L * substeps :: substeps], dtype=DTYPE)[:, None]


def test_mackey_glass_runs_free():
    x = mackey_glass(2584)
    model = Reservoir(1, leak=0.3, spectral_radius=1.1, washout=100, dtype=DTYPE)
    model.fit(x[:2000], x[1:2001])
    one = (model.predict(x[2000:-1], carry=True) - x[2001:]).square().mean().sqrt()
    still = (x[2000:-1] - x[2001:]).square().mean().sqrt()
    assert one < still / 30
    model.fit(x[:2000], x[1:2001])
    free = model.generate(84, x[2000:2001])  # the horizon of Jaeger and Haas (2004)
    assert (free - x[2001:2085]).abs().max() < 0.2 * x.std()
    assert free[0] == pytest.approx(model.fit(x[:2000], x[1:2001]).step(x[2000]), rel=1e-9)


def test_running_free_goes_on():
    x = series(300, 2, 1)
    model = Reservoir(1, 20, ridge=1e-2, dtype=DTYPE).fit(x[:-1], x[1:])
    both = model.generate(9, x[-1:])
    model.fit(x[:-1], x[1:])
    parts = torch.cat([model.generate(4, x[-1:]), model.generate(5)])
    assert torch.equal(parts, both)
    single = Reservoir(1, 20, ridge=1e-2, dtype=DTYPE).fit(x[:-1, 0], x[1:, 0]).generate(3)
    assert single.shape == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"units": 0}, ValueError, "hidden_size should be greater than zero"),
        ({"leak": 0.0}, ValueError, r"leak should be in \(0, 1\]"),
        ({"spectral_radius": -1}, ValueError, "spectral_radius should be at least 0"),
        ({"input_scale": "1"}, TypeError, "input_scale should be a number above 0"),
        ({"density": 0.0}, ValueError, r"density should be in \(0, 1\], got 0.0"),
        ({"ridge": math.inf}, ValueError, "ridge should be at least 0, got inf"),
        ({"washout": 1.5}, TypeError, "washout should be an int, got 1.5"),
        ({"seed": -1}, ValueError, "seed should be at least 0, got -1"),
        ({"units": 2, "density": 0.01}, ValueError, "no unit hears itself"),
    ],
)
def test_arguments_out_of_range(arguments, error, says):
    with pytest.raises(error, match=says):
        Reservoir(1, **arguments)


def test_what_does_not_fit_is_said():
    x = series(150, 1)
    model = Reservoir(1, 10, density=0.5, dtype=DTYPE)
    calls = [
        (lambda: model.predict(x), RuntimeError, "no read-out yet; call fit"),
        (lambda: model.generate(3), RuntimeError, "no read-out yet"),
        (lambda: model.fit(x.numpy(), x), TypeError, "x should be a Tensor, got ndarray"),
        (lambda: model.fit(x, x.tolist()), TypeError, "y should be a Tensor, got list"),
        (lambda: model.fit(x, x[:, 0]), ValueError, "y should be of shape"),
        (lambda: model.fit(x, x[1:]), ValueError, "y should be of shape"),
        (lambda: model.fit(x[:50], x[:50]), ValueError, "after a washout of 100"),
        (lambda: model.fit(x[:0], x[:0]), ValueError, "after a washout of 100"),
        (lambda: model.fit(x, x.log()), ValueError, "should be finite"),
        (lambda: model.fit(x, x, lengths=[3]), ValueError, "3-D, as lengths ask for"),
        (lambda: model.fit(x.float(), x), ValueError, "float32 but the weights"),
        (lambda: model.fit(x.repeat(1, 2), x), RuntimeError, "input_size, 1"),
        (lambda: Reservoir(1, 60, ridge=0.0).fit(x.float(), x), ValueError, "larger ridge"),
    ]
    for call, error, says in calls:
        with pytest.raises(error, match=says):
            call()
    model.fit(x, x.repeat(1, 2))
    with pytest.raises(ValueError, match="fit y of 1 features, got 2"):
        model.generate(3)
    model.fit(x, x)
    model.reset()
    with pytest.raises(RuntimeError, match="nothing was read yet"):
        model.generate(3)
    with pytest.raises(ValueError, match="steps should be at least 1"):
        model.generate(0)
    with pytest.raises(TypeError, match=r"\(H_in,\) or \(N, H_in\)"):
        model.step(x[:, None])
