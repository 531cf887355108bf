"""The recurrence: `scan` and `linear_scan`, the only doors to a loop over time.

    scan         h_t = f(a_t + h_{t-1} Wᵀ), or between gates
    linear_scan  s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M)

L time steps, N rows in the batch, H hidden units, G groups. A sequence is dense, (L, N, H),
or packed, (rows, H) with `batch_sizes`; with a weight of (G, H, H) it has G before H.
"""

from importlib import import_module

from elman.ops.activations import NONLINEARITIES
from elman.ops.doors import linear_scan, scan
from elman.ops.gates import Gates
from elman.ops.layer import layer
from elman.ops.layout import ended
from elman.ops.norm import Norm
from elman.ops.select import BACKENDS, OPERATORS, Choice, backend_module, select, use_backend

__all__ = [
    "BACKENDS",
    "NONLINEARITIES",
    "Choice",
    "Gates",
    "Norm",
    "ended",
    "layer",
    "linear_scan",
    "scan",
    "select",
    "use_backend",
]

import_module("elman.ops.elsewhere")  # what else belongs to the operators
import_module("elman.ops.rules")
# torch.compile follows no import
for _light in ("cpu", "cuda", "triton", "aten", "reference", OPERATORS):
    backend_module(_light)
