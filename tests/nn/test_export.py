"""What records a program: torch.export and torch.jit.trace write down the plain loop."""

import pytest
import torch

import elman


@pytest.fixture
def model():
    return elman.RNN(3, 4, num_layers=2, bidirectional=True).eval()


@pytest.mark.parametrize("strict", [False, True])
def test_export_keeps_the_numbers(model, strict):
    x = torch.randn(5, 2, 3)
    program = torch.export.export(model, (x,), strict=strict).module()
    y = torch.randn(5, 2, 3)
    for got, expected in zip(program(y), model(y), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.filterwarnings("ignore")  # the tracer warns of what it freezes, and of its own age
def test_trace_keeps_the_numbers(model):
    traced = torch.jit.trace(model, (torch.randn(5, 2, 3),))
    y = torch.randn(5, 2, 3)
    for got, expected in zip(traced(y), model(y), strict=True):
        torch.testing.assert_close(got, expected)
