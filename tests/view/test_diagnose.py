"""`elman.diagnose` against computations of another kind: by hand, autograd step by step, numpy."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

import elman
from elman.errors import RunDirectoryError
from elman.models import ConcatRNN, LanguageModel, SequenceClassifier
from elman.view.diagnosis.definitions import DEFINITIONS
from elman.view.diagnosis.probe import watched

LENGTHS = [5, 7, 1]


def cell_by_cell(rnn, x, hx, lengths, loss):
    """What a loop over single steps gives: the loss, and for each layer and direction the states
    and ∂L/∂h_t, each (L, N, H) in the order of reading, nan beyond a row's end.

    Every row goes alone, in torch's own operations, and autograd is asked for each state.
    """
    f = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda z: z}[rnn.nonlinearity]
    D = 2 if rnn.bidirectional else 1
    names = [f"l{k}{s}" for k in range(rnn.num_layers) for s in ("", "_reverse")[:D]]
    states = {name: [] for name in names}
    finals, outputs = [], []
    for n, length in enumerate(lengths):
        inputs, final = list(x[:length, n]), []
        for k in range(rnn.num_layers):
            sides = []
            for d, suffix in enumerate(("", "_reverse")[:D]):
                tail = f"l{k}{suffix}"
                W, U = getattr(rnn, f"weight_ih_{tail}"), getattr(rnn, f"weight_hh_{tail}")
                b, c = getattr(rnn, f"bias_ih_{tail}"), getattr(rnn, f"bias_hh_{tail}")
                h, row = hx[k * D + d, n], []
                for x_t in inputs[::-1] if suffix else inputs:
                    h = f(W @ x_t + b + U @ h + c)
                    row.append(h)
                states[tail].append(row)
                final.append(h)
                sides.append(row[::-1] if suffix else row)
            inputs = [torch.cat(parts) for parts in zip(*sides, strict=True)]
        outputs.append(torch.stack(inputs))
        finals.append(torch.stack(final))
    total = loss(outputs, torch.stack(finals, 1))
    found = {}
    for name, rows in states.items():
        flat = [h for row in rows for h in row]
        grads = iter(torch.autograd.grad(total, flat, retain_graph=True, allow_unused=True))
        table = np.full((2, max(lengths), len(lengths), rnn.hidden_size), np.nan)
        for n, row in enumerate(rows):
            for t, h in enumerate(row):
                gradient = next(grads)
                table[0, t, n] = h.detach()
                table[1, t, n] = 0 if gradient is None else gradient
        found[name] = table
    return total.item(), found


def net(kind=elman.RNN, f="tanh", **more):
    torch.manual_seed(3)
    rnn = kind(3, 4, num_layers=2, nonlinearity=f, bidirectional=True, **more).double()
    for parameter in rnn.parameters():
        nn.init.normal_(parameter, std=0.6)
    return rnn


def told(outputs, h_n):
    """A loss that looks at every output and every last state, each in its own way."""
    weights = torch.arange(1.0, 9, dtype=torch.float64)
    return sum((y * weights).sin().sum() for y in outputs) + h_n.square().sum()


def by_rows(out, lengths, batch_first=False):
    """The outputs of each row, whatever form they came in."""
    if isinstance(out, nn.utils.rnn.PackedSequence):
        out, _ = nn.utils.rnn.pad_packed_sequence(out)
    elif batch_first:
        out = out.transpose(0, 1)
    return [out[:length, n] for n, length in enumerate(lengths)]


FORMS = ["dense", "batch first", "packed", "packed, sorted", "lengths", "torch", "torch, packed"]


@pytest.mark.parametrize("f", ["tanh", "relu"])
@pytest.mark.parametrize("form", FORMS)
def test_states_and_gradients_against_autograd_step_by_step(form, f):
    kind = nn.RNN if "torch" in form else elman.RNN
    rnn = net(kind, f, batch_first=form == "batch first")
    lengths = [7, 7, 7] if form in ("dense", "batch first", "torch") else LENGTHS
    if form == "packed, sorted":
        lengths = sorted(LENGTHS, reverse=True)
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    hx = torch.randn(4, 3, 4, dtype=torch.float64)
    want, expected = cell_by_cell(rnn, x, hx, lengths, told)
    given = x.transpose(0, 1) if form == "batch first" else x
    batch = (given, hx)
    if "packed" in form:
        packed = pack_padded_sequence(x, lengths, enforce_sorted=form == "packed, sorted")
        batch = (packed, hx)
    elif form == "lengths":
        beyond = torch.arange(7)[:, None] >= torch.tensor(lengths)
        spoilt = x.masked_fill(beyond[..., None], math.nan)  # what is beyond is never read
        batch = {"input": spoilt, "hx": hx, "lengths": torch.tensor(lengths)}
    found = elman.diagnose(
        rnn, batch, loss=lambda out: told(by_rows(out[0], lengths, rnn.batch_first), out[1])
    )
    assert found.loss == pytest.approx(want, rel=1e-12)
    assert [layer.name for layer in found.layers] == list(expected)
    row = lengths.index(max(lengths))
    for layer in found.layers:
        states, gradients = expected[layer.name]
        np.testing.assert_allclose(layer.states, states[: max(lengths), row], atol=1e-12)
        norms = np.linalg.norm(gradients, axis=-1)  # (L, N)
        ends = [[norms[n - 1 - k, i] for i, n in enumerate(lengths) if n > k] for k in range(7)]
        np.testing.assert_allclose(layer.gradient_flow, [np.mean(e) for e in ends], rtol=1e-10)


def test_unbatched_and_a_row_without_steps():
    rnn = net()
    x = torch.randn(7, 3, dtype=torch.float64)
    alone = elman.diagnose(rnn, x)
    both = elman.diagnose(
        rnn, {"input": torch.stack([x, x * 9], 1), "lengths": torch.tensor([7, 0])}
    )
    for one, other in zip(alone.layers, both.layers, strict=True):
        assert (one.rows, other.rows, other.steps) == (1, 1, 7)
        np.testing.assert_allclose(one.states, other.states, atol=1e-12)
        np.testing.assert_allclose(one.gradient_flow, other.gradient_flow, rtol=1e-10)
        np.testing.assert_allclose(one.lyapunov, other.lyapunov, rtol=1e-9)
        assert one.figures()["horizon"] == other.figures()["horizon"]


def test_what_the_model_gives_and_holds_is_left_as_it_was():
    torch.manual_seed(0)
    model = SequenceClassifier(8, 6, 3, vocab_size=20, num_layers=2, dropout=0.5)
    tokens, lengths = torch.randint(20, (4, 9)), torch.tensor([9, 2, 0, 5])
    model.eval()
    plain = model(tokens, lengths)
    with watched(model) as passes:
        seen = model(tokens, lengths)
    torch.testing.assert_close(seen, plain)
    assert [of.name for of in passes] == ["rnn.l0", "rnn.l1"]
    model.train()
    model.rnn.eval()
    elman.diagnose(model, (tokens, lengths))
    assert (model.training, model.rnn.training, model.dropout.training) == (True, False, True)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.rnn._forward_hooks
    with pytest.raises(ValueError, match="lengths"):
        elman.diagnose(model, (tokens, torch.tensor([99, 1, 1, 1])))
    assert not model.rnn._forward_hooks


def linear(W, L=400):
    rnn = elman.RNN(1, len(W), nonlinearity="identity").double()
    rnn.weight_hh_l0.data.copy_(torch.as_tensor(W))
    return elman.diagnose(rnn, torch.randn(L, 1, 1, dtype=torch.float64), exponents=99).layers[0]


def test_a_linear_network_has_the_exponents_of_its_eigenvalues():
    """Normal W: its eigenvectors are orthogonal, so after the first steps R_ii is |λ_i| itself."""
    rng = np.random.default_rng(1)
    Q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    D = np.diag([1.05, 0.9, 0.0, 0.0, -0.3, 0.1])
    D[2:4, 2:4] = 0.6 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    layer = linear(Q @ D @ Q.T)
    expected = np.log([1.05, 0.9, 0.6, 0.6, 0.3, 0.1])
    # after 40 steps what is left of the start is (0.9 / 1.05)⁴⁰ = 0.002 at most, summed over the
    # steps counted its square is below 1e-4 of a nat, and there are 360
    np.testing.assert_allclose(layer.lyapunov, expected, atol=1e-6)
    assert layer.lyapunov_steps == 360
    assert layer.spectral_radius == pytest.approx(1.05, rel=1e-12)


def test_exponents_of_a_matrix_that_is_not_normal():
    rng = np.random.default_rng(2)
    W = rng.normal(size=(5, 5)) / 2
    values, vectors = np.linalg.eig(W)
    layer, T = linear(W, 4000), 3600
    exact = np.sort(np.log(np.abs(values)))[::-1]
    # all together they are log |det W|, at every step and whatever Q_0 is
    assert layer.lyapunov.sum() == pytest.approx(np.linalg.slogdet(W)[1], rel=1e-12)
    # each is off by a bounded number of nats over all T steps
    bound = 4 * np.log(np.linalg.cond(vectors)) / T
    assert bound < 0.01
    np.testing.assert_allclose(layer.lyapunov, exact, atol=bound)
    np.testing.assert_allclose(np.sort(np.abs(layer.eigenvalues)), np.sort(np.abs(values)))


def test_a_direction_that_is_lost_at_once():
    layer = linear(np.diag([0.5, 0.0]))
    assert layer.lyapunov.tolist() == [pytest.approx(math.log(0.5), rel=1e-12), -math.inf]
    assert layer.as_dict()["lyapunov_exponents"][1] is None


@pytest.mark.parametrize("w", [0.3, 0.9, -1.7])
def test_one_tanh_unit_by_hand(w):
    rnn = elman.RNN(1, 1).double()
    u, b = 0.7, 0.2
    values = [("weight_ih_l0", u), ("weight_hh_l0", w), ("bias_ih_l0", b), ("bias_hh_l0", 0.0)]
    for name, value in values:
        nn.init.constant_(getattr(rnn, name), value)
    x = [math.sin(1.3 * t) for t in range(30)]
    h, slopes, states = 0.0, [], []
    for x_t in x:
        h = math.tanh(u * x_t + b + w * h)
        states.append(h)
        slopes.append(abs(w) * (1 - h * h))
    found = elman.diagnose(rnn, torch.tensor(x, dtype=torch.float64)[:, None, None])
    layer = found.layers[0]
    assert found.loss == pytest.approx(states[-1] ** 2 / 2, rel=1e-12)
    gradient = [abs(states[-1])]
    for slope in slopes[:0:-1]:
        gradient.append(gradient[-1] * slope)
    np.testing.assert_allclose(layer.gradient_flow, gradient, rtol=1e-9)
    assert layer.gradient_factor == pytest.approx((gradient[-1] / gradient[0]) ** (1 / 29))
    exponent = sum(map(math.log, slopes[3:])) / 27
    assert layer.lyapunov.tolist() == [pytest.approx(exponent, rel=1e-9)]
    horizons = []
    for start in (0, 5, 10):
        kept, k = 1.0, 0
        while kept >= 0.01 and start + k + 1 < 30:
            k += 1
            kept *= slopes[start + k]
        horizons.append((k, kept >= 0.01))
    middle = sorted(horizons)[1]
    assert (layer.horizon, layer.horizon_exceeds) == middle


def test_the_horizon_against_torchs_jacobian():
    torch.manual_seed(8)
    rnn = nn.RNN(2, 5).double()
    nn.init.orthogonal_(rnn.weight_hh_l0).data.mul_(1.1)
    x = torch.randn(40, 2, 2, dtype=torch.float64)
    layer = elman.diagnose(rnn, x, ahead=60).layers[0]
    curves = []
    for n in range(2):
        for start in (0, 7, 13):
            h = rnn(x[: start + 1, n])[1][0]

            def later(h, n=n, start=start, k=1):
                return rnn(x[start + 1 : start + 1 + k, n], h[None])[1][0]

            norms = [1.0]
            for k in range(1, 40 - start):
                J = jacobian(lambda h, k=k, f=later: f(h, k=k), h)
                norms.append(float(np.linalg.svd(J.numpy())[1][0]))
            curves.append(norms)
    first = [next((k for k, v in enumerate(c) if v < 0.01), None) for c in curves]
    assert None not in first
    assert (layer.horizon, layer.horizon_exceeds) == (sorted(first)[2], False)
    reach = min(len(layer.influence), *map(len, curves))
    expected = [np.percentile([c[k] for c in curves], 50, method="lower") for k in range(reach)]
    np.testing.assert_allclose(layer.influence[:reach], expected, rtol=1e-9)
    short = elman.diagnose(rnn, x, ahead=2).layers[0]
    assert (short.horizon, short.horizon_exceeds, len(short.influence)) == (2, True, 3)


def test_saturated_stuck_and_dead_units():
    rnn = elman.RNN(1, 4)
    for parameter in rnn.parameters():
        nn.init.zeros_(parameter)
    rnn.weight_ih_l0.data[:, 0] = torch.tensor([0.5, 100.0, 0.0, 0.0])
    rnn.bias_ih_l0.data[:] = torch.tensor([0.0, 0.0, 9.0, 0.3])
    x = torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None, None]
    layer = elman.diagnose(rnn, x).layers[0]
    # unit 1 jumps from end to end, 2 stays at one end, 3 at tanh 0.3
    assert (layer.saturated, layer.stuck, layer.dead) == (0.5, [1, 2], [2, 3])
    relu = elman.RNN(1, 3, nonlinearity="relu")
    for parameter in relu.parameters():
        nn.init.zeros_(parameter)
    relu.weight_ih_l0.data[:, 0] = torch.tensor([1.0, -1.0, 0.0])
    relu.bias_ih_l0.data[:] = torch.tensor([0.0, 0.0, -1.0])
    layer = elman.diagnose(relu, x).layers[0]
    assert layer.saturated == pytest.approx((1 + 3 + 4) / 12)
    assert (layer.stuck, layer.dead) == ([2], [2])


def test_a_saturated_tanh_keeps_its_digits():
    """1 - tanh² is 0 in float32 where the slope is 1e-9; the exponent must not be -inf."""
    rnn = elman.RNN(1, 1)
    for name, value in (("weight_ih_l0", 0.0), ("weight_hh_l0", 1.0), ("bias_ih_l0", 10.0)):
        nn.init.constant_(getattr(rnn, name), value)
    nn.init.zeros_(rnn.bias_hh_l0)
    layer = elman.diagnose(rnn, torch.zeros(20, 1, 1)).layers[0]
    assert layer.lyapunov[0] == pytest.approx(-2 * math.log(math.cosh(11.0)), rel=1e-6)


def test_the_weights_alone():
    rnn = net()
    found = elman.diagnose(rnn)
    assert found.loss is None
    assert [layer.name for layer in found.layers] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    for layer in found.layers:
        W = getattr(rnn, f"weight_hh_{layer.name}").detach().numpy()
        assert layer.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(W)).max())
    assert len(found.table()) == 1
    assert str(found).splitlines()[1].split()[:3] == ["spectral", "radius", "1"]


def test_models_that_call_an_rnn_twice_or_several():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.RNN(2, 2), elman.RNN(2, 2)

        def forward(self, x):
            y, state = self.a(x)
            return self.b(self.a(y, state)[0])[0]

    found = elman.diagnose(Twice(), torch.randn(6, 1, 2))
    assert [layer.name for layer in found.layers] == ["a.l0", "a#2.l0", "b.l0"]
    assert all(layer.gradient_flow.min() > 0 for layer in found.layers)


def test_a_parametrised_weight_and_frozen_parameters():
    rnn = elman.RNN(2, 3)
    nn.utils.parametrizations.orthogonal(rnn, "weight_hh_l0")
    rnn.requires_grad_(False)
    layer = elman.diagnose(rnn, torch.randn(5, 2, 2)).layers[0]
    assert layer.spectral_radius == pytest.approx(1.0, abs=1e-5)
    assert layer.gradient_flow.min() > 0


def test_json_and_table():
    found = elman.diagnose(net(), torch.randn(6, 2, 3, dtype=torch.float64))
    facts = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert facts["definitions"].keys() == DEFINITIONS.keys()
    for layer, seen in zip(facts["layers"], found.layers, strict=True):
        assert DEFINITIONS.keys() <= layer.keys()
        assert layer["gradient_flow"] == seen.gradient_flow.tolist()
    assert all(definition.source and definition.unit for definition in DEFINITIONS.values())
    lines = str(found).splitlines()
    assert len(lines) == 1 + len(DEFINITIONS)
    assert lines[0].split() == ["measure", "unit", "l0", "l0_reverse", "l1", "l1_reverse"]


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (nn.LSTM(2, 2), {}, ValueError, "the LSTM has no elman.RNN or torch.nn.RNN inside"),
        (ConcatRNN(2, 2, 2), {}, ValueError, r"look into model\.to_rnn\(\)"),
        ("rnn", {}, TypeError, "model should be a torch.nn.Module with an RNN inside"),
        (elman.Classifier(), {}, TypeError, "a fitted Classifier"),
        (elman.RNN(1, 1), {"batch": torch.zeros(0, 1, 1)}, ValueError, "the batch has no steps"),
        (elman.RNN(1, 1), {"batch": torch.zeros(3, 0, 1)}, ValueError, "the batch has no steps"),
        (elman.RNN(1, 1), {"batch": torch.full((3, 1, 1), math.nan)}, ValueError, "not finite"),
        (elman.RNN(1, 1), {"rows": 0}, ValueError, "rows should be a whole number from 1 on, got"),
        (elman.RNN(1, 1), {"exponents": True}, ValueError, "exponents should be"),
        (elman.RNN(1, 1), {"targets": [1]}, ValueError, "targets and loss go with a batch"),
        (elman.RNN(1, 1), {"batch": torch.ones(3, 1, 1), "targets": [1]}, ValueError,
         "targets are for a Classifier; of a module give loss=..., which knows them"),
        (elman.RNN(1, 1), {"batch": torch.ones(3, 1, 1), "loss": lambda out: out[0]}, ValueError,
         r"loss should give a scalar tensor, got \(3, 1, 1\)"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused(model, arguments, error, message):
    with pytest.raises(error, match=message):
        elman.diagnose(model, **arguments)


def test_a_loss_without_a_gradient():
    rnn = elman.RNN(1, 2)
    with pytest.raises(ValueError, match="the loss has no gradient"):
        elman.diagnose(rnn, torch.ones(3, 1, 1), loss=lambda out: out[0].detach().sum())


def test_where_nothing_is_differentiated():
    rnn, x = elman.RNN(1, 2), torch.randn(6, 1, 1)
    want = elman.diagnose(rnn, x).as_dict()
    with torch.inference_mode():
        assert elman.diagnose(rnn, x).as_dict() == want
    with torch.no_grad():
        assert elman.diagnose(rnn, x).as_dict() == want


def test_packed_lists_of_rows():
    rows = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 6, 3)]
    found = elman.diagnose(net(), pack_sequence(rows, enforce_sorted=False))
    assert {(layer.rows, layer.steps) for layer in found.layers} == {(3, 6)}


@pytest.fixture(scope="module")
def jobs():
    texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 6
    small = {"hidden_size": 8, "epochs": 2}
    classifier = elman.Classifier(**small, embedding_size=4, bidirectional=True)
    generator = elman.Generator(**small, embedding_size=4, num_layers=2)
    wave = 10 * np.sin(np.arange(160) / 3)
    return (
        classifier.fit(texts, ["up", "up", "up", "down", "down", "down"] * 6),
        generator.fit("我爱你。你爱我。\n" * 60),
        elman.Forecaster(**small, horizon=3, season=1).fit(wave),
        wave,
    )


def test_a_classifier(jobs):
    model, texts, labels = jobs[0], ["abcde", "edcba", "ab"], ["up", "down", "down"]
    found = elman.diagnose(model, texts, labels)
    said = model.predict_proba(texts)
    right = [said[k, model.classes_.tolist().index(label)] for k, label in enumerate(labels)]
    assert found.loss == pytest.approx(-np.log(right).mean(), rel=1e-5)
    assert [layer.name for layer in found.layers] == ["rnn.l0", "rnn.l0_reverse"]
    assert elman.diagnose(model, texts).loss == pytest.approx(-np.log(said.max(1)).mean(), rel=1e-5)
    with pytest.raises(ValueError, match=r"y\[0\] is 'sideways', none of those the model knows"):
        elman.diagnose(model, ["ab"], ["sideways"])


def test_a_generator(jobs):
    text = "我爱你。你爱我。"
    found = elman.diagnose(jobs[1], text)
    assert found.loss == pytest.approx(math.log(jobs[1].judge(text).perplexity), rel=1e-5)
    assert [layer.steps for layer in found.layers] == [len(text)] * 2


def test_a_forecaster(jobs):
    model, y = jobs[2], jobs[3][:60]
    found = elman.diagnose(model, y)
    error = model.forecasts(y)[:, :, 0] - model.frame_.anchor(y[:, None])[:, :, 0]
    targets = model.frame_.targets(y[:, None])[:, :, 0]
    off = np.abs(error / model.frame_.scale[:, 0] - targets)[:59]
    off = off[~np.isnan(off)]
    assert found.loss == pytest.approx(np.where(off < 1, off**2 / 2, off - 0.5).mean(), rel=1e-4)
    assert found.layers[0].gradient_flow[0] == 0  # nothing is known of what follows the last row
    assert found.layers[0].gradient_factor is not None


def test_an_exported_file_has_no_layers(jobs, tmp_path):
    pytest.importorskip("onnxruntime")
    jobs[1].to_onnx(tmp_path / "m.onnx")
    with pytest.raises(RunDirectoryError, match="load the run directory it was exported from"):
        elman.diagnose(elman.load(tmp_path / "m.onnx"), "我爱你。")


def test_a_language_model_in_float32():
    model = LanguageModel(10, 4, 6)
    found = elman.diagnose(
        model, torch.randint(10, (2, 12)), loss=lambda out: out[0][:, -1, 3].mean()
    )
    assert found.layers[0].gradient_flow[-1] < found.layers[0].gradient_flow[0]
