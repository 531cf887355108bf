"""The classic models: a recurrent layer and a head."""

from elman.models.classifier import SequenceClassifier
from elman.models.concat import ConcatRNN
from elman.models.language import LanguageModel
from elman.models.regressor import SequenceRegressor
from elman.models.reservoir import Reservoir
from elman.nn import init_recurrent

__all__ = [
    "ConcatRNN",
    "LanguageModel",
    "Reservoir",
    "SequenceClassifier",
    "SequenceRegressor",
    "init_recurrent",
]
