"""The training loop: what is kept, when it stops, and what it says when it cannot go on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from elman.errors import TrainingError
from elman.train import Lesson, Plan, Progress, train

PLAN = Plan(epochs=10, lr=0.1, clip=1e9, patience=10)


class Point(nn.Module):
    """One number w; its loss is w, so that AdamW takes about lr from it at each step."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))


class PointLesson(Lesson):
    """Move a point; `valid` gives the held-out loss from w."""

    def __init__(self, model, valid=lambda w: w, loss=None, steps=1):
        super().__init__(model)
        self.valid, self.steps = valid, steps
        self.loss_of = loss or (lambda w: w * 1.0)

    def batches(self, rng):
        return [None] * self.steps

    def loss(self, network, batch):
        return self.loss_of(self.model.w), 1

    def validate(self):
        return {"valid_loss": self.valid(self.model.w.item())}


def run(model, valid=lambda w: w, loss=None, steps=1, report=None, **changes):
    """Train on loss w."""
    return train(PointLesson(model, valid, loss, steps), replace(PLAN, **changes), report=report)


def test_the_best_weights_are_kept_where_later_epochs_are_worse():
    model, seen = Point(), []

    def valid(w):
        seen.append(w)
        return abs(w - 1.6)  # passed after four steps

    history = run(model, valid)
    losses = [record["valid_loss"] for record in history.records]
    assert len(losses) == 10
    assert history.best_epoch == 4
    assert losses[3] == min(losses)
    assert losses[3:] == sorted(losses[3:])  # worse and worse
    assert model.w.item() == seen[3] == pytest.approx(1.6, abs=1e-6)
    assert not model.training
    assert not history.interrupted


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_it_stops_when_patience_is_over(patience):
    model = Point()
    history = run(model, lambda w: abs(w - 1.6), patience=patience)
    assert len(history.records) == 4 + patience
    assert history.best_epoch == 4


def test_an_equal_loss_is_no_progress():
    model = Point()
    history = run(model, lambda w: 1.0, patience=3)
    assert len(history.records) == 4
    assert history.best_epoch == 1
    assert model.w.item() == pytest.approx(1.9, abs=1e-6)


def test_the_records():
    model = Point()
    history = run(model, lambda w: 3 - w, epochs=2, steps=2, clip=0.25)
    assert [record["epoch"] for record in history.records] == [1, 2]
    # the loss before each step: 2 and 1.9, then 1.8 and 1.7
    assert [record["loss"] for record in history.records] == pytest.approx([1.95, 1.75], abs=1e-5)
    assert [record["grad_norm"] for record in history.records] == [1.0, 1.0]  # before clipping
    assert [record["lr"] for record in history.records] == [0.1, 0.1]
    assert [record["valid_loss"] for record in history.records] == pytest.approx(
        [1.2, 1.4], abs=1e-5
    )


def test_clipping_and_weight_decay_reach_the_optimizer():
    """Against AdamW by hand, on a loss whose gradient changes from step to step."""
    model, mirror = Point(), Point()
    run(model, loss=lambda w: 4 * w**2, epochs=3, steps=4, clip=5.0, weight_decay=0.3)
    optimizer = torch.optim.AdamW(mirror.parameters(), lr=0.1, weight_decay=0.3, fused=True)
    for _ in range(12):
        optimizer.zero_grad()
        (4 * mirror.w**2).backward()
        nn.utils.clip_grad_norm_(mirror.parameters(), 5.0)
        optimizer.step()
    assert torch.equal(model.w, mirror.w)


def test_validation_is_in_eval_mode_without_gradients():
    model, modes = Point(), []

    class Watched(PointLesson):
        def loss(self, network, batch):
            modes.append((self.model.training, torch.is_grad_enabled()))
            return super().loss(network, batch)

        def validate(self):
            modes.append((self.model.training, torch.is_grad_enabled()))
            return {"valid_loss": 1.0, "valid_accuracy": 0.5}

    with torch.no_grad():  # whatever the caller was about
        history = train(Watched(model), replace(PLAN, epochs=2))
    assert modes == [(True, True), (False, False)] * 2
    assert history.records[0]["valid_accuracy"] == 0.5
    assert history.steps == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(value):
    model = Point()
    count = iter(range(100))
    with pytest.raises(
        TrainingError,
        match=rf"the loss became {value} in epoch 2, step 2; lower the learning rate \(it is 0\.1\)"
        r" or the clipping \(it is 1e\+09\)",
    ):
        run(model, loss=lambda w: w * (value if next(count) == 4 else 1.0), steps=3)


def test_a_gradient_that_is_not_finite():
    model = Point()
    with pytest.raises(
        TrainingError, match=r"the gradient's norm became nan in epoch 1, step 1; lo"
    ):
        run(model, loss=lambda w: (w * 0).sqrt() * 0)
    assert model.w.item() == 2.0  # no step was taken


def test_a_held_out_loss_that_is_not_finite():
    with pytest.raises(TrainingError, match="the held-out loss became nan after epoch 1"):
        run(Point(), lambda w: math.nan)


@pytest.mark.parametrize("when", ["a step", "an epoch"])
def test_ctrl_c_keeps_the_best_weights(when):
    model, seen = Point(), []

    def valid(w):
        seen.append(w)
        return abs(w - 1.8)  # best after two epochs

    def report(progress):
        if progress.epoch == 4 and (progress.record is None) == (when == "a step"):
            raise KeyboardInterrupt

    history = run(model, valid, report=report)
    assert history.interrupted
    assert len(history.records) == (3 if when == "a step" else 4)
    assert history.best_epoch == 2
    assert model.w.item() == seen[1]
    assert not model.training


def test_ctrl_c_at_once_leaves_the_first_weights():
    def report(_):
        raise KeyboardInterrupt

    model = Point()
    history = run(model, report=report)
    assert history.interrupted
    assert history.records == []
    assert history.best_epoch == 0
    assert model.w.item() == 2.0


def test_what_is_reported():
    reports = []
    run(Point(), epochs=2, steps=3, report=reports.append)
    where = [(p.epoch, p.step, p.record is not None) for p in reports]
    epoch = [(1, False), (2, False), (3, False), (3, True)]
    assert where == [(e, step, ended) for e in (1, 2) for step, ended in epoch]
    assert {(p.epochs, p.steps) for p in reports} == {(2, 3)}
    assert reports[0].loss == 2.0
    assert reports[3].loss == reports[3].record["loss"] == pytest.approx(1.9, abs=1e-5)
    elapsed = [p.elapsed for p in reports]
    assert elapsed == sorted(elapsed)
    assert reports[-1].eta == 0
    assert {p.lr for p in reports} == {0.1}


def test_the_time_to_go():
    progress = Progress(epoch=3, epochs=10, step=5, steps=10, loss=0.0, elapsed=50.0)
    assert progress.eta == pytest.approx(150.0)  # 25 of 100 steps in 50 s


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_true_report_finishes_the_step_judges_and_stops(nth):
    """Seven reports: three steps and an epoch, then three steps of the next."""
    model, reports = Point(), []

    def report(progress):
        reports.append(progress)
        return len(reports) == nth

    history = run(model, epochs=2, steps=3, report=report, valid=lambda w: 3 - w)
    if nth == 4:  # at the end of an epoch there is nothing more to do
        assert [(p.epoch, p.step, p.record is not None) for p in reports][nth:] == []
    else:
        assert reports[nth].record is not None
        assert len(reports) == nth + 1
    epoch, step = divmod(nth - 1, 4)[0] + 1, min((nth - 1) % 4 + 1, 3)
    last = history.records[-1]
    assert (last["epoch"], last.get("steps", 3)) == (epoch, step)
    assert ("steps" in last) == (step < 3)
    assert history.steps == (epoch - 1) * 3 + step
    losses = [2 - 0.1 * k for k in range((epoch - 1) * 3, history.steps)]
    assert last["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert last["valid_loss"] == pytest.approx(1 + 0.1 * history.steps, abs=1e-5)
    assert history.interrupted
    assert not model.training
    assert history.best_epoch == 1


def test_asked_to_stop_when_it_ends_anyway():
    history = run(Point(), epochs=2, report=lambda p: p.epoch == 2 and p.record is not None)
    assert not history.interrupted
    assert len(history.records) == 2


def test_the_part_of_an_epoch_may_be_the_best():
    model = Point()
    run(model, steps=4, report=lambda p: p.epoch == 2 and p.step == 2)
    assert model.w.item() == pytest.approx(2 - 6 * 0.1, abs=1e-5)


def test_the_rate_falls_in_a_straight_line():
    reports = []
    history = run(Point(), epochs=2, steps=4, decay=True, report=reports.append)
    rates = [p.lr for p in reports if p.record is None]
    assert rates == pytest.approx([0.1 * k / 8 for k in (8, 7, 6, 5, 4, 3, 2, 1)])
    assert [record["lr"] for record in history.records] == [rates[3], rates[7]]
    # AdamW takes the rate itself where the gradient stays the same
    assert history.records[-1]["valid_loss"] == pytest.approx(2 - sum(rates), abs=1e-5)


class Noisy(Lesson):
    """Batches drawn from the epoch's rng, dropout from torch's."""

    def __init__(self):
        torch.manual_seed(3)
        super().__init__(
            nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
        )
        self.x = torch.randn(40, 4)
        self.y = self.x.sum(1, keepdim=True)

    def batches(self, rng):
        return [rng.permutation(30)[:10] for _ in range(3)]

    def loss(self, network, rows):
        error = nn.functional.mse_loss(network(self.x[rows]), self.y[rows], reduction="sum")
        return error, len(rows)

    def validate(self):
        return {"valid_loss": float(nn.functional.mse_loss(self.model(self.x[30:]), self.y[30:]))}


def trained(seed=0, before=0):
    lesson = Noisy()
    torch.manual_seed(before)  # what was drawn before makes no difference
    history = train(lesson, Plan(epochs=10, lr=0.01, seed=seed))
    return history, lesson.model.state_dict()


def test_the_same_seed_gives_the_same_bits():
    (first, weights), (second, again) = trained(), trained(before=1)
    assert first.records == second.records
    assert len({record["loss"] for record in first.records}) == 10
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert trained(seed=1)[0].records != first.records


class Recurrent(PointLesson):
    """A point beside recurrent layers that stay as they are."""

    def __init__(self, model):
        super().__init__(model)
        torch.manual_seed(4)
        model.deep = nn.RNN(2, 3, num_layers=2, bidirectional=True)
        model.cell = nn.RNNCell(2, 3)
        model.other = nn.LSTM(2, 3)  # its weights hold four matrices: no radius
        nn.utils.parametrizations.orthogonal(model.cell, "weight_hh")

    def loss(self, network, batch):
        return self.model.w * 1.0 + sum(p.sum() for p in self.model.deep.parameters()), 1

    def notes(self, epoch):
        return {"sample": f"after {epoch}", "eval": not self.model.training}


def test_the_spectral_radius_and_notes_of_each_epoch():
    model, seen = Point(), []

    def report(progress):
        if progress.record is not None:
            seen.append(
                {
                    f"deep.{name}": np.abs(np.linalg.eigvals(p.detach().double().numpy())).max()
                    for name, p in model.deep.named_parameters()
                    if "weight_hh" in name
                }
            )

    history = train(Recurrent(model), replace(PLAN, epochs=2, judge_first=True), report=report)
    before, *records = history.records
    assert [r["sample"] for r in history.records] == ["after 0", "after 1", "after 2"]
    assert all(r["eval"] for r in history.records)
    assert before["spectral_radius"].keys() == records[0]["spectral_radius"].keys()
    for record, expected in zip(records, seen, strict=True):
        radii = dict(record["spectral_radius"])
        assert radii.pop("cell.weight_hh") == pytest.approx(1.0, abs=1e-6)
        assert radii == pytest.approx(expected, rel=1e-9)
    assert len(expected) == 4
    assert "spectral_radius" not in run(Point(), epochs=1).records[0]
