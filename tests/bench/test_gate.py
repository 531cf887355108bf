"""Every contestant passes the gate where it is right, and none where it is wrong."""

import numpy as np
import pytest

from elman.bench import Case, RedGateError
from elman.bench.gate import Answer, gated, hold
from elman.bench.layers import ElmanRNN, TorchRNN, truth
from elman.bench.rivals import entered
from elman.bench.work import new_work

CASES = [
    Case("dense", 3, 7, 2, 5),
    Case("one", 1, 1, 1, 1),
    Case("packed", 3, 4, 2, 5, lengths=(4, 2, 1)),
    Case("deep", 2, 6, 3, 4, num_layers=2, bidirectional=True),
]
DENSE = CASES[0]


def answered(work, *kinds):
    contestants = [kind(work) for kind in kinds]
    return {c.name: Answer(c.output(), c.gradients()) for c in contestants}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_elman_is_let_through(case):
    work = new_work(case)
    shares = hold(case, answered(work, ElmanRNN, TorchRNN), Answer(*truth(work)))
    assert set(shares) == {"elman", "torch"}
    assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.parametrize("name", ["jax", "onnxruntime"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rival_computes_the_same(case, name):
    pytest.importorskip(name)
    if name == "onnxruntime":
        pytest.importorskip("onnx")
    work = new_work(case)
    kinds, left_out = entered(case, [name])
    if not kinds:
        assert name in left_out
        return
    hold(case, answered(work, TorchRNN, *kinds), Answer(*truth(work)))


def spoiled(change):
    """Answers of which elman's are changed, and the truth."""
    work = new_work(DENSE)
    answers = answered(work, ElmanRNN, TorchRNN)
    right = answers["elman"]
    output, gradients = right.output.copy(), {n: g.copy() for n, g in right.gradients.items()}
    answers["elman"] = change(output, gradients)
    return answers, Answer(*truth(work))


def a_wrong_state(output, gradients):
    output[3, 1, 2] += 1e-5
    return Answer(output, gradients)


def a_wrong_gradient(output, gradients):
    gradients["weight_hh_l0"] *= 1.0001
    return Answer(output, gradients)


def not_a_number(output, gradients):
    output[0, 0, 0] = np.nan
    return Answer(output, gradients)


def another_shape(output, gradients):
    return Answer(output[:-1], gradients)


def a_missing_gradient(output, gradients):
    del gradients["bias_hh_l0"]
    return Answer(output, gradients)


@pytest.mark.parametrize(
    "change",
    [a_wrong_state, a_wrong_gradient, not_a_number, another_shape, a_missing_gradient],
    ids=lambda change: change.__name__,
)
def test_what_is_wrong_is_red(change):
    answers, true = spoiled(change)
    with pytest.raises(RedGateError, match=r"dense: .*elman"):
        hold(DENSE, answers, true)


def test_only_what_would_fill_the_memory_is_cut():
    assert gated(DENSE) is DENSE
    vast = gated(Case("vast", 128, 1000, 1024, 1024))
    assert vast.N * vast.L * vast.H == 2**26


def test_the_stream_and_the_cell_take_the_same_steps():
    case = Case("step", 2, 5, 3, 4, step=True)
    work = new_work(case)
    kinds, left_out = entered(case, ["elman", "torch", "jax", "onnxruntime"])
    assert [kind.name for kind in kinds] == ["elman", "torch"]
    assert set(left_out) == {"jax", "onnxruntime"}
    output, gradients = truth(work)
    hold(case, answered(work, *kinds), Answer(output, gradients))
