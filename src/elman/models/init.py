"""How the recurrent weights begin."""

from torch import nn

from elman.nn import RNN


def init_recurrent(rnn: RNN, how: str) -> None:
    """Set W_hh, and with "identity" the biases, to where they should begin.

    Args:
        rnn: changed in place; parameters on the meta device are left alone.
        how: "torch" leaves torch.nn.RNN's uniform weights; "orthogonal" lets states neither fade
            nor explode at the start (Saxe et al. 2014, arXiv 1312.6120); "identity" begins as a
            memory that keeps everything, with zero biases, made for relu (Le et al. 2015,
            arXiv 1504.00941).

    >>> rnn = RNN(3, 4, nonlinearity="relu")
    >>> init_recurrent(rnn, "identity")
    >>> rnn.weight_hh_l0.diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if how not in ("torch", "orthogonal", "identity"):
        raise ValueError(f"how should be torch, orthogonal or identity, got {how!r}")
    for name, parameter in rnn.named_parameters():
        if how == "torch" or parameter.is_meta:
            continue
        if name.startswith("weight_hh"):
            (nn.init.orthogonal_ if how == "orthogonal" else nn.init.eye_)(parameter)
        elif how == "identity" and name.startswith("bias"):
            nn.init.zeros_(parameter)
