"""The gate before the clock: no speed of a wrong answer.

elman and every rival are held against torch.nn.RNN in float64 on the same numbers. An error may
be twice that of torch.nn.RNN in float32 and, since that one may be right by luck, `few` ulps of
the scale beyond it. A rounding is uniform in half an ulp either way, with a standard
deviation of 1/√12 ulp; n independent ones add up like a walk, and four standard deviations of it
are few = 4·√(n/12) ulps. What n is:

- A state: H_in + H products are summed up, two biases, f and the sum of it all add four. What a
  step's error leaves in the states after it shrinks: weights uniform in ±1/√H have a variance of
  1/(3H), so W makes a third of an error's square, and f makes it no larger. In all that is
  1 + 1/3 + 1/9 + … = 1.5 times as many roundings, in each layer; L does not matter.
- A gradient: the same forward, as many backward, and the sum over all rows and steps.

The scale is that of the sums on the way, since a small result of large terms is no better: for
states 1, which bounds tanh, and for gradients √rows, to which so many terms of about 1 walk; or
the largest value, if that is more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from elman.bench.cases import Case
from elman.errors import ElmanError

_EPS = float(np.finfo(np.float32).eps)
_MOST = 2**26  # states that are held against float64: half a GiB, and autograd keeps several


class RedGateError(ElmanError):
    """A contestant's numbers are wrong, so nothing is said of its speed."""


@dataclass(frozen=True)
class Answer:
    """What a contestant gives: the output, and the gradients by name, if it has any."""

    output: np.ndarray
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)

    def parts(self) -> dict[str, np.ndarray]:
        """All of it by name."""
        return {"output": self.output, **{f"gradient of {n}": g for n, g in self.gradients.items()}}


def gated(case: Case) -> Case:
    """What the gate looks at: the case, or its first steps where float64 would fill the memory.

    >>> gated(Case("vast", 128, 1000, 1024, 1024)).L
    512
    """
    most = max(1, _MOST // (case.N * case.H))
    return replace(case, L=most) if case.lengths is None and most < case.L else case


def roundings(case: Case, of_gradient: bool) -> int:
    """How many go into a state, or into a gradient: n above."""
    forward = round(1.5 * case.num_layers * (max(case.H_in, case.directions * case.H) + case.H + 4))
    if not of_gradient:
        return forward
    return 2 * forward + rows(case)


def rows(case: Case) -> int:
    """Over how many states a gradient is summed up."""
    return sum(case.lengths) if case.lengths else case.N * case.L


def few_ulps(case: Case, expected: np.ndarray, of_gradient: bool) -> float:
    """What an error may be beyond twice torch.nn.RNN's."""
    scale = max(math.sqrt(rows(case)) if of_gradient else 1.0, _largest(expected))
    return 4 * math.sqrt(roundings(case, of_gradient) / 12) * _EPS * scale


def hold(case: Case, answers: Mapping[str, Answer], truth: Answer) -> dict[str, float]:
    """Let pass what is right.

    Args:
        case: the shape.
        answers: of each contestant by name, float32; "torch" has to be among them.
        truth: float64.

    Returns:
        For each contestant its largest error as a share of what it may be.

    Raises:
        RedGateError: an answer is missing, of another shape, not finite, or too far off.
    """
    torchs, true = answers["torch"].parts(), truth.parts()
    shares = dict.fromkeys(answers, 0.0)
    for name, answer in answers.items():
        for part, ours in answer.parts().items():
            expected = true[part]
            if ours.shape != expected.shape:
                raise RedGateError(
                    f"{case.name}: the {part} of {name} should be {expected.shape}, "
                    f"got {ours.shape}"
                )
            allowed = 2 * _largest(torchs[part] - expected)
            allowed += few_ulps(case, expected, part != "output")
            error = _largest(ours - expected)
            if not error <= allowed:  # nor where it is NaN
                raise RedGateError(
                    f"{case.name}: the {part} of {name} is {error:.3g} off float64, "
                    f"at most {allowed:.3g} is allowed; no speed is told"
                )
            shares[name] = max(shares[name], error / allowed)
        if answer.gradients and set(answer.gradients) != set(truth.gradients):
            missing = sorted(set(truth.gradients) - set(answer.gradients))
            raise RedGateError(f"{case.name}: {name} gives no gradient of {', '.join(missing)}")
    return shares


def _largest(x: np.ndarray) -> float:
    return float(np.abs(x).max()) if x.size else 0.0
