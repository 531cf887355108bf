"""What README says elman can and torch.nn.RNN cannot, shown on both.

Should a newer torch mend one, its half is skipped with a word and README wants a change.
"""

import copy

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence

import elman


def no_steps(make):
    _, h_n = make(3, 4)(torch.randn(0, 2, 3), torch.ones(1, 2, 4))
    assert torch.equal(h_n, torch.ones(1, 2, 4))


def copy_with_a_parametrised_weight(make):
    rnn = make(3, 4)
    parametrizations.orthogonal(rnn, "weight_hh_l0")
    x = torch.randn(5, 2, 3)
    before, _ = rnn(x)
    after, _ = copy.deepcopy(rnn)(x)
    assert torch.equal(before, after)


def wrong_batch_of_unsorted_rows(make):
    packed = pack_padded_sequence(torch.randn(5, 2, 3), [3, 5], enforce_sorted=False)
    with pytest.raises(RuntimeError, match="hx"):
        make(3, 4)(packed, torch.zeros(1, 7, 4))


def per_sample_gradients(make):
    rnn = make(3, 4)
    weights = dict(rnn.named_parameters())
    x = torch.randn(6, 5, 1, 3)

    def loss(weights, x):
        return functional_call(rnn, weights, (x,))[0].square().sum()

    together = vmap(grad(loss), (None, 0))(weights, x)
    for k in range(6):
        for name, gradient in grad(loss)(weights, x[k]).items():
            torch.testing.assert_close(together[name][k], gradient)


def one_graph_for_every_length(make):
    graphs = []
    rnn = make(3, 4)
    run = torch.compile(
        rnn, fullgraph=True, dynamic=True, backend=lambda graph, _: graphs.append(graph) or graph
    )
    for L in (5, 7, 20):
        x = torch.randn(L, 2, 3)
        assert torch.equal(run(x)[0], rnn(x)[0])
    assert len(graphs) <= 2


def export_of_any_length(make):
    rnn, L = make(3, 4), torch.export.Dim.DYNAMIC
    program = torch.export.export(rnn, (torch.randn(5, 2, 3),), dynamic_shapes=({0: L, 1: L},))
    x = torch.randn(8, 3, 3)
    assert torch.equal(program.module()(x)[0], rnn(x)[0])


def onnx_of_any_length(make):
    from tests.exported import NEAR, Exported

    L = torch.export.Dim.AUTO
    model = Exported(make(3, 4), input=(torch.randn(5, 2, 3), {0: L, 1: L}))
    assert model.nodes["RNN"] == 1
    assert model.distance(input=torch.randn(8, 3, 3)) < NEAR


def lengths_without_packing(make):
    rnn, x = make(3, 4, bidirectional=True), torch.randn(5, 2, 3)
    _, h_n = rnn(x, lengths=torch.tensor([3, 0]))
    torch.testing.assert_close(h_n[:, 0], rnn(x[:3, 0])[1])


CLAIMS = (
    per_sample_gradients,
    one_graph_for_every_length,
    export_of_any_length,
    onnx_of_any_length,
    lengths_without_packing,
    no_steps,
    copy_with_a_parametrised_weight,
    wrong_batch_of_unsorted_rows,
)


@pytest.mark.filterwarnings(
    r"ignore:`isinstance\(treespec, LeafSpec\):FutureWarning"
)  # torch's own
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_elman_can(claim):
    claim(elman.RNN)


@pytest.mark.filterwarnings("ignore")  # what it says on the way
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_torch_cannot(claim):
    try:
        claim(torch.nn.RNN)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - whatever it is; elman did the same
        return
    pytest.skip(f"torch {torch.__version__} can do this now; README should not claim it")
