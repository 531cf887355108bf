"""`elman export`, and the commands that take its file in the place of a run directory."""

import csv
import io
import json
import re
import sys

import numpy as np
import pytest

from elman import Classifier, Forecaster, Generator
from elman.data import read_series, read_table, read_text
from elman.tasks.forecast.files import train_on_series
from elman.tasks.generate.files import train_on_text
from tests.tasks.exports import NEAR
from tests.tasks.generators import EXAMPLE


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The run directory `trained` as a file; tests must not change it."""
    path = tmp_path_factory.mktemp("exported") / "terms.onnx"
    Classifier.load(trained).to_onnx(path)
    return path


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    """A generator's run directory, and its file beside it."""
    folder = tmp_path_factory.mktemp("chinese")
    model = Generator(epochs=1, hidden_size=16, embedding_size=8, lr=0.01)
    train_on_text(model, read_text(EXAMPLE), 0.1)
    model.to_onnx(folder / "run.onnx")
    return model.save(folder / "run")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A forecaster's run directory, with its file and the series beside it."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [f"{k},{(k % 7) ** 2 + k / 9:.3f},{k % 5}" for k in range(120)]
    (folder / "shop.csv").write_text("\n".join(["day,sales,cost", *rows]) + "\n")
    model = Forecaster(horizon=3, epochs=3, hidden_size=6)
    table = read_table(folder / "shop.csv")
    train_on_series(model, read_series(table, ["sales", "cost"], "day"), 0.2)
    model.to_onnx(folder / "run.onnx")
    return model.save(folder / "run")


def test_the_command_stays_at_home(trained, tmp_path):
    """It names folders and files, and the file is made to be handed on."""
    model = Classifier.load(trained)
    model.about = model.about.model_copy(update={"command": "elman train /at/home/secret.csv"})
    model.to_onnx(tmp_path / "terms.onnx")
    assert b"secret" not in (tmp_path / "terms.onnx").read_bytes()
    assert Classifier.load(tmp_path / "terms.onnx").about.command is None
    assert model.about.command


def check_near(one, other):
    """Two outputs in CSV: words equal, numbers as near as rounding lets them be, and one digit."""
    found, expected = (list(csv.reader(io.StringIO(text, newline=""))) for text in (one, other))
    assert len(found) == len(expected) > 1
    for row, of in zip(found, expected, strict=True):
        assert len(row) == len(of)
        for a, b in zip(row, of, strict=True):
            if a != b:
                assert float(a) == pytest.approx(float(b), rel=NEAR, abs=NEAR)


def test_from_a_run_to_a_file(elman, trained, tmp_path):
    path = tmp_path / "terms.onnx"
    result = elman("export", trained, "-o", path)
    assert (result.code, result.err) == (0, "")
    lines = [line.strip() for line in result.out.splitlines()]
    assert lines[0] == "network    characters → embedding 8 → RNN 8 (tanh)"
    assert lines[1].startswith("input      input: int64 (N, L), token ids: ")
    assert lines[2].startswith("lengths: int64 (N), ")
    assert lines[3].startswith("output     scores: float32 (N, 2), ")
    told = re.fullmatch(
        r"checked    ONNX Runtime \S+ is at most (\S+) from torch, over 62 rows of 1 to 60 steps",
        lines[5],
    )
    assert 0 < float(told[1]) < NEAR
    size = round(path.stat().st_size / 1e3)
    assert re.fullmatch(rf"saved      {re.escape(str(path))}, {size} kB, opset \d+", lines[6])
    assert lines[7] == f"next       elman predict {path} FILE.csv"
    again = elman("export", trained, "-o", path)
    assert f"unchanged  {path}, " in again.out
    path.write_bytes(b"mine")
    moved = elman("export", trained, "-o", path)
    assert f"moved      the file that was there is now {tmp_path / 'terms.bak-1.onnx'}" in moved.out
    assert (tmp_path / "terms.bak-1.onnx").read_bytes() == b"mine"


def test_without_a_name_it_goes_beside_the_run(elman, train, terms, tmp_path, monkeypatch):
    train()
    monkeypatch.chdir(tmp_path / "run")
    assert f"saved      {tmp_path / 'run.onnx'}, " in elman("export", ".").out
    monkeypatch.chdir(tmp_path)
    assert "unchanged  run.onnx, " in elman("export", "run/").out
    check_near(
        elman("predict", tmp_path / "run.onnx", terms).out,
        elman("predict", tmp_path / "run", terms).out,
    )


def test_predict_evaluate(elman, trained, exported, terms, tmp_path):
    odd = tmp_path / "odd.csv"
    odd.write_text('term\n"头痛"\n""\n全新的\n' + "很长" * 200 + "\n", "utf-8")
    one = tmp_path / "one.csv"
    one.write_text("term\n咳\n", "utf-8")
    for file in (terms, odd, one):
        check_near(elman("predict", exported, file).out, elman("predict", trained, file).out)
    assert elman("evaluate", exported, terms).out == elman("evaluate", trained, terms).out
    found, expected = (
        json.loads(elman("evaluate", place, terms, "--json").out) for place in (exported, trained)
    )
    assert found == expected


def test_many_rows_stream(elman, trained, exported, terms, tmp_path):
    header, *lines = terms.read_text("utf-8").splitlines()
    long = tmp_path / "long.csv"
    long.write_text("\n".join([header, *(lines * 300)]) + "\n", "utf-8")
    out = tmp_path / "out.csv"
    result = elman("predict", exported, long, "-o", out, "--threads", 2)
    assert result.err == f"18000 rows with their answers in {out}\n"
    first, *answers = out.read_text("utf-8").splitlines()
    check_near(
        "\n".join([first, *answers[-60:]]), "\n".join(elman("predict", trained, terms).out.split())
    )
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"term": "头痛"}\n{"term": ""}\n', "utf-8")
    assert elman("predict", exported, folder, "-o", tmp_path / "answers").code == 0
    assert len((tmp_path / "answers" / "a.jsonl").read_text("utf-8").splitlines()) == 2


def test_a_generator(elman, chinese, refused):
    file = chinese.with_suffix(".onnx")
    asked = ["--prompt", "我爱", "--length", 40, "--seed", 1]
    assert elman("generate", file, *asked).out == elman("generate", chinese, *asked).out
    found, expected = (
        json.loads(elman("evaluate", place, EXAMPLE, "--json").out) for place in (file, chinese)
    )
    assert found == pytest.approx(expected, rel=NEAR)
    assert "a run of the task 'generate', which writes text; use elman generate" in refused(
        "predict", file, EXAMPLE
    )
    result = elman("export", chinese, "-o", file)
    assert f"next       elman generate {file} --prompt TEXT" in result.out


def test_a_forecaster(elman, shop):
    file, rows = shop.with_suffix(".onnx"), shop.with_name("shop.csv")
    for more in ([], ["--steps", 2]):
        check_near(elman("predict", file, rows, *more).out, elman("predict", shop, rows, *more).out)
    assert elman("evaluate", file, rows).out == elman("evaluate", shop, rows).out


def test_sequences_of_numbers(elman, tmp_path):
    rng = np.random.default_rng(0)
    rows = [f'"{rng.normal(size=3 + k % 4).round(3).tolist()}",{"ab"[k % 2]}' for k in range(30)]
    file = tmp_path / "waves.csv"
    file.write_text("\n".join(["s,kind", *rows]) + "\n")
    quick = ["--epochs", 2, "--hidden-size", 8]
    told = elman("train", "classify", file, "--sequence", "s", "--label", "kind", *quick, "--out",
                 tmp_path / "run")  # fmt: skip
    assert told.code == 0
    assert elman("export", tmp_path / "run").code == 0
    check_near(
        elman("predict", tmp_path / "run.onnx", file).out,
        elman("predict", tmp_path / "run", file).out,
    )


def test_what_is_refused(elman, refused, trained, exported, terms, tmp_path, contents):
    text = tmp_path / "notes.onnx"
    text.write_text("no network at all")
    before = contents(tmp_path)
    assert f"{text}: damaged: it is no ONNX file" in refused("predict", text, terms)
    assert "no such file; `elman export DIR -o" in refused("predict", tmp_path / "no.onnx", terms)
    assert "no such run directory; `elman train` makes one" in refused("export", tmp_path / "no")
    assert "an ONNX file can only be run; to export it, load the run directory" in refused(
        "export", exported, "-o", tmp_path / "again.onnx"
    )
    assert "the name should end with .onnx" in refused("export", trained, "-o", tmp_path / "x.bin")
    assert "there is a file or a link of this name" in refused(
        "train", "classify", terms, "--text", "term", "--label", "label", "--out", exported,
        "--resume",
    )  # fmt: skip
    assert contents(tmp_path) == before


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_is_missing(refused, trained, exported, terms, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for asked in (
        ["export", trained, "-o", tmp_path / "x.onnx"],
        ["predict", exported, terms],
        ["info", exported],
    ):
        assert f"the package {package} is not installed; pip install 'elman[onnx]'" in refused(
            *asked
        )


def test_info_on_a_model(elman, trained, exported, refused, tmp_path):
    result = elman("info", exported)
    assert (result.code, result.err) == (0, "")
    assert result.out == elman("info", trained).out
    assert "network    characters → embedding 8 → RNN 8 (tanh)" in result.out
    assert "held out   accuracy: " in result.out
    assert "classes    ['fall', 'rise']" in result.out
    assert "columns    text: term" in result.out
    facts = json.loads(elman("info", exported, "--json").out)
    assert (facts["task"], facts["settings"]["hidden_size"]) == ("classify", 8)
    assert facts["data"]["rows"] == 60
    assert "no such run directory" in refused("info", tmp_path / "no")


def test_info_has_the_packages(elman):
    packages = json.loads(elman("info", "--json").out)["packages"]
    assert {"onnx", "onnxscript", "onnxruntime"} < packages.keys()
