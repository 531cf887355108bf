"""Fixtures of the kernels' tests."""

import shutil

import pytest

from elman.ops import cpu, cuda
from elman.ops.cuda import calls, compiled, small
from tests.ops import emulator


def runs_here(name):
    before = cpu.instruction_set()
    try:
        cpu.use_instruction_set(name)
    except ValueError:
        return False
    cpu.use_instruction_set(before)
    return True


INSTRUCTION_SETS = (
    [name for name in ("plain", "avx2", "avx512") if runs_here(name)]
    if cpu.problem() is None
    else []
)


@pytest.fixture(params=INSTRUCTION_SETS)
def instructions(request):
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    yield request.param
    cpu.use_instruction_set(before)


# --- CUDA kernels, in the emulator ---------------------------------------------------------------


@pytest.fixture
def emulated(monkeypatch):
    """Tensors of the CPU are served, in the emulator."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(compiled, "loaded", emulator.loaded)
    monkeypatch.setattr(cuda, "serves", lambda device, dtype, H=None: None)
    _forget()
    yield
    _forget()


def _forget():
    for known in (calls.call_of, calls.launch_of, small._forward, small._backward):
        known.cache_clear()


@pytest.fixture
def cut_up(monkeypatch):
    """Have every scan cut up so."""

    def by(cut):
        _forget()
        monkeypatch.setattr(calls, "plan", lambda *_: cut)

    return by
