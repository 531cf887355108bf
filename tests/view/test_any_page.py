"""The page of any layer in a browser: each line of a step is there where the layer has it, and
none else; all of them are what the equations come to, and the last is what the network computed.
"""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman import Classifier, Dynamics
from elman.ops import NONLINEARITIES
from tests.view.conftest import LABELS, TEXTS, WAVE
from tests.view.layers import STEPS, made, stepped, terms, wired
from tests.view.pages import SHOWN, go, strips, sums


def check(tab, truth, unit, besides=()):
    """Every line and strip of the chosen unit."""
    found = sums(tab)
    assert found.keys() == truth.keys() | {"difference"} | set(besides)
    for name, value in truth.items():
        shown, whole = found[name]
        assert whole == pytest.approx(float(value[unit]), abs=1e-6), name
        assert shown == pytest.approx(float(value[unit]), abs=SHOWN, rel=1e-6), name
    assert abs(found["difference"][1]) < 1e-6
    lines = strips(tab)
    for name in lines.keys() & truth.keys():
        assert lines[name] == pytest.approx(float(truth[name][unit]), abs=1e-6), name
    beyond = {"norm", "clip", "keep", "fresh", "mix"}
    assert lines.keys() & beyond == truth.keys() & beyond
    return found


@pytest.mark.parametrize("name", ["learned leak", "all", "own module", "own, of all units"])
def test_every_line_of_a_step(opened, picture, name):
    rnn, x = made(STEPS[name]), torch.randn(5, 4)
    _, chains, _ = stepped(rnn, x)
    tab = opened(elman.view(rnn, x))
    for t in (0, 4):
        go(tab, picture, t + 1, 2)
        before = chains[0][1][t].detach()
        truth = terms(rnn, 0, 0, x[t].double(), before)
        check(tab, truth, 2)
        if rnn.nonlinearity == "elu":
            assert "elu(z) = " in tab.inner_text("#equation")
        assert float(tab.get_attribute("#agree", "data-value")) < 1e-6
    page = tab.inner_text("#step")
    assert not re.search(r"\{\w+\}|undefined|NaN", page)


@pytest.mark.parametrize("f", sorted(NONLINEARITIES.keys() - {"tanh", "elu"}))  # seen above
def test_every_nonlinearity(opened, f):
    rnn, x = elman.RNN(3, 4, nonlinearity=f), 3 * torch.randn(5, 3)
    tab = opened(elman.view(rnn, x), "#step=3&unit=1")
    _, chains, _ = stepped(rnn, x)
    before = chains[0][1][2].detach()
    check(tab, terms(rnn, 0, 0, x[2].double(), before), 1)
    assert f"{f}(Σ)" in tab.inner_text("#strips")
    assert (f"{f}(z) = " in tab.inner_text("#equation")) == (f != "identity")


def test_two_directions_that_become_one_and_what_they_read_added(opened, picture):
    """Layers of different sizes, a residual and a learned first state, each direction's own."""
    rnn, x = wired("mean"), torch.randn(6, 4)
    _, chains, outputs = stepped(rnn, x)
    tab = opened(elman.view(rnn, x))
    assert [o.inner_text() for o in tab.query_selector_all("#layers option")][:2] == [
        "Layer 1, forward", "Layer 1, from the end",
    ]  # fmt: skip
    for k in (0, 3, 4):
        below, before, states = chains[k]
        layer, d = divmod(k, 2)
        where = {"layer": layer + 1} | ({"direction": "reverse"} if d else {})
        t, unit = 2, 1
        go(tab, picture, t + 1, unit, **where)
        truth = terms(rnn, layer, d, below[t].detach(), before[t].detach())
        other = chains[k + 1 - 2 * d][2][t].detach()
        truth |= {"other": other, "output": (states[t] + other).detach() / 2}
        if below[t].shape == other.shape:
            truth["skipped"] = below[t].detach()
            truth["output"] = truth["output"] + truth["skipped"]
        check(tab, truth, unit)
        assert float(tab.get_attribute("#agree", "data-value")) < 1e-6
    found = sums(tab)["output"][1]
    assert found == pytest.approx(float(outputs[2][1].detach()), abs=1e-6)
    go(tab, picture, 1, 0, layer=1)
    assert "which was learned" in tab.inner_text('[data-row="before"]')


@pytest.mark.parametrize("name", ["sum", "residual, both ways", "reverse", "sizes"])
def test_other_wirings(opened, picture, name):
    rnn, x = wired(name), torch.randn(5, 4)
    _, chains, outputs = stepped(rnn, x)
    tab = opened(elman.view(rnn, x))
    D = 2 if rnn.bidirectional else 1
    below, before, states = (of[3] for of in chains[-1])
    backward = {"direction": "reverse"} if D == 2 or rnn.wiring.reverse else {}
    go(tab, picture, 4, 3, layer=rnn.num_layers, **backward)
    truth = terms(rnn, rnn.num_layers - 1, D - 1, below.detach(), before.detach())
    besides = {"sum": {"other"}, "sizes": set()}.get(name, {"skipped"})
    found = check(tab, truth, 3, besides | ({"output"} if besides else set()))
    if besides:
        at = 3 + (len(states) if D == 2 and rnn.wiring.merge == "concat" else 0)
        assert found["output"][1] == pytest.approx(float(outputs[3][at].detach()), abs=1e-6)


def test_a_trained_classifier_with_a_leak_and_a_norm(opened, picture):
    options = {"hidden_size": 10, "embedding_size": 6, "epochs": 6, "lr": 0.02}
    model = Classifier(**options, leak=0.4, layer_norm=True, zoneout=0.1).fit(TEXTS, LABELS)
    network, text = model.model_, "abec"
    tab = opened(elman.view(model, text))
    x = network.embedding(torch.tensor([model.reader_.vocabulary.encode(text)]))[0].detach()
    _, chains, _ = stepped(network.rnn, x)
    _, before, states = chains[0]
    for t in range(4):
        go(tab, picture, t + 1, 4)
        truth = terms(network.rnn, 0, 0, x[t].double(), before[t].detach())
        check(tab, truth, 4)
        shown = json.loads(tab.get_attribute('[data-chart="classes"] .readout', "data-values"))
        assert shown == pytest.approx(model.predict_proba([text[: t + 1]])[0].tolist(), abs=1e-6)
    scores = states[-1] @ network.linear.weight.double().T + network.linear.bias.double()
    nn.functional.cross_entropy(scores[None], scores.argmax()[None]).backward()
    go(tab, picture, 2)
    shown = float(tab.get_attribute('[data-chart="gradient"] .readout', "data-value"))
    assert shown == pytest.approx(float(states[1].grad.norm()), abs=1e-6)
    assert "0.36" in tab.inner_text("#equation")  # of a new state, 0.4 · (1 - 0.1)


def test_a_generator_and_a_forecaster_with_dynamics(opened, picture):
    writer = elman.Generator(
        hidden_size=8, embedding_size=4, epochs=1, layer_norm=True, nonlinearity="softsign"
    ).fit("我爱你。你爱我。\n" * 60)
    tab = opened(elman.view(writer, "我爱"), "#step=2&unit=3")
    assert {"norm", "mean", "spread"} <= sums(tab).keys()
    assert float(tab.get_attribute("#agree", "data-value")) < 1e-6
    model = elman.Forecaster(horizon=3, hidden_size=6, epochs=2, leak=0.2).fit(WAVE)
    tab = opened(elman.view(model, WAVE[:40]), "#step=30&unit=3")
    assert abs(sums(tab)["difference"][1]) < 1e-6
    made_then = json.loads(tab.get_attribute('[data-chart="forecast-0"] .readout', "data-values"))
    np.testing.assert_allclose(made_then, model.predict(WAVE[:30]), rtol=1e-6)


@pytest.mark.parametrize("dynamics", [Dynamics(layer_norm=True, leak=0.5), Dynamics(clip=0.5)])
def test_what_is_not_shown_enters_the_norm_too(opened, dynamics):
    rnn, x = elman.RNN(20, 600, dynamics=dynamics), torch.randn(60, 20)
    tab = opened(elman.view(rnn, x))
    assert "of 600 units are shown" in tab.inner_text("#about")
    # a float32 sum of 620 terms, whose norm is some three times as large: see tests/tolerances.py
    assert float(tab.get_attribute("#agree", "data-value")) < 16 * (620 / 12) ** 0.5 * 2**-23


def test_a_wiring_of_which_not_all_is_shown(opened):
    arguments = {"num_layers": 2, "bidirectional": True}
    wiring = elman.Wiring(merge="sum", residual=True)
    rnn, x = elman.RNN(400, 400, **arguments, wiring=wiring), torch.randn(100, 400)
    page = elman.view(rnn, x)
    assert len(page.html.encode()) < 1_000_000
    tab = opened(page, "#layer=2&step=50")
    assert "of 400 units are shown" in tab.inner_text("#about")
    assert float(tab.get_attribute("#agree", "data-value")) < 4 * (800 / 12) ** 0.5 * 2**-22


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_on_a_phone_and_in_both_languages(opened, locale):
    for rnn in (made(STEPS["all"]), wired("mean")):
        tab = opened(
            elman.view(rnn, torch.randn(9, 4)), width=360, height=640, locale=locale,
            is_mobile=True, has_touch=True,
        )  # fmt: skip
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        words = tab.inner_text("#step")
        assert bool(re.search(r"[\u4e00-\u9fff]", words)) == (locale == "zh-CN")
        assert not re.search(r"\{\w+\}|undefined|NaN", words)
