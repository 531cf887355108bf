"""What comes next: characters or words to the probabilities of the one after."""

from torch import Tensor, nn
from torch.nn import functional

from elman.nn import RNN, Dynamics


class LanguageModel(nn.Module):
    """Embedding → RNN → linear → log-probabilities of the next token, the state handed on.

    Args:
        vocab_size: V, how many tokens there are.
        embedding_size: numbers a token is given. Default: 64.
        hidden_size: units of the RNN. Default: 128.
        num_layers, nonlinearity: of the `elman.RNN`. Defaults: 1, "tanh".
        dynamics: of the `elman.RNN`. Default: None.
        dropout: on the embeddings, between layers and before the head. Default: 0.

    >>> import torch
    >>> model = LanguageModel(vocab_size=100)
    >>> log_probs, state = model(torch.tensor([[3, 1, 4]]))
    >>> log_probs.shape, state.shape
    (torch.Size([1, 3, 100]), torch.Size([1, 1, 128]))
    >>> torch.allclose(log_probs.exp().sum(-1), torch.ones(1, 3))
    True
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 64,
        hidden_size: int = 128,
        *,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        dynamics: Dynamics | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.rnn = RNN(
            embedding_size, hidden_size, num_layers, nonlinearity, batch_first=True,
            dynamics=dynamics, dropout=dropout if num_layers > 1 else 0.0,
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, vocab_size)

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over a chunk of text.

        Args:
            tokens: int64 ids, (N, L).
            state: (num_layers, N, hidden_size), from the chunk before. Default: zeros.

        Returns:
            log-probabilities of each next token, (N, L, V), and the state after the chunk.
        """
        x = self.dropout(self.embedding(tokens))  # (N, L, embedding_size)
        h, state = self.rnn(x, state)  # (N, L, H)
        return functional.log_softmax(self.linear(self.dropout(h)), dim=-1), state
