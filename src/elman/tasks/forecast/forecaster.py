"""`Forecaster`: learns a series to say how it goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.errors import DataError, SettingError
from elman.models import SequenceRegressor
from elman.tasks.config import About, ForecasterConfig, Learned
from elman.tasks.devices import device_of, seeded
from elman.tasks.documents import Documents
from elman.tasks.evidence import ForecasterEvidence
from elman.tasks.fingerprint import digest
from elman.tasks.forecast.evidence import evidence_for
from elman.tasks.forecast.frame import Frame, input_size
from elman.tasks.forecast.framing import framed
from elman.tasks.forecast.inputs import as_json, as_series
from elman.tasks.forecast.judge import KEPT, Evaluation, evaluated, interval
from elman.tasks.forecast.lesson import ForecasterLesson, loss_over, new_network
from elman.tasks.forecast.live import Live
from elman.tasks.forecast.naive import followed
from elman.tasks.forecast.page import forecaster_page
from elman.tasks.forecast.report import forecaster_parts
from elman.tasks.forecast.saved import restored
from elman.tasks.onnx.ports import Port, Ports, stateful
from elman.tasks.settings import ForecasterSettings
from elman.tasks.task import Task, rnn_in_words
from elman.train import History, Report

_HEAD = 32  # rows that tell a series from another


class Forecaster(Task[ForecasterSettings, ForecasterConfig]):
    """Learns one or several series of numbers and forecasts them, with intervals.

    At each step an `elman.RNN`, its state carried through the whole series, reads the last
    changes and says what to add to the better of the naive (the last value) and the
    seasonal-naive forecast (that of a season before), for each of the next `horizon` steps
    (`elman.models.SequenceRegressor`). Before it has learned anything it is as good as that one.
    Trained in the order of time by AdamW on Huber's loss, through truncated back-propagation with
    the state carried from chunk to chunk; with orthogonal recurrent weights, clipping, early
    stopping on the last rows, and the best weights kept. The same `random_state` gives the same
    numbers on the same machine.

    Args:
        horizon: H, how many steps to forecast. Default: 10.
        season: steps after which the series repeats; 1 for never. Default: None, found from the
            autocorrelation of each column.
        hidden_size: units of the RNN. Default: 32.
        num_layers, nonlinearity: of the RNN. Defaults: 1, "tanh".
        leak, zoneout, recurrent_dropout, layer_norm: what a step of it does besides
            (`elman.Dynamics`). Defaults: 1, 0, 0, False.
        dropout: between layers. Default: 0.
        init: how the recurrent weights begin, "orthogonal" or another preset of
            `elman.nn.init_recurrent`. Default: "orthogonal".
        chunk: steps back through which a gradient goes. Default: 32.
        coverage: share of the values that should lie in their interval. Default: 0.9.
        epochs: the most passes over the series. Default: 300.
        batch_size: parts of a long series read side by side; fewer where it is short.
            Default: 32.
        lr, weight_decay: AdamW's. Defaults: 0.003, 0.01.
        clip: the largest norm of the gradient. Default: 1.
        patience: epochs without a lower held-out loss before stopping. Default: 30.
        validation: share of the rows, the last, held out for that. Default: 0.15.
        random_state: the seed; None draws one. Default: 0.
        device: "cpu", "cuda", "cuda:1", "mps". Default: "cpu".

    Attributes:
        frame_: the seasons found and the scales (`elman.tasks.forecast.frame.Frame`).
        residuals_: absolute errors on the rows that told when to stop, (n, H, C), NaN where what
            came was not known yet.
        later_: the same on rows that came later, see `widen`.
        columns_: the names of the C columns.
        model_, history_, settings_, about: see `elman.tasks.task.Task`.

    >>> t = np.arange(200)
    >>> wave = 10 * np.sin(2 * np.pi * t / 20)
    >>> model = Forecaster(horizon=3, epochs=20).fit(wave[:160])
    >>> model.frame_.seasons
    [20]
    >>> bool(np.abs(model.predict(wave[:160]) - wave[160:163]).max() < 0.1)
    True
    """

    task = "forecast"
    _settings_type = ForecasterSettings
    _config_type = ForecasterConfig
    _evidence_type = ForecasterEvidence
    frame_: Frame
    residuals_: np.ndarray
    later_: np.ndarray
    columns_: list[str]
    learned_: Learned
    _step: np.ndarray

    def __init__(
        self,
        *,
        horizon: int = 10,
        season: int | None = None,
        hidden_size: int = 32,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        leak: float = 1.0,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_norm: bool = False,
        dropout: float = 0.0,
        init: str = "orthogonal",
        chunk: int = 32,
        coverage: float = 0.9,
        epochs: int = 300,
        batch_size: int = 32,
        lr: float = 0.003,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        patience: int = 30,
        validation: float = 0.15,
        random_state: int | None = 0,
        device: str = "cpu",
    ) -> None:
        self.horizon = horizon
        self.season = season
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.leak = leak
        self.zoneout = zoneout
        self.recurrent_dropout = recurrent_dropout
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.init = init
        self.chunk = chunk
        self.coverage = coverage
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
            input_tags=InputTags(one_d_array=True),
        )

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        columns: list[str] | None = None,
        report: Report | None = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | bool = False,
    ) -> "Forecaster":
        """Learn a series.

        Args:
            X: values at equal steps of time, (T,) or (T, C).
            y: there for scikit-learn's callers.
            columns: names of the columns. Default: "0", "1", ...
            report: called with an `elman.train.Progress` after each step and epoch; True stops.
            checkpoint: a file in which to note now and then how far training is. Default: None.
            resume: go on from that file, or from another, if it is there. Default: False.

        Returns:
            self.

        Raises:
            DataError: the series is too short (says how long it must be), or has gaps.
            SettingError: an argument of the class is out of range.
            TrainingError: the loss is not finite.
        """
        settings = self._checked_settings()
        values = as_series(X)
        names = columns or [str(k) for k in range(values.shape[1])]
        if len(names) != values.shape[1]:
            raise SettingError(f"columns should be {values.shape[1]} names, got {len(names)}")
        frame, fitted = framed(values, settings)
        with seeded(settings.random_state, settings.device) as device:
            model = new_network(settings, frame.seasons).to(device)
            lesson = ForecasterLesson(model, settings, frame, values, fitted, device)
            data = digest(values)

            def take(of: Forecaster, history: History) -> None:
                of.settings_, of.frame_, of.columns_ = settings, frame, list(names)
                of.model_, of.history_, of.about = model, history, About()
                head = digest(values[:_HEAD].copy())
                of.learned_ = Learned(rows=len(values), sha256=data, head=head)
                of._step = np.abs(np.diff(values, axis=0)).mean(0)
                residuals = of._errors(values)[fitted - 1 :]
                of.residuals_ = residuals[-(KEPT + settings.horizon) :]
                of.later_ = of.residuals_[:0]
                of.evidence_ = evidence_for(of, values, fitted - 1, "stopping")

            history = self._learn(
                lesson, settings, data, report, checkpoint, resume, take, judge_first=True
            )
        take(self, history)
        return self

    def _errors(self, y: np.ndarray) -> np.ndarray:
        return np.abs(followed(y, self.settings_.horizon) - self.forecasts(y))

    def forecasts(self, X: Any) -> np.ndarray:
        """What is said at every row of a series of the next H, the state carried through it.

        Args:
            X: (T,) or (T, C).

        Returns:
            float64, (T, H, C): [t, h - 1] is made when rows up to t are known, of row t + h.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: another number of columns than learned, or values missing.
        """
        self._check_fitted()
        y = as_series(X, len(self.columns_))
        self.model_.eval()
        with torch.inference_mode():
            x = torch.from_numpy(self.frame_.inputs(y)).to(device_of(self.model_))
            said, _ = self.model_(x[None])
        return self.frame_.forecasts(y, said[0].double().cpu().numpy())

    def predict(self, X: Any) -> np.ndarray:
        """The H steps that follow a series: (H,) of (T,), (H, C) of (T, C).

        Raises:
            DataError: fewer rows than it must look back to; says how many it needs.
        """
        y = as_series(X)
        self._check_fitted()
        if len(y) <= self.frame_.memory:
            raise DataError(
                f"the series has {len(y)} rows; to say how it goes on, at least "
                f"{self.frame_.memory + 1} are needed: give more of what came before"
            )
        following = self.forecasts(y)[-1]
        return following[:, 0] if np.ndim(X) == 1 else following

    def predict_interval(self, X: Any, coverage: float | None = None) -> tuple[Any, Any]:
        """The lower and the upper end of the intervals of `predict`, in its shape.

        Args:
            X: as for `predict`.
            coverage: share of the values that should lie inside. Default: that of the class.
        """
        following = self.predict(X)
        nominal = self.settings_.coverage if coverage is None else coverage
        if not 0 < nominal < 1:
            raise SettingError(f"coverage should lie between 0 and 1, got {nominal}")
        residuals = np.concatenate([self.residuals_, self.later_])
        half = interval(residuals, nominal).reshape(following.shape)
        return following - half, following + half

    def evaluate(self, X: Any, first: int | None = None) -> Evaluation:
        """Judge forecasts of a series from a rolling origin, beside naive ones.

        Args:
            X: (T,) or (T, C).
            first: the first origin, a row number. Default: the last row learned from, if the
                series begins with those, else the first row from which a forecast can be made.

        At each origin the intervals rest on the rows that told when to stop, on what came since
        in this series, and, where it is another than that learned from, on `later_`.

        Raises:
            DataError: no row is left to judge.
        """
        self._check_fitted()
        y = as_series(X)
        seen = self.has_learned(y)
        if first is None:
            first = self.learned_.rows - 1 if seen else self.frame_.memory
        if len(y) - self.settings_.horizon - 1 < first:
            what = f"begins with the {self.learned_.rows} rows learned from and " if seen else ""
            raise DataError(
                f"the series {what}has {len(y)} rows; to judge forecasts of "
                f"{self.settings_.horizon} steps at least {first + self.settings_.horizon + 1} "
                "are needed"
            )
        return evaluated(
            y,
            self.forecasts(y),
            self.frame_.seasons,
            first,
            self.residuals_ if seen else np.concatenate([self.residuals_, self.later_]),
            self.settings_.coverage,
            self._step,
        )

    def has_learned(self, X: Any) -> bool:
        """Whether a series begins with the very rows that were learned from."""
        y, rows = as_series(X), self.learned_.rows
        return len(y) >= rows and digest(np.ascontiguousarray(y[:rows])) == self.learned_.sha256

    def may_have_learned(self, X: Any) -> bool:
        """Whether a series begins like the one learned from, without being that one and more."""
        y = as_series(X)
        return not self.has_learned(y) and digest(y[:_HEAD].copy()) == self.learned_.head

    def widen(self, X: Any) -> None:
        """Let the intervals rest on the rows too that came after those learned from.

        Args:
            X: a series that begins with the rows learned from; another changes nothing.
        """
        y = as_series(X)
        if self.has_learned(y):
            counted = ~np.isnan(self.residuals_)
            later = self._errors(y)[self.learned_.rows - len(counted) :]
            later[: len(counted)][counted] = np.nan
            self.later_ = later[~np.isnan(later).all((1, 2))][-(KEPT + later.shape[1]) :]

    def score(self, X: Any, y: None = None) -> float:
        """The skill over a series against the better naive forecast: above 0 is better."""
        return self.evaluate(X).skill()

    def loss_on(self, X: Any, y: None = None) -> torch.Tensor:
        """Huber's loss over all that is known of a series, (T,) or (T, C), to differentiate."""
        self._check_in_torch("differentiate it")
        values = as_series(X, len(self.columns_))
        return loss_over(self.model_.eval(), self.frame_, values)

    def live(self) -> Live:
        """Forecasts as values come in: `live().step(values)` takes one row, (C,), gives (H, C).

        >>> y = np.arange(100.0) % 7
        >>> model = Forecaster(horizon=2, epochs=2).fit(y)
        >>> live = model.live()
        >>> for value in y[:50]:
        ...     following = live.step(value)
        >>> np.allclose(following[:, 0], model.predict(y[:50]))
        True
        """
        self._check_fitted()
        return Live(self.model_.eval(), self.frame_)

    def describe(self) -> str:
        """The network in a line.

        >>> Forecaster().describe()
        'changes → RNN 32 (tanh) → what to add to the naive forecast, 10 steps ahead'
        """
        of = getattr(self, "settings_", self)
        return (
            f"changes → {rnn_in_words(of)} → what to add to the naive forecast, "
            f"{of.horizon} steps ahead"
        )

    def _new_network(self) -> SequenceRegressor:
        return new_network(self.settings_, self.frame_.seasons)

    def _ports(self) -> Ports:
        of, C = self.settings_, len(self.columns_)
        F = input_size(of.horizon, self.frame_.seasons)
        x = Port("x", "float32", ("N", "L", F), "the changes, over scaling.json's input_scale")
        said = f"(steps ahead, columns) {of.horizon} x {C}: to add, times scaling.json's scale"
        y = Port("y", "float32", ("N", "L", of.horizon * C), said)
        return stateful(x, y, of.num_layers, of.hidden_size)

    def _config(self, **shared: Any) -> ForecasterConfig:
        return ForecasterConfig(columns=self.columns_, learned=self.learned_, **shared)

    def _documents(self) -> dict[str, Any]:
        residuals, later = map(as_json, (self.residuals_, self.later_))
        own = {"step": self._step.tolist(), "residuals": residuals, "later": later}
        return {"scaling.json": {**self.frame_.as_dict(), **own}}

    def _restore(self, documents: Documents, config: ForecasterConfig) -> None:
        of = restored(documents, config, self.settings_.horizon)
        self.frame_, self._step, self.residuals_, self.later_ = of
        self.columns_, self.learned_ = config.columns, config.learned

    def _page(self, config: ForecasterConfig) -> str:
        return forecaster_page(config, self.history_, self.describe())

    def _answers(self) -> list[str]:
        return forecaster_parts(self.evidence_)
