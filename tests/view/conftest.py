"""Pages in a browser, and small runs of all three jobs to look into; each made once."""

import numpy as np
import pytest

from elman import Classifier, Forecaster, Generator
from tests.tasks import generators

TEXTS = ["abc", "abd", "abe", "cba", "dba", "eba", "<b>", ">b<"] * 4
LABELS = ["up", "up", "up", "down", "down", "down", "up", "down"] * 4
WAVE = 10 * np.sin(2 * np.pi * np.arange(150) / 20) + 20


@pytest.fixture
def opened(chromium, tmp_path):
    """Open a view or HTML as a file: opened(view, width=360, locale="zh-CN"). It fails where the
    page asks for anything from outside, or makes an error or a dialog.
    """
    contexts, wrong = [], []

    def call(page, address="", width=1280, height=800, locale="en-US", **options):
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(getattr(page, "html", page), "utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": height}, locale=locale, **options
        )
        contexts.append(context)
        tab = context.new_page()
        own = file.as_uri()
        tab.on("request", lambda r: r.url.split("#")[0] == own or wrong.append(f"asked {r.url}"))
        tab.on("pageerror", lambda error: wrong.append(f"error {error}"))
        tab.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        tab.on("dialog", lambda d: (wrong.append(f"dialog {d.message}"), d.dismiss()))
        tab.goto(own + address)
        tab.wait_for_selector('html[data-drawn="all"]', timeout=60_000)
        return tab

    yield call
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def picture():
    """Wait until the page has drawn what was chosen, in sight and out of it."""

    def wait(tab):
        tab.wait_for_selector('html[data-drawn="all"]', timeout=60_000)

    return wait


@pytest.fixture(scope="session")
def classifier():
    options = {"hidden_size": 10, "embedding_size": 6, "epochs": 12, "lr": 0.02}
    return Classifier(**options, token_dropout=0.0, dropout=0.1).fit(TEXTS, LABELS)


@pytest.fixture(scope="session")
def deep():
    """Two layers, both directions."""
    options = {"hidden_size": 5, "embedding_size": 4, "epochs": 4, "lr": 0.02}
    return Classifier(**options, num_layers=2, bidirectional=True).fit(TEXTS, LABELS)


@pytest.fixture(scope="session")
def sequences():
    """Of two numbers a step."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + k % 3, 2)) + k % 2 for k in range(40)]
    return Classifier(hidden_size=6, epochs=4).fit(rows, ["low", "high"] * 20)


@pytest.fixture(scope="session")
def writer():
    return Generator(**generators.SMALL).fit(generators.TEXT)


@pytest.fixture(scope="session")
def forecaster():
    return Forecaster(horizon=4, hidden_size=8, epochs=6).fit(WAVE)
