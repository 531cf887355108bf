"""Long memory by one name: how to begin and what to hold, together."""

from typing import TypeVar

from torch import nn

from elman.nn.init import init_recurrent
from elman.nn.parametrizations import Integrator, constrain
from elman.nn.recurrent import places

AnyModule = TypeVar("AnyModule", bound=nn.Module)
#: The nonlinearity that each kind of memory is made for.
_WANTED = {"sum": "relu", "order": "identity"}


def long_memory(rnn: AnyModule, what: str) -> AnyModule:
    """Make a layer remember over hundreds of steps, by what it begins with and is held to.

    - "sum", for relu: what is found anywhere is added up and stays, as in the adding problem.
      The preset "integrator" of `init_recurrent`, held by `Integrator`.
    - "order", for nonlinearity="identity": what came, and when, as in the copy task. The preset
      "orthogonal", kept orthogonal. The layer is linear, so nothing of its input is ever lost;
      what is not linear is for the layers and the head above.

    docs/long_memory.md shows both at work, and why they are two.

    Args:
        rnn: an `elman.RNN` or `elman.RNNCell`, or a module that holds some. Changed in place.
        what: "sum" or "order".

    Returns:
        `rnn`.

    Raises:
        ValueError: `what` is unknown, a layer has another nonlinearity, or there is none.

    Source: Hochreiter, Schmidhuber (1997) and Mikolov et al. (2014, arXiv 1412.7753) for "sum";
    Henaff, Szlam, LeCun, Recurrent Orthogonal Networks and Long-Memory Tasks (2016, arXiv
    1602.06662) for "order".

    >>> import elman, torch
    >>> rnn = long_memory(elman.RNN(2, 64, nonlinearity="relu"), "sum")
    >>> rnn.weight_hh_l0[32:, 32:].equal(torch.eye(32))
    True
    """
    if what not in _WANTED:
        raise ValueError(f"what should be 'sum' or 'order', got {what!r}")
    for place in places(rnn):
        if place.module.nonlinearity != _WANTED[what]:
            raise ValueError(
                f"long_memory of {what!r} wants nonlinearity={_WANTED[what]!r}, got a layer with "
                f"{place.module.nonlinearity!r}"
            )
    if what == "sum":
        init_recurrent(rnn, "integrator")
        return constrain(rnn, Integrator())
    init_recurrent(rnn, "orthogonal")
    return constrain(rnn, "orthogonal")
