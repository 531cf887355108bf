"""Generator: reports, interrupted, resumed, saved and loaded."""

import itertools

import pytest
from safetensors.torch import load_file

from elman import Classifier, Generator
from elman.data import read_text
from elman.errors import (
    DataError,
    InterruptedTrainingError,
    RunDirectoryError,
    SettingError,
)
from elman.tasks.generate import writing
from elman.tasks.generate.corpus import split_at_line
from elman.tasks.generate.files import train_on_text
from tests.tasks.generators import HARD, SMALL, TEXT, same, weights


def test_reports_have_samples_and_change_nothing(writer, monkeypatch):
    seen = []
    model = Generator(**SMALL).fit(TEXT, report=seen.append)
    assert same(weights(model), weights(writer))
    steps = seen[0].steps
    assert [p.step for p in seen if p.record is None] == [*range(1, steps + 1)] * 3
    assert [p.record for p in seen if p.record] == model.history_.records
    assert [p.sample is not None for p in seen] == [False] * (len(seen) - 1) + [True]
    monkeypatch.setattr(writing, "_SAMPLE_EVERY", 0.0)
    seen.clear()
    model = Generator(**SMALL | {"dropout": 0.2}).fit(TEXT, report=seen.append)
    quiet = Generator(**SMALL | {"dropout": 0.2}).fit(TEXT)
    assert same(weights(model), weights(quiet))
    assert all(len(p.sample) == 60 for p in seen)
    assert {*"".join(p.sample for p in seen)} <= {*TEXT}
    assert len({p.sample for p in seen}) > 10


def stop_after(steps, error=None):
    """A report that ends a training after so many steps."""
    taken = itertools.count(1)

    def report(progress):
        if progress.record is None and next(taken) == steps:
            if error is not None:
                raise error
            return True
        return False

    return report


def test_interrupted(writer):
    per_epoch = len(range(0, (len(split_at_line(TEXT, 0.05)[0]) - 1) // 2, 8))
    model = Generator(**SMALL).fit(TEXT, report=stop_after(per_epoch + 3))
    history = model.history_
    assert history.interrupted
    assert [record.get("steps") for record in history.records] == [None, 3]
    assert history.records[0] == writer.history_.records[0]
    assert len(model.generate("我", 9)) == 9
    model = Generator(**SMALL).fit(TEXT, report=stop_after(per_epoch + 3, KeyboardInterrupt))
    assert model.history_.interrupted
    assert model.history_.records == writer.history_.records[:1]
    with pytest.raises(InterruptedTrainingError, match="nothing was learned"):
        Generator(**SMALL).fit(TEXT, report=stop_after(1, KeyboardInterrupt))


@pytest.mark.parametrize("more", [{}, {"dropout": 0.2, "num_layers": 2}, {"level": "word"}])
@pytest.mark.parametrize("stops", [[1], [5, 7, 60]])
def test_resumed_bit_for_bit(tmp_path, more, stops):
    arguments = SMALL | {"batch_size": 2} | more
    whole = Generator(**arguments).fit(TEXT)
    place = tmp_path / "checkpoint.safetensors"
    for steps in stops:
        part = Generator(**arguments).fit(
            TEXT, checkpoint=place, resume=True, report=stop_after(steps)
        )
        assert part.history_.interrupted
        state = load_file(place)["carried/state"]
        assert state.shape == (arguments.get("num_layers", 1), 2, 16)
        assert state.abs().sum() > 0
    resumed = Generator(**arguments).fit(TEXT, checkpoint=place, resume=True)
    assert resumed.history_.resumed
    assert same(weights(resumed), weights(whole))
    assert resumed.history_.records == whole.history_.records


@pytest.mark.parametrize("change", [{"chunk": 7}, {"level": "word"}, {"lr": 0.1}, "text"], ids=str)
def test_resumed_with_something_else(tmp_path, change):
    place = tmp_path / "checkpoint.safetensors"
    Generator(**SMALL).fit(TEXT, checkpoint=place, report=stop_after(3))
    arguments, text = (SMALL, TEXT + "我") if change == "text" else (SMALL | change, TEXT)
    with pytest.raises(SettingError, match="other data" if change == "text" else "made with "):
        Generator(**arguments).fit(text, checkpoint=place, resume=True)


@pytest.mark.parametrize("kind", ["writer", "prose"])
def test_saved_and_loaded(request, kind, tmp_path):
    model = request.getfixturevalue(kind)
    again = Generator.load(model.save(tmp_path / "run"))
    assert same(weights(again), weights(model))
    assert again.get_params() == model.get_params()
    assert again.vocabulary_.tokens == model.vocabulary_.tokens
    assert again.counts_.tolist() == model.counts_.tolist()
    assert again.history_.records == model.history_.records
    for seed in range(3):
        assert again.generate("我 the", 50, seed=seed) == model.generate("我 the", 50, seed=seed)
    assert again.judge("我爱 the cat x") == model.judge("我爱 the cat x")
    assert again.describe() == model.describe()
    page = (tmp_path / "run/README.md").read_text("utf-8")
    assert model.describe() in page
    assert "elman generate THIS_DIRECTORY" in page


def test_hard_characters_come_back(tmp_path):
    model = Generator(**SMALL | {"epochs": 1}).fit(HARD * 20)
    again = Generator.load(model.save(tmp_path / "run"))
    assert again.vocabulary_.tokens == model.vocabulary_.tokens
    assert again.generate(HARD, 60, seed=0) == model.generate(HARD, 60, seed=0)


def test_a_file_held_out_at_its_end(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    model = Generator(**SMALL)
    text = read_text(path)
    judgement = train_on_text(model, text, 0.2)
    known, unseen = split_at_line(TEXT, 0.2)
    assert same(weights(model), weights(Generator(**SMALL).fit(known)))
    assert judgement == model.judge(unseen)
    about = Generator.load(model.save(tmp_path / "run")).about
    assert about.data.sha256 == text.sha256
    assert about.data.seen == f"the first {len(known)} characters"
    assert about.held_out.figure("bits_per_character") == judgement.bits_per_character
    assert about.held_out.rows == len(unseen)
    path.write_text("我爱你")
    with pytest.raises(
        DataError, match=r"poem\.txt: the text is too short: .*at least 100 are needed"
    ):
        train_on_text(Generator(), read_text(path), 0.2)


def test_another_task(writer, tmp_path):
    run = writer.save(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="task 'generate', 'classify' is needed"):
        Classifier.load(run)
