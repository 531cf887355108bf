"""Fixtures of the kernels' tests."""

import pytest

from elman.ops import cpu


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
