"""`elman train forecast`, and `predict` and `evaluate` with its runs, as a person gives them."""

import json

import numpy as np
import pytest

from elman import Forecaster

QUICK = ["--horizon", "3", "--epochs", "4", "--hidden-size", "6", "--chunk", "16"]


def months(n, first=2010 * 12):
    return [f"{(first + k) // 12}-{(first + k) % 12 + 1:02}" for k in range(n)]


def numbers(n):
    """Two columns, the first with a season of twelve."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal((n, 2)).cumsum(0)
    y[:, 0] += 9 * np.sin(2 * np.pi * np.arange(n) / 12)
    return y.round(3)


def csv_of(n):
    rows = [f"{m},{a},{b}" for m, (a, b) in zip(months(n), numbers(n).tolist(), strict=True)]
    return "\n".join(["month,sales,cost", *rows]) + "\n"


def jsonl_of(n):
    rows = zip(range(n), numbers(n).tolist(), strict=True)
    return "".join(json.dumps({"t": 10 + 2 * k, "a": a, "b": b}) + "\n" for k, (a, b) in rows)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text(csv_of(100))
    return path


@pytest.fixture
def fit(elman, file, tmp_path):
    def call(*more):
        targets = ["--target", "sales", "--target", "cost", "--time", "month"]
        return elman("train", "forecast", file, *targets, *QUICK, "--out", tmp_path / "run", *more)

    return call


@pytest.fixture
def run(fit, tmp_path):
    assert fit().code == 0
    return tmp_path / "run"


def table(text):
    return [row.split(",") for row in text.splitlines()]


def test_what_training_says(fit, tmp_path):
    result = fit()
    assert result.code == 0, result.err
    assert result.err == ""
    for said in (
        "100 rows of", "sales, cost", "12 steps (sales)",
        "from rows 1 to 80 (2010-01 to 2016-08), the last of them to tell when to stop",
        "rows 81 to 100 (2016-09 to 2018-04), never learned from",
        "18 rows, from each of which 3 steps are forecast",
        "naive, ", "against the better of these", "of the values; 90% were asked for",
        f"saved      {tmp_path / 'run'}",
    ):  # fmt: skip
        assert said in result.out, said
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "README.md", "checkpoint", "config.json", "metrics.jsonl", "model.safetensors",
        "report.html", "report.json", "scaling.json",
    ]  # fmt: skip
    page = (tmp_path / "run" / "README.md").read_text("utf-8")
    assert "Forecasts `sales`, `cost`, 3 steps ahead" in page
    assert "rows 1 to 80" in page
    model = Forecaster.load(tmp_path / "run")
    assert model.learned_.rows == 80
    assert f"{model.evaluate(numbers(100)).skill():+.3f}, mean of the columns" in result.out
    assert model.about.held_out.figure("skill") == model.evaluate(numbers(100)).skill()


def test_what_follows_in_the_form_of_the_file(elman, run, file):
    result = elman("predict", run, file)
    assert result.code == 0, result.err
    head, *rows = table(result.out)
    assert head == [
        "month", "sales", "sales_lower", "sales_upper", "cost", "cost_lower", "cost_upper",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["2018-05", "2018-06", "2018-07"]
    model = Forecaster.load(run)
    following, ends = model.predict(numbers(100)), model.predict_interval(numbers(100))
    for k, row in enumerate(rows):
        for c in range(2):
            wanted = [following[k, c], ends[0][k, c], ends[1][k, c]]
            assert np.allclose([float(x) for x in row[1 + 3 * c : 4 + 3 * c]], wanted, atol=1e-6)
    assert len(table(elman("predict", run, file, "--steps", 1).out)) == 2


@pytest.mark.parametrize("n", [13, 40, 137])
def test_a_longer_and_a_shorter_file(elman, run, tmp_path, n):
    other = tmp_path / "other.csv"
    other.write_text(csv_of(n))
    rows = table(elman("predict", run, other).out)
    assert [row[0] for row in rows[1:]] == months(n + 3)[n:]
    wanted = Forecaster.load(run).predict(numbers(n))
    assert np.allclose([[float(r[1]), float(r[4])] for r in rows[1:]], wanted, atol=1e-6)


def test_too_short_to_go_on_from(refused, run, tmp_path):
    (tmp_path / "o.csv").write_text(csv_of(12))
    assert "o.csv: the series has 12 rows; to say how it goes on, at least 13" in refused(
        "predict", run, tmp_path / "o.csv"
    )


def test_outputs_and_folders(elman, run, file, tmp_path):
    for name in ("a.csv", "a.jsonl", "a.tsv"):
        assert elman("predict", run, file, "-o", tmp_path / name).code == 0
    records = [json.loads(x) for x in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [r["month"] for r in records] == ["2018-05", "2018-06", "2018-07"]
    assert records[0]["sales"] == Forecaster.load(run).predict(numbers(100))[0, 0]
    assert (tmp_path / "a.csv").read_text() == elman("predict", run, file).out
    folder = tmp_path / "shops"
    folder.mkdir()
    for n in (50, 60):
        (folder / f"{n}.csv").write_text(csv_of(n))
    (folder / "bad.csv").write_text("month,sales\n2020-01,3\n")
    result = elman("predict", run, folder, "-o", tmp_path / "out")
    assert result.code == 2
    assert "bad.csv: no column 'cost'; the columns are 'month', 'sales'" in result.err
    assert "1 of 3 files could not be answered for" in result.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["50.csv", "60.csv"]
    assert (tmp_path / "out" / "50.csv").read_text().splitlines()[1].startswith("2014-03,")


def test_numbers_of_jsonl_stay_numbers(elman, tmp_path):
    path = tmp_path / "y.jsonl"
    path.write_text(jsonl_of(90))
    for time in (["--time", "t"], []):
        out = tmp_path / f"run{len(time)}"
        result = elman("train", "forecast", path, "--target", "a", *time, *QUICK, "--out", out)
        assert result.code == 0, result.err
        records = [json.loads(x) for x in elman("predict", out, path).out.splitlines()]
        name, wanted = ("t", [190, 192, 194]) if time else ("step", [91, 92, 93])
        assert [record[name] for record in records] == wanted
        assert list(records[0]) == [name, "a", "a_lower", "a_upper"]


def test_names_that_meet(elman, refused, tmp_path):
    path = tmp_path / "y.csv"
    rows = "\n".join(f"{a},{b}" for a, b in numbers(90))
    path.write_text(f"step,step_upper\n{rows}\n")
    begin = ["train", "forecast", path, *QUICK, "--out", tmp_path / "run", "--target", "step"]
    assert elman(*begin).code == 0
    assert elman("predict", tmp_path / "run", path).out.startswith("step_,step,step_lower,")
    assert "'step_upper' would be both" in refused(*begin, "--target", "step_upper")


def test_judged_on_rows_not_learned_from(elman, run, file, tmp_path):
    said = elman("evaluate", run, file).out
    assert "from rows 1 to 80 (2010-01 to 2016-08): these are not judged" in said
    assert "rows 81 to 100 (2016-09 to 2018-04)" in said
    figures = json.loads(elman("evaluate", run, file, "--json").out)
    assert figures["rows_learned_from"] == 80
    held_out = json.loads((run / "config.json").read_text("utf-8"))["about"]["held_out"]
    assert {k: figures[k] for k in held_out if k != "rows"} == {
        k: v for k, v in held_out.items() if k != "rows"
    }
    assert figures["origins"] == 18
    other = tmp_path / "other.csv"
    lines = csv_of(90).splitlines()
    other.write_text("\n".join([lines[0], *lines[31:]]) + "\n")
    said = elman("evaluate", run, other).out
    assert "learned" not in said
    assert "judged     rows 14 to 60 (2013-08 to 2017-06)" in said
    assert json.loads(elman("evaluate", run, other, "--json").out)["rows_learned_from"] == 0
