"""The recurrent modules: parameters, shapes, dtypes and PackedSequence over `elman.ops`."""

from elman.nn.cell import RNNCell
from elman.nn.convert import convert, unconvert
from elman.nn.rnn import RNN
from elman.nn.stream import Stream

__all__ = ["RNN", "RNNCell", "Stream", "convert", "unconvert"]
