"""`Classifier`: texts in, one label each out, with scikit-learn's manners."""

import inspect
import platform
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch.nn import functional

import elman
from elman.data import Vocabulary, batches_by_length, grouped_split, joined_groups, pad
from elman.errors import (
    DataError,
    InterruptedTrainingError,
    NotFittedError,
    RunDirectoryError,
    SettingError,
)
from elman.tasks import rundir
from elman.tasks.examples import as_plain, as_texts, checked_examples
from elman.tasks.network import new_network, train_network
from elman.tasks.readme import classifier_readme
from elman.tasks.settings import ClassifierSettings
from elman.train import History, Progress


class Classifier:
    """Learns from labelled texts, character by character, to label others.

    Embedding → `elman.RNN` → the last state → a score for each class
    (`elman.models.SequenceClassifier`). Trained by AdamW on cross-entropy, with orthogonal
    recurrent weights, clipping, early stopping on a part held out, and the best weights kept.
    The same `random_state` gives the same numbers on the same machine.

    Args:
        embedding_size: numbers a character is given. Default: 64.
        hidden_size: units of the RNN. Default: 128.
        num_layers, nonlinearity, bidirectional: of the RNN. Defaults: 1, "tanh", False.
        dropout: on the embeddings and before the head. Default: 0.5.
        token_dropout: share of the characters hidden as `<unk>` at each training step, so
            that unknown ones are nothing new. Default: 0.2.
        epochs: the most passes over the data. Default: 60.
        batch_size: rows in a step. Default: 64.
        lr, weight_decay: AdamW's. Defaults: 0.004, 0.1.
        label_smoothing: of the cross-entropy. Default: 0.1.
        clip: the largest norm of the gradient. Default: 1.
        patience: epochs without a lower held-out loss before stopping. Default: 8.
        validation: share of the groups held out for that. Default: 0.1.
        random_state: the seed. Default: 0.

    Attributes:
        classes_: the labels, sorted, in the order of the probabilities. After `fit`.
        model_: the trained `SequenceClassifier`.
        history_: a record for each epoch (`elman.train.History`).
        about: facts to save along in config.json (`elman.tasks.rundir.About`).

    >>> texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 4
    >>> labels = ["up", "up", "up", "down", "down", "down"] * 4
    >>> model = Classifier(epochs=20, token_dropout=0.0, lr=0.01).fit(texts, labels)
    >>> model.predict(["abx", "xba"]).tolist()
    ['up', 'down']
    >>> model.predict_proba(["abx", "xba"]).shape
    (2, 2)
    """

    _estimator_type = "classifier"  # for scikit-learn before 1.6

    def __init__(
        self,
        *,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bidirectional: bool = False,
        dropout: float = 0.5,
        token_dropout: float = 0.2,
        epochs: int = 60,
        batch_size: int = 64,
        lr: float = 0.004,
        weight_decay: float = 0.1,
        label_smoothing: float = 0.1,
        clip: float = 1.0,
        patience: int = 8,
        validation: float = 0.1,
        random_state: int = 0,
    ) -> None:
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.clip = clip
        self.patience = patience
        self.validation = validation
        self.random_state = random_state
        self.about = rundir.About()

    def __repr__(self) -> str:
        """The arguments that differ from the defaults."""
        default = {n: p.default for n, p in inspect.signature(Classifier).parameters.items()}
        changed = {n: v for n, v in self.get_params().items() if v != default[n]}
        return f"Classifier({', '.join(f'{n}={v!r}' for n, v in changed.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments, by name; `deep` is there for scikit-learn's callers."""
        return {name: getattr(self, name) for name in ClassifierSettings.model_fields}

    def set_params(self, /, **params: Any) -> "Classifier":
        """Change arguments by name; the next `fit` uses them."""
        for name, value in params.items():
            if name not in ClassifierSettings.model_fields:
                known = ", ".join(ClassifierSettings.model_fields)
                raise SettingError(f"Classifier has no parameter {name!r}; it has {known}")
            setattr(self, name, value)
        return self

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
        X: Sequence[str],
        y: Sequence[Hashable],
        groups: Sequence[Hashable] | None = None,
        *,
        report: Callable[[Progress], None] | None = None,
    ) -> "Classifier":
        """Learn from labelled texts.

        Args:
            X: the texts, none of them empty.
            y: a label for each: strings, whole numbers or bools, at least two different ones.
            groups: rows with an equal value are held out together, as equal texts always are.
                Default: equal texts only.
            report: called with an `elman.train.Progress` after each step and epoch.

        Returns:
            self.

        Raises:
            DataError: the rows cannot be learned from; says which and why.
            SettingError: an argument of the class is out of range.
            TrainingError: the loss is not finite.
        """
        settings = self._settings()
        texts, labels = checked_examples(X, y, groups)
        groups = joined_groups(texts, texts if groups is None else as_plain(groups))
        classes = sorted(set(labels))
        if len(classes) < 2:
            raise DataError(f"only one class, {classes[0]!r}; give rows of at least two")
        stay, held = grouped_split(labels, groups, settings.validation, settings.random_state)
        vocabulary = Vocabulary.of(texts[i] for i in stay)
        encoded = [vocabulary.encode(text) for text in texts]
        number = {label: k for k, label in enumerate(classes)}
        targets = [number[label] for label in labels]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(settings.random_state)
            model = new_network(settings, len(vocabulary), len(classes))
            history = train_network(model, settings, encoded, targets, stay, held, report)
        if not history.records:
            raise InterruptedTrainingError(
                "interrupted before the first epoch ended; nothing was learned"
            )
        self.classes_, self.settings_ = np.array(classes), settings
        self.vocabulary_, self.model_, self.history_ = vocabulary, model, history
        self.about = rundir.About()
        return self

    def predict_proba(self, X: Sequence[str]) -> np.ndarray:
        """The probability of each class for each text.

        Args:
            X: texts; an empty one is judged by the bias alone.

        Returns:
            float64, (len(X), C), in the order of `classes_`; each row sums to one.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        self._check_fitted()
        encoded = [self.vocabulary_.encode(text) for text in as_texts(X)]
        probabilities = np.zeros((len(encoded), len(self.classes_)))
        self.model_.eval()
        with torch.inference_mode():
            for rows in batches_by_length(list(map(len, encoded)), 256):
                scores = self.model_(*pad([encoded[i] for i in rows]))
                probabilities[rows] = functional.softmax(scores.double(), dim=1).numpy()
        return probabilities

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """The likeliest class of each text, (len(X),)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def score(self, X: Sequence[str], y: Sequence[Hashable]) -> float:
        """The share of texts whose likeliest class is the one in `y`."""
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
        layers = "" if of.num_layers == 1 else f"{of.num_layers} layers of "
        both = "bidirectional " if of.bidirectional else ""
        rnn = f"{layers}{both}RNN {of.hidden_size} ({of.nonlinearity})"
        return f"characters → embedding {of.embedding_size} → {rnn}"

    def save(self, path: str | Path) -> Path:
        """Write a run directory that `load` and `elman predict` can use.

        It is written whole beside its place and then moved there. A run that is there already
        is moved aside to `path.bak-1`, `path.bak-2`, ...

        Returns:
            The directory.

        Raises:
            NotFittedError: before `fit` or `load`.
            RunDirectoryError: `path` holds something else, or cannot be written.
        """
        with rundir.new_run(path) as run:
            self.write(run.staging)
        return run.target

    def write(self, directory: Path) -> None:
        """Write the files of a run into an empty directory; `save` does it safely."""
        self._check_fitted()
        config = rundir.RunConfig(
            task="classify",
            settings=self.settings_.model_dump(),
            classes=self.classes_.tolist(),
            about=self.about,
            versions={
                "elman": elman.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )
        rundir.write_files(
            directory,
            config,
            self.vocabulary_.tokens,
            self.model_.state_dict(),
            self.history_.records,
            classifier_readme(config, self.history_, self.describe()),
        )

    @classmethod
    def load(cls, path: str | Path) -> "Classifier":
        """Read a run directory.

        Raises:
            RunDirectoryError: it is missing, damaged, or of another task or version.
        """
        path = Path(path)
        before = rundir.identity(path)
        try:
            return cls._load(path)
        except RunDirectoryError:
            if rundir.identity(path) == before:
                raise
            return cls._load(path)  # another process put a new run there meanwhile

    @classmethod
    def _load(cls, path: Path) -> "Classifier":
        config = rundir.read_config(path, task="classify")
        loaded = cls()
        try:
            settings = loaded.set_params(**config.settings)._settings()
        except SettingError as error:
            raise rundir.damaged(path / "config.json", str(error)) from None
        try:
            loaded.vocabulary_ = Vocabulary(rundir.read_vocabulary(path, config))
        except DataError as error:
            raise rundir.damaged(path / "vocab.json", str(error)) from None
        with torch.device("meta"):  # shapes only: nothing is drawn, nothing allocated
            model = new_network(settings, len(loaded.vocabulary_), len(config.classes))
        weights = rundir.read_weights(path, config, model.state_dict())
        model.load_state_dict(weights, assign=True)
        loaded.model_, loaded.settings_ = model.eval(), settings
        loaded.classes_ = np.array(config.classes)
        loaded.history_ = History(rundir.read_records(path))
        loaded.about = config.about
        return loaded

    def _settings(self) -> ClassifierSettings:
        try:
            names, values = zip(*self.get_params().items(), strict=True)
            plain = dict(zip(names, as_plain(values), strict=True))
            return ClassifierSettings.model_validate(plain)
        except ValidationError as error:
            raise SettingError(f"Classifier: {rundir.first_problem(error)}") from None

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError("this Classifier knows nothing yet; call fit, or Classifier.load")
