"""The compiled kernels under sanitizers: random problems, held against a plain loop in double."""

import platform

import pytest

from tests.csrc.building import COMMON, CSRC, HERE, MEMORY, THREADS, environment_for, start

INSTRUCTION_SETS = {"plain": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = [
        "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma",
    ]  # fmt: skip


def build(compiler, sanitizer, folder):
    """The kernels for every instruction set, the plain ones first, and the program."""
    sources = [(CSRC / "scan.cpp", [f"-DELMAN_ISA={name}", *flags], f"scan_{name}")
               for name, flags in INSTRUCTION_SETS.items()]  # fmt: skip
    sources += [(p, [], p.stem) for p in sorted(CSRC.glob("*.cpp"))
                if p.name not in ("scan.cpp", "binding.cpp")]  # fmt: skip
    sources += [(HERE / "fuzz.cpp", ["-Wall", "-Wextra"], "fuzz")]
    objects = []
    for source, flags, name in sources:
        objects.append(folder / f"{name}.o")
        made = start([*compiler, *COMMON, *sanitizer, *flags, "-c", source, "-o", objects[-1]])
        assert made.returncode == 0, made.stderr
    made = start([*compiler, *COMMON, *sanitizer, *objects, "-o", folder / "fuzz"])
    assert made.returncode == 0, made.stderr
    return folder / "fuzz"


@pytest.mark.parametrize(
    ("sanitizer", "seed", "rounds"),
    [pytest.param(MEMORY, 1, 100, id="address"), pytest.param(THREADS, 2, 40, id="thread")],
)
def test_the_kernels_under_a_sanitizer(compiler, sanitizer, seed, rounds, tmp_path):
    environment = environment_for(compiler, sanitizer, tmp_path)
    program = build(compiler, sanitizer, tmp_path)
    ran = start([program, str(seed), str(rounds)], env=environment)
    last = ran.stdout.strip().splitlines()[-1:]  # what was tried, or what was wrong with it
    assert ran.returncode == 0, f"{last}\n{ran.stderr[:6000]}"
