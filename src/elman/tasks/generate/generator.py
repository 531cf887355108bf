"""`Generator`: learns from a text to go on with others."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from elman.data import Vocabulary
from elman.errors import DataError
from elman.models import LanguageModel
from elman.tasks.config import About, GeneratorConfig
from elman.tasks.devices import device_of, seeded
from elman.tasks.documents import VOCABULARY, Documents, read_document, read_vocabulary
from elman.tasks.fingerprint import digest
from elman.tasks.generate.corpus import (
    ids_of,
    joined,
    new_vocabulary,
    spelling_bits,
    split_at_line,
    unigram_bits,
)
from elman.tasks.generate.lesson import GeneratorLesson, new_network, total_nats
from elman.tasks.generate.page import generator_page
from elman.tasks.generate.report import generator_parts
from elman.tasks.generate.sampling import check_sampling, not_finite
from elman.tasks.generate.writing import Showing, check_request, written
from elman.tasks.onnx.ports import Port, Ports, stateful
from elman.tasks.settings import GeneratorSettings
from elman.tasks.task import Task, rnn_in_words
from elman.train import History, Report

LEAST = 100  # tokens of a text to learn from


@dataclass(frozen=True)
class Judgement:
    """How well a text is foretold.

    Attributes:
        characters: of the text.
        bits_per_character: what it costs to tell each, on average; a token that is not in the
            vocabulary costs `<unk>` and its spelling, 8 bits for each byte and its end.
        unigram_bits: the same if one only knew how common each token is: the baseline.
        perplexity: of each token, `<unk>` being one: as if so many were equally likely.
        unknown: share of the tokens that are not in the vocabulary.
    """

    characters: int
    bits_per_character: float
    unigram_bits: float
    perplexity: float
    unknown: float


class Generator(Task[GeneratorSettings, GeneratorConfig]):
    """Learns a text, character by character or word by word, and writes on.

    Embedding → `elman.RNN` → the probabilities of the next token (`elman.models.LanguageModel`).
    Trained by AdamW, its rate falling to zero, through truncated back-propagation with the state
    carried from chunk to chunk; with orthogonal recurrent weights, clipping, early stopping on
    the last part of the text, and the best weights kept. The same `random_state` gives the same
    numbers on the same machine.

    Args:
        level: "char" for Unicode code points, "word" for words (see
            `elman.data.vocabulary.tokens_of`). Default: "char".
        max_vocab: keep so many of the commonest tokens, the others are `<unk>`. Default: of
            characters all, if there are not more than 20,000; of words the commonest 10,000
            that occur more than once.
        embedding_size: numbers a token is given. Default: 128.
        hidden_size: units of the RNN. Default: 192.
        num_layers, nonlinearity: of the RNN. Defaults: 1, "tanh".
        leak, zoneout, recurrent_dropout, layer_norm: what a step of it does besides
            (`elman.Dynamics`). Defaults: 1, 0, 0, False.
        dropout: on the embeddings, between layers and before the head. Default: 0.
        token_dropout: share of the tokens hidden as `<unk>` when read. Default: 0.01.
        init: how the recurrent weights begin, "orthogonal" or another preset of
            `elman.nn.init_recurrent`. Default: "orthogonal".
        chunk: steps back through which a gradient goes. Default: 32.
        epochs: the most passes over the text; the learning rate is zero after them. Default: 10.
        batch_size: streams read side by side; fewer where the text is short. Default: 32.
        lr, weight_decay: AdamW's, at the start. Defaults: 0.006, 0.1.
        clip: the largest norm of the gradient. Default: 1.
        patience: epochs without a lower held-out loss before stopping. Default: 3.
        validation: share of the text, at its end, held out for that. Default: 0.05.
        random_state: the seed; None draws one. Default: 0.
        device: "cpu", "cuda", "cuda:1", "mps". Default: "cpu".

    Attributes:
        vocabulary_: the tokens it knows. After `fit`.
        counts_: how often each id, `<unk>` first, stands in the text learned from.
        model_, history_, settings_, about: see `elman.tasks.task.Task`.

    >>> model = Generator(hidden_size=32, epochs=4).fit("我爱你。你爱我。" * 200)
    >>> model.generate("我爱", length=6, temperature=0)
    '你。你爱我。'
    >>> model.predict(["我爱", "你爱"]).tolist()
    ['你', '我']
    """

    task = "generate"
    _settings_type = GeneratorSettings
    _config_type = GeneratorConfig
    vocabulary_: Vocabulary
    counts_: np.ndarray

    def __init__(
        self,
        *,
        level: str = "char",
        max_vocab: int | None = None,
        embedding_size: int = 128,
        hidden_size: int = 192,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        leak: float = 1.0,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_norm: bool = False,
        dropout: float = 0.0,
        token_dropout: float = 0.01,
        init: str = "orthogonal",
        chunk: int = 32,
        epochs: int = 10,
        batch_size: int = 32,
        lr: float = 0.006,
        weight_decay: float = 0.1,
        clip: float = 1.0,
        patience: int = 3,
        validation: float = 0.05,
        random_state: int | None = 0,
        device: str = "cpu",
    ) -> None:
        self.level = level
        self.max_vocab = max_vocab
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.leak = leak
        self.zoneout = zoneout
        self.recurrent_dropout = recurrent_dropout
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.init = init
        self.chunk = chunk
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip = clip
        self.patience = patience
        self.validation = validation
        self.random_state = random_state
        self.device = device
        self.about = About()

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn, 1.6 or newer, asks of an estimator."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            input_tags=InputTags(two_d_array=False, string=True),
        )

    def fit(
        self,
        X: str | Sequence[str],
        y: None = None,
        *,
        report: Report | None = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | bool = False,
    ) -> "Generator":
        """Learn a text.

        Args:
            X: the text; several are joined by line breaks.
            y: there for scikit-learn's callers.
            report: called with an `elman.train.Progress` after each step and epoch; now and then
                it has a `sample` of what the network writes. True stops.
            checkpoint: a file in which to note now and then how far training is. Default: None.
            resume: go on from that file, or from another, if it is there. Default: False.

        Returns:
            self.

        Raises:
            DataError: the text is too short, or has too many different characters.
            SettingError: an argument of the class is out of range.
            TrainingError: the loss is not finite.
        """
        settings = self._checked_settings()
        text = joined(X)
        stay, held = split_at_line(text, settings.validation)
        vocabulary = new_vocabulary(stay, settings)
        ids, held_ids = ids_of(vocabulary, stay), ids_of(vocabulary, held, begin=True)
        if len(ids) < LEAST or len(held_ids) < 2:
            raise DataError(
                f"the text is too short: {len(ids)} "
                f"{'characters' if settings.level == 'char' else 'words'} are left to learn from "
                f"once a part to judge by is held out, at least {LEAST} are needed; give a "
                "longer one"
            )
        if (unknown := float((ids == 0).mean())) > 0.5:
            raise DataError(
                f"{unknown:.0%} of the text would be <unk> with a vocabulary of "
                f"{len(vocabulary) - 1}; raise max_vocab (--max-vocab), or give a longer text"
            )
        with seeded(settings.random_state, settings.device) as device:
            model = new_network(settings, len(vocabulary)).to(device)
            lesson = GeneratorLesson(
                model, settings, ids, held_ids, len(held), spelling_bits(vocabulary, held), device,
                vocabulary,
            )  # fmt: skip
            listener = None if report is None else Showing(report, model, vocabulary)
            data = digest(text)

            def take(of: Generator, history: History) -> None:
                of.settings_, of.vocabulary_ = settings, vocabulary
                of.counts_ = np.bincount(ids, minlength=len(vocabulary))
                of.model_, of.history_, of.about = model, history, About()

            history = self._learn(
                lesson, settings, data, listener, checkpoint, resume, take, decay=True
            )
        take(self, history)
        return self

    def stream(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write on, token by token.

        Args:
            prompt: any text; what is not in the vocabulary is read as `<unk>`. It is taken to
                stand at the beginning of a line. Of words: a blank at its end is taken for that
                before the next word.
            length: how many tokens to write: characters or words.
            temperature: below 1 surer, above 1 bolder; 0 always takes the likeliest.
                Default: 0.8.
            top_k: choose among so many of the likeliest; 0 for all. Default: 0.
            top_p: choose among the fewest likeliest that together have this probability.
                Default: 1, all.
            seed: from 0 to 2**63 - 1; the same seed writes the same. Default: None, another text
                each time.

        Raises:
            NotFittedError: before `fit` or `load`.
            SettingError: an argument is out of range.
            TrainingError: on the way, the network's numbers are not finite.
        """
        self._check_fitted()
        check_sampling(temperature, top_k, top_p)
        check_request(prompt, length, seed)
        rng = torch.Generator()
        rng.manual_seed(int(torch.randint(2**62, ())) if seed is None else int(seed))
        return written(
            self.model_, self.vocabulary_, prompt, length, rng, temperature, top_k, top_p
        )

    def generate(self, prompt: str = "", length: int = 200, **sampling: Any) -> str:
        """What `stream` writes, whole; without the prompt."""
        return "".join(self.stream(prompt, length, **sampling))

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """The likeliest next token after each text, (len(X),)."""
        if isinstance(X, str):
            raise DataError("X should be a list of texts, got one text; write [text]")
        return np.array([self.generate(text, 1, temperature=0) for text in X], dtype=str)

    def judge(self, text: str | Sequence[str]) -> Judgement:
        """How well a text is foretold, read in order from the beginning of a line.

        Raises:
            DataError: the text is empty.
            NotFittedError: before `fit` or `load`.
            TrainingError: the network's numbers are not finite.
        """
        self._check_fitted()
        if not (text := joined(text)):
            raise DataError("the text is empty; give some")
        ids = ids_of(self.vocabulary_, text, begin=True)
        self.model_.eval()
        nats = total_nats(self.model_, ids)
        if not math.isfinite(nats):
            raise not_finite()
        spelling = spelling_bits(self.vocabulary_, text)
        return Judgement(
            characters=len(text),
            bits_per_character=(nats / math.log(2) + spelling) / len(text),
            unigram_bits=(unigram_bits(self.counts_, ids[1:]) + spelling) / len(text),
            perplexity=math.exp(min(nats / (len(ids) - 1), 700.0)),
            unknown=float((ids[1:] == 0).mean()),
        )

    def loss_on(self, X: str | Sequence[str], y: None = None) -> torch.Tensor:
        """Nats for each token of a text, as a tensor to differentiate.

        Read in one piece from the beginning of a line: the gradient goes back through all of it,
        where in training it goes through `chunk` steps.

        Args:
            X: the text; several are joined by line breaks.
            y: there for the other tasks' sake.

        Raises:
            DataError: the text is empty.
        """
        self._check_in_torch("differentiate it")
        if not (text := joined(X)):
            raise DataError("the text is empty; give some")
        tokens = torch.from_numpy(ids_of(self.vocabulary_, text, begin=True))
        tokens = tokens.to(device_of(self.model_))
        self.model_.eval()
        log_probs, _ = self.model_(tokens[None, :-1])
        return functional.nll_loss(log_probs[0], tokens[1:])

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Minus the bits for each character of a text: the higher the better."""
        return -self.judge(X).bits_per_character

    def describe(self) -> str:
        """The network in a line.

        >>> Generator().describe()
        'characters → embedding 128 → RNN 192 (tanh)'
        """
        of = getattr(self, "settings_", self)
        read = "characters" if of.level == "char" else "words"
        return f"{read} → embedding {of.embedding_size} → {rnn_in_words(of)}"

    def _new_network(self) -> LanguageModel:
        return new_network(self.settings_, len(self.vocabulary_))

    def _ports(self) -> Ports:
        V, of = len(self.vocabulary_), self.settings_
        says = "ids: 1 for the first of vocab.json, and so on, 0 for all others; first a \\n"
        tokens = Port("tokens", "int64", ("N", "L"), says, most=V - 1)
        said = "of each next token, by its id; that of 0 is never to be drawn"
        log_probs = Port("log_probs", "float32", ("N", "L", V), said)
        return stateful(tokens, log_probs, of.num_layers, of.hidden_size)

    def _config(self, **shared: Any) -> GeneratorConfig:
        return GeneratorConfig(**shared)

    def _documents(self) -> dict[str, Any]:
        return {"vocab.json": {"tokens": self.vocabulary_.tokens, "counts": self.counts_.tolist()}}

    def _restore(self, documents: Documents, config: GeneratorConfig) -> None:
        try:
            tokens = read_vocabulary(documents, config)
            self.vocabulary_ = Vocabulary(tokens, self.settings_.level)
        except DataError as error:
            raise documents.damaged(VOCABULARY, str(error)) from None
        counts = read_document(documents, VOCABULARY, config).get("counts")
        if not (
            isinstance(counts, list)
            and len(counts) == len(self.vocabulary_)
            and all(type(count) is int and 0 <= count < 2**62 for count in counts)
        ):
            raise documents.damaged(VOCABULARY, "it should hold a count for each token")
        self.counts_ = np.array(counts, dtype=np.int64)

    def _page(self, config: GeneratorConfig) -> str:
        return generator_page(config, self.history_, self.describe())

    def _answers(self) -> list[str]:
        return generator_parts(self.history_.records)
