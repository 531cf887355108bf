"""What `elman.diagnose` found: for a person as a table, for a program as JSON."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.view.diagnosis.definitions import DEFINITIONS


@dataclass(frozen=True, eq=False)
class LayerDiagnosis:
    """One layer in one direction. Measures that need a batch are None without one.

    Attributes:
        name: as its parameters have it: "rnn.l0", "rnn.l1_reverse".
        units: H.
        nonlinearity: f.
        eigenvalues: of W_hh, (H,), complex, the largest first.
        steps, rows: of the batch: the longest row, and how many rows have steps.
        gradient_flow: the norm of ∂L/∂h_t by steps before the end of a row, mean of the rows.
        gradient_factor: by what it is multiplied a step back; see `DEFINITIONS`.
        saturated: share of the states on the flat part of f.
        stuck, dead: numbers of such units.
        lyapunov: exponents in nats a step, the largest first; -inf where a direction is lost.
        lyapunov_steps: so many steps were counted.
        horizon: the memory horizon in steps.
        horizon_exceeds: whether it is longer than that.
        influence: the norm of ∂h_{t+k}/∂h_t by k, from k = 0.
        states: of the longest row, (L, H), in the order of reading.
    """

    name: str
    units: int
    nonlinearity: str
    eigenvalues: np.ndarray
    steps: int = 0
    rows: int = 0
    gradient_flow: np.ndarray | None = None
    gradient_factor: float | None = None
    saturated: float | None = None
    stuck: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    lyapunov: np.ndarray | None = None
    lyapunov_steps: int = 0
    horizon: int | None = None
    horizon_exceeds: bool = False
    influence: np.ndarray | None = None
    states: np.ndarray | None = None

    @property
    def spectral_radius(self) -> float:
        """The largest |eigenvalue| of W_hh."""
        return float(np.abs(self.eigenvalues[0]))

    def figures(self) -> dict[str, Any]:
        """A number for each of `DEFINITIONS`; None where it is not known."""
        flow = self.gradient_flow
        return {
            "spectral_radius": self.spectral_radius,
            "gradient_first": None if flow is None else float(flow[-1]),
            "gradient_last": None if flow is None else float(flow[0]),
            "gradient_factor": self.gradient_factor,
            "saturated": self.saturated,
            "stuck_units": len(self.stuck) if self.rows else None,
            "dead_units": len(self.dead) if self.rows else None,
            "lyapunov": None if self.lyapunov is None else float(self.lyapunov[0]),
            "horizon": self.horizon,
        }

    def as_dict(self) -> dict[str, Any]:
        """All but the states, for JSON: what is not finite is None."""
        arrays = {
            "eigenvalues": [[z.real, z.imag] for z in self.eigenvalues.tolist()],
            "gradient_flow": _listed(self.gradient_flow),
            "influence": _listed(self.influence),
            "lyapunov_exponents": _listed(self.lyapunov),
        }
        return {
            "name": self.name,
            "units": self.units,
            "nonlinearity": self.nonlinearity,
            "rows": self.rows,
            "steps": self.steps,
            **{name: _finite(value) for name, value in self.figures().items()},
            "horizon_exceeds": self.horizon_exceeds,
            "lyapunov_steps": self.lyapunov_steps,
            "stuck": self.stuck,
            "dead": self.dead,
            **arrays,
        }


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Every layer and direction of a model, as it read a batch.

    Attributes:
        layers: in the order in which they ran.
        loss: L, of which the gradients are; None without a batch.
    """

    layers: list[LayerDiagnosis]
    loss: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the definition, unit and source of each measure."""
        return {
            "loss": _finite(self.loss),
            "layers": [layer.as_dict() for layer in self.layers],
            "definitions": {name: of._asdict() for name, of in DEFINITIONS.items()},
        }

    def table(self) -> list[list[str]]:
        """A row for each measure that is known: name, unit, and what each layer has."""
        rows = []
        of_layers = [layer.figures() for layer in self.layers]
        for name, definition in DEFINITIONS.items():
            values = [figures[name] for figures in of_layers]
            if all(value is None for value in values):
                continue
            cells = [_written(value) for value in values]
            if name == "horizon":
                cells = [
                    f"> {cell}" if layer.horizon_exceeds else cell
                    for cell, layer in zip(cells, self.layers, strict=True)
                ]
            rows.append([definition.name, definition.unit, *cells])
        return rows

    def __str__(self) -> str:
        """The table in plain text."""
        rows = [["measure", "unit", *(layer.name for layer in self.layers)], *self.table()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if k < 2 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )


def _written(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _listed(values: np.ndarray | None) -> list[Any] | None:
    return None if values is None else [_finite(value) for value in values.tolist()]
