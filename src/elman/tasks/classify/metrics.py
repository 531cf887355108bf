"""How good the answers of a classifier are."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Report:
    """Answers held against the truth.

    Attributes:
        classes: C of them.
        confusion: counts, (C, C): rows are the truth, columns the answers.
    """

    classes: list
    confusion: np.ndarray

    @classmethod
    def of(
        cls, truth: Sequence[Hashable], answers: Sequence[Hashable], classes: Sequence[Hashable]
    ) -> "Report":
        """Count the answers.

        >>> report = Report.of(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
        >>> report.confusion.tolist(), report.precision.tolist(), report.recall.tolist()
        ([[1, 1], [0, 1]], [1.0, 0.5], [0.5, 1.0])
        """
        place = {c: i for i, c in enumerate(classes)}
        confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        for true, answer in zip(truth, answers, strict=True):
            confusion[place[true], place[answer]] += 1
        return cls(list(classes), confusion)

    @property
    def rows(self) -> int:
        """How many answers there are."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(self.confusion.trace() / self.rows)

    @property
    def majority(self) -> float:
        """The accuracy of always giving the commonest true class: the baseline."""
        return float(self.confusion.sum(1).max() / self.rows)

    @property
    def precision(self) -> np.ndarray:
        """Of the answers of each class, the share that is right; 0 where there are none."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(0))

    @property
    def recall(self) -> np.ndarray:
        """Of the rows of each class, the share found; 0 where there are none."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(1))

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall of each class."""
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def as_dict(self) -> dict:
        """All figures, for JSON."""
        return {
            "rows": self.rows,
            "accuracy": self.accuracy,
            "majority": self.majority,
            "classes": self.classes,
            "precision": self.precision.tolist(),
            "recall": self.recall.tolist(),
            "f1": self.f1.tolist(),
            "confusion": self.confusion.tolist(),
        }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
