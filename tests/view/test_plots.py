"""Figures by matplotlib: they show the numbers of the diagnosis, on the axes they are given."""

import sys

import numpy as np
import pytest
import torch

import elman
from elman.errors import SettingError
from elman.view import plots

matplotlib = pytest.importorskip("matplotlib", reason="needs the extra plot")
PLOTS = [plots.plot_states, plots.plot_gradient_flow, plots.plot_spectrum, plots.plot_influence]


@pytest.fixture
def found():
    rnn = elman.RNN(2, 5, num_layers=2)
    return elman.diagnose(rnn, torch.randn(12, 3, 2))


def axes_of_ones_own():
    return matplotlib.figure.Figure().subplots()


def test_they_show_the_numbers(found):
    first, last = found.layers
    states = plots.plot_states(found)
    np.testing.assert_array_equal(states.images[0].get_array(), last.states.T)
    np.testing.assert_array_equal(
        plots.plot_states(found, layer=0).images[0].get_array(), first.states.T
    )
    flow = plots.plot_gradient_flow(found)
    for line, layer in zip(flow.lines, found.layers, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), layer.gradient_flow)
    assert len({line.get_linestyle() for line in flow.lines}) == 2
    spots = plots.plot_spectrum(found).lines[-1]
    np.testing.assert_array_equal(spots.get_xdata() + 1j * spots.get_ydata(), last.eigenvalues)
    influence = plots.plot_influence(found)
    np.testing.assert_array_equal(influence.lines[0].get_ydata(), first.influence)


@pytest.mark.parametrize("plot", PLOTS)
def test_on_given_axes_and_from_a_model(plot):
    ax = axes_of_ones_own()
    assert plot(torch.nn.RNN(2, 3), torch.randn(6, 1, 2), ax=ax) is ax
    ax.figure.canvas.draw()
    alone = plot(elman.RNN(2, 3, nonlinearity="relu"), torch.zeros(6, 1, 2))
    alone.figure.canvas.draw()  # states and gradients that are zero are no mistake
    assert alone.get_title()


@pytest.mark.parametrize("plot", PLOTS)
def test_without_a_batch(plot):
    if plot is plots.plot_spectrum:
        assert plot(elman.RNN(2, 3)).get_title().startswith("Eigenvalues of W_hh, l0")
        return
    with pytest.raises(ValueError, match="give one"):
        plot(elman.RNN(2, 3))


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_page_of_all(found, tmp_path, kind):
    path = tmp_path / f"all.{kind}"
    plots.plot_diagnosis(found).savefig(path)
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert path.read_bytes().startswith(begins)
    assert path.stat().st_size > 5000


def test_a_layer_that_is_not_there(found):
    with pytest.raises(ValueError, match=r"below 2 \(l0, l1\), got 2"):
        plots.plot_states(found, layer=2)


def test_no_window_and_no_pyplot(found):
    code = "matplotlib.pyplot"
    before = code in sys.modules
    plots.plot_diagnosis(found)
    assert (code in sys.modules) is before


def test_without_matplotlib(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        SettingError, match=r"matplotlib is not installed; pip install 'elman\[plot"
    ):
        plots.plot_states(found)


def test_of_any_layer(tmp_path):
    dynamics = elman.Dynamics(leak=0.2, layer_norm=True)
    wiring = elman.Wiring(hidden_sizes=[3, 5], merge="sum")
    rnn = elman.RNN(2, 5, 2, "softplus", bidirectional=True, dynamics=dynamics, wiring=wiring)
    path = tmp_path / "all.png"
    plots.plot_diagnosis(rnn, torch.randn(20, 3, 2)).savefig(path)
    assert path.stat().st_size > 5000
