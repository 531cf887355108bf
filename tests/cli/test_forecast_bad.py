"""Forecasts from bad input: one line with file, row and remedy; and Ctrl-C loses nothing."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from elman import Classifier, Forecaster
from elman.cli.console import Log

QUICK = ["--horizon", "3", "--epochs", "4", "--hidden-size", "4", "--chunk", "16"]


def rows(n):
    """Years and a walk."""
    walk = np.random.default_rng(0).standard_normal(n).cumsum().round(3).tolist()
    return [[str(1900 + k), str(value)] for k, value in enumerate(walk)]


def text(of):
    return "\n".join(",".join(row) for row in [["year", "y"], *of]) + "\n"


def spoilt(row, column, value):
    of = rows(80)
    of[row][column] = value
    return text(of)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "y.csv"
    path.write_text(text(rows(80)))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory made once; tests must not change it."""
    model = Forecaster(horizon=3, epochs=1, hidden_size=4)
    model.fit([float(row[1]) for row in rows(80)], columns=["y"])
    model.about.columns = {"target": ["y"], "time": "year"}
    return model.save(tmp_path_factory.mktemp("trained") / "run")


def begin(file, out, *more):
    return ["train", "forecast", file, "--target", "y", "--time", "year", *QUICK, "--out", out,
            *more]  # fmt: skip


# what the file holds (None: it is not there), what the line says after the file's name
FILES = {
    "missing": (None, "no such file; check the path"),
    "empty": ("", "the file is empty"),
    "header": ("year,y\n", "no rows below the column names; add some"),
    "column": ("year,x\n1900,1\n", "no column 'y'; the columns are 'year', 'x'"),
    "times": ("when,y\n1900,1\n", "no column 'year'; the columns are 'when', 'y'"),
    "word": (spoilt(4, 1, "much"), "row 5 (line 6): column 'y' should be a finite number"),
    "blank": (spoilt(79, 1, ""), "row 80 (line 81): column 'y' is empty; fill it in"),
    "nan": (spoilt(0, 1, "nan"), "row 1 (line 2): column 'y' should be a finite number"),
    "inf": (spoilt(7, 1, "-inf"), "row 8 (line 9): column 'y' should be a finite number"),
    "gap": (text(rows(40) + rows(80)[41:]), "row 41 (line 42): time '1941' follows '1939', a step"),
    "irregular": (spoilt(30, 0, "1930.5"), "row 31 (line 32): time '1930.5' follows '1929'"),
    "twice": (text(rows(40) + rows(80)[39:]), "row 41 (line 42): time '1939' comes twice"),
    "unsorted": (text(rows(80)[::-1]), "row 2 (line 3): time '1978' does not come after '1979'"),
    "no time": (spoilt(9, 0, "soon"), "row 10 (line 11): time 'soon' of column 'year' cannot be"),
    "huge": (spoilt(3, 1, "1e200"), "X[3] holds 1e+200, above 1e+100; use another unit"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used(refused, trained, file, tmp_path, contents, name):
    content, message = FILES[name]
    file.unlink()
    if content is not None:
        file.write_text(content)
    before, run = contents(tmp_path), contents(trained)
    for arguments in (begin(file, tmp_path / "run"), ["predict", trained, file],
                      ["evaluate", trained, file]):  # fmt: skip
        line = refused(*arguments)
        assert line.startswith(f"error: {file}: ")
        assert message in line
        assert contents(tmp_path) == before
    assert contents(trained) == run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "y"], "column 'y' is named twice; name it once"),
        (["--target", "year"], "column 'year' is named as the time and as a value"),
        (["--horizon", "20"], "y.csv: has 80 rows, 60 of them to learn from"),
        (["--season", "60"], "y.csv: has 80 rows, 64 of them to learn from"),
        (["--horizon", "10001"], "error: --horizon: should be "),
        (["--coverage", "1"], "error: --coverage: should be "),
        (["--dropout", "1"], "error: --dropout: should be "),
        (["--lr", "0"], "error: --lr: should be "),
        (["--clip", "-1"], "error: --clip: should be "),
        (["--device", "tpu"], "error: --device: should be "),
        (["--device", "cuda:99"], "use cpu"),
        (["--bidirectional"], "who looks ahead cannot read from the end"),
        (["--encoding", "utf-99"], "utf-99"),
    ],
    ids=str,
)
def test_options_that_cannot_be(refused, trained, file, tmp_path, contents, arguments, message):
    before = contents(tmp_path)
    assert message in refused(*begin(file, tmp_path / "run", *arguments))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("arguments", [["--season", "30"], ["--horizon", "9", "--hold-out", "0.5"]])
def test_too_short_says_how_long_it_must_be(elman, refused, file, tmp_path, arguments):
    given = begin(file, tmp_path / "run", *arguments)
    file.write_text(text(rows(20)))
    line = refused(*given)
    assert line.startswith(f"error: {file}: has 20 rows, ")
    whole = int(line.split("at least ")[1].split()[0])
    file.write_text(text(rows(whole - 1)))
    assert f"has {whole - 1} rows, " in refused(*given)
    assert f"at least {whole} in all" in refused(*given)
    assert not (tmp_path / "run").exists()
    file.write_text(text(rows(whole)))
    assert elman(*given).code == 0


def test_too_short_to_judge(refused, trained, file):
    line = refused("evaluate", trained, file)  # all of it was learned from
    assert f"{file}: the series begins with the 80 rows learned from and has 80 rows" in line
    assert "at least 83 are needed" in line
    file.write_text(text(rows(4)))
    assert "has 4 rows; to judge forecasts of 3 steps at least 5" in refused(
        "evaluate", trained, file
    )


def test_steps_beyond_the_horizon(refused, elman, trained, file):
    line = refused("predict", trained, file, "--steps", "4")
    assert "--steps 4: this model forecasts 3 steps; train one with --horizon 4" in line
    assert len(elman("predict", trained, file, "--steps", "3").out.splitlines()) == 4


def test_a_run_of_another_task(refused, trained, text_of_terms, tmp_path, file):
    pairs = [line.split(",")[:2] for line in text_of_terms.splitlines()[1:]]
    other = Classifier(epochs=1, hidden_size=2, embedding_size=2)
    other.fit([a for a, _ in pairs], [b for _, b in pairs]).save(tmp_path / "other")
    with pytest.raises(ValueError, match="a run of the task 'classify', 'forecast' is needed"):
        Forecaster.load(tmp_path / "other")
    assert "forecast" in refused("generate", trained, "--prompt", "a")
    assert "--text" in refused("predict", tmp_path / "other", file)


@pytest.mark.parametrize("name", ["scaling.json", "config.json", "model.safetensors"])
def test_a_damaged_run(refused, trained, file, tmp_path, contents, name):
    run = shutil.copytree(trained, tmp_path / "run")
    for spoil in (lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda p: p.unlink()):
        spoil(run / name)
        before = contents(tmp_path)
        for command in ("predict", "evaluate"):
            line = refused(command, run, file)
            assert line.startswith(f"error: {run}")
            assert name in line
        assert contents(tmp_path) == before


def test_a_column_of_time_that_is_no_name(refused, trained, file, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["about"]["columns"]["time"] = ["year"]
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    for command in ("predict", "evaluate"):
        line = refused(command, run, file)
        assert f"{run}/config.json: damaged: about: columns: 'time' should be one" in line


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(refused, file, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in refused(*begin(file, tmp_path / "locked" / "run"))


def test_a_place_that_is_taken(refused, elman, file, tmp_path, contents):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    assert "not an elman run; choose a new" in refused(*begin(file, tmp_path / "work"))
    assert "cannot be written" in refused(*begin(file, file / "run"))
    assert elman(*begin(file, tmp_path / "run")).code == 0
    before = contents(tmp_path / "run")
    refused(*begin(file, tmp_path / "run", "--horizon", "20"))
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("nth", [1, 4, 9, 15])
def test_ctrl_c_and_resume(elman, file, tmp_path, monkeypatch, nth):
    more = ["--chunk", "8", "--num-layers", "2", "--dropout", "0.2", "--patience", "9"]
    whole = elman(*begin(file, tmp_path / "whole", *more))
    assert whole.code == 0
    show, calls = Log.__call__, iter(range(1, 10_000))

    def shown(log, progress):
        show(log, progress)
        if next(calls) == nth:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Log, "__call__", shown)
    stopped = elman(*begin(file, tmp_path / "run", *more))
    assert stopped.code == 130
    assert "saved in" in stopped.err
    assert "skill" in stopped.out  # judged all the same
    assert elman("predict", tmp_path / "run", file).code == 0
    monkeypatch.setattr(Log, "__call__", show)
    rest = elman(*begin(file, tmp_path / "run", *more, "--resume"))
    assert rest.code == 0, rest.err
    for name in ("model.safetensors", "scaling.json", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    tail = [line for line in whole.out.splitlines() if "skill" in line or "MAE" in line]
    assert all(line in rest.out for line in tail)
    again = elman(*begin(file, tmp_path / "run", *more, "--resume"))
    assert "was finished already" in again.out
    changed = elman(*begin(file, tmp_path / "run", *more, "--hold-out", "0.3", "--resume"))
    assert (changed.code, "made with other data" in changed.err) == (2, True)
