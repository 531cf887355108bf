"""What a person has and wants: a file, and an answer."""

from elman.tasks.classifier import Classifier

__all__ = ["Classifier"]
