"""One training loop for every task."""

from elman.train.loop import History, Progress, train

__all__ = ["History", "Progress", "train"]
