"""`Classifier`: texts or sequences in, one label each out, with scikit-learn's manners."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from elman.data import batches_by_length, grouped_split, joined_groups
from elman.errors import DataError, SettingError
from elman.models import SequenceClassifier
from elman.tasks.classify.evidence import evidence_of
from elman.tasks.classify.inputs import as_plain, checked_examples, identity_of
from elman.tasks.classify.lesson import ClassifierLesson, new_network
from elman.tasks.classify.page import classifier_page
from elman.tasks.classify.readers import (
    Encoded,
    EncoderReader,
    Reader,
    batch_of,
    reader_for,
    restored_reader,
)
from elman.tasks.classify.report import classifier_parts
from elman.tasks.config import About, ClassifierConfig
from elman.tasks.devices import device_of, seeded
from elman.tasks.documents import Documents
from elman.tasks.evidence import ClassifierEvidence
from elman.tasks.fingerprint import digest
from elman.tasks.onnx.ports import Port, Ports
from elman.tasks.settings import ClassifierSettings
from elman.tasks.task import Task, rnn_in_words
from elman.train import History, Report


class Classifier(Task[ClassifierSettings, ClassifierConfig]):
    """Learns from labelled texts, or sequences of numbers, to label others.

    What is read → `elman.RNN` → the last state → a score for each class
    (`elman.models.SequenceClassifier`). Texts are read character by character or word by word
    through an embedding, or as the token vectors of a frozen BERT-like encoder; numbers are
    scaled. Trained by AdamW on cross-entropy, with orthogonal recurrent weights, clipping, early
    stopping on a part held out, and the best weights kept. The same `random_state` gives the
    same numbers on the same machine.

    Args:
        level: "char" reads texts by Unicode code points, "word" by words. Default: "char".
        encoder: directory or hub id of a BERT-like model to read texts with, through the package
            transformers (extra "encoder"). Default: None.
        embedding_size: numbers a token is given. Default: 64.
        hidden_size: units of the RNN. Default: 128.
        num_layers, nonlinearity, bidirectional: of the RNN. Defaults: 1, "tanh", False.
        leak, zoneout, recurrent_dropout, layer_norm: what a step of it does besides
            (`elman.Dynamics`). Defaults: 1, 0, 0, False.
        dropout: on what is read and before the head. Default: 0.5.
        token_dropout: share of the tokens hidden as `<unk>` at each training step, so that
            unknown ones are nothing new. Default: 0.2.
        init: how the recurrent weights begin, "orthogonal" or another preset of
            `elman.nn.init_recurrent`. Default: "orthogonal".
        epochs: the most passes over the data. Default: 60.
        batch_size: rows in a step. Default: 64.
        lr, weight_decay: AdamW's. Defaults: 0.002, 0.1.
        label_smoothing: of the cross-entropy. Default: 0.1.
        clip: the largest norm of the gradient. Default: 1.
        patience: epochs without a lower held-out loss before stopping. Default: 8.
        validation: share of the groups held out for that. Default: 0.1.
        random_state: the seed; None draws one. Default: 0.
        device: "cpu", "cuda", "cuda:1", "mps". Default: "cpu".

    Attributes:
        classes_: the labels, sorted, in the order of the probabilities. After `fit`.
        reader_: what turns inputs into what the network reads.
        model_, history_, settings_, about: see `elman.tasks.task.Task`.

    >>> texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 4
    >>> labels = ["up", "up", "up", "down", "down", "down"] * 4
    >>> model = Classifier(epochs=20, token_dropout=0.0, lr=0.01).fit(texts, labels)
    >>> model.predict(["abx", "xba"]).tolist()
    ['up', 'down']
    >>> model.predict_proba(["abx", "xba"]).shape
    (2, 2)

    Sequences of numbers, of any lengths:

    >>> rising = [[0, 1, 2, 3], [2, 5, 8], [1, 4, 4, 6]] * 6
    >>> falling = [values[::-1] for values in rising]
    >>> model = Classifier(epochs=20).fit(rising + falling, ["up"] * 18 + ["down"] * 18)
    >>> model.predict([[3, 5, 7], [7, 5, 3]]).tolist()
    ['up', 'down']
    """

    task = "classify"
    _settings_type = ClassifierSettings
    _config_type = ClassifierConfig
    _evidence_type = ClassifierEvidence
    _estimator_type = "classifier"  # for scikit-learn before 1.6
    reader_: Reader
    classes_: np.ndarray

    def __init__(
        self,
        *,
        level: str = "char",
        encoder: str | None = None,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        leak: float = 1.0,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_norm: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.5,
        token_dropout: float = 0.2,
        init: str = "orthogonal",
        epochs: int = 60,
        batch_size: int = 64,
        lr: float = 0.002,
        weight_decay: float = 0.1,
        label_smoothing: float = 0.1,
        clip: float = 1.0,
        patience: int = 8,
        validation: float = 0.1,
        random_state: int | None = 0,
        device: str = "cpu",
    ) -> None:
        self.level = level
        self.encoder = encoder
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.leak = leak
        self.zoneout = zoneout
        self.recurrent_dropout = recurrent_dropout
        self.layer_norm = layer_norm
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.init = init
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.clip = clip
        self.patience = patience
        self.validation = validation
        self.random_state = random_state
        self.device = device
        self.about = About()

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn, 1.6 or newer, asks of an estimator."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False, string=True),
        )

    def fit(
        self,
        X: Sequence[Any],
        y: Sequence[Hashable],
        groups: Sequence[Hashable] | None = None,
        *,
        report: Report | None = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | bool = False,
    ) -> "Classifier":
        """Learn from labelled texts or sequences.

        Args:
            X: the texts, none of them empty; or for each row numbers, (L,) or (L, F), of which
                L may differ from row to row.
            y: a label for each: strings, whole numbers or bools, at least two different ones.
            groups: rows with an equal value are held out together, as equal inputs always are.
                Default: equal inputs only.
            report: called with an `elman.train.Progress` after each step and epoch; True stops.
            checkpoint: a file in which to note now and then how far training is. Default: None.
            resume: go on from that file, or from another, if it is there. Default: False.

        Returns:
            self.

        Raises:
            DataError: the rows cannot be learned from; says which and why.
            SettingError: an argument of the class is out of range.
            TrainingError: the loss is not finite.
        """
        settings = self._checked_settings()
        inputs, labels = checked_examples(X, y, groups)
        same = [identity_of(value) for value in inputs]
        groups = joined_groups(same, same if groups is None else as_plain(groups))
        classes = sorted(set(labels))
        if len(classes) < 2:
            raise DataError(f"only one class, {classes[0]!r}; give rows of at least two")
        stay, held = grouped_split(
            labels, groups, settings.validation, settings.random_state, "validation"
        )
        number = {label: k for k, label in enumerate(classes)}
        targets = [number[label] for label in labels]
        with seeded(settings.random_state, settings.device) as device:
            reader = reader_for([inputs[i] for i in stay], settings)
            if isinstance(reader, EncoderReader):  # wherever one stands when it is loaded
                settings = settings.model_copy(update={"encoder": reader.encoder.name})
            model = new_network(settings, reader, len(classes)).to(device)
            lesson = ClassifierLesson(
                model, settings, reader.encode(inputs, keep=True), targets, stay, held, device
            )
            data = digest(inputs, labels, stay, sorted(reader.facts().items()))

            def take(of: Classifier, history: History) -> None:
                of.classes_, of.settings_, of.reader_ = np.array(classes), settings, reader
                of.model_, of.history_, of.about = model, history, About()
                of.evidence_ = evidence_of(
                    [inputs[i] for i in held],
                    lesson.targets[held].tolist(),
                    of._probabilities([lesson.encoded[i] for i in held]),
                    classes,
                    "stopping",
                )

            history = self._learn(lesson, settings, data, report, checkpoint, resume, take)
        take(self, history)
        return self

    def predict_proba(self, X: Sequence[Any]) -> np.ndarray:
        """The probability of each class for each input.

        Args:
            X: as for `fit`; an empty text is judged by the bias alone.

        Returns:
            float64, (len(X), C), in the order of `classes_`; each row sums to one.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        self._check_fitted()
        return self._probabilities(self.reader_.encode(X))

    def _probabilities(self, encoded: Encoded) -> np.ndarray:
        probabilities = np.zeros((len(encoded), len(self.classes_)))
        self.model_.eval()
        device = device_of(self.model_)
        with torch.inference_mode():
            for rows in batches_by_length(list(map(len, encoded)), 256):
                x, lengths = batch_of([encoded[i] for i in rows])
                scores = self.model_(x.to(device), lengths)
                probabilities[rows] = functional.softmax(scores.double(), dim=1).cpu().numpy()
        return probabilities

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """The likeliest class of each input, (len(X),)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def use_encoder(self, place: str) -> "Classifier":
        """Say where the encoder lies now, for a model that reads through one.

        Raises:
            SettingError: the model reads in another way, or the encoder is not the same.
        """
        self._check_fitted()
        if not isinstance(self.reader_, EncoderReader):
            raise SettingError("this model reads without an encoder; leave --encoder out")
        self.reader_ = EncoderReader(self.reader_.encoder.at(place))
        self.encoder = self.reader_.encoder.name
        self.settings_ = self.settings_.model_copy(update={"encoder": self.encoder})
        return self

    def loss_on(self, X: Sequence[Any], y: Sequence[Hashable] | None = None) -> torch.Tensor:
        """The cross-entropy of the network on some inputs, as a tensor to differentiate.

        Without what training adds: dropout, hidden tokens, smoothed labels.

        Args:
            X: as for `fit`.
            y: the label of each. Default: what the network itself answers.

        Raises:
            DataError: a label is none of `classes_`, or they are not as many as X.
        """
        self._check_in_torch("differentiate it")
        encoded = self.reader_.encode(X)
        if not len(encoded):
            raise DataError("X is empty; give some inputs")
        x, lengths = batch_of(encoded)
        self.model_.eval()
        scores = self.model_(x.to(device_of(self.model_)), lengths)
        target = scores.argmax(1) if y is None else self._numbers(as_plain(y), len(encoded))
        return functional.cross_entropy(scores, target.to(scores.device))

    def _numbers(self, labels: list[Any], rows: int) -> torch.Tensor:
        number = {str(label): k for k, label in enumerate(self.classes_.tolist())}
        if len(labels) != rows:
            raise DataError(f"y should have {rows} labels as X has rows, got {len(labels)}")
        for row, label in enumerate(labels):
            if str(label) not in number:
                known = ", ".join(map(repr, number))
                raise DataError(f"y[{row}] is {label!r}, none of those the model knows, {known}")
        return torch.tensor([number[str(label)] for label in labels])

    def score(self, X: Sequence[Any], y: Sequence[Hashable]) -> float:
        """The share of inputs whose likeliest class is the one in `y`."""
        labels = as_plain(y)
        if len(labels) != len(X) or not labels:
            raise DataError(
                f"X and y should be as long and not empty, got {len(X)} and {len(labels)}"
            )
        return float(
            np.mean([a == b for a, b in zip(self.predict(X).tolist(), labels, strict=True)])
        )

    def describe(self) -> str:
        """The network in a line.

        >>> Classifier(num_layers=2).describe()
        'characters → embedding 64 → 2 layers of RNN 128 (tanh)'
        """
        of = getattr(self, "settings_", self)  # once fitted, what was fitted
        reader = getattr(self, "reader_", None)
        read = reader.describe() if reader else {"char": "characters"}.get(of.level, "words")
        if reader is None or reader.vocab_size is not None:
            read = f"{read} → embedding {of.embedding_size}"
        return f"{read} → {rnn_in_words(of, of.bidirectional)}"

    def _new_network(self) -> SequenceClassifier:
        return new_network(self.settings_, self.reader_, len(self.classes_))

    def _ports(self) -> Ports:
        says = "steps of each row, from 0 to L; what lies beyond is not read"
        lengths = Port("lengths", "int64", ("N",), says, most="L", left_out="L")
        said = "of each of config.json's classes, before softmax"
        scores = Port("scores", "float32", ("N", len(self.classes_)), said)
        return Ports((self.reader_.port(), lengths), (scores,))

    def _config(self, **shared: Any) -> ClassifierConfig:
        return ClassifierConfig(
            classes=self.classes_.tolist(), reader=self.reader_.facts(), **shared
        )

    def _documents(self) -> dict[str, Any]:
        return self.reader_.documents()

    def _restore(self, documents: Documents, config: ClassifierConfig) -> None:
        self.classes_ = np.array(config.classes)
        self.reader_ = restored_reader(documents, config, self.settings_)

    def _page(self, config: ClassifierConfig) -> str:
        return classifier_page(config, self.history_, self.describe())

    def _answers(self) -> list[str]:
        return classifier_parts(self.evidence_)
