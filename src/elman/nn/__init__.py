"""The recurrent modules: parameters, shapes, dtypes and PackedSequence over `elman.ops`."""

from elman.nn.cell import RNNCell
from elman.nn.convert import convert, unconvert
from elman.nn.rnn import RNN

__all__ = ["RNN", "RNNCell", "convert", "unconvert"]
