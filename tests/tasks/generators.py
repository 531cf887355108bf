"""What the tests of Generator share: a small text, and its network in torch's own modules."""

from pathlib import Path

import torch
from torch import nn

EXAMPLE = Path(__file__).parents[2] / "examples/data/sentences_zh.txt"
TEXT = "我爱你。你爱我！\n他爱她，她也爱他。\n" * 30
SMALL = {
    "embedding_size": 8, "hidden_size": 16, "epochs": 3, "lr": 0.02, "chunk": 8, "batch_size": 3,
}  # fmt: skip
STREAM = "我爱你。你爱我。\n"
HARD = "😀👨‍👩‍👧‍👦 ça va? e\u0301te\u0301 𠮷野家\r\n\u200bहिन्दी\tالعربية \U0010ffff �<unk>\r\n"


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


class Plain(nn.Module):
    """The network in torch's own modules, with the weights of another."""

    def __init__(self, model):
        super().__init__()
        rnn = model.rnn
        self.embedding = nn.Embedding(model.embedding.num_embeddings, rnn.input_size)
        self.rnn = nn.RNN(rnn.input_size, rnn.hidden_size, rnn.num_layers, batch_first=True)
        self.linear = nn.Linear(rnn.hidden_size, model.embedding.num_embeddings)
        self.to(model.linear.weight.dtype).load_state_dict(model.state_dict())

    def forward(self, tokens, state=None):
        h, state = self.rnn(self.embedding(tokens), state)
        return self.linear(h).log_softmax(-1), state

    def nats(self, ids):
        """Of all but the first, in one pass."""
        tokens = torch.tensor(ids)
        with torch.no_grad():
            log_probs = self(tokens[None, :-1])[0][0].double()
        return -sum(float(log_probs[t, k]) for t, k in enumerate(tokens[1:].tolist()))
