"""The classic models: a recurrent layer and a head."""

from elman.models.classifier import SequenceClassifier
from elman.models.concat import ConcatRNN
from elman.models.init import init_recurrent
from elman.models.language import LanguageModel
from elman.models.regressor import SequenceRegressor

__all__ = [
    "ConcatRNN",
    "LanguageModel",
    "SequenceClassifier",
    "SequenceRegressor",
    "init_recurrent",
]
