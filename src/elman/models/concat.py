"""The other classic form: input and state side by side, one linear map to each result."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.nn import RNN
from elman.ops.activations import NONLINEARITIES


class ConcatRNN(nn.Module):
    """One step of a recurrent network over the concatenation [x_t, h_{t-1}].

        h_t = f([x_t, h_{t-1}] W_hᵀ + b_h)
        y_t = log_softmax([x_t, h_{t-1}] W_oᵀ + b_o)

    Args:
        input_size: features of x_t.
        hidden_size: units of h_t.
        output_size: classes of y_t.
        nonlinearity: f, "tanh" or "relu"; None (or "identity") gives the variant often printed
            without one. Default: "tanh".

    Attributes:
        i2h, i2o: the two `torch.nn.Linear` maps from input_size + hidden_size.

    Source: the form is that of PyTorch's tutorial on classifying names with a
    character-level RNN, https://docs.pytorch.org/tutorials/

    >>> model = ConcatRNN(5, 8, 3)
    >>> hidden = model.init_hidden()
    >>> for x in torch.eye(5):  # a word of five letters, one-hot
    ...     output, hidden = model(x[None], hidden)
    >>> output.shape, hidden.shape
    (torch.Size([1, 3]), torch.Size([1, 8]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        nonlinearity: str | None = "tanh",
    ) -> None:
        super().__init__()
        if nonlinearity is not None and nonlinearity not in NONLINEARITIES:
            known = ", ".join(map(repr, NONLINEARITIES))
            raise ValueError(f"nonlinearity should be None or one of {known}, got {nonlinearity!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = output_size
        self.nonlinearity = nonlinearity
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)

    def forward(self, input: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:  # noqa: A002
        """One step.

        Args:
            input: x_t, (N, input_size).
            hidden: h_{t-1}, (N, hidden_size).

        Returns:
            y_t, log-probabilities (N, output_size), and h_t, (N, hidden_size).

        Raises:
            ValueError: a shape does not fit.
        """
        for name, x, size in (
            ("input", input, self.input_size),
            ("hidden", hidden, self.hidden_size),
        ):
            if x.dim() != 2 or x.shape[1] != size:
                raise ValueError(f"{name} should be (N, {size}), got {tuple(x.shape)}")
        if input.shape[0] != hidden.shape[0]:
            raise ValueError(
                f"input and hidden should have as many rows, got {input.shape[0]} and "
                f"{hidden.shape[0]}"
            )
        both = torch.cat([input, hidden], 1)  # (N, input_size + hidden_size)
        h = NONLINEARITIES[self._f](self.i2h(both))
        return functional.log_softmax(self.i2o(both), dim=1), h

    @property
    def _f(self) -> str:
        return self.nonlinearity or "identity"

    def init_hidden(self, batch_size: int = 1) -> Tensor:
        """The state before the first step: zeros, (batch_size, hidden_size)."""
        return self.i2h.weight.new_zeros(batch_size, self.hidden_size)

    def to_rnn(self) -> RNN:
        """The hidden path as an `elman.RNN` with weights of its own: the same states exactly.

        [W_ih | W_hh] is i2h's matrix cut in two, b_ih is its bias and b_hh is zero. Trained
        further, the RNN has two biases to learn where this form has one.

        >>> model = ConcatRNN(5, 8, 3)
        >>> x = torch.randn(4, 1, 5)
        >>> _, h = model(x[0], model.init_hidden())
        >>> torch.allclose(model.to_rnn()(x)[0][0], h, atol=1e-6)
        True
        """
        weight, bias = self.i2h.weight, self.i2h.bias
        rnn = nn.utils.skip_init(
            RNN, self.input_size, self.hidden_size, nonlinearity=self._f,
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        rnn.load_state_dict(
            {
                "weight_ih_l0": weight[:, : self.input_size],
                "weight_hh_l0": weight[:, self.input_size :],
                "bias_ih_l0": bias,
                "bias_hh_l0": torch.zeros_like(bias),
            }
        )
        return rnn
