"""One answer for a whole sequence."""

import torch
from torch import Tensor, nn

from elman.nn import RNN, Dynamics
from elman.nn.lengths import Lengths, as_lengths, check_lengths, packing
from elman.ops import onnx


class SequenceClassifier(nn.Module):
    """Vectors or tokens → RNN → the last state → one score a class.

    Rows may be of any length, zero too; what lies beyond a row's length is never read.

    Args:
        input_size: features of each vector; with `vocab_size`, of each token's embedding.
        hidden_size: units of the RNN. Default: 128.
        num_classes: C. Default: 2.
        vocab_size: if given, the input is token ids below it. Default: None, vectors.
        num_layers, nonlinearity, bidirectional: of the `elman.RNN`. Defaults: 1, "tanh", False.
        dynamics: of the `elman.RNN`. Default: None.
        dropout: on the input, between layers and before the head. Default: 0.

    Token vectors of width 768, two classes, as for reviewing candidate medical entities:

    >>> model = SequenceClassifier(input_size=768, hidden_size=128, num_classes=2)
    >>> model(torch.randn(4, 20, 768), lengths=torch.tensor([20, 7, 0, 1])).shape
    torch.Size([4, 2])

    Characters:

    >>> model = SequenceClassifier(input_size=32, vocab_size=1000)
    >>> model(torch.tensor([[5, 9, 2]])).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 128,
        num_classes: int = 2,
        *,
        vocab_size: int | None = None,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        dynamics: Dynamics | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = None if vocab_size is None else nn.Embedding(vocab_size, input_size)
        self.rnn = RNN(
            input_size, hidden_size, num_layers, nonlinearity, batch_first=True,
            dynamics=dynamics, bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size * (2 if bidirectional else 1), num_classes)

    def forward(self, input: Tensor, lengths: Lengths | None = None) -> Tensor:  # noqa: A002
        """Score each row.

        Args:
            input: (N, L, input_size), or int64 token ids (N, L) with `vocab_size`.
            lengths: steps of each row, integers (N,) from 0 to L. Default: all L.

        Returns:
            Scores before softmax, (N, C).

        Raises:
            ValueError: a shape does not fit, or a length is not between 0 and L.
        """
        rank = 3 if self.embedding is None else 2
        width = self.rnn.input_size
        if input.dim() != rank or (rank == 3 and input.shape[2] != width):
            what = f"(N, L, input_size), input_size {width}" if rank == 3 else "token ids (N, L)"
            raise ValueError(f"input should be {what}, got {tuple(input.shape)}")
        if lengths is None:
            _, h_n = self.rnn(self._vectors(input))
        else:
            h_n = self._read(input, as_lengths(lengths))
        return self.linear(self.dropout(self._top(h_n)))

    def _read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """h_n after each row's own steps."""
        N, L = x.shape[:2]
        if not onnx.exporting():
            check_lengths(lengths, N, L)
            packed = packing(lengths, L, batch_first=True).pack(x)
            return self.rnn(packed._replace(data=self._vectors(packed.data)))[1]
        if self.embedding is not None:  # whatever stands beyond a row's length may be no token
            beyond = torch.arange(L, device=x.device) >= lengths.to(x.device)[:, None]  # (N, L)
            x = x.masked_fill(beyond, 0)
        return self.rnn(self._vectors(x), lengths=lengths)[1]

    def _vectors(self, x: Tensor) -> Tensor:
        """What the RNN reads, (..., input_size): the input itself, or its tokens' embeddings."""
        return self.dropout(x if self.embedding is None else self.embedding(x))

    def _top(self, h_n: Tensor) -> Tensor:
        """The last layer's part of h_n, (D·layers, N, H), its directions joined: (N, D·H)."""
        D = 2 if self.rnn.bidirectional else 1
        return h_n[-D:].transpose(0, 1).flatten(1)
