"""From a series to how it goes on."""

from elman.tasks.forecast.forecaster import Forecaster

__all__ = ["Forecaster"]
