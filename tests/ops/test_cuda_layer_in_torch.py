"""A layer whole in the CUDA kernels as torch sees it: written in, cast, traced, checkpointed; and
what is said of what does not fit. Its threads run on the processor.
"""

import re
from functools import partial
from importlib import import_module

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import elman
from elman import ops
from elman.ops import composed, doors, elsewhere, use_backend
from elman.ops.cuda import layer as whole
from elman.ops.cuda import small
from tests.ops.cases import weights_of
from tests.ops.emulator import bf16

pytestmark = pytest.mark.usefixtures("emulated")
in_ops = import_module("elman.ops.layer")  # elman.ops has a function of that name


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Layers of the CPU's tensors are served as a GPU's are."""
    monkeypatch.setattr(in_ops, "on_one_gpu", composed.alike)
    monkeypatch.setattr(in_ops, "in_one_piece", lambda tensors: False)
    monkeypatch.setattr(
        elsewhere, "on_one_gpu", lambda tensors, H: composed.alike(tensors, H, False)
    )
    with use_backend("cuda"):
        yield


@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
@pytest.mark.parametrize("D", [1, 2], ids=["one direction", "both"])
def test_its_output_may_be_written_in(monkeypatch, on_a_gpu, most, D):
    """As that of torch.nn.RNN: it is no view, of which torch would not allow it."""
    monkeypatch.setattr(small, "MOST", most)
    rnn, x = elman.RNN(3, 5, bidirectional=D == 2), torch.randn(4, 2, 3)
    output, _ = rnn(x)
    assert not output._is_view()
    (found,) = torch.autograd.grad(output.mul_(2).sum(), rnn.weight_hh_l0)
    (expected,) = torch.autograd.grad((rnn(x)[0] * 2).sum(), rnn.weight_hh_l0)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
def test_autocast_around_the_backward_pass_rounds_nothing(monkeypatch, on_a_gpu, most):
    monkeypatch.setattr(small, "MOST", most)
    rnn, x = elman.RNN(3, 5), torch.randn(4, 2, 3, requires_grad=True)
    found = []
    for enabled, again in ((False, False), (True, False), (True, True)):
        # what torch's checkpoint keeps may be unpacked once only
        output = checkpoint(rnn, x, use_reentrant=False)[0] if again else rnn(x)[0]
        with torch.autocast("cpu", bf16, enabled=enabled):
            found.append(torch.autograd.grad(output.square().sum(), [x, *rnn.parameters()]))
    for one, *others in zip(*found, strict=True):
        assert all(torch.equal(one, other) for other in others)


@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["L first", "N first"])
def test_its_gradients_lie_as_the_operators_rule_says(monkeypatch, on_a_gpu, most, batch_first):
    """Which a graph of torch.compile counts on."""
    monkeypatch.setattr(small, "MOST", most)
    x = torch.randn(3, 4, 2).transpose(0, 1) if batch_first else torch.randn(4, 3, 2)
    h_0, weights = torch.randn(1, 3, 5), [w.float() for w in weights_of(1, 2, 5)]
    output, h_n = elsewhere._layer(x, h_0, weights, True, 0, None)
    given = output, h_n, x, h_0, output, weights, True, 0, None, 7
    real = elsewhere._layer_backward(*given)
    with FakeTensorMode() as mode:
        fake = [
            [mode.from_tensor(w) for w in a] if isinstance(a, list)
            else mode.from_tensor(a) if isinstance(a, torch.Tensor) else a
            for a in given
        ]  # fmt: skip
        shapes = torch.ops.elman.layer_backward.default(*fake)
    assert [(t.shape, t.stride()) for t in real] == [(t.shape, t.stride()) for t in shapes]
    expected = whole.layer_backward(*given[:6], True, "tanh", None, (True, True, True))
    for one, other in zip(real, expected, strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def modes_ask(monkeypatch):
    """Modes of torch's dispatcher are asked after as they are for a GPU's tensors."""
    monkeypatch.setattr(in_ops, "on_one_gpu", composed.alike)
    monkeypatch.setattr(in_ops, "in_one_piece", lambda tensors: False)
    for module in (in_ops, composed, doors):
        monkeypatch.setattr(module, "watched", lambda x: torch._C._len_torch_dispatch_stack() > 0)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
def test_a_mode_of_torchs_dispatcher_sees_an_operator(modes_ask):
    """Kernels that are handed addresses it would not see; and a fake tensor has none."""
    rnn, x = elman.RNN(3, 5), torch.randn(4, 2, 3)
    with FakeTensorMode() as mode:
        fake = elman.RNN(3, 5)
        output, h_n = fake(mode.from_tensor(x))
        output.sum().backward()
        assert fake.weight_hh_l0.grad.shape == (5, 5)
    assert (output.shape, h_n.shape) == ((4, 2, 5), (1, 2, 5))
    with torch.no_grad():
        written = make_fx(lambda x: rnn(x)[0])(x)
        targets = [str(node.target) for node in written.graph.nodes]
        assert "elman.layer.default" in targets
        other = torch.randn(4, 2, 3)
        assert torch.allclose(written(other), rnn(other)[0], atol=1e-6)


@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
def test_checkpoints_that_keep_products_keep_the_layer_right(monkeypatch, modes_ask, most):
    """The scan writes its states over a product: not over one that a checkpoint has kept."""
    monkeypatch.setattr(small, "MOST", most)
    kept = [torch.ops.aten.mm.default, torch.ops.aten.addmm.default]
    contexts = partial(create_selective_checkpoint_contexts, kept)
    rnn, x = elman.RNN(3, 6), torch.randn(5, 3, 3, requires_grad=True)
    leaves = [x, *rnn.parameters()]
    expected = torch.autograd.grad(rnn(x)[0].sin().sum(), leaves)
    output = checkpoint(lambda x: rnn(x)[0], x, use_reentrant=False, context_fn=contexts)
    for one, other in zip(torch.autograd.grad(output.sin().sum(), leaves), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_an_input_of_no_features_has_gradients(monkeypatch):
    monkeypatch.setattr(small, "MOST", 0)
    x, h_0 = torch.randn(4, 2, 0), torch.randn(1, 2, 5)
    weights = [torch.randn(5, 0), torch.randn(5, 5)]
    output, _ = whole.layer(x, h_0, weights, False, "tanh", None)
    given = output, None, x, h_0, output, weights, False, "tanh", None, (True, True, True)
    found = whole.layer_backward(*given)
    assert [t.shape for t in found] == [x.shape, h_0.shape, *(w.shape for w in weights)]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "of", "said"),
    [
        (0, (5, 2), "weight_ih should be (5, 3), got (5, 2)"),
        (1, (5, 4), "weight_hh should be (5, 5), got (5, 4)"),
        (2, (4,), "bias_ih should be (5), got (4)"),
        (3, (5, 1), "bias_hh should be (5), got (5, 1)"),
        (4, (1, 3, 5), "h_0 should be (1, 2, 5), got (1, 3, 5)"),
        (4, (2, 2, 5), "h_0 should be (1, 2, 5), got (2, 2, 5)"),
    ],
    ids=["weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0: N", "h_0: D"],
)
@pytest.mark.parametrize("most", [0, 2**30], ids=["torch's products", "at once"])
def test_a_shape_that_does_not_fit_is_said_before_anything_is_read(
    monkeypatch, which, of, said, most
):
    monkeypatch.setattr(small, "MOST", most)
    tensors = [*(w.float() for w in weights_of(1, 3, 5)), torch.randn(1, 2, 5)]
    tensors[which] = torch.randn(*of)
    *weights, h_0 = tensors
    with pytest.raises(RuntimeError, match=re.escape(f"elman: {said}")):
        whole.layer(torch.randn(4, 2, 3), h_0, weights, True, "tanh", None)


@pytest.mark.parametrize("which", ["weight_hh", "input", "h_0"])
def test_what_is_without_its_numbers_is_said(which):
    weights = [w.float() for w in weights_of(1, 3, 5)]
    x, h_0 = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    {"weight_hh": weights[1], "input": x, "h_0": h_0}[which].untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=f"{which} has no numbers: its storage was taken away"):
        whole.layer(x, h_0, weights, True, "tanh", None)


def test_dimensions_that_do_not_fit_are_said(on_a_gpu):
    weights = [w.float() for w in weights_of(1, 3, 5)]
    x, h_0 = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    with pytest.raises(
        RuntimeError, match=r"a dense sequence should be \(L, N, H_in\), got \(4, 3\)"
    ):
        ops.layer(x[:, 0], h_0, [weights])
    with pytest.raises(RuntimeError, match=r"h_0 should be \(1, 2, 5\), got \(2, 5\)"):
        ops.layer(x, h_0[0], [weights])


@pytest.mark.parametrize("name", ["output", "output_bar", "h_n_bar"])
def test_gradients_asked_for_by_hand_are_told_of_shapes(on_a_gpu, name):
    """By the operator, which anybody may call."""
    weights = [w.float() for w in weights_of(1, 3, 5)]
    x, h_0 = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    given = {"output_bar": torch.randn(4, 2, 5), "h_n_bar": torch.randn(1, 2, 5)}
    given["output"] = torch.randn(4, 2, 5)
    given[name] = given[name][:, :1]
    bars = given["output_bar"], given["h_n_bar"]
    with pytest.raises(RuntimeError, match=rf"elman: {name} should be \("):
        elsewhere._layer_backward(*bars, x, h_0, given["output"], weights, True, 0, None, 7)


# --- under autocast ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bf16, torch.float16], ids=str)
def test_under_autocast_it_is_the_layer_in_that_dtype(monkeypatch, dtype):
    """One launch a layer, the gradients in the dtype of what they are of."""
    calls = []
    monkeypatch.setattr(in_ops, "on_one_gpu", composed.alike)
    monkeypatch.setattr(in_ops, "in_one_piece", lambda tensors: False)
    for name in ("layer", "layer_backward"):
        real = getattr(whole, name)
        spy = lambda *given, real=real, name=name: (calls.append(name), real(*given))[1]  # noqa: E731
        monkeypatch.setattr(whole, name, spy)
    rnn, x = elman.RNN(3, 20, num_layers=2), torch.randn(4, 2, 3, requires_grad=True)
    leaves, narrow = [x, *rnn.parameters()], elman.RNN(3, 20, num_layers=2, dtype=dtype)
    narrow.load_state_dict(rnn.state_dict())
    within = x.detach().to(dtype).requires_grad_()

    def results(run, x, leaves):
        output, h_n = run(x)
        loss = output.float().square().sum() + h_n.float().sum()
        return [output, h_n, *torch.autograd.grad(loss, leaves)]

    with use_backend("cuda"):
        expected = results(narrow, within, [within, *narrow.parameters()])
        calls.clear()
        with torch.autocast("cpu", dtype):
            found = results(rnn, x, leaves)
    assert calls == ["layer"] * 2 + ["layer_backward"] * 2
    assert [t.dtype for t in found] == [dtype] * 2 + [torch.float32] * len(leaves)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.to(dtype), other)


def test_float64_is_not_cast_by_autocast():
    x, weights = torch.randn(2, 3, 4).double(), [w.double() for w in weights_of(1, 4, 5)]
    with torch.autocast("cpu", bf16), use_backend("cuda"):
        single = [x.float(), *(w.float() for w in weights)]
        assert composed.alike(single, 5, may_cast=True)
        assert not composed.alike(single, 5, may_cast=False)  # an operator of a graph does not
        assert not composed.alike([x, *weights], 5, may_cast=True)
