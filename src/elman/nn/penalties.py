"""Activation regularisation: what to add to a loss so that states stay small, and slow."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from elman.nn.lengths import Lengths, as_lengths, check_lengths


def activation_penalty(
    output: Tensor | PackedSequence, lengths: Lengths | None = None, batch_first: bool = False
) -> Tensor:
    r"""AR, the mean of h_t² over all steps that are there and all units; 0 where there are none.

        AR = 1/(K H) Σ_t Σ_n |h_tn|²   with K the number of steps of all rows together

    Args:
        output: the states as `elman.RNN` gives them: (L, N, H), (N, L, H) with `batch_first`,
            (L, H), or a `PackedSequence`.
        lengths: of the rows of padded output, integers (N,), as `elman.RNN` takes them. What
            lies beyond does not count. Default: all L.
        batch_first: whether output is (N, L, H). Default: False.

    Returns:
        A number, to be added to the loss times a weight (Merity et al. use 2).

    Raises:
        ValueError: output has another rank, or the lengths do not fit it.

    Source: Merity, McCann, Socher, Revisiting Activation Regularization for Language RNNs
    (2017, arXiv 1708.01009).

    >>> output = torch.tensor([[[1.0]], [[3.0]], [[100.0]]])  # (L, N, H), of two steps the third
    >>> activation_penalty(output, lengths=[2])  # is padding
    tensor(5.)
    """
    states, live = _steps(output, lengths, batch_first)
    return _mean_square(states, live)


def slowness_penalty(
    output: Tensor | PackedSequence, lengths: Lengths | None = None, batch_first: bool = False
) -> Tensor:
    r"""TAR, the mean of (h_t - h_{t-1})² from the second step on; 0 where there is none.

        TAR = 1/(K H) Σ_t>1 Σ_n |h_tn - h_{t-1,n}|²   with K the number of such steps

    Args, Returns, Raises: as of `activation_penalty`; Merity et al. use a weight of 1.

    Source: Merity, McCann, Socher (2017, arXiv 1708.01009).

    >>> output = torch.tensor([[[1.0]], [[3.0]], [[100.0]]])
    >>> slowness_penalty(output, lengths=[2])
    tensor(4.)
    """
    states, live = _steps(output, lengths, batch_first)
    return _mean_square(states[1:] - states[:-1], live[1:])


def _steps(
    output: Tensor | PackedSequence, lengths: Lengths | None, batch_first: bool
) -> tuple[Tensor, Tensor]:
    """States (L, N, H), and which of them are there, (L, N)."""
    if isinstance(output, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths go with padded output; a PackedSequence has its own")
        states, given = pad_packed_sequence(output)
    elif output.dim() == 2 and lengths is None:
        states, given = output.unsqueeze(1), None
    elif output.dim() == 3:
        states = output.transpose(0, 1) if batch_first else output
        given = None if lengths is None else as_lengths(lengths)
    else:
        raise ValueError(
            f"output should be 3-D, or 2-D without lengths, or packed, got {output.dim()}-D"
        )
    L, N = states.shape[:2]
    if given is None:
        return states, states.new_ones((L, N), dtype=torch.bool)
    check_lengths(given, N, L)
    return states, torch.arange(L)[:, None].to(states.device) < given.to(states.device)


def _mean_square(states: Tensor, live: Tensor) -> Tensor:
    # chosen, not multiplied: what lies beyond may be anything, NaN too
    squares = torch.where(live[..., None], states, states.new_zeros(())).square().sum()
    return squares / (live.sum() * states.shape[-1]).clamp_min(1)
