"""`elman bench` on a tiny case, and what it refuses."""

import importlib.util

import pytest

import elman.bench
from elman.bench import Case, read_rows


@pytest.fixture
def tiny(monkeypatch):
    """The table has one small case."""
    monkeypatch.setattr(elman.bench, "CASES", {"tiny": Case("tiny", 2, 3, 4, 5, lengths=(3, 1))})
    monkeypatch.setattr(elman.bench, "SHORT", ("tiny",))


@pytest.mark.usefixtures("tiny")
def test_a_table_and_a_file(elman, tmp_path):
    path = tmp_path / "speed.csv"
    result = elman("bench", "--csv", path, "--threads", 1)
    assert (result.code, result.err) == (0, "")
    assert "tiny: N 2, L 1 to 3" in result.out
    assert "elman is" in result.out
    assert f"written    {path}" in result.out
    rows = read_rows(path)
    assert [(row["pass"], row["contestant"]) for row in rows] == [
        (of, name) for of in ("forward", "train") for name in ("elman", "torch")
    ]
    for name in ("jax", "onnxruntime"):
        missing = f"{name}: {name} is not installed" in result.out
        assert not (missing and importlib.util.find_spec(name))


def test_what_is_there_is_not_written_over(refused, tmp_path):
    path = tmp_path / "speed.csv"
    path.write_text("mine", "utf-8")
    assert "it is there already" in refused("bench", "--csv", path)
    assert path.read_text("utf-8") == "mine"


@pytest.mark.usefixtures("tiny")
def test_more_threads_than_cores(refused):
    assert "need as many cores" in refused("bench", "--threads", 512)
