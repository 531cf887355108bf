"""Which token comes next: temperature, top-k and top-p."""

import math
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from elman.errors import SettingError, TrainingError


def check_sampling(temperature: float, top_k: int, top_p: float) -> None:
    """Raise SettingError where one of them is out of its range."""
    if not (is_number(temperature, Real) and 0 <= temperature < math.inf):
        raise SettingError(f"temperature should be a number from 0 on, got {temperature!r:.60}")
    if not (is_number(top_k, Integral) and top_k >= 0):
        raise SettingError(f"top_k should be 0 (all) or how many to choose from, got {top_k!r:.60}")
    if not (is_number(top_p, Real) and 0 < top_p <= 1):
        raise SettingError(f"top_p should be above 0 and at most 1, got {top_p!r:.60}")


def is_number(value: Any, kind: type) -> bool:
    """Whether a value is of that kind of number, Python's or NumPy's; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def sampled(
    log_probs: Tensor,
    rng: torch.Generator,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> int:
    """Draw a token.

        p_i ∝ exp(log_probs_i / temperature), over the likeliest top_k tokens, of these over the
        fewest that together have a probability of at least top_p

    Token 0, `<unk>`, is never drawn, unless there is no other.

    Args:
        log_probs: of each token, (V,), on the CPU.
        rng: to draw with.
        temperature: below 1 surer, above 1 bolder; 0 always takes the likeliest. Default: 1.
        top_k: 0 for all. Default: 0.
        top_p: Default: 1, all (nucleus sampling, Holtzman et al. 2020, arXiv 1904.09751).

    Raises:
        TrainingError: the network's numbers are not finite.

    >>> log_probs = torch.tensor([0.5, 0.1, 0.3, 0.1]).log()
    >>> sampled(log_probs, torch.Generator(), temperature=0)
    2
    >>> sampled(log_probs, torch.Generator(), top_k=1)
    2
    """
    scores = log_probs.double().clone()
    if len(scores) > 1:
        scores[0] = -math.inf
    if not (best := scores.max()).isfinite():
        raise not_finite()
    if temperature == 0:
        return int(scores.argmax())
    scores = (scores - best) / temperature
    if top_k:
        order = scores.argsort(descending=True, stable=True)
        scores[order[min(top_k, len(order)) :]] = -math.inf
    p = scores.softmax(0)
    if top_p < 1:
        ordered, order = p.sort(descending=True, stable=True)
        before = ordered.cumsum(0) - ordered  # what the likelier ones have together
        p[order[before >= top_p]] = 0.0
    return int(torch.multinomial(p, 1, generator=rng))


def not_finite() -> TrainingError:
    """The error for a network that answers in infinite numbers."""
    return TrainingError(
        "the network's numbers grow beyond all bounds on a text as long as this; train it anew "
        "with tanh for nonlinearity or a lower lr"
    )
