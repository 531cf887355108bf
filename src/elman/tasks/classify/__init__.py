"""From labelled texts or sequences to labels for others."""

from elman.tasks.classify.classifier import Classifier

__all__ = ["Classifier"]
