"""The tasks of benchmarks/long_memory.py are the papers', and its picture what it measured."""

import csv
import dataclasses
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import long_memory

    return long_memory


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_adding(script):
    x, y = script.adding(500, 60, seeded())
    assert x.shape == (60, 500, 2)
    numbers, marks = x.unbind(2)
    assert ((marks == 0) | (marks == 1)).all()
    for half in (marks[:30], marks[30:]):
        assert torch.equal(half.sum(0), torch.ones(500))
    for n in range(500):
        first, second = marks[:, n].nonzero().flatten().tolist()
        assert y[n] == numbers[first, n] + numbers[second, n]
    assert 0 <= numbers.min() < 0.01
    assert 0.99 < numbers.max() < 1
    assert len({tuple(column.nonzero().flatten().tolist()) for column in marks.T}) > 300


def test_what_an_answer_without_memory_is_worth(script):
    """The variance of a sum of two; of 20000 rows, within four standard deviations of it."""
    _, y = script.adding(20_000, 4, seeded())
    # the fourth central moment of such a sum is 1/15, so its square's variance 1/15 - 1/36
    deviation = math.sqrt((1 / 15 - 1 / 36) / 20_000)
    assert abs((y - 1).square().mean().item() - 1 / 6) < 4 * deviation
    assert script.TASKS["adding"].baseline == pytest.approx(1 / 6)
    _, y = script.copying(50, 100, seeded())
    guess = torch.full((120, 50, 9), -math.inf)
    guess[:110, :, script.BLANK] = 0
    guess[110:, :, :8] = -math.log(8)
    loss = functional.nll_loss(guess.flatten(0, 1), y.flatten()).item()
    assert loss == pytest.approx(script.TASKS["copy"].baseline, rel=1e-6)


def test_copying(script):
    T = 20
    x, y = script.copying(300, T, seeded())
    assert x.shape == (T + 20, 300, 10)
    assert torch.equal(x.sum(2), torch.ones(T + 20, 300))
    read = x.argmax(2)
    assert torch.equal(y[T + 10 :], read[:10])
    assert set(read[:10].flatten().tolist()) == set(range(8))
    assert (read[10 : T + 9] == script.BLANK).all()
    assert (read[T + 9] == script.GO).all()  # at step T + 10, and from the next on they are written
    assert (read[T + 10 :] == script.BLANK).all()
    assert (y[: T + 10] == script.BLANK).all()


def test_the_same_seed_draws_the_same_and_another_others(script):
    for draw in (script.adding, script.copying):
        first, again, other = (draw(4, 30, seeded(seed)) for seed in (1, 1, 2))
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        assert not torch.equal(first[0], other[0])


def test_the_preset_learns_where_the_others_do_not(script):
    """Short: the numbers over 600 steps are in benchmarks/results/long_memory.csv."""
    task = dataclasses.replace(script.TASKS["adding"], T=60, steps=300)
    ends = {layer: script.train(task, layer, 0)[-1] for layer in ("preset", "torch")}
    assert float(ends["preset"]["test_loss"]) < 0.03
    assert float(ends["torch"]["test_loss"]) > 0.12
    assert script.judge(task, "preset", 0, [ends["torch"]])
    assert not script.judge(task, "torch", 0, [ends["torch"]])
    assert not script.judge(task, "preset", 0, [ends["preset"] | {"test_loss": "0.009999"}])
    assert script.judge(task, "preset", 0, [ends["preset"] | {"test_loss": "nan"}])


def row(script, **values):
    return dict.fromkeys(script.COLUMNS, "0") | {k: str(v) for k, v in values.items()}


def test_the_picture_shows_every_curve_where_it_lies(script):
    rows = [
        row(script, task="adding", layer="preset", seed=seed, step=step, test_loss=loss)
        for seed in (0, 1)
        for step, loss in ((50, 0.1), (100, 0.001))
    ]
    rows.append(row(script, task="copy", layer="torch", seed=0, step=50, test_loss="nan"))
    page = ElementTree.fromstring(script.chart(rows))
    curves = [line.get("points").split() for line in page.iter(f"{SVG}polyline")]
    assert len(curves) == 3
    heights = [[float(point.split(",")[1]) for point in curve] for curve in curves]
    # four decades over 300 pixels: from 0.1 to 0.001 it is two of them down
    assert heights[0][1] - heights[0][0] == pytest.approx(150, abs=0.2)
    assert heights[2] == [62.0]  # no number stands at the top
    assert "seed 1: 0.001 after 100 steps" in page.find(f"{SVG}desc").text
    with pytest.raises(ValueError, match="at least one"):
        script.chart([])


# the pages that tell of it

PAGES = ("long_memory.md", "long_memory.zh-CN.md")


def code(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run_and_give_what_they_say(page):
    namespace: dict = {}
    held = 0
    for line in code(page).splitlines():
        expression, arrow, expected = line.partition("  # → ")
        if arrow:
            assert repr(eval(expression, namespace)) == expected, line
            held += 1
        else:
            exec(line, namespace)  # each statement is a line
    assert held == 2


def test_both_pages_hold_the_same_code():
    english, chinese = (re.sub(r"\s*# (?!→).*", "", code(page)) for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_figures_are_the_tables(script, page):
    """Each run's last test loss, as it was measured, and no preset's above the bar."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    with (ROOT / "benchmarks/results/long_memory.csv").open(encoding="utf-8") as file:
        ends = {(r["task"], r["layer"], r["seed"]): r for r in csv.DictReader(file)}
    assert len(ends) == 2 * (script.SEEDS + 2)
    for (task, layer, _), row in ends.items():
        assert f"{float(row['test_loss']):.4f}" in text, row
        assert int(row["step"]) == script.TASKS[task].steps
        assert (float(row["test_loss"]) < script.BAR) == (layer == "preset")


def test_the_picture_is_the_tables(script):
    with (ROOT / "benchmarks/results/long_memory.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (ROOT / "docs/long_memory.svg").read_text(encoding="utf-8") == script.chart(rows)
