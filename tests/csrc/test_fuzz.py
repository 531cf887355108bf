"""The compiled kernels under sanitizers: random problems, held against a plain loop in double."""

import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
INSTRUCTION_SETS = {"plain": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = [
        "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma",
    ]  # fmt: skip
COMMON = ["-std=c++17", "-g1", "-pthread", "-fno-sanitize-recover=all"]
# -O0 where there is much to compile: what is checked stays the same, and the compiler takes a third
MEMORY = ["-O0", "-fsanitize=address,undefined"]
THREADS = ["-O1", "-fsanitize=thread"]


@pytest.fixture(scope="module")
def compiler():
    command = shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")
    if shutil.which(command[0]) is None:
        pytest.skip(f"no C++ compiler ({command[0]}) here")
    return command


def start(arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)


def environment_for(compiler, sanitizer, folder):
    """What a program with this sanitizer needs to start here; skips where none does."""
    (folder / "empty.cpp").write_text("int main() {}\n")
    program = folder / "empty"
    built = start([*compiler, *COMMON, *sanitizer, folder / "empty.cpp", "-o", program])
    if built.returncode != 0:
        pytest.skip(f"the compiler has no {sanitizer[-1]}: {built.stderr.strip()[-200:]}")
    why = ""
    for options in ("", "detect_leaks=0"):  # looking for leaks needs ptrace, which may be forbidden
        environment = {**os.environ, "ASAN_OPTIONS": options}
        ran = subprocess.run(
            [program], env=environment, capture_output=True, text=True, check=False
        )
        if ran.returncode == 0:
            return environment
        why = ran.stderr.strip()[-200:]
    pytest.skip(f"a program with {sanitizer[-1]} does not start here: {why}")


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
    ran = subprocess.run(
        [program, str(seed), str(rounds)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    last = ran.stdout.strip().splitlines()[-1:]  # what was tried, or what was wrong with it
    assert ran.returncode == 0, f"{last}\n{ran.stderr[:6000]}"
