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


CLAIMS = (
    per_sample_gradients,
    no_steps,
    copy_with_a_parametrised_weight,
    wrong_batch_of_unsorted_rows,
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_elman_can(claim):
    claim(elman.RNN)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_torch_cannot(claim):
    try:
        claim(torch.nn.RNN)
    except (RuntimeError, pytest.fail.Exception):
        return
    pytest.skip(f"torch {torch.__version__} can do this now; README should not claim it")
