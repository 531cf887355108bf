"""How the recurrent weights begin: `init_recurrent` and its presets."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from elman.nn.recurrent import Place, places, read, write

#: What `how` may be.
PRESETS = ("torch", "orthogonal", "identity", "critical", "integrator")


def init_recurrent(
    rnn: nn.Module, how: str, *, gain: float = 1.0, radius: float = 1.0, coupling: float = 0.01
) -> None:
    r"""Set every W_hh, and with some presets W_ih and the biases, to where it should begin.

    H units, H_in inputs; U(a) is uniform in ±a.

    - "torch": nothing is changed; torch.nn.RNN begins with U(1/√H) everywhere.
    - "orthogonal": W_hh = gain · Q, Q uniform among the orthogonal matrices: with gain 1 states
      neither fade nor explode at the start. Saxe, McClelland, Ganguli (2014, arXiv 1312.6120).
    - "identity": W_hh = gain · I, biases 0: a memory that keeps everything, made for relu. Le,
      Jaitly, Hinton (2015, arXiv 1504.00941).
    - "critical": W_hh = A · radius / ρ(A), A normal, ρ the largest |eigenvalue|: the spectral
      radius is `radius`, but for rounding. Below 1 a linear layer forgets, above it grows, and
      near 1 is the edge between the two. Jaeger (2001, GMD report 148); Bertschinger,
      Natschläger (2004, Neural Computation 16).
    - "integrator": the first half of the units read, the others keep, made for relu:

          readers    W_ih = U(√(3/H_in)), b = -1/2, row of W_hh = 0
          keepers    W_ih = 0, b = 0, rows of W_hh = [coupling · I, I]

      A reader is a feature of one step, silent on small input; a keeper is the sum of a reader
      over all steps before. A block of the identity for what is to last is in Mikolov et al.,
      Learning Longer Memory in Recurrent Neural Networks (2014, arXiv 1412.7753); that it stands
      above quick units, and the numbers, are elman's. With an odd H there is one keeper more.

    Args:
        rnn: an `elman.RNN` or `elman.RNNCell`, or a module that holds some. Changed in place;
            parameters on the meta device are left alone. A parametrised weight becomes what is
            asked for as it is used; "critical" asks for the radius alone.
        how: the preset.
        gain: of "orthogonal" and "identity". Default: 1.
        radius: of "critical". Default: 1.
        coupling: of "integrator", how much of its reader a keeper takes at each step.
            Default: 0.01.

    Raises:
        ValueError: how is unknown, a number is not positive and finite, there is no recurrent
            layer, or a parametrization rules out the weight asked for.

    >>> import elman
    >>> rnn = elman.RNN(3, 4, nonlinearity="relu")
    >>> init_recurrent(rnn, "identity")
    >>> rnn.weight_hh_l0.diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> init_recurrent(rnn, "critical", radius=0.9)
    >>> round(torch.linalg.eigvals(rnn.weight_hh_l0).abs().max().item(), 4)
    0.9
    """
    if how not in PRESETS:
        raise ValueError(f"how should be one of {', '.join(PRESETS)}, got {how!r}")
    for name, number in (("gain", gain), ("radius", radius), ("coupling", coupling)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} should be a positive number, got {number!r}")
    for place in places(rnn):
        if how == "torch" or read(place.module, place.weight).is_meta:
            continue
        if how == "orthogonal":
            _set(place, gain * nn.init.orthogonal_(_new(place)))
        elif how == "identity":
            _set(place, gain * nn.init.eye_(_new(place)))
            _set_bias(place, torch.zeros(len(_new(place))))
        elif how == "critical":
            _set(place, _with_radius(place, nn.init.normal_(_new(place)), radius))
        else:
            _integrator(place, coupling)


def _new(place: Place) -> Tensor:
    return torch.empty_like(read(place.module, place.weight))


def _set(place: Place, value: Tensor) -> None:
    """W_hh, and an error where its parametrization made another of it."""
    write(place.module, place.weight, value)
    got = read(place.module, place.weight)
    # parametrizations compute: half of the digits leave room for that, and for nothing else
    near = math.sqrt(torch.finfo(value.dtype).eps) * max(1.0, value.abs().max().item())
    if not (got - value).abs().max() <= near:
        raise ValueError(
            f"the parametrization of {place.weight} does not allow the weight asked for; choose "
            "another preset, or initialise before it is put on"
        )


def _set_bias(place: Place, value: Tensor) -> None:
    """b_ih; b_hh, which is added to it, becomes 0."""
    if place.module.bias:
        write(place.module, f"bias_ih{place.suffix}", value)
        if hasattr(place.module, f"bias_hh{place.suffix}"):  # there may be one alone
            write(place.module, f"bias_hh{place.suffix}", torch.zeros_like(value))


def _with_radius(place: Place, value: Tensor, radius: float) -> Tensor:
    value = _scaled(place, value, radius)
    if parametrize.is_parametrized(place.module, place.weight):
        write(place.module, place.weight, value)
        value = _scaled(place, read(place.module, place.weight), radius)  # what a mask leaves
    return value


def _scaled(place: Place, value: Tensor, radius: float) -> Tensor:
    wide = value.double()
    # with no path from any unit back to itself all eigenvalues are 0, but computed they are not
    paths = torch.ones(len(wide), dtype=torch.bool, device=wide.device)
    for _ in range(len(wide)):
        paths = ((wide != 0) & paths).any(1)
    if not paths.any():
        raise ValueError(
            f"the parametrization of {place.weight} leaves it no eigenvalue but 0, so no radius"
        )
    largest = torch.linalg.eigvals(wide).abs().max()
    return (wide * (radius / largest)).to(value.dtype)


def _integrator(place: Place, coupling: float) -> None:
    H = len(_new(place))
    if H < 2:
        raise ValueError(f"integrator needs a hidden_size of 2 at least, got {H}")
    readers = H // 2
    W_hh, W_ih = torch.zeros(H, H), read(place.module, f"weight_ih{place.suffix}").clone()
    W_hh[readers:, readers:] = torch.eye(H - readers)
    W_hh[readers : 2 * readers, :readers] = coupling * torch.eye(readers)
    bound = math.sqrt(3 / W_ih.shape[1])  # a variance of 1/H_in
    nn.init.uniform_(W_ih[:readers], -bound, bound)
    W_ih[readers:] = 0
    bias = torch.zeros(H)
    bias[:readers] = -0.5
    _set(place, W_hh.to(W_ih))
    write(place.module, f"weight_ih{place.suffix}", W_ih)
    _set_bias(place, bias)
