"""State carried from call to call: `Stateful`, and `truncated` for loops over chunks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Stateful(nn.Module):
    """An RNN that goes on where it stopped: its last state is the next call's first.

    What is carried is detached from the graph that made it only when `detach` says so, or with
    `truncate`, at the end of every call; `reset` begins anew, for all rows or for some.

    Args:
        rnn: an `elman.RNN` or torch.nn.RNN, in one direction.
        truncate: whether each call's gradients end at its beginning, as in truncated
            backpropagation through time (Williams and Peng, Neural Computation 2 (1990)).
            Default: True.

    Raises:
        ValueError: the RNN has a direction that reads from the end.

    Attributes:
        state: h_n of the last call, as the RNN gives it; None before the first. May be set. It is
            moved and converted with the module; a copy has it without the graph that made it.

    >>> from elman import RNN
    >>> rnn = RNN(3, 5)
    >>> live, x = Stateful(rnn), torch.randn(8, 2, 3)
    >>> both = torch.cat([live(x[:4]), live(x[4:])])
    >>> torch.allclose(both, rnn(x)[0], atol=1e-6)
    True
    """

    def __init__(self, rnn: nn.Module, truncate: bool = True) -> None:
        super().__init__()
        backward = getattr(getattr(rnn, "wiring", None), "reverse", False)
        if getattr(rnn, "bidirectional", False) or backward:
            raise ValueError(
                "Stateful goes forward only: a direction that reads from the end has its state at "
                "the beginning"
            )
        self.rnn, self.truncate = rnn, truncate
        self.state: Any = None

    def forward(self, input: Tensor, **arguments: Any) -> Any:  # noqa: A002 - torch's name
        """The RNN's output over `input`, from the state that was left; other arguments are its own.

        A call with another N than the last raises as the RNN does: `reset` first.
        """
        output, self.state = self.rnn(input, self.state, **arguments)
        if self.truncate:
            self.detach()
        return output

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: the state without the graph that made it, which cannot be copied."""
        return {**self.__dict__, "state": _map(self.state, lambda h: h.detach())}

    def _apply(self, fn: Any, recurse: bool = True) -> "Stateful":
        """As torch.nn.Module's, through which a module is moved or converted: the state too."""
        super()._apply(fn, recurse)
        self.state = _map(self.state, fn)
        return self

    def detach(self) -> None:
        """Cut what is carried from the graph that made it: no gradient goes further back."""
        self.state = _map(self.state, lambda h: h.detach())

    def reset(self, rows: Tensor | None = None) -> None:
        """Begin anew.

        Args:
            rows: bools (N,), True for the rows that do; their states are set to zero.
                Default: all, also with another N, and from a learned first state if there is one.
        """
        if rows is None or self.state is None:
            self.state = None
            return

        def cleared(h: Tensor) -> Tensor:
            if rows.dtype != torch.bool or rows.shape != h.shape[-2:-1]:
                raise ValueError(
                    f"rows should be {h.shape[-2]} bools, got {rows.dtype} of {tuple(rows.shape)}"
                )
            return h.masked_fill(rows.to(h.device)[:, None], 0)

        self.state = _map(self.state, cleared)


def truncated(*sequences: Tensor, steps: int, dim: int = 0) -> Iterator[tuple[Tensor, ...]]:
    """Chunks of sequences that belong together, for truncated backpropagation through time.

    Args:
        sequences: tensors with time along `dim`, all of one length L.
        steps: of a chunk; the last may be shorter.
        dim: 1 for batch-first sequences. Default: 0.

    Yields:
        The next chunk of each sequence, views.

    Raises:
        ValueError: `steps` is below 1, or the lengths differ.

    >>> live = Stateful(nn.RNN(1, 4))
    >>> head, x, y = nn.Linear(4, 1), torch.randn(10, 2, 1), torch.randn(10, 2, 1)
    >>> optimizer = torch.optim.SGD([*live.parameters(), *head.parameters()], lr=0.01)
    >>> for x_part, y_part in truncated(x, y, steps=4):
    ...     loss = (head(live(x_part)) - y_part).square().mean()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    """
    if steps < 1:
        raise ValueError(f"steps should be at least 1, got {steps}")
    lengths = {t.shape[dim] for t in sequences}
    if len(lengths) > 1:
        raise ValueError(f"the sequences should have one length, got {sorted(lengths)}")
    yield from zip(*(t.split(steps, dim) for t in sequences), strict=True)


def _map(state: Any, f: Any) -> Any:
    """A state, or those of all layers where their sizes differ, through f."""
    if state is None or isinstance(state, Tensor):
        return None if state is None else f(state)
    return tuple(map(f, state))
