"""What the built library asks of the machine, and what is left where none was built."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from elman.ops import cpu

ROOT = Path(__file__).resolve().parents[2]


def undefined_symbols():
    """The names the library leaves to others, without versions, or why they cannot be read."""
    if shutil.which("nm"):
        dynamic = ["-u"] if sys.platform == "darwin" else ["-D", "--undefined-only"]
        ran = subprocess.run(["nm", *dynamic, cpu._PLACE], capture_output=True, text=True)
        names = [line.split()[-1] for line in ran.stdout.splitlines() if line.strip()]
    elif shutil.which("readelf"):
        ran = subprocess.run(
            ["readelf", "--dyn-syms", "-W", cpu._PLACE], capture_output=True, text=True
        )
        lines = [line.split() for line in ran.stdout.splitlines()]
        names = [fields[7] for fields in lines if len(fields) > 7 and fields[6] == "UND"]
    else:
        pytest.skip("neither nm nor readelf is here to read the library's symbols")
    assert ran.returncode == 0, ran.stderr
    return {name.partition("@")[0] for name in names}


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
def test_the_library_depends_on_torchs_stable_interface_alone():
    names = undefined_symbols()
    assert any(name.lstrip("_").startswith("aoti_torch_") for name in names), "these are its names"
    of_cpp = {n for n in names if re.match(r"_+Z", n)}
    # _ZN3c10..., _ZNK2at..., _ZTIN5torch...
    theirs = {n for n in of_cpp if re.search(r"3c10|2at[0-9N]|5torch|8caffe2", n)}
    assert not theirs
    assert not {n for n in names if re.match(r"_?_?Py[A-Z_]", n)}


@pytest.mark.skipif(cpu.problem() is not None, reason=str(cpu.problem()))
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump is here to read the code")
def test_the_loops_ask_for_what_comes_next():
    # GCC takes a function that does nothing but prefetch for one without effect, and once left out
    # every such call: nothing failed, and all was slower
    code = subprocess.run(["objdump", "-d", "-C", cpu._PLACE], capture_output=True, text=True)
    assert code.returncode == 0, code.stderr
    asking, function = set(), ""
    for line in code.stdout.splitlines():
        if line.endswith(">:"):
            function = line
        elif re.search(r"\t(prefetch|prfm)", line):
            asking.add(function)
    for T, kind in (("float", "Scan"), ("float", "LinearScan"), ("double", "Backward")):
        loops = [name for name in asking if f"Loop<{T}, elman::{kind}<{T}>" in name]
        assert loops, f"the loops of {kind}<{T}> ask for nothing"


@pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="the source is not here")
def test_the_source_includes_only_torchs_stable_headers():
    including = {}
    for path in [*(ROOT / "csrc").glob("*.cpp"), *(ROOT / "csrc").glob("*.h")]:
        found = re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)
        including[path.name] = [n for n in found if n.startswith(("torch/", "ATen/", "c10/"))]
    bound = including.pop("tensors.h")
    assert bound, "it is bound to torch here"
    stable = ("torch/csrc/stable/", "torch/headeronly/", "torch/csrc/inductor/aoti_torch/c/")
    for name in bound:
        assert name.startswith(stable), name
    assert not any(including.values()), f"only tensors.h knows torch: {including}"


TOLD = """
import sys
from pathlib import Path
import torch
from elman.ops import cpu, scan
from elman.ops.select import select
cpu._PLACE = Path(sys.argv[1])
print(cpu.problem())
choice = select(torch.device("cpu"), torch.float32)
assert choice.backend == "aten", choice
print(choice.reason)
assert scan(torch.zeros(2, 1, 3), torch.eye(3), torch.ones(1, 3), "relu").sum() == 6
from elman import RNN
from elman.nn import Stream
rnn, x = RNN(2, 3), torch.ones(4, 1, 2)
rnn(x)[0].sum().backward()
stream = Stream(rnn)
steps = torch.stack([stream.step(x_t) for x_t in x])
torch.testing.assert_close(steps, rnn(x)[0].detach())
try:
    select(torch.device("cpu"), torch.float32, "cpu")
except ValueError as error:
    print(error)
"""


def told(place):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", TOLD, str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    problem, reason, error = ran.stdout.splitlines()
    assert reason.startswith(f"not cpu: {problem}; ")
    assert error == f"backend 'cpu' cannot serve this call: {problem}"
    return problem


@pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="the source is not here")
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("CXX", "/nonexistent/c++", "no C++ compiler (/nonexistent/c++) was found"),
        ("CXX", "false", "the compiler failed: "),
        ("ELMAN_NO_KERNELS", "1", "ELMAN_NO_KERNELS is set"),
    ],
    ids=["no compiler", "a compiler that fails", "not wanted"],
)
def test_a_build_without_kernels_succeeds_and_says_why(variable, value, reason, tmp_path):
    source = tmp_path / "source"
    package = source / "src" / "elman"
    package.mkdir(parents=True)
    (source / "examples").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copy(ROOT / "src" / "elman" / "__init__.py", package)
    shutil.copytree(ROOT / "csrc", source / "csrc")
    ran = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext",
         "--build-lib", tmp_path / "lib", "--build-temp", tmp_path / "temp"],
        cwd=source, env={**os.environ, variable: value},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert f"elman: built without the compiled kernels: {reason}" in ran.stdout
    place = tmp_path / "lib" / "elman" / "ops" / cpu._PLACE.name
    assert not place.exists()
    note = place.with_suffix(".txt").read_text(encoding="utf-8")
    assert note.startswith(f"built without the compiled kernels: {reason}")
    assert told(place).startswith(note.strip())


def test_where_nothing_was_built_yet_it_says_so(tmp_path):
    assert told(tmp_path / "_kernels.so").startswith("not built yet; ")


def test_a_library_that_does_not_load_says_so(tmp_path):
    place = tmp_path / "_kernels.so"
    place.write_text("no library\n")
    assert "do not load with torch" in told(place)
