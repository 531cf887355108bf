"""Who takes part in a case, and who does not and why."""

import importlib

from elman.bench.cases import Case
from elman.bench.contestant import Contestant

#: By name, the places of those who can go by it; elman's and torch's are always there.
PLACES = {
    "elman": ("layers:ElmanRNN", "steps:ElmanStream"),
    "torch": ("layers:TorchRNN", "steps:TorchCell"),
    "jax": ("jax_scan:JaxScan",),
    "onnxruntime": ("onnx_rnn:OnnxRNN",),
}


def entered(case: Case, names: list[str]) -> tuple[list[type[Contestant]], dict[str, str]]:
    """The contestants of a case, in the order of `names`, and why the others are left out."""
    taking_part: list[type[Contestant]] = []
    left_out: dict[str, str] = {}
    for name in names:
        for place in PLACES[name]:
            kind = _kind(place)
            problem = kind.problem(case)
            if problem is None:
                left_out.pop(name, None)
                taking_part.append(kind)
                break
            left_out[name] = problem
    return taking_part, left_out


def _kind(place: str) -> type[Contestant]:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"elman.bench.{module}"), name)
