"""What a model says at each step, as numbers and names for the page."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

CLASSES, TOKENS = 12, 6  # the most that are shown of each


def classes(log_probs: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """The probability of each class at each step; of many, those that are ever likeliest.

    Args:
        log_probs: (L, C), float64.
        names: of the C classes.
    """
    p = log_probs.exp()
    kept, best = list(range(p.shape[1])), p.argmax(1)
    if len(kept) > CLASSES:
        peaks = p.max(0).values
        peaks[best[-1]] = 2  # the answer is among them always
        kept = sorted(peaks.topk(CLASSES).indices.tolist())
    changed = (best != best[-1]).nonzero()
    return {
        "kind": "classes",
        "said": [names[k] for k in best.tolist()],  # which need not be among those kept
        "said_p": p.max(1).values,
        "names": [names[k] for k in kept],
        "of": p.shape[1],
        "p": p[:, kept],
        "answer": names[int(best[-1])],
        "decided": int(changed[-1]) + 1 if len(changed) else 0,
    }


def tokens(
    log_probs: Tensor, names: Sequence[str], came: Sequence[int], first: int = 0
) -> dict[str, Any]:
    """The likeliest next tokens at each step, and how likely the one was that came.

    Args:
        log_probs: (L, V), float64.
        names: of the V tokens.
        came: the ids of the tokens that followed, L - 1 of them.
        first: the first token that may be said. Default: every one.
    """
    p = log_probs.exp()
    top = p[:, first:].topk(min(TOKENS, p.shape[1] - first), dim=1)
    likelihood = [float(p[t, token]) for t, token in enumerate(came)]
    bits = -(p * log_probs).nan_to_num().sum(1) / torch.tensor(2.0).log()
    return {
        "kind": "tokens",
        "names": [[names[first + k] for k in row] for row in top.indices.tolist()],
        "p": top.values,
        "came": [*likelihood, None],
        "bits": bits,
        "of": p.shape[1],
    }


def numbers(y: Tensor) -> dict[str, Any]:
    """What a regressor says, (L, K): the first dozen of the K."""
    return {"kind": "numbers", "y": y[:, :CLASSES], "of": y.shape[1]}
