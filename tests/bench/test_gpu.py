"""benchmarks/gpu.py without a GPU: it runs at tiny sizes, and its gate lets nothing wrong by."""

import subprocess
import sys

import pytest
import torch

from elman.bench.gate import RedGateError
from tests.bench.scripts import FOLDER, loaded
from tests.ops.cases import INTERPRETED

interpreted = pytest.mark.skipif(not INTERPRETED, reason="Triton is not installed")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # where its chart is
    return loaded("gpu")


@interpreted
def test_a_dry_run_holds_and_prints_and_writes_nothing(script, monkeypatch, capsys):
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # so that it is as before afterwards
    monkeypatch.setattr(script, "line_of", lambda rows: " ".join(r["contestant"] for r in rows))
    before = script.RESULTS.exists()
    only = [a for name in ("packed, b", "stack, f", "double") for a in ("--only", name)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--dry", "--write", *only])
    with pytest.raises(SystemExit) as left:
        script.main()
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert said.count("torch elman triton\n") == 2
    assert said.count("torch elman\n") == 1
    assert "3 passed the gate, 0 are red" in said
    assert script.RESULTS.exists() == before


def test_every_shape_that_is_asked_for_is_there(script):
    assert len({(e.case.name, e.case.shape) for e in script.TABLE}) == len(script.TABLE)
    assert len(script.GRID) == 4 * 3 * 4 * 2
    assert sorted(script.LENGTHS)[:1] == [1]
    assert max(script.LENGTHS) == 1000
    assert len(script.LENGTHS) == 64


@pytest.mark.parametrize("part", ["output", "gradient of weight_hh_l0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_wrong_number_is_red(script, monkeypatch, dtype, part):
    entry = script.tiny(next(e for e in script.GRID if e.dtype == dtype and e.case.N > 1))
    assert max(script.hold(entry, "cpu").values()) <= 1
    contestants = script.contestants

    def spoiled(*given):
        calls = contestants(*given)
        right = calls["elman"]
        calls["elman"] = lambda: {n: t + 0.5 * (n == part) for n, t in right().items()}
        return calls

    monkeypatch.setattr(script, "contestants", spoiled)
    with pytest.raises(RedGateError, match=f"the {part} of elman is .* off float64"):
        script.hold(entry, "cpu")


@interpreted
def test_another_number_the_second_time_is_red(script, monkeypatch):
    entry = script.tiny(script.GRID[0])
    contestants = script.contestants

    def wavering(*given):
        calls, times = contestants(*given), []
        right = calls["elman"]

        def call():
            times.append(1)
            return {n: t + 1e-7 * len(times) for n, t in right().items()}

        return calls | {"elman": call}

    monkeypatch.setattr(script, "contestants", wavering)
    with pytest.raises(RedGateError, match="another the second time"):
        script.hold(entry, "cpu")


@pytest.mark.parametrize(
    ("options", "missing", "said"),
    [
        (["--dry"], "triton", "this wants Triton, also in a dry run: pip install 'elman[triton]'"),
        (["--flashrnn", "--dry"], "flashrnn", "--flashrnn: flashrnn is not installed: pip install"),
    ],
    ids=["Triton", "FlashRNN"],
)
def test_what_is_not_installed_is_said(script, monkeypatch, capsys, options, missing, said):
    monkeypatch.setattr(script.util, "find_spec", lambda name: None if name == missing else name)
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    with pytest.raises(SystemExit) as left:
        script.main()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_flashrnn_has_torchs_numbers(script):
    pytest.importorskip("flashrnn")
    entry = script.tiny(script.TABLE[0])._replace(others=("flashrnn",))
    assert 0 <= script.hold(entry, "cpu")["flashrnn"] <= 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    ran = subprocess.run(
        [sys.executable, FOLDER / "gpu.py"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "error: this measures on an NVIDIA GPU, and torch finds none" in ran.stderr
