"""report.html as a reader sees it: in Chromium, in both languages, on a phone."""

import json

import numpy as np
import pytest

from elman import Classifier, Forecaster, Generator
from elman.data import Table
from elman.data.series import Series
from elman.data.text import Text
from elman.tasks.classify.files import Columns, train_on_table
from elman.tasks.forecast.files import train_on_series
from elman.tasks.generate.files import train_on_text
from tests.report.browsing import opened

HOSTILE = [
    '<script>document.title="hacked"</script>',
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "</script><script>alert(3)</script>",
    "<a href='javascript:alert(4)'>click</a>",
    "{{7*7}} ${alert(5)} <!-- --> ]]>",
    "a\x00\x07\x1b[31mb\x7f",
    "\u202egnp.exe\u202c\u2066",
    "<style>*{display:none}</style>",
    "&lt;b&gt; &amp;amp; 𠮷 👩‍👩‍👧 é",
]


def classifier(folder):
    rng = np.random.default_rng(0)
    names = ["<b>up</b>", "down & out"]
    rows = []
    for k in range(60):
        text = HOSTILE[k % len(HOSTILE)] + "".join(rng.choice(list("abcd"), 3))
        rows.append([text, names[int(rng.integers(2))]])  # labels at random: many are wrong
    table = Table(folder / "<i>.csv", ["t", "c"], rows, list(range(2, 62)), "0" * 64)
    model = Classifier(epochs=4, hidden_size=8, embedding_size=8, lr=0.02, num_layers=2)
    train_on_table(model, table, Columns("t", "c"), 0.5)
    return model


def generator(folder):
    text = "\n".join(HOSTILE) * 8
    model = Generator(epochs=4, hidden_size=16, embedding_size=8, lr=0.02)
    train_on_text(model, Text(folder / "text.txt", text, "0" * 64), 0.1)
    return model


def forecaster(folder):
    t = np.arange(160)
    values = np.stack([10 * np.sin(t / 3) + t / 9, 1e6 * np.cos(t / 5)], 1)
    labels = [f"{2000 + k // 12}-{k % 12 + 1:02}" for k in t]
    columns = ["<img src=x onerror=alert(6)>", "second"]
    series = Series(folder / "s.csv", "0" * 64, columns, values, "when", labels, list(t + 2))
    model = Forecaster(epochs=5, hidden_size=8, horizon=6)
    train_on_series(model, series, 0.3)
    return model


# what is shown in the place of a character that would not show, or would turn others round
SIGNS = {0: "␀", 7: "␇", 27: "␛", 127: "␡", 0x202E: "⟨U+202E⟩", 0x202C: "⟨U+202C⟩",
         0x2066: "⟨U+2066⟩"}  # fmt: skip

MAKERS = {"classify": classifier, "generate": generator, "forecast": forecaster}
TITLES = {
    "classify": ("How this classifier learned", "这个分类器是怎样学会的"),
    "generate": ("How this generator learned", "这个生成器是怎样学会的"),
    "forecast": ("How this forecaster learned", "这个预测器是怎样学会的"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run directory of each job, with texts that would like to do harm."""
    folder = tmp_path_factory.mktemp("runs")
    return {job: make(folder).save(folder / job) for job, make in MAKERS.items()}


@pytest.fixture
def browser(chromium):
    return chromium


@pytest.mark.parametrize("job", MAKERS)
@pytest.mark.parametrize(("language", "width"), [("en-US", 1100), ("zh-CN", 360), ("fr-FR", 360)])
def test_language_width_and_silence(browser, runs, job, language, width):
    with opened(browser, runs[job] / "report.html", language, width) as (page, seen):
        chinese = language == "zh-CN"
        for _ in range(2):
            title = TITLES[job][chinese]
            assert page.title() == page.locator("h1").inner_text() == title
            assert page.get_attribute("html", "lang") == ("zh-CN" if chinese else "en")
            visible = page.locator("main").inner_text()
            assert ("逐轮的学习过程" in visible) is chinese
            assert ("Learning, epoch by epoch" in visible) is not chinese
            drawing = page.locator("figure > svg:visible").first
            assert ("从" in drawing.get_attribute("aria-label")) is chinese
            for part in page.locator("details").all():
                part.evaluate("element => { element.open = true }")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.get_by_role("button", name="English" if chinese else "中文").click()
            chinese = not chinese
        assert page.locator("figure > svg:visible").count() == page.locator("figure").count()
        assert seen == []


@pytest.mark.parametrize("job", MAKERS)
def test_the_numbers_are_those_of_metrics(browser, runs, job):
    lines = (runs[job] / "metrics.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    with opened(browser, runs[job] / "report.html") as (page, _):
        tables = page.locator(".charts figure").evaluate_all(
            "figures => figures.map(f => [...f.querySelectorAll('tbody tr')].map(row => ["
            "row.dataset.x, ...[...row.querySelectorAll('td data')].map(cell => cell.value)]))"
        )
        read = [[[float(cell) for cell in row] for row in table] for table in tables]
        shown = page.locator(".charts td data").evaluate_all(
            "cells => cells.map(cell => [cell.value, cell.textContent])"
        )
    extra = [name for name in records[-1] if name.startswith("valid_") and name != "valid_loss"]
    figures = [["loss", "valid_loss"], *([name] for name in sorted(extra)), ["lr"], ["grad_norm"]]
    expected = [
        [[r["epoch"], *(r[name] for name in names if name in r)] for r in records if any(
            name in r for name in names)]
        for names in figures
    ]  # fmt: skip
    radii = [[r["epoch"], *r["spectral_radius"].values()] for r in records]
    assert len(radii[0]) == (3 if job == "classify" else 2)
    assert read == [*expected, radii]
    for value, text in shown:
        assert float(text) == pytest.approx(float(value), rel=1e-3), (value, text)


def test_the_confusion_matrix_and_the_surest_mistakes(browser, runs):
    report = json.loads((runs["classify"] / "report.json").read_text("utf-8"))["evidence"]
    with opened(browser, runs["classify"] / "report.html") as (page, seen):
        cells = page.locator(".matrix td data").evaluate_all("cells => cells.map(c => +c.value)")
        names = page.locator(".matrix tbody th").all_inner_texts()
        cases = page.locator(".cases li > bdi").all_inner_texts()
        sure = page.locator(".cases data").evaluate_all("cells => cells.map(c => +c.value)")
        assert seen == []
    counts = {(truth, answer): n for truth, answer, n in report["counts"]}
    assert report["on"] == "held out"
    assert names == report["classes"] == ["<b>up</b>", "down & out"]
    assert cells == [counts.get((t, a), 0) for t in (0, 1) for a in (0, 1)]
    model = Classifier.load(runs["classify"])
    assert sum(cells) == model.about.held_out.rows
    assert (cells[0] + cells[3]) / sum(cells) == model.about.held_out.accuracy
    assert len(cases) == min(24, cells[1] + cells[2]) > 3
    assert sure == sorted(sure, reverse=True) == [wrong["probability"] for wrong in report["wrong"]]
    probabilities = model.predict_proba([wrong["shown"] for wrong in report["wrong"]])
    assert probabilities.max(1).tolist() == pytest.approx(sure, abs=1e-6)
    for case, wrong in zip(cases, report["wrong"], strict=True):
        assert case == wrong["shown"].translate(SIGNS)


def test_samples_over_time(browser, runs):
    lines = (runs["generate"] / "metrics.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    with opened(browser, runs["generate"] / "report.html") as (page, seen):
        samples = page.locator(".samples pre").all_text_contents()
        kept = page.locator(".samples .kept p").all_inner_texts()
        assert seen == []
    # a parser drops a line break that comes first in <pre>
    assert [s.removeprefix("\n") for s in samples] == [
        r["sample"].translate(SIGNS).removeprefix("\n") for r in records
    ]
    assert len({r["sample"] for r in records}) == len(records) == 4
    best = Generator.load(runs["generate"]).history_.best_epoch
    assert len(kept) == 1
    assert kept[0].startswith(f"epoch {best} ")


def test_forecast_against_truth(browser, runs):
    evidence = json.loads((runs["forecast"] / "report.json").read_text("utf-8"))["evidence"]
    model = Forecaster.load(runs["forecast"])
    t = np.arange(160)
    y = np.stack([10 * np.sin(t / 3) + t / 9, 1e6 * np.cos(t / 5)], 1)
    known, H = 112, 6
    assert evidence["labels"] == [f"{2000 + k // 12}-{k % 12 + 1:02}" for k in range(known, 160)]
    forecasts = model.forecasts(y)
    judged = model.evaluate(y, first=known - 1)
    for c, column in enumerate(evidence["columns"]):
        assert column["truth"] == y[known:, c].tolist()
        assert [told["row"] for told in column["told"]] == list(range(42 % H, 43, H))
        inside = total = 0
        for told in column["told"]:
            origin = known + told["row"] - 1
            np.testing.assert_allclose(told["model"], forecasts[origin, :, c], rtol=1e-6)
            assert told["naive"] == [y[origin, c]] * H
            came = y[origin + 1 : origin + 1 + H, c]
            inside += ((told["lower"] <= came) & (came <= told["upper"])).sum()
            total += H
        for name in ("mae", "naive", "seasonal"):
            np.testing.assert_allclose(column[name], getattr(judged, name)[:, c], rtol=1e-6)
        assert total == 48
    with opened(browser, runs["forecast"] / "report.html") as (page, seen):
        figures = page.locator("section:nth-of-type(2) figure")
        assert figures.count() == 4
        first = figures.first
        assert "<img src=x onerror=alert(6)>" in first.locator("figcaption").inner_text()
        rows = first.locator("tbody tr").evaluate_all(
            "rows => rows.map(r => [r.firstChild.textContent,"
            " +r.children[1].querySelector('data')?.value, +r.children[2].firstChild.value])"
        )
        assert [row[0] for row in rows] == evidence["labels"]
        assert [row[2] for row in rows] == evidence["columns"][0]["truth"]
        said = [value for told in evidence["columns"][0]["told"] for value in told["model"]]
        assert [row[1] for row in rows] == said
        assert seen == []


def test_the_number_under_the_pointer(browser, runs):
    with opened(browser, runs["generate"] / "report.html") as (page, seen):
        chart = page.locator("figure.chart").first
        chart.scroll_into_view_if_needed()
        drawing = chart.locator("> svg:visible")
        box = drawing.bounding_box()
        page.mouse.move(box["x"] + box["width"] - 16, box["y"] + 40)
        told = chart.locator(".readout").inner_text()
        last = chart.locator("tbody tr").last.locator("td").first.text_content()
        assert told.startswith("epoch")
        assert last in told
        cross = drawing.locator(".cross")
        assert cross.evaluate("path => getComputedStyle(path).display") == "block"
        page.mouse.move(2, 2)
        assert chart.locator(".readout").inner_text() == ""
        assert seen == []


def test_without_scripts_it_is_whole_in_english(browser, runs):
    with opened(browser, runs["classify"] / "report.html", "zh-CN", 360, False) as (page, seen):
        assert page.locator("h1").inner_text() == TITLES["classify"][0]
        assert page.locator("figure > svg:visible").count() >= 5
        assert seen == []


def test_it_is_named_for_those_who_do_not_see_it(browser, runs):
    with opened(browser, runs["classify"] / "report.html") as (page, _):
        unnamed = page.evaluate(
            "[...document.querySelectorAll('svg[role=img],button,[role=group]')].filter("
            "e => !(e.getAttribute('aria-label') || e.textContent.trim())).length"
        )
        hidden = page.evaluate(
            "[...document.querySelectorAll('svg:not([role=img])')].filter("
            "e => e.getAttribute('aria-hidden') !== 'true').length"
        )
        headings = page.locator("h1, h2").evaluate_all("all => all.map(h => h.tagName)")
        assert (unnamed, hidden, headings[0], headings.count("H1")) == (0, 0, "H1", 1)
        # lines of one chart differ in dashes, points in shape
        looks = (
            page.locator("figure.chart")
            .first.locator("> svg:visible .line")
            .evaluate_all("lines => lines.map(line => getComputedStyle(line).strokeDasharray)")
        )
        assert len(set(looks)) == len(looks) == 2
