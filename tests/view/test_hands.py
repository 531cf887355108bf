"""The page in a person's hands: keys, mouse, phone, two languages, a notebook, and bad words."""

import html
import re

import pytest
import torch
from torch import nn

import elman
from tests.view.conftest import WAVE
from tests.view.networks import document
from tests.view.pages import go, where

LANGUAGES = {"en-US": "en", "en-GB": "en", "fr-FR": "en", "zh-CN": "zh", "zh-TW": "zh"}
BUTTON = {"en": "Play", "zh": "播放"}


@pytest.fixture
def page(classifier):
    return elman.view(classifier, "abec")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_first_language_is_the_browsers(opened, page, locale):
    tab = opened(page, locale=locale)
    language = LANGUAGES[locale]
    assert tab.get_attribute("html", "lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert tab.get_attribute("#to-play", "aria-label") == BUTTON[language]


@pytest.mark.parametrize("made", ["classifier", "writer", "forecaster", "deep", "sequences"])
def test_no_word_is_left_in_the_other_language(opened, picture, request, made):
    model = request.getfixturevalue(made)
    given = {"forecaster": WAVE[:40], "sequences": [[1.0, 2.0], [0.5, 3.0]]}.get(made, "abe")
    tab = opened(elman.view(model, given))
    english = tab.inner_text("body").replace("中文", "")
    if made != "writer":  # whose tokens are Chinese
        assert not re.search(r"[\u4e00-\u9fff]", english)
    tab.click("[data-language=zh]")
    picture(tab)
    for part in ("#answer", "#drawing h2", "#step-title", "#agree", "#arithmetic", "#verdict",
                 "#advice", "#about", "#run", "#remembering"):  # fmt: skip
        assert re.search(r"[\u4e00-\u9fff]", tab.inner_text(part)), part
    chinese = tab.inner_text("body")
    assert not re.search(r"\{\w+\}|undefined|NaN", english + chinese)
    known = r"elman|English|torch|tanh|init|clip|relu|orthogonal|identity|float|down|RNN"
    known += r"|steps|low|high|unk|log|Home|End|abe|[Wb][ih]h|cpu"
    words = set(re.findall(r"[A-Za-z]{3,}", chinese))
    assert not {word for word in words if not re.fullmatch(known, word)}
    tab.click("[data-language=en]")
    picture(tab)
    assert tab.inner_text("body").replace("中文", "") == english


def test_keys(opened, picture, page):
    tab = opened(page, "#step=2&unit=3")

    def press(key):
        tab.keyboard.press(key)
        picture(tab)
        return where(tab)

    assert press("ArrowRight")["step"] == "3"
    assert press("ArrowLeft")["step"] == "2"
    assert press("Home")["step"] == "1"
    assert press("ArrowLeft")["step"] == "1"
    assert press("End")["step"] == "4"
    assert press("ArrowDown")["unit"] == "4"
    assert press("ArrowUp")["unit"] == "3"
    press("Home")
    press("Space")
    assert tab.get_attribute("#to-play", "aria-label") == "Pause"
    tab.wait_for_selector('#to-play[aria-label="Play"]', timeout=60_000)  # at the end it stops
    assert where(tab)["step"] == "4"


def test_layers_by_key(opened, picture, deep):
    tab = opened(elman.view(deep, "abe"))
    tab.keyboard.press("[")
    picture(tab)
    assert (where(tab)["layer"], where(tab).get("direction")) == ("1", "reverse")
    tab.keyboard.press("]")
    tab.keyboard.press("]")
    picture(tab)
    assert (where(tab)["layer"], where(tab).get("direction")) == ("2", "reverse")


def test_everything_can_be_reached_by_tab_and_has_a_name(opened, page):
    tab = opened(page)
    reached = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        found = tab.evaluate(
            "() => { const e = document.activeElement; if (e === document.body) return null;"
            "return [e.id || e.dataset.language || e.textContent.slice(0, 20) ||"
            " e.closest('[data-row]')?.dataset.row,"
            " e.ariaLabel || e.textContent || e.labels?.[0]?.textContent || '',"
            " getComputedStyle(e).outlineStyle !== 'none']; }"
        )
        if found is None:
            break
        reached.append(found)
    names = [name for name, _, _ in reached]
    for wanted in ("zh", "en", "to-first", "to-play", "steps", "speed", "x", "h", "unit", "sort",
                   "heat"):  # fmt: skip
        assert wanted in names or wanted in {"to-next", "to-last"}, wanted
    assert all(label.strip() for _, label, _ in reached), reached
    assert all(visible for _, _, visible in reached), reached


def test_a_strip_is_a_slider(opened, picture, page):
    tab = opened(page, "#step=2&unit=3")
    strip = tab.locator('[data-row="h"] canvas')
    strip.focus()
    tab.keyboard.press("ArrowRight")
    picture(tab)
    assert where(tab) == {"step": "2", "unit": "4"}
    assert strip.get_attribute("aria-valuenow") == "4"
    value = tab.inner_text('[data-row="h"] .value').split("] ")[1]
    assert strip.get_attribute("aria-valuetext") == f"h t of 4: {value}"
    assert tab.inner_text("#tip") == f"h t of 4: {value}"
    tab.keyboard.press("End")
    picture(tab)
    assert where(tab)["unit"] == "9"


def test_numbers_under_the_pointer(opened, picture, page):
    tab = opened(page, "#step=2&unit=3")
    tab.locator('[data-row="sum"] canvas').scroll_into_view_if_needed()
    box = tab.locator('[data-row="sum"] canvas').bounding_box()
    tab.mouse.move(box["x"] + 3, box["y"] + 8)
    tip, strip = tab.inner_text("#tip"), document(page.html)["chains"][0]
    assert tip.startswith("Σ of 0: ")
    tab.mouse.click(box["x"] + 3, box["y"] + 8)
    picture(tab)
    assert where(tab)["unit"] == "0"
    assert tab.inner_text('[data-row="sum"] .value') == "[0] " + tip.split(": ")[1]
    assert strip["units"][0] == 0


def test_dragging_over_the_unrolled_network_and_the_heat_map(opened, picture, page):
    tab = opened(page, "#step=4")
    box = tab.locator("#unrolled svg").bounding_box()
    tab.mouse.move(box["x"] + box["width"] - 20, box["y"] + 40)
    tab.mouse.down()
    seen = []
    for share in (0.6, 0.4, 0.05):
        tab.mouse.move(box["x"] + box["width"] * share, box["y"] + 40)
        picture(tab)
        seen.append(where(tab)["step"])
    tab.mouse.up()
    assert seen == ["3", "2", "1"]
    heat = tab.locator("#heat")
    heat.scroll_into_view_if_needed()
    box = heat.bounding_box()
    tab.mouse.click(box["x"] + box["width"] - 30, box["y"] + 5)
    picture(tab)
    assert where(tab)["step"] == "4"


def test_units_in_the_order_in_which_they_act(opened, picture):
    rnn = nn.RNN(3, 3, nonlinearity="relu", bias=False)
    with torch.no_grad():  # unit 2 hears the first step, 0 the second, 1 the third
        rnn.weight_hh_l0.zero_()
        rnn.weight_ih_l0.copy_(torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    tab = opened(elman.view(rnn, torch.eye(3)), "#step=1&unit=2")
    tab.select_option("#sort", "when")
    picture(tab)
    order = ["2"]
    for _ in range(2):
        tab.focus("#heat")
        tab.keyboard.press("ArrowDown")
        picture(tab)
        order.append(where(tab)["unit"])
    assert order == ["2", "0", "1"]


@pytest.mark.parametrize(
    "address", ["#step=99999999&unit=77", "#step=<img>&layer=-1", "#%ff&&=", "#step=0"]
)
def test_any_address_will_do(opened, page, address):
    tab = opened(page, address)
    assert where(tab)["step"] in "1234"


def test_a_link_to_a_step(opened, page):
    tab = opened(page, "#step=2&unit=5")
    assert "Step 2 of 4: b" in tab.inner_text("#where")
    assert tab.input_value("#unit") == "5"


def test_a_link_followed_while_the_last_step_is_being_written(opened, page):
    """What is written late into the address does not take the link's place."""
    tab = opened(page)
    tab.evaluate(
        "() => { location.hash = '#step=2&unit=1'; history.replaceState(null, '', '#step=4'); }"
    )
    tab.wait_for_function("() => location.hash === '#step=2&unit=1'", timeout=60_000)
    assert tab.inner_text("#step-title").startswith("Inside step 2")


@pytest.mark.parametrize("width", [320, 360, 768])
@pytest.mark.parametrize("made", ["deep", "writer", "forecaster"])
def test_a_phone_needs_no_scrolling_sideways(opened, request, made, width):
    model = request.getfixturevalue(made)
    view = elman.view(model, WAVE if made == "forecaster" else "abe" * 30, title="long" * 40)
    for locale in ("en", "zh-CN"):
        tab = opened(view, width=width, height=640, locale=locale, is_mobile=True, has_touch=True)
        for part in ("#arithmetic", "#remembering"):
            tab.click(f"{part} summary")
            tab.wait_for_selector(f"{part} details tbody tr")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("visualViewport.width") == width
        small = tab.evaluate(
            "[...document.querySelectorAll('button')].filter((b) => b.clientHeight < 30).length"
        )
        assert small == 0


BAD = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style>", "{{TRACE}}",
       "javascript:alert(1)", "\u202egnp.exe", "&lt;b&gt;", "`${alert(1)}`"]  # fmt: skip


def test_hostile_words_are_shown_and_not_run(opened, picture):
    rnn = nn.RNN(2, 3)
    tab = opened(elman.view(rnn, torch.randn(len(BAD), 2), labels=BAD, title=BAD[0]))
    assert tab.inner_text("#title") == BAD[0]
    for t, word in enumerate(BAD):
        go(tab, picture, t + 1)
        assert word.replace("\u202e", "·") in tab.inner_text("#step-title")
    assert tab.evaluate("document.images.length + document.scripts.length") == 2
    assert tab.title() == f"{BAD[0]} · elman"


def test_a_column_name_is_no_mathematics(opened, forecaster, monkeypatch):
    monkeypatch.setattr(forecaster, "columns_", ["sales_<b>_total"])
    tab = opened(elman.view(forecaster, WAVE[:40]))
    title = tab.locator('#outputs [data-chart="forecast-0"] h3')
    assert "sales_<b>_total" in title.inner_text()
    assert title.locator("sub").count() == 0


def test_the_policy_stops_what_might_get_in(chromium, tmp_path):
    """A script put in by force does not run, and an image is not fetched."""
    file = tmp_path / "page.html"
    file.write_text(elman.view(nn.RNN(1, 2), torch.zeros(1, 1)).html, "utf-8")
    tab = chromium.new_page()
    refused = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto(file.as_uri())
    tab.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(s, i); }"
    )
    for _ in range(100):  # it is told in a while
        if len(refused) >= 2:
            break
        tab.wait_for_timeout(50)
    assert tab.evaluate("window.ran") is None
    assert len([text for text in refused if "Content Security Policy" in text]) == 2
    tab.close()


def test_a_hostile_class_and_token(opened, writer, classifier):
    tab = opened(elman.view(classifier, "<b>"))
    tokens = [token.text_content() for token in tab.query_selector_all("#unrolled .pill + .token")]
    assert tokens == list("<b>")
    view = elman.view(writer, "<script>alert(1)</script>\n\t ")
    assert "⏎" in opened(view).text_content("#unrolled")


def test_in_a_notebooks_frame(opened, chromium, page, tmp_path):
    """The frame is of another origin, may run its own program, and reaches nothing."""
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html><body>{page._repr_html_()}</body>", "utf-8")
    tab = chromium.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(file.as_uri())
    frame = tab.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(timeout=60_000)
    assert frame.locator("#title").inner_text() == "abec"
    frame.locator("#to-back").click()
    frame.locator("#where", has_text=re.compile("Step 3|第 3 步")).wait_for(timeout=60_000)
    frame.locator(".skip").focus()
    tab.keyboard.press("Enter")  # by its address the link would load the notebook in here
    frame.locator("#controls:focus").wait_for(timeout=60_000)
    assert frame.locator("#title").inner_text() == "abec"
    tab.close()
    assert not errors
    assert html.escape(page.html) in page._repr_html_()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(opened, page, scheme):
    """Text of all kinds against what it stands on: at least 4.5 to 1 (WCAG 2.2, AA)."""
    tab = opened(page, color_scheme=scheme)
    names = ["--ink", "--soft", "--accent"]
    grounds = ["--paper", "--card", "--zero", "--accent-soft"]

    def luminance(name):
        text = tab.evaluate(
            "(n) => getComputedStyle(document.documentElement).getPropertyValue(n).trim()", name
        )
        parts = [int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for name in names:
        for ground in grounds:
            low, high = sorted((luminance(name), luminance(ground)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_the_browser_tests_must_run_where_ci_is_set(monkeypatch):
    from tests.conftest import _no_browser

    monkeypatch.setenv("CI", "1")
    with pytest.raises(RuntimeError, match="no browser here"):
        _no_browser("no browser here")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        _no_browser("no browser here")
