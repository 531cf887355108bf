"""What report.html shows of a classifier: who was taken for whom, and the surest mistakes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.tasks.evidence import ClassifierEvidence, On, Wrong, in_short

_MOST = 24  # wrong answers shown


def evidence_of(
    inputs: Sequence[Any],
    truth: Sequence[int],
    probabilities: np.ndarray,
    classes: Sequence[Any],
    on: On,
) -> ClassifierEvidence:
    """Count the answers and find the surest wrong ones.

    Args:
        inputs: what was asked.
        truth: the number of the right class of each.
        probabilities: what the model said, (rows, C).
        classes: the names of the C.
        on: which rows they are.

    >>> said = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> found = evidence_of(["a", "b", "c"], [1, 0, 0], said, ["x", "y"], "held out")
    >>> found.counts, [(w.shown, w.probability) for w in found.wrong]
    ([(0, 0, 1), (0, 1, 1), (1, 0, 1)], [('a', 0.9), ('c', 0.6)])
    """
    right, answers = np.asarray(truth), probabilities.argmax(1)
    pairs, times = np.unique(np.stack([right, answers]), axis=1, return_counts=True)
    sure = probabilities.max(1)
    missed = np.flatnonzero(right != answers)
    missed = missed[np.argsort(-sure[missed], kind="stable")][:_MOST]
    return ClassifierEvidence(
        on=on,
        classes=[str(name) for name in classes],
        counts=[(int(t), int(a), int(n)) for (t, a), n in zip(pairs.T, times, strict=True)],
        wrong=[
            Wrong(
                shown=in_short(inputs[i]),
                truth=int(right[i]),
                answer=int(answers[i]),
                probability=float(sure[i]),
            )
            for i in missed.tolist()
        ],
    )
