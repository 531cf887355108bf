"""Figures for papers, drawn by matplotlib (extra "plot"): one function a figure, one `ax=` each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import SettingError
from elman.view.diagnose import diagnose
from elman.view.diagnosis.result import Diagnosis, LayerDiagnosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Lines are told apart in print too.
_STYLES = ("-", "--", ":", "-.")
#: Nonlinearities that never leave ±1: their pictures have one scale.
_WITHIN_ONE = ("tanh", "sigmoid", "hardtanh", "hardsigmoid", "softsign")


def plot_states(model: Any, batch: Any = None, *, layer: int = -1, ax: "Axes | None" = None) -> Any:
    """The states of one row, unit by unit and step by step, as an image.

    Args:
        model: as for `elman.diagnose`, or a `Diagnosis` already made.
        batch: what to read; the row shown is the longest. None with a `Diagnosis`.
        layer: which of the diagnosis's layers and directions. Default: -1, the last.
        ax: matplotlib's axes to draw on. Default: new ones.

    Returns:
        The axes; `axes.figure` is the figure.

    Raises:
        SettingError: matplotlib is not installed.
        ValueError: there is no batch, or no such layer.
    """
    of = _layer(_diagnosis(model, batch), layer)
    if of.states is None:
        raise ValueError("the states of a batch are shown; give one")
    axes = _axes(ax)
    most = float(np.abs(of.states).max())
    limit = max(1.0, most) if of.nonlinearity in _WITHIN_ONE else most or 1.0
    image = axes.imshow(
        of.states.T, aspect="auto", interpolation="nearest", cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    axes.figure.colorbar(image, ax=axes, label="h")
    axes.set(xlabel="step", ylabel="unit", title=f"States of {of.name}")
    return axes


def plot_gradient_flow(model: Any, batch: Any = None, *, ax: "Axes | None" = None) -> Any:
    """|∂L/∂h_t| against the steps before the end, a line for each layer and direction.

    Args:
        model, batch, ax: as for `plot_states`.

    Returns:
        The axes.

    Raises:
        SettingError, ValueError: as `plot_states`.
    """
    found = _diagnosis(model, batch)
    axes = _axes(ax)
    for k, of in enumerate(found.layers):
        if of.gradient_flow is None:
            raise ValueError("the gradient of a batch is shown; give one")
        _decay(axes, k, of.gradient_flow, of.name)
    axes.set_yscale("log")
    axes.invert_xaxis()  # time runs to the right
    axes.set(
        xlabel="steps before the end",
        ylabel=r"$|\partial L / \partial h_t|$",
        title="Gradient flow",
    )
    if found.layers:
        axes.legend(frameon=False)
    return axes


def plot_spectrum(
    model: Any, batch: Any = None, *, layer: int = -1, ax: "Axes | None" = None
) -> Any:
    """The eigenvalues of W_hh in the complex plane, beside the unit circle.

    Args:
        model, batch, layer, ax: as for `plot_states`; no batch is needed.

    Returns:
        The axes.

    Raises:
        SettingError, ValueError: as `plot_states`.
    """
    of = _layer(_diagnosis(model, batch), layer)
    axes = _axes(ax)
    around = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    axes.plot(around.real, around.imag, "--", color="0.5", linewidth=1)
    axes.plot(of.eigenvalues.real, of.eigenvalues.imag, "o", markersize=4, alpha=0.8)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(
        xlabel="real part",
        ylabel="imaginary part",
        title=f"Eigenvalues of W_hh, {of.name}: radius {of.spectral_radius:.3g}",
    )
    return axes


def plot_influence(model: Any, batch: Any = None, *, ax: "Axes | None" = None) -> Any:
    """The norm of ∂h_{t+k}/∂h_t against k, with the 1 % that ends the memory horizon.

    Args:
        model, batch, ax: as for `plot_states`.

    Returns:
        The axes.

    Raises:
        SettingError, ValueError: as `plot_states`.
    """
    found = _diagnosis(model, batch)
    axes = _axes(ax)
    for k, of in enumerate(found.layers):
        if of.influence is None:
            raise ValueError("what a batch's states lead to is shown; give one")
        more = "> " if of.horizon_exceeds else ""
        _decay(axes, k, of.influence, f"{of.name}: {more}{of.horizon} steps")
    axes.axhline(0.01, color="0.5", linewidth=1, linestyle=":")
    axes.set_yscale("log")
    axes.set(
        xlabel="k, steps later",
        ylabel=r"$\|\partial h_{t+k} / \partial h_t\|$",
        title="Memory horizon (1 %)",
    )
    axes.legend(frameon=False)
    return axes


def _decay(axes: Any, k: int, values: "np.ndarray", label: str) -> None:
    """The k-th line of a logarithmic plot; zeros, which have no logarithm, are gaps in it."""
    axes.plot(np.where(values > 0, values, np.nan), _STYLES[k % len(_STYLES)], label=label)


def plot_diagnosis(model: Any, batch: Any = None) -> "Figure":
    """All of it on one page: states, gradient flow, spectrum, memory horizon.

    Args:
        model, batch: as for `plot_states`.

    Returns:
        The figure; `figure.savefig("diagnosis.pdf")`, or .png, or .svg.

    Raises:
        SettingError, ValueError: as `plot_states`.
    """
    found = _diagnosis(model, batch)
    figure = _figure((10.0, 7.5))
    (states, flow), (spectrum, influence) = figure.subplots(2, 2)
    plot_states(found, ax=states)
    plot_gradient_flow(found, ax=flow)
    plot_spectrum(found, ax=spectrum)
    plot_influence(found, ax=influence)
    return figure


def _diagnosis(model: Any, batch: Any) -> Diagnosis:
    return model if isinstance(model, Diagnosis) else diagnose(model, batch)


def _layer(found: Diagnosis, layer: int) -> LayerDiagnosis:
    count = len(found.layers)
    if not -count <= layer < count:
        names = ", ".join(of.name for of in found.layers)
        raise ValueError(f"layer should be a number below {count} ({names}), got {layer}")
    return found.layers[layer]


def _figure(size: tuple[float, float]) -> "Figure":
    """A figure of its own: no window, and none of pyplot's state is touched."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingError(
            "matplotlib is not installed; pip install 'elman[plot]', or in a clone: pip install "
            "-c constraints.txt '.[plot]'"
        ) from None
    return Figure(figsize=size, layout="constrained")


def _axes(ax: "Axes | None") -> Any:
    return _figure((6.0, 4.0)).subplots() if ax is None else ax
