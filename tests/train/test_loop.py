"""The training loop: what is kept, when it stops, and what it says when it cannot go on."""

import math

import pytest
import torch
from torch import nn

from elman.errors import TrainingError
from elman.train import Progress, train

SETTINGS = {"epochs": 10, "lr": 0.1, "weight_decay": 0.0, "clip": 1e9, "patience": 10}


class Point(nn.Module):
    """One number w; its loss is w, so that AdamW takes about lr from it at each step."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))


def run(model, valid=lambda w: w, loss=None, steps=1, **changes):
    """Train on loss w; `valid` gives the held-out loss from w."""
    return train(
        model,
        batches=lambda: [None] * steps,
        loss=loss or (lambda _: model.w * 1.0),
        validate=lambda: {"loss": valid(model.w.item())},
        **(SETTINGS | changes),
    )


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
    run(model, loss=lambda _: 4 * model.w**2, epochs=3, steps=4, clip=5.0, weight_decay=0.3)
    optimizer = torch.optim.AdamW(mirror.parameters(), lr=0.1, weight_decay=0.3)
    for _ in range(12):
        optimizer.zero_grad()
        (4 * mirror.w**2).backward()
        nn.utils.clip_grad_norm_(mirror.parameters(), 5.0)
        optimizer.step()
    assert torch.equal(model.w, mirror.w)


def test_validation_is_in_eval_mode_without_gradients():
    model, modes = Point(), []

    def validate():
        modes.append((model.training, torch.is_grad_enabled()))
        return {"loss": 1.0, "accuracy": 0.5}

    def loss(_):
        modes.append((model.training, torch.is_grad_enabled()))
        return model.w * 1.0

    history = train(
        model, batches=lambda: [0], loss=loss, validate=validate, **(SETTINGS | {"epochs": 2})
    )
    assert modes == [(True, True), (False, False)] * 2
    assert history.records[0]["valid_accuracy"] == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(value):
    model = Point()
    count = iter(range(100))
    with pytest.raises(
        TrainingError,
        match=rf"the loss became {value} in epoch 2, step 2; lower the learning rate \(it is 0\.1\)"
        r" or the clipping \(it is 1e\+09\)",
    ):
        run(model, loss=lambda _: model.w * (value if next(count) == 4 else 1.0), steps=3)


def test_a_gradient_that_is_not_finite():
    model = Point()
    with pytest.raises(
        TrainingError, match=r"the gradient's norm became nan in epoch 1, step 1; lo"
    ):
        run(model, loss=lambda _: (model.w * 0).sqrt() * 0)
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


def test_the_time_to_go():
    progress = Progress(epoch=3, epochs=10, step=5, steps=10, loss=0.0, elapsed=50.0)
    assert progress.eta == pytest.approx(150.0)  # 25 of 100 steps in 50 s


def trained():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
    x = torch.randn(40, 4)
    y = x.sum(1, keepdim=True)
    history = train(
        model,
        batches=lambda: [torch.randperm(30)[:10] for _ in range(3)],
        loss=lambda rows: nn.functional.mse_loss(model(x[rows]), y[rows]),
        validate=lambda: {"loss": nn.functional.mse_loss(model(x[30:]), y[30:]).item()},
        **(SETTINGS | {"lr": 0.01, "clip": 1.0}),
    )
    return history, model.state_dict()


def test_the_same_seed_gives_the_same_bits():
    (first, weights), (second, again) = trained(), trained()
    assert first.records == second.records
    assert len({record["loss"] for record in first.records}) == 10
    assert all(torch.equal(weights[name], again[name]) for name in weights)
