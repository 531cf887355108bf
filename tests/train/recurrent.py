"""A lesson with all that a checkpoint must hold: dropout, a state carried, shuffled batches."""

import numpy as np
import torch
from torch import nn

from elman import RNN
from elman.train import Lesson, Plan
from elman.train.processes import share

PLAN = Plan(epochs=3, lr=0.01, weight_decay=0.1, clip=0.5, seed=5, decay=True)
STEPS = 4


class Network(nn.Module):
    """An RNN with dropout on what it reads and a head that guesses the next value."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.rnn = RNN(1, 5)
        self.head = nn.Linear(5, 1)

    def forward(self, x, state):
        y, state = self.rnn(self.dropout(x), state)
        return self.head(y), state


class Wave(Lesson):
    """The next value of noisy waves; a batch is four steps of three waves in a shuffled order."""

    def __init__(self, dropout=0.5):
        torch.manual_seed(11)
        super().__init__(Network(dropout))
        self.waves = torch.sin(
            torch.arange(17.0)[:, None, None] * torch.tensor([0.3, 0.5, 0.9]).view(1, 3, 1)
        )

    def batches(self, rng):
        order = rng.permutation(3)
        return [(order, range(k, k + 4)) for k in range(0, 4 * STEPS, 4)]

    def loss(self, network, batch):
        order, steps = batch
        x = self.waves[steps.start : steps.stop + 1, order]  # (5, 3, 1)
        scores, state = network(x[:-1], self.carried.get("state"))
        self.carried = {"state": state.detach()}
        noise = torch.randn(()) * 0.1
        return (scores - x[1:] + noise).square().sum(), scores.numel()

    def validate(self):
        scores, _ = self.model(self.waves[:-1].flip(1), None)
        return {"valid_loss": float((scores - self.waves[1:].flip(1)).square().mean())}


class Rows(Lesson):
    """Rows in batches that several processes share."""

    def __init__(self, size, rows=41):
        torch.manual_seed(12)
        super().__init__(nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1)))
        self.x = torch.randn(rows, 3)
        self.y = self.x.prod(1, keepdim=True)
        self.size = size

    def batches(self, rng):
        order = rng.permutation(len(self.x))
        return [order[k : k + self.size] for k in range(0, len(order), self.size)]

    def loss(self, network, batch):
        rows, weight = share(np.asarray(batch))
        error = (network(self.x[rows]) - self.y[rows]).square().sum()
        return error * weight, len(rows) * weight

    def validate(self):
        return {"valid_loss": float((self.model(self.x) - self.y).square().mean())}
