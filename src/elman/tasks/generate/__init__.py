"""From a text to more of its kind."""

from elman.tasks.generate.generator import Generator

__all__ = ["Generator"]
