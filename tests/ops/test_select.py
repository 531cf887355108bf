"""Who serves a call: the choice, its reason, and refusing rather than replacing."""

import sys
from types import SimpleNamespace

import pytest
import torch

from elman.ops import BACKENDS, Choice, aten, linear_scan, reference, scan, select, use_backend

CPU = torch.device("cpu")
TENSORS = (torch.zeros(3, 1, 2), torch.eye(2), torch.zeros(1, 2))


def called(monkeypatch, name="scan"):
    """Which backends' kernels run from here on, in order."""
    names = []
    for module in (aten, reference):
        kernel, label = getattr(module, name), module.__name__.rpartition(".")[-1]

        def spy(*args, kernel=kernel, label=label):
            names.append(label)
            return kernel(*args)

        monkeypatch.setattr(module, name, spy)
    return names


def test_the_first_backend_that_can_serve_is_chosen_with_a_reason():
    choice = select(CPU, torch.float32)
    assert isinstance(choice, Choice)
    assert choice.backend in BACKENDS
    assert BACKENDS[choice.backend] in choice.reason


def test_a_backend_passed_over_is_told_of(monkeypatch):
    """The preferred backend here is one that serves nothing."""
    choosy = SimpleNamespace(serves=lambda device, dtype, H: f"{dtype} is beneath it")
    known = dict(BACKENDS)
    module = sys.modules["elman.ops.select"]  # the name below elman.ops is the function
    monkeypatch.setattr(module, "BACKENDS", {"choosy": "a stub", **known})
    monkeypatch.setattr(module, "_modules", {"choosy": choosy})
    choice = select(CPU, torch.float32)
    assert choice.backend in known
    assert choice.reason.startswith("not choosy: torch.float32 is beneath it; ")


def test_a_name_is_followed():
    assert select(CPU, torch.float32, "reference") == ("reference", "it was asked for by name")


def test_a_backend_that_cannot_serve_refuses_and_says_why():
    with pytest.raises(ValueError, match=r"'aten' cannot serve this call: torch\.complex64 is not"):
        select(CPU, torch.complex64, "aten")


@pytest.mark.parametrize(
    "call",
    [
        lambda: select(CPU, torch.float32, "vulkan"),
        lambda: scan(*TENSORS, backend="vulkan"),
        lambda: linear_scan(*TENSORS, backend="vulkan"),
        lambda: use_backend("vulkan").__enter__(),
    ],
    ids=["select", "scan", "linear_scan", "use_backend"],
)
def test_an_unknown_backend_is_an_error(call):
    with pytest.raises(ValueError) as caught:
        call()
    assert "backend should be one of" in str(caught.value)
    assert "'vulkan'" in str(caught.value)
    assert all(name in str(caught.value) for name in BACKENDS)


@pytest.mark.parametrize("op", [scan, linear_scan])
@pytest.mark.parametrize("backend", ["aten", "no such backend"])
def test_a_backend_named_for_complex_numbers_is_not_replaced_either(op, backend):
    with pytest.raises(ValueError, match="backend"):
        op(*(t.to(torch.complex64) for t in TENSORS), backend=backend)


@pytest.mark.parametrize("op", [scan, linear_scan])
@pytest.mark.parametrize("backend", ["aten", "reference"])
def test_the_backend_named_is_the_one_that_runs(monkeypatch, op, backend):
    names = called(monkeypatch, op.__name__)
    op(*TENSORS, backend=backend)
    assert names == [backend]


def test_the_backward_pass_runs_on_the_backend_of_the_forward_pass(monkeypatch):
    names = called(monkeypatch, "linear_scan")
    a = TENSORS[0].clone().requires_grad_()
    with use_backend("reference"):
        h = scan(a, *TENSORS[1:])
    h.sum().backward()
    assert names == ["reference"]


def test_use_backend_holds_inside_the_block_and_yields_to_a_name(monkeypatch):
    default = select(CPU, torch.float32).backend
    names = called(monkeypatch)
    with use_backend("reference"):
        scan(*TENSORS)
        scan(*TENSORS, backend="aten")
        with use_backend("aten"):
            scan(*TENSORS)
        scan(*TENSORS)
    assert names == ["reference", "aten", "aten", "reference"]
    assert select(CPU, torch.float32).backend == default


def test_use_backend_is_undone_by_an_exception():
    before = select(CPU, torch.float32)
    with pytest.raises(KeyError), use_backend("reference"):
        raise KeyError
    assert select(CPU, torch.float32) == before
