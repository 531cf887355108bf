"""The network of a `Classifier`: made, and trained on token ids."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elman.data import batches_by_length, pad
from elman.models import SequenceClassifier
from elman.tasks.settings import ClassifierSettings
from elman.train import History, Progress, train


def new_network(
    settings: ClassifierSettings, vocab_size: int, num_classes: int
) -> SequenceClassifier:
    """A network with new weights, in float32 whatever torch's default is.

    W_hh begins orthogonal: states neither fade nor explode at the start (Saxe et al. 2014).
    """
    model = SequenceClassifier(
        settings.embedding_size,
        settings.hidden_size,
        num_classes,
        vocab_size=vocab_size,
        num_layers=settings.num_layers,
        nonlinearity=settings.nonlinearity,
        bidirectional=settings.bidirectional,
        dropout=settings.dropout,
    ).float()
    for name, parameter in model.rnn.named_parameters():
        if name.startswith("weight_hh") and not parameter.is_meta:
            nn.init.orthogonal_(parameter)
    return model


def train_network(
    model: SequenceClassifier,
    settings: ClassifierSettings,
    encoded: list[list[int]],
    targets: list[int],
    stay: np.ndarray,
    held: np.ndarray,
    report: Callable[[Progress], None] | None,
) -> History:
    """Train on the rows `stay`, stop by the rows `held`; `elman.train.train` says how."""
    rng = np.random.default_rng(settings.random_state)
    smoothing = settings.label_smoothing

    def tensors(rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        tokens, lengths = pad([encoded[i] for i in rows])
        return tokens, lengths, torch.tensor([targets[i] for i in rows])

    def batches() -> list[tuple[Tensor, Tensor, Tensor]]:
        lengths = [len(encoded[i]) for i in stay]
        order = batches_by_length(lengths, settings.batch_size, rng)
        return [tensors(stay[rows]) for rows in order]

    def loss(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        tokens, lengths, target = batch
        hidden = torch.rand(tokens.shape) < settings.token_dropout
        scores = model(tokens.masked_fill(hidden, 0), lengths)
        return functional.cross_entropy(scores, target, label_smoothing=smoothing)

    def validate() -> dict[str, float]:
        total = right = 0.0
        for rows in batches_by_length([len(encoded[i]) for i in held], 256):
            tokens, lengths, target = tensors(held[rows])
            scores = model(tokens, lengths)
            total += float(functional.cross_entropy(scores, target, reduction="sum"))
            right += float((scores.argmax(1) == target).sum())
        return {"loss": total / len(held), "accuracy": right / len(held)}

    return train(
        model,
        batches=batches,
        loss=loss,
        validate=validate,
        epochs=settings.epochs,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        clip=settings.clip,
        patience=settings.patience,
        report=report,
    )
