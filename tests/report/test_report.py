"""report.html and report.json without a browser: what is in them, resumed, damaged, odd."""

import base64
import hashlib
import html.parser
import json
import math
import re

import numpy as np
import pytest
from pydantic import ValidationError

from elman import Classifier, Forecaster
from elman.errors import RunDirectoryError
from elman.report.charts import Chart, Line, draw, steps
from elman.report.frame import Words, as_number, document, number, section
from elman.tasks.report import report_page

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Checked(html.parser.HTMLParser):
    """Raises where a tag is closed that is not open; notes tags and attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    parser = Checked()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser.seen


@pytest.fixture(scope="module")
def fitted():
    texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 4
    labels = ["up", "up", "up", "down", "down", "down"] * 4
    model = Classifier(epochs=3, hidden_size=8, embedding_size=4, lr=0.01)
    return model.fit(texts, labels)


@pytest.fixture
def saved(fitted, tmp_path):
    return fitted.save(tmp_path / "run")


def test_the_policy_allows_what_stands_there_and_nothing_else(saved):
    page = (saved / "report.html").read_text("utf-8")
    seen = checked(page)
    policy = next(a["content"] for tag, a in seen if a.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind in ("style", "script"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert rules.keys() == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    names = {name for _, attributes in seen for name in attributes}
    assert not names & {"style", "src", "href", "srcdoc", "action"}
    assert not [name for name in names if name.startswith("on")]
    assert "http:" not in page
    assert "https:" not in page


def test_a_python_run_tells_on_which_rows_it_was_judged(saved, fitted):
    evidence = json.loads((saved / "report.json").read_text("utf-8"))["evidence"]
    assert evidence["on"] == "stopping"
    assert sum(n for *_, n in evidence["counts"]) >= 2
    assert "The weights were chosen by these rows" in (saved / "report.html").read_text("utf-8")


def test_saved_again_it_is_the_same(saved, tmp_path):
    again = Classifier.load(saved).save(tmp_path / "again")
    for name in ("report.html", "report.json"):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_an_older_run_without_a_report_loads_and_gets_one(saved, tmp_path):
    for name in ("report.html", "report.json"):
        (saved / name).unlink()
    lines = (saved / "metrics.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:  # as the versions before wrote them
        del record["spectral_radius"]
    (saved / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    model = Classifier.load(saved)
    assert model.evidence_ is None
    again = model.save(tmp_path / "again")
    assert not (again / "report.json").exists()
    page = (again / "report.html").read_text("utf-8")
    checked(page)
    assert "Norm of the gradient" in page
    assert "Spectral radius" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("[]", "it should name its format"),
        ('{"format": "elman report 1"}', "damaged"),
        ('{"format": "elman report 1", "evidence": {"on": "held out"}}', "classes: Field required"),
        ('{"format": "elman report 1", "evidence": {"on": "sure"}}', "on: "),
    ],
)
def test_a_damaged_report_is_told_of_with_its_remedy(saved, text, message):
    (saved / "report.json").write_text(text, "utf-8")
    with pytest.raises(RunDirectoryError, match="remove it: the model is whole without") as told:
        Classifier.load(saved)
    assert message in str(told.value)
    assert str(saved / "report.json") in str(told.value)
    (saved / "report.json").unlink()
    Classifier.load(saved)


def test_damaged_records_are_told_of_with_the_same_remedy(saved):
    (saved / "metrics.jsonl").write_text("{\n", "utf-8")
    with pytest.raises(
        RunDirectoryError, match=r"metrics\.jsonl: damaged.*remove it: the model is"
    ):
        Classifier.load(saved)
    (saved / "metrics.jsonl").unlink()
    Classifier.load(saved)


def test_a_report_of_a_later_form_is_left_alone(saved):
    (saved / "report.json").write_text('{"format": "elman report 2", "x": 1}', "utf-8")
    assert Classifier.load(saved).evidence_ is None


def test_numbers_that_fit_no_class_are_not_shown(saved, tmp_path):
    raw = json.loads((saved / "report.json").read_text("utf-8"))
    raw["evidence"]["counts"].append([7, 0, 1])
    (saved / "report.json").write_text(json.dumps(raw), "utf-8")
    page = (Classifier.load(saved).save(tmp_path / "again") / "report.html").read_text("utf-8")
    assert "Who was taken for whom" not in page


ODD = [None, True, "x", "<b>", [], {}, {"a": "b"}, -1, 0, 1e308, -1e308, 10**400, math.nan,
       math.inf, 1e-320, 2**63, 10**30, 1e300]  # fmt: skip


def test_records_of_any_kind_make_a_page(fitted):
    rng = np.random.default_rng(0)
    names = ["epoch", "loss", "valid_loss", "lr", "grad_norm", "spectral_radius", "sample",
             "valid_<i>"]  # fmt: skip
    config = fitted._new_config()
    for _ in range(60):
        records = [
            {name: ODD[rng.integers(len(ODD))] for name in names if rng.random() < 0.8}
            | ({"epoch": int(k)} if rng.random() < 0.4 else {})
            for k in range(rng.integers(0, 5))
        ]
        page = report_page(config, records, "network", fitted._answers())
        checked(page)
        assert "nan" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_many_epochs_are_thinned_and_the_best_is_kept(fitted):
    records = [
        {"epoch": k, "loss": 1 / k, "valid_loss": abs(k - 777) + 1.0} for k in range(1, 4001)
    ]
    page = report_page(fitted._new_config(), records, "network")
    shown = {int(float(x)) for x in re.findall(r'<tr data-x="([\d.]+)"', page)}
    assert len(shown) <= 502
    assert {1, 777, 4000} <= shown
    assert f"{len(shown)} of 4000 epochs are drawn" in page
    assert len(page) < 400_000


def test_resumed_its_history_goes_on(tmp_path):
    wave = 10 * np.sin(np.arange(120) / 3)
    place = tmp_path / "training.safetensors"
    small = {"hidden_size": 4, "horizon": 2, "season": 1}
    Forecaster(epochs=2, **small).fit(wave, checkpoint=place)
    resumed = Forecaster(epochs=5, **small).fit(wave, checkpoint=place, resume=True)
    straight = Forecaster(epochs=5, **small).fit(wave)
    assert resumed.history_.resumed == 3
    pages = [
        (model.save(tmp_path / name) / "report.html").read_bytes()
        for name, model in (("resumed", resumed), ("straight", straight))
    ]
    assert pages[0] == pages[1]
    assert len(resumed.history_.records) == 6  # with epoch 0


def test_more_classes_than_a_matrix_shows(tmp_path):
    texts = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "01234567"]
    labels = [text[0] for text in texts]
    model = Classifier(epochs=1, hidden_size=4, embedding_size=4).fit(texts, labels)
    page = (model.save(tmp_path / "run") / "report.html").read_text("utf-8")
    checked(page)
    assert "taken for" in page
    assert 'class="card matrix"' not in page


def test_round_steps():
    assert steps(0, 10, 5) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert steps(-0.31, 0.29, 5) == [-0.2, 0.0, 0.2]
    assert steps(3, 3) == [3]
    for low, high in ((1e-9, 1.1e-9), (-1e300, 1e300), (0.1, 1e6), (5, 5 + 1e-12)):
        found = steps(low, high)
        assert 0 < len(found) <= 12
        assert all(low <= x <= high * (1 + 1e-12) for x in found)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "points", [[(1, 2.0)], [(0, 1e-8), (5, 1e8)], [(1, 3.0), (2, 3.0)], [(2.0**63, 1.0)]]
)
def test_a_chart_keeps_inside_its_frame(points, log):
    words = Words("a", "甲")
    chart = Chart(
        words, [Line(words, points)], words, log=log, level=(0.5, words), mark=(points[0][0], words)
    )
    for tag, attributes in checked(draw(chart)):
        if tag == "svg" and "viewbox" in attributes:
            width, height = map(float, attributes["viewbox"].split()[2:])
        if tag == "polyline":
            places = [tuple(map(float, p.split(","))) for p in attributes["points"].split()]
            assert all(50 < x < width and 0 < y < height - 20 for x, y in places)


def test_numbers_and_what_is_none():
    assert number(1.0 / 3) == '<data value="0.3333333333333333">0.3333</data>'
    assert [number(odd) for odd in (None, "7", math.nan, True, 10**400)] == ["–"] * 5
    assert as_number(2) == 2.0
    page = document(Words("t", "题"), ["lead"], [section(Words("s", "节"), "x")])
    assert checked(page)


def places(value, path=()):
    """The path of every value inside a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


@pytest.mark.parametrize("task", ["classify", "forecast"])
def test_odd_values_in_a_report(fitted, task):
    """A page that is whole, or a validation error: nothing else."""
    model = fitted
    if task == "forecast":
        wave = 10 * np.sin(np.arange(90) / 3)
        model = Forecaster(epochs=1, hidden_size=4, horizon=3).fit(wave)
    kind, config = type(model.evidence_), model._new_config()
    whole = json.loads(model.evidence_.model_dump_json())
    everywhere = list(places(whole))[1:]
    rng, refused = np.random.default_rng(0), 0
    for k in rng.choice(len(everywhere), 120):
        raw = replaced(whole, everywhere[k], ODD[rng.integers(len(ODD))])
        try:
            evidence = kind.model_validate(raw)
        except ValidationError:
            refused += 1
            continue
        model.evidence_ = evidence
        checked(report_page(config, [], "network", model._answers()))
    model.evidence_ = kind.model_validate(whole)
    assert 0 < refused < 120
