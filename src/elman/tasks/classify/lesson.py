"""Learning to classify: batches by length, cross-entropy, accuracy on rows held out."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.data import batches_by_length
from elman.models import SequenceClassifier, init_recurrent
from elman.tasks.classify.readers import Encoded, Reader, batch_of
from elman.tasks.settings import ClassifierSettings
from elman.train import Lesson
from elman.train.processes import share


def new_network(
    settings: ClassifierSettings, reader: Reader, num_classes: int
) -> SequenceClassifier:
    """A network with new weights, in float32 whatever torch's default is."""
    model = SequenceClassifier(
        reader.input_size or settings.embedding_size,
        settings.hidden_size,
        num_classes,
        vocab_size=reader.vocab_size,
        num_layers=settings.num_layers,
        nonlinearity=settings.nonlinearity,
        dynamics=settings.dynamics(),
        bidirectional=settings.bidirectional,
        dropout=settings.dropout,
    ).float()
    init_recurrent(model.rnn, settings.init)
    return model


class ClassifierLesson(Lesson):
    """Rows `stay` to learn from, rows `held` to stop by."""

    def __init__(
        self,
        model: SequenceClassifier,
        settings: ClassifierSettings,
        encoded: Encoded,
        targets: list[int],
        stay: np.ndarray,
        held: np.ndarray,
        device: torch.device,
    ) -> None:
        super().__init__(model)
        self.settings, self.device = settings, device
        self.encoded, self.targets = encoded, np.array(targets)
        self.stay, self.held = stay, held

    def batches(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Row numbers, rows of like length together."""
        lengths = [len(self.encoded[i]) for i in self.stay]
        order = batches_by_length(lengths, self.settings.batch_size, rng)
        return [self.stay[rows] for rows in order]

    def loss(self, network: nn.Module, batch: np.ndarray) -> tuple[Tensor, int]:
        """Cross-entropy with smoothed labels, some of the tokens hidden."""
        rows, weight = share(batch)
        x, lengths, target = self._tensors(rows)
        if x.dtype == torch.int64:
            hidden = torch.rand(x.shape, device=self.device) < self.settings.token_dropout
            x = x.masked_fill(hidden, 0)
        smoothing = self.settings.label_smoothing
        scores = network(x, lengths)
        total = functional.cross_entropy(scores, target, label_smoothing=smoothing, reduction="sum")
        return total * weight, len(rows) * weight

    def validate(self) -> dict[str, float]:
        """Cross-entropy and accuracy on the rows held out."""
        total = right = 0.0
        for rows in batches_by_length([len(self.encoded[i]) for i in self.held], 256):
            x, lengths, target = self._tensors(self.held[rows])
            scores = self.model(x, lengths)
            total += float(functional.cross_entropy(scores, target, reduction="sum"))
            right += float((scores.argmax(1) == target).sum())
        return {"valid_loss": total / len(self.held), "valid_accuracy": right / len(self.held)}

    def _tensors(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        x, lengths = batch_of([self.encoded[i] for i in rows])
        return x.to(self.device), lengths, torch.from_numpy(self.targets[rows]).to(self.device)
