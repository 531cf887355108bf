"""One training loop for every task."""

from elman.train.checkpoint import Checkpoint
from elman.train.lesson import Lesson, Plan
from elman.train.loop import History, Progress, Report, train

__all__ = ["Checkpoint", "History", "Lesson", "Plan", "Progress", "Report", "train"]
