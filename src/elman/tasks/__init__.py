"""What a person has and wants: a file, and an answer."""

from elman.tasks.any import load
from elman.tasks.classify import Classifier
from elman.tasks.forecast import Forecaster
from elman.tasks.generate import Generator

__all__ = ["Classifier", "Forecaster", "Generator", "load"]
