"""Checkpoints: a training goes on from any step as if it had never stopped, or says why not."""

import errno
import os
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from elman.errors import RunDirectoryError, SettingError
from elman.train import Checkpoint, train
from elman.train.checkpoint import Position, Snapshot
from tests.train.recurrent import PLAN, STEPS, Wave

IDENTITY = {"task": "wave", "lr": 0.01, "data": "0f"}


class Eager(Checkpoint):
    """Writes after every step."""

    def due(self):
        return True


def stopper(nth):
    """A report that asks to stop at the nth call."""
    calls = iter(range(1, 1000))
    return lambda _: next(calls) == nth


def finished(plan=PLAN):
    lesson = Wave()
    history = train(lesson, plan)
    return history.records, lesson.model.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def expected():
    return finished()


@pytest.fixture
def stopped(tmp_path):
    """The file of a training stopped in the second step of the second epoch."""
    place = Checkpoint(tmp_path / "stopped.safetensors", IDENTITY)
    train(Wave(), PLAN, report=stopper(STEPS + 1 + 2), checkpoint=place)
    return place.path


def test_this_lesson_is_no_easy_one(expected):
    """Were dropout, the state carried or the order left out, its numbers would be others."""
    records, weights = expected
    assert len({record["valid_loss"] for record in records}) == PLAN.epochs
    for forget in ("dropout", "carried", "order"):
        lesson = Wave(0.0 if forget == "dropout" else 0.5)
        if forget == "carried":
            of = lesson.loss
            lesson.loss = lambda network, batch, of=of, lesson=lesson: (
                lesson.carried.clear(), of(network, batch))[1]  # fmt: skip
        if forget == "order":
            lesson.batches = lambda rng: [
                (np.arange(3), range(k, k + 4)) for k in range(0, 4 * STEPS, 4)
            ]
        train(lesson, PLAN)
        assert not same(lesson.model.state_dict(), weights), forget


@pytest.mark.parametrize("nth", range(1, PLAN.epochs * (STEPS + 1) + 1))
def test_stopped_at_any_report_it_goes_on_bit_for_bit(tmp_path, expected, nth):
    """Each step's report and each epoch's."""
    path = tmp_path / "checkpoint.safetensors"
    first = train(Wave(), PLAN, report=stopper(nth), checkpoint=Checkpoint(path, IDENTITY))
    lesson = Wave()
    torch.manual_seed(nth)
    second = train(lesson, PLAN, checkpoint=Checkpoint(path, IDENTITY, resume=path))
    assert second.records == expected[0]
    assert same(lesson.model.state_dict(), expected[1])
    assert first.steps + second.steps == PLAN.epochs * STEPS
    assert second.resumed is not None
    assert not second.interrupted


def test_stopped_at_every_step_one_after_another(tmp_path, expected):
    path = tmp_path / "checkpoint.safetensors"
    for _ in range(PLAN.epochs * STEPS):
        lesson = Wave()
        history = train(
            lesson,
            PLAN,
            report=lambda progress: progress.record is None,
            checkpoint=Checkpoint(path, IDENTITY, resume=path),
        )
        assert history.steps == 1
    assert history.records == expected[0]
    assert same(lesson.model.state_dict(), expected[1])


class Killed(BaseException):
    """No one catches it: what it leaves is what a kill leaves."""


@pytest.mark.parametrize("nth", range(1, PLAN.epochs * (STEPS + 1) + 1))
def test_killed_after_any_report_it_goes_on_from_the_last_file(tmp_path, expected, nth):
    path = tmp_path / "checkpoint.safetensors"
    stop = stopper(nth)

    def report(progress):
        if stop(progress):
            raise Killed

    with pytest.raises(Killed):
        train(Wave(), PLAN, report=report, checkpoint=Eager(path, IDENTITY))
    assert path.exists() == (nth > 1)
    lesson = Wave()
    history = train(lesson, PLAN, checkpoint=Checkpoint(path, IDENTITY, resume=path))
    assert history.records == expected[0]
    assert same(lesson.model.state_dict(), expected[1])


def test_a_finished_training_has_nothing_left_to_do(tmp_path, expected):
    path = tmp_path / "checkpoint.safetensors"
    train(Wave(), PLAN, checkpoint=Checkpoint(path, IDENTITY))
    before = path.read_bytes()
    lesson, reports = Wave(), []
    history = train(
        lesson, PLAN, report=reports.append, checkpoint=Checkpoint(path, IDENTITY, resume=path)
    )
    assert (history.steps, history.records, reports) == (0, expected[0], [])
    assert same(lesson.model.state_dict(), expected[1])
    assert path.read_bytes() == before


def test_more_epochs_go_on_where_it_ended(tmp_path):
    plan = replace(PLAN, decay=False)
    path = tmp_path / "checkpoint.safetensors"
    train(Wave(), plan, checkpoint=Checkpoint(path, IDENTITY))
    lesson = Wave()
    more = replace(plan, epochs=5)
    history = train(lesson, more, checkpoint=Checkpoint(path, IDENTITY, resume=path))
    records, weights = finished(more)
    assert (history.records, history.steps) == (records, 2 * STEPS)
    assert same(lesson.model.state_dict(), weights)


def test_without_a_file_it_begins_at_the_beginning(tmp_path, expected):
    path = tmp_path / "checkpoint.safetensors"
    lesson = Wave()
    history = train(lesson, PLAN, checkpoint=Checkpoint(path, IDENTITY, resume=path))
    assert (history.resumed, history.records) == (None, expected[0])
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.02}, r"made with lr 0\.01, now it is 0\.02; to go on give the same"),
        ({"task": "tide"}, "made with task 'wave', now it is 'tide'"),
        ({"data": "1e"}, "made with other data; to go on give the same as then, or leave out"),
        ({"chunk": 3}, "made with chunk None, now it is 3"),
    ],
)
def test_other_settings_or_data_are_refused(stopped, change, message):
    with pytest.raises(SettingError, match=rf"^{re.escape(str(stopped))}: {message}"):
        train(Wave(), PLAN, checkpoint=Checkpoint(stopped, IDENTITY | change, resume=stopped))


def refusal(path):
    """The one line that a damaged file is refused with."""
    lesson = Wave()
    before = {name: tensor.clone() for name, tensor in lesson.model.state_dict().items()}
    with pytest.raises(RunDirectoryError) as caught:
        train(lesson, PLAN, checkpoint=Checkpoint(path, IDENTITY, resume=path))
    line = str(caught.value)
    assert line.startswith(f"{path}: damaged: ")
    assert line.endswith("leave out --resume to begin anew")
    assert "\n" not in line
    assert same(lesson.model.state_dict(), before)
    return line


def test_a_file_cut_short(stopped):
    whole = stopped.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        stopped.write_bytes(whole[:length])
        refusal(stopped)


def test_a_byte_changed_anywhere(stopped):
    """Of the header or of what follows it: refused, or it says the same."""
    whole = stopped.read_bytes()
    place = Checkpoint(stopped, IDENTITY, resume=stopped)
    snapshot = place.read()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(0)
    refused = 0
    for where in [*rng.permutation(header)[:700], *rng.integers(header, len(whole), 60)]:
        data = bytearray(whole)
        data[where] ^= 1 << int(rng.integers(7))
        stopped.write_bytes(data)
        try:
            again = place.read()  # a digit beyond the last that a float64 has changes nothing
            assert again.position == snapshot.position
            assert same(again.tensors, snapshot.tensors)
        except RunDirectoryError:
            refused += 1
    assert refused > 700


def test_a_file_of_something_else(stopped):
    save_file({"model/rnn.weight_ih_l0": torch.zeros(5, 1)}, stopped)
    assert "it is not a checkpoint of elman" in refusal(stopped)
    save_file({"x": torch.zeros(5, 1)}, stopped, {"elman": "[]"})
    assert "it is not a checkpoint of elman" in refusal(stopped)
    save_file({"x": torch.zeros(5, 1)}, stopped, {"elman": '{"format": "elman checkpoint"}'})
    assert "its SHA-256 is not the one in its header" in refusal(stopped)
    stopped.write_text("a letter")
    refusal(stopped)
    stopped.unlink()
    stopped.mkdir()
    refusal(stopped)


def test_a_checkpoint_of_another_network(stopped):
    """The settings are said to be the same, and are not."""
    lesson = Wave()
    lesson.model.head = torch.nn.Linear(5, 2)
    with pytest.raises(RunDirectoryError, match=r"does not fit the network: .*head") as caught:
        train(lesson, PLAN, checkpoint=Checkpoint(stopped, IDENTITY, resume=stopped))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["the write", "the sync", "the move"])
def test_a_full_disk_leaves_the_checkpoint_before(stopped, monkeypatch, expected, where):
    before = stopped.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full:
        def __init__(self, file):
            self.file, self.write = file, full

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    with monkeypatch.context() as patch:
        if where == "the write":
            of = type(stopped).open

            def opened(path, mode="r", *others):
                file = of(path, mode, *others)
                return Full(file) if "r" not in mode else file

            patch.setattr(type(stopped), "open", opened)
        patch.setattr(*{"the sync": ("os.fsync", full)}.get(where, ("os.replace", full)))
        if where == "the move":
            patch.setattr(type(stopped), "replace", full)
        message = r"stopped\.safetensors: the checkpoint cannot be written: No space left on dev.*"
        with pytest.raises(RunDirectoryError, match=f"{message}make room, and the same"):
            train(Wave(), PLAN, checkpoint=Eager(stopped, IDENTITY, resume=stopped))
    assert stopped.read_bytes() == before
    assert [path.name for path in stopped.parent.iterdir()] == [stopped.name]
    lesson = Wave()
    train(lesson, PLAN, checkpoint=Checkpoint(stopped, IDENTITY, resume=stopped))
    assert same(lesson.model.state_dict(), expected[1])


def test_little_time_goes_into_checkpoints(tmp_path, monkeypatch):
    """A clock of the test's own: a step takes 0.1 s, a write as long as the test says."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    snapshot = Snapshot(Position(epoch=1, step=1), {"model/w": torch.zeros(1)})
    for cost, shortest in ((0.001, 1.0), (0.5, 10.0), (6.0, 120.0)):
        place = Checkpoint(tmp_path / f"{cost}.safetensors", IDENTITY)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _, cost=cost: now.__setitem__(0, now[0] + cost))
            began, writing, gaps, last = now[0], 0.0, [], now[0]
            while now[0] < began + 400:
                now[0] += 0.1
                if place.due():
                    gaps.append(now[0] - last)
                    place.write(snapshot)
                    writing, last = writing + cost, now[0]
        assert writing <= 0.05 * (now[0] - began) + cost
        assert gaps[0] == pytest.approx(1.0, abs=0.11)
        assert gaps[1:] == pytest.approx([shortest] * (len(gaps) - 1), abs=0.11)
        assert len(gaps) >= 3
