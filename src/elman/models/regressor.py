"""A number, or several, at every step."""

from torch import Tensor, nn

from elman.nn import RNN, Dynamics


class SequenceRegressor(nn.Module):
    """RNN → linear, at every step, with the state handed on.

        y_t = W h_t + b

    Args:
        input_size: features of x_t.
        hidden_size: units of the RNN. Default: 32.
        output_size: numbers in y_t. Default: 1.
        num_layers, nonlinearity: of the `elman.RNN`. Defaults: 1, "tanh".
        dynamics: of the `elman.RNN`. Default: None.
        dropout: between layers, so with one layer nowhere. Default: 0.

    >>> import torch
    >>> model = SequenceRegressor(input_size=1)
    >>> x = torch.randn(2, 10, 1)  # two rows of ten steps
    >>> y, state = model(x)
    >>> y.shape, state.shape
    (torch.Size([2, 10, 1]), torch.Size([1, 2, 32]))
    >>> y, state = model(x, state.detach())  # the next ten steps, carrying on
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 32,
        output_size: int = 1,
        *,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        dynamics: Dynamics | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.rnn = RNN(
            input_size, hidden_size, num_layers, nonlinearity, batch_first=True,
            dynamics=dynamics, dropout=dropout if num_layers > 1 else 0.0,
        )  # fmt: skip
        self.linear = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over a chunk of the series.

        Args:
            x: (N, L, input_size).
            state: (num_layers, N, hidden_size), from the chunk before. Default: zeros.

        Returns:
            y, (N, L, output_size), and the state after the last step.
        """
        h, state = self.rnn(x, state)  # (N, L, H)
        return self.linear(h), state
