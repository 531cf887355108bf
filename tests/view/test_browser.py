"""The page in a browser: what it shows is what torch computes, for all three jobs."""

import json

import pytest
import torch
from torch.nn import functional

import elman
from tests.view.conftest import WAVE
from tests.view.networks import by_hand
from tests.view.pages import SHOWN, go, number, sums, where


def check_step(tab, rnn, x, t, unit, states):
    """The page's arithmetic of a unit, against float64."""
    W, U = rnn.weight_hh_l0.detach().double(), rnn.weight_ih_l0.detach().double()
    bias = (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach().double()
    before = states[t - 1] if t else torch.zeros(rnn.hidden_size).double()
    truth = {
        "input": U[unit] @ x[t].double(),
        "bias": bias[unit],
        "state": W[unit] @ before,
        "h": states[t][unit],
    }
    truth["sum"] = truth["input"] + truth["bias"] + truth["state"]
    truth["f"] = torch.tanh(truth["sum"])
    found = sums(tab)
    for name, value in truth.items():
        shown, whole = found[name]
        assert whole == pytest.approx(float(value), abs=1e-6), name
        assert shown == pytest.approx(float(value), abs=SHOWN), name
    assert abs(found["difference"][1]) < 1e-6
    strip = {
        name: tab.query_selector(f'[data-row="{name}"] .value')
        for name in ("before", "ih", "hh", "sum", "f", "h")
    }
    of = {"before": before[unit], "ih": truth["input"] + truth["bias"], "hh": truth["state"]}
    for name, element in strip.items():
        value = float(of.get(name, truth.get(name)))
        assert number(element.inner_text().split("] ")[1]) == pytest.approx(value, abs=SHOWN)
        assert f"[{unit}]" in element.inner_text()


def test_a_classifier(opened, picture, classifier):
    network, text = classifier.model_, "abe"
    tab = opened(elman.view(classifier, text))
    x = network.embedding(torch.tensor([classifier.reader_.vocabulary.encode(text)]))[0].detach()
    states = torch.stack(by_hand(network.rnn, x)[0]).detach()
    assert tab.inner_text("#title") == text
    for t in range(3):
        for unit in (0, 9):
            go(tab, picture, t + 1, unit)
            check_step(tab, network.rnn, x, t, unit, states)
        p = classifier.predict_proba([text[: t + 1]])[0]
        shown = json.loads(tab.get_attribute('[data-chart="classes"] .readout', "data-values"))
        assert shown == pytest.approx(p.tolist(), abs=1e-6)
        best = classifier.classes_[p.argmax()]
        assert tab.inner_text('[data-chart="classes"] .readout').startswith(f"{best} ")
        now = tab.text_content("#unrolled .now")
        assert best in now
        assert text[t] in now
    assert best in tab.inner_text("#answer")
    shown = number(tab.inner_text('[data-chart="classes"] .readout').split(" ")[1])
    assert shown == pytest.approx(p.max(), abs=SHOWN)


def test_both_directions_of_two_layers(opened, picture, deep):
    network, text = deep.model_, "abec"
    tab = opened(elman.view(deep, text))
    x = network.embedding(torch.tensor([deep.reader_.vocabulary.encode(text)]))[0].detach()
    chains = [torch.stack(states).detach() for states in by_hand(network.rnn, x)]
    assert [o.inner_text() for o in tab.query_selector_all("#layers option")] == [
        "Layer 1, forward", "Layer 1, from the end", "Layer 2, forward", "Layer 2, from the end",
    ]  # fmt: skip
    for k, states in enumerate(chains):
        tab.select_option("#layers", str(k))
        for t in (0, 3):
            go(tab, picture, t + 1, 2)
            found = sums(tab)
            assert found["h"][1] == pytest.approx(float(states[t, 2]), abs=1e-6)
            assert found["f"][1] == pytest.approx(float(states[t, 2]), abs=1e-6)
        symbol = tab.inner_text('[data-row="before"] .symbol')
        assert symbol == ("ht+1" if k % 2 else "ht−1")
    assert where(tab)["direction"] == "reverse"
    shown = json.loads(tab.get_attribute('[data-chart="classes"] .readout', "data-values"))
    assert shown == pytest.approx(deep.predict_proba([text])[0].tolist(), abs=1e-6)
    go(tab, picture, 2)  # both directions read what was there until then
    shown = json.loads(tab.get_attribute('[data-chart="classes"] .readout', "data-values"))
    assert shown == pytest.approx(deep.predict_proba([text[:2]])[0].tolist(), abs=1e-6)


def test_a_generator(opened, picture, writer):
    network, text = writer.model_, "我爱你"
    tab = opened(elman.view(writer, text))
    ids = torch.tensor([[1 + writer.vocabulary_.tokens.index(c) for c in "\n" + text]])
    x = network.embedding(ids)[0].detach()
    states = torch.stack(by_hand(network.rnn, x)[0]).detach()
    scores = states.float() @ network.linear.weight.T + network.linear.bias
    p = functional.softmax(scores, dim=1).detach()
    for t in range(4):
        go(tab, picture, t + 1, 7)
        check_step(tab, network.rnn, x, t, 7, states)
        best = 1 + p[t, 1:].argsort(descending=True)[:6]  # <unk> is never written
        rows = tab.query_selector_all("#guesses li")
        assert len(rows) == len(best)
        for row, k in zip(rows, best.tolist(), strict=True):
            token = ["<unk>", *writer.vocabulary_.tokens][k].replace("\n", "⏎")
            assert row.query_selector(".guess").inner_text() == token
            value = float(row.query_selector(".p").get_attribute("data-value"))
            assert value == pytest.approx(float(p[t, k]), abs=1e-6)
        came = tab.inner_text('[data-chart="came"] .readout')
        if t < 3:
            assert came.startswith(text[t])
            assert number(came[2:]) == pytest.approx(float(p[t, ids[0, t + 1]]), abs=SHOWN)
        else:
            assert came == ""


def test_a_forecaster(opened, picture, forecaster):
    network, y = forecaster.model_, WAVE[:60]
    tab = opened(elman.view(forecaster, y, steps=25))
    x = torch.from_numpy(forecaster.frame_.inputs(y[:, None]))
    states = torch.stack(by_hand(network.rnn, x)[0]).detach()
    for t in (35, 47, 59):
        go(tab, picture, t + 1, 3)
        check_step(tab, network.rnn, x, t, 3, states)
        readout = '[data-chart="forecast-0"] .readout'
        made = json.loads(tab.get_attribute(readout, "data-values"))
        # the page holds float32; a forecast of 20 has an ulp of 2e-6
        assert made == pytest.approx(forecaster.predict(y[: t + 1]).tolist(), rel=1e-6)
    assert "61" in tab.inner_text("#answer")
    assert "36 to 60 of 60" in tab.inner_text("#about")


def test_memory(opened, picture, classifier):
    network, text = classifier.model_, "cbad"
    tab = opened(elman.view(classifier, text))
    x = network.embedding(torch.tensor([classifier.reader_.vocabulary.encode(text)]))[0].detach()
    (states,) = by_hand(network.rnn, x)
    scores = states[-1] @ network.linear.weight.double().T + network.linear.bias.double()
    functional.cross_entropy(scores[None], scores.argmax()[None]).backward()
    W = network.rnn.weight_hh_l0.detach().double()
    radius = torch.linalg.eigvals(W).abs().max()
    shown = number(tab.inner_text("#radius").split(":")[1])
    assert shown == pytest.approx(float(radius), abs=SHOWN)
    product = torch.eye(len(W)).double()
    for t in reversed(range(4)):
        go(tab, picture, t + 1)
        J = (1 - states[t].detach() ** 2)[:, None] * W
        for chart, value in {
            "gradient": states[t].grad.norm(),
            "gain": product.norm() / len(W) ** 0.5,
            "jacobian": torch.linalg.matrix_norm(J, 2),
        }.items():
            shown = number(tab.inner_text(f'[data-chart="{chart}"] .readout').split(":")[1])
            assert shown == pytest.approx(float(value), abs=SHOWN, rel=1e-5), chart
        product = product @ J
    tab.click("#remembering summary")
    tab.wait_for_selector("#remembering details tbody tr")
    picture(tab)
    rows = tab.query_selector_all("#remembering tbody tr")
    cells = [number(cell.inner_text()) for cell in rows[1].query_selector_all("td")[1:]]
    assert cells[0] == pytest.approx(float(states[1].grad.norm()), abs=SHOWN)


def test_all_terms_add_up(opened, classifier):
    tab = opened(elman.view(classifier, "abc"), "#step=2&unit=4")
    tab.click("#arithmetic summary")
    tab.wait_for_selector("#arithmetic details tbody tr")  # it is told of the click in a while
    rows = tab.query_selector_all("#arithmetic details tbody tr")
    assert len(rows) == 6 + 10  # the embedding and the states
    total = 0.0
    for row in rows:
        value, weight, product = (number(c.inner_text()) for c in row.query_selector_all("td")[:3])
        assert product == pytest.approx(value * weight, abs=2e-6)
        total += product
    found = sums(tab)
    assert total == pytest.approx(found["sum"][1] - found["bias"][1], abs=16 * 5e-7)


def test_what_is_not_shown_enters_the_sums(opened):
    rnn, x = torch.nn.RNN(20, 600), torch.randn(100, 20)
    tab = opened(elman.view(rnn, x))
    found = sums(tab)
    unit = int(tab.input_value("#unit"))
    with torch.no_grad():
        assert found["h"][1] == pytest.approx(float(rnn(x)[0][-1, unit]), abs=1e-6)
    # a float32 sum of 620 terms: see tests/tolerances.py
    assert abs(found["difference"][1]) < 4 * (620 / 12) ** 0.5 * 2**-23
    assert "of 600 units are shown" in tab.inner_text("#about")
    assert "units not shown" in tab.inner_text("#states")


def test_sequences_of_numbers(opened, picture, sequences):
    value = [[0.5, 1.0], [2.0, -1.0], [0.25, 0.0]]
    tab = opened(elman.view(sequences, value), "#step=2")
    assert "2, -1" in tab.text_content("#unrolled .now")
    shown = json.loads(tab.get_attribute('[data-chart="classes"] .readout', "data-values"))
    assert shown == pytest.approx(sequences.predict_proba([value[:2]])[0].tolist(), abs=1e-6)


def test_unknown_tokens_are_marked(opened, picture, classifier):
    tab = opened(elman.view(classifier, "aZ"), "#step=2")
    assert "<unk>" in tab.inner_text("#unknown")
    assert tab.query_selector_all("#unrolled .unknown")
    go(tab, picture, 1)
    assert tab.inner_text("#unknown") == ""


def test_names_that_begin_alike_are_told_apart(opened):
    """Months of dates, and classes of one family: what they share makes room for the rest."""
    for dash in ("-", ""):
        days = [f"2024{dash}{m:02}{dash}{day:02}" for m in (1, 2) for day in range(1, 29)]
        tab = opened(elman.view(torch.nn.RNN(2, 3), torch.randn(56, 2), labels=days))
        shown = [text.text_content() for text in tab.query_selector_all("#unrolled .pill + .token")]
        assert shown == [f"02-{day[-2:]}" for day in days[-len(shown) :]]
        axis = [text.text_content() for text in tab.query_selector_all("#states .names .tick")]
        assert len(set(axis)) == len(axis) > 5
    names = ["medical_entity_disease", "medical_entity_drug"]
    options = {"hidden_size": 4, "embedding_size": 3, "epochs": 2}
    model = elman.Classifier(**options).fit(["abc", "abd", "cba", "dba"] * 4, sorted(names * 8))
    tab = opened(elman.view(model, "abd"))
    said = {text.text_content() for text in tab.query_selector_all("#unrolled .chance + .token")}
    assert said <= {"disease", "drug"}


def test_both_directions_of_a_layer_are_one_frame(opened, deep):
    """They read the same: an arrow into each layer, none from one direction to the other."""
    tab = opened(elman.view(deep, "abca"))
    assert len(tab.query_selector_all("#unrolled .column:first-of-type .pair")) == 2
    up = tab.eval_on_selector_all(
        "#unrolled .column:first-of-type .wire", "all => all.filter(w => / V /.test(w.outerHTML))"
    )
    assert len(up) == 3  # into two layers, and out
    lanes = [text.text_content() for text in tab.query_selector_all("#unrolled .lane")]
    assert lanes == ["h⁽¹⁾ →", "h⁽¹⁾ ←", "h⁽²⁾ →", "h⁽²⁾ ←"]
    assert "layers" in tab.inner_text("#drawing-lead")


@pytest.mark.parametrize("width", [1280, 360])
def test_on_paper_nothing_is_cut_off(opened, classifier, width):
    tab = opened(elman.view(classifier, "abcd" * 10), width=width)
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": 700, "height": 900})
    wide = tab.evaluate(
        """() => [...document.querySelectorAll("svg, canvas")].map((of) =>
          of.getBoundingClientRect().right - of.parentElement.getBoundingClientRect().right)"""
    )
    assert max(wide) < 1
    assert not tab.is_visible("#controls")


def test_a_long_text_is_not_all_heading(opened, classifier):
    tab = opened(elman.view(classifier, "abcd" * 100))
    assert tab.inner_text("#title") == "abcd" * 30 + "…"
    assert tab.title().startswith("abcd" * 30)
    assert len(tab.title()) < 140


def test_what_changes_at_every_step_is_not_read_out_everywhere(opened, classifier):
    tab = opened(elman.view(classifier, "abca"))
    loud = tab.query_selector_all(
        'output:not([aria-live="off"]), [role=status], [aria-live=polite]'
    )
    assert len(loud) <= 2


def test_one_step_is_not_one_steps(opened):
    tab = opened(elman.view(torch.nn.RNN(2, 3), torch.randn(1, 2)))
    assert tab.inner_text("#answer") == "It reads 1 step with 3 units a layer."
