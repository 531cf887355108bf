"""Learning what comes next: truncated back-propagation with the state carried on."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.data import Vocabulary
from elman.data.chunks import chunk_bounds, stream_count, streams
from elman.models import LanguageModel, init_recurrent
from elman.tasks.devices import device_of
from elman.tasks.generate.writing import written
from elman.tasks.settings import GeneratorSettings
from elman.train import Lesson
from elman.train.processes import share

# In each epoch a token that occurs once stands as <unk> with the chance of one half: Good and
# Turing's estimate of how often something new comes. Any other does with the chance of 1/1000,
# for where no token occurs once <unk> would come to be thought impossible.
_ONCE, _ANY = 0.5, 0.001
_SAMPLE = 80  # tokens of the sample of an epoch


def new_network(settings: GeneratorSettings, vocab_size: int) -> LanguageModel:
    """A network with new weights, in float32 whatever torch's default is."""
    model = LanguageModel(
        vocab_size,
        settings.embedding_size,
        settings.hidden_size,
        num_layers=settings.num_layers,
        nonlinearity=settings.nonlinearity,
        dynamics=settings.dynamics(),
        dropout=settings.dropout,
    ).float()
    init_recurrent(model.rnn, settings.init)
    return model


class GeneratorLesson(Lesson):
    """A text to learn from, as ids, and one to stop by.

    In each epoch the text, turned like a ring by a random number of tokens, is cut into streams
    side by side; they are read chunk by chunk, each chunk from the state the one before it ended
    with.
    """

    model: LanguageModel

    def __init__(
        self,
        model: LanguageModel,
        settings: GeneratorSettings,
        ids: np.ndarray,
        held: np.ndarray,
        characters: int,
        spelling: float,
        device: torch.device,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Take `ids` to learn from, and `held` to stop by.

        The latter are so many characters; `spelling` bits say what is unknown among them. With
        the vocabulary a sample of each epoch is noted.
        """
        super().__init__(model)
        self.vocabulary = vocabulary
        self.settings, self.device = settings, device
        self.ids, self.held = ids, held
        self.characters, self.spelling = characters, spelling
        counts = np.bincount(ids, minlength=1)
        self.chance = np.where(counts[ids] == 1, _ONCE, _ANY)
        self.count = stream_count(len(ids), settings.batch_size, settings.chunk)

    def batches(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Where the chunks of this epoch's streams begin and end."""
        ids = np.where(rng.random(len(self.ids)) < self.chance, 0, self.ids)
        self.rows = torch.from_numpy(streams(ids, self.count, int(rng.integers(len(ids)))))
        return chunk_bounds(self.rows.shape[1] - 1, self.settings.chunk)

    def loss(self, network: nn.Module, batch: tuple[int, int]) -> tuple[Tensor, int]:
        """Cross-entropy of each next token, some of the tokens read hidden."""
        mine, weight = share(np.arange(self.count))
        start, end = batch
        rows = self.rows[mine, start : end + 1].to(self.device)  # (N, L + 1)
        tokens, targets = rows[:, :-1], rows[:, 1:]
        hidden = torch.rand(tokens.shape, device=self.device) < self.settings.token_dropout
        log_probs, state = network(tokens.masked_fill(hidden, 0), self.carried.get("state"))
        self.carried = {"state": state.detach()}
        total = functional.nll_loss(log_probs.flatten(0, 1), targets.flatten(), reduction="sum")
        return total * weight, targets.numel() * weight

    def validate(self) -> dict[str, float]:
        """Nats for each token, and bits for each character, of the text to stop by."""
        nats = total_nats(self.model, self.held)
        return {
            "valid_loss": nats / (len(self.held) - 1),
            "valid_bits_per_character": (nats / math.log(2) + self.spelling) / self.characters,
        }

    def notes(self, epoch: int) -> dict[str, Any]:
        """What the network writes now, drawn with the same numbers in every epoch."""
        if self.vocabulary is None:
            return {}
        rng = torch.Generator()
        rng.manual_seed(self.settings.random_state)
        return {"sample": "".join(written(self.model, self.vocabulary, "", _SAMPLE, rng))}


def total_nats(model: nn.Module, ids: np.ndarray, chunk: int = 512) -> float:
    """What it costs to tell all tokens but the first, read in order from a zero state.

    Args:
        model: in eval mode.
        ids: (T,).
        chunk: steps taken at a time, for the sake of memory.
    """
    device = device_of(model)
    tokens, total, state = torch.from_numpy(ids).to(device), 0.0, None
    with torch.inference_mode():
        for start, end in chunk_bounds(len(ids) - 1, chunk):
            log_probs, state = model(tokens[None, start:end], state)
            targets = tokens[start + 1 : end + 1]
            told = log_probs[0].gather(1, targets[:, None])  # (L, 1)
            total -= float(told.cpu().double().sum())  # not every device has float64
    return total
