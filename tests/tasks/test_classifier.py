"""Classifier: learns, answers, and leaves the rest of the program alone."""

import itertools
import random

import numpy as np
import pytest
import torch

from elman import Classifier
from elman.errors import DataError, NotFittedError, SettingError, TrainingError


def test_it_learns_the_order_of_characters():
    texts = ["".join(p) for p in itertools.permutations("甲乙丙丁戊", 4) if {*"甲乙"} <= {*p}]
    random.Random(0).shuffle(texts)
    labels = ["first" if t.index("甲") < t.index("乙") else "second" for t in texts]
    model = Classifier(epochs=30, lr=0.01, token_dropout=0.0, hidden_size=32)
    model.fit(texts[12:], labels[12:])
    asked, truth = texts[:12], labels[:12]  # never seen
    assert model.score(asked, truth) >= 0.9
    assert model.score(asked, truth) == np.mean(model.predict(asked) == np.array(truth))


def test_probabilities(fitted, data):
    texts, _ = data
    probabilities = fitted.predict_proba(texts)
    assert probabilities.shape == (60, 2)
    assert probabilities.dtype == np.float64
    assert (probabilities > 0).all()
    assert probabilities.sum(1) == pytest.approx(np.ones(60), abs=1e-12)
    assert len({tuple(row) for row in probabilities.round(6).tolist()}) > 10
    best = [fitted.classes_[k] for k in probabilities.argmax(1)]
    assert fitted.predict(texts).tolist() == best


def test_each_text_is_answered_alone_and_in_its_place(fitted, data):
    texts = [*data[0], "", "头", "全不认识的字" * 50, *data[0]]
    together = fitted.predict_proba(texts)
    for i in (0, 30, 60, 61, 62, 63, 122):
        assert together[i] == pytest.approx(fitted.predict_proba([texts[i]])[0], abs=1e-6)
    assert together[:60] == pytest.approx(together[63:], abs=1e-6)


def test_more_texts_than_a_batch(fitted, data):
    many = (data[0] * 11)[:600]
    probabilities = fitted.predict_proba(many)
    assert probabilities[:60] == pytest.approx(probabilities[540:600], abs=1e-6)


def test_no_texts_and_an_empty_text(fitted):
    assert fitted.predict([]).tolist() == []
    assert fitted.predict_proba([]).shape == (0, 2)
    bias = torch.softmax(fitted.model_.linear.bias.detach().double(), 0)
    assert fitted.predict_proba([""])[0] == pytest.approx(bias.numpy(), abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("是", "否", str),
        (1, 0, int),
        (-7, 2**40, int),
        (True, False, bool),
        (np.int64(3), np.int64(5), int),
        (np.bool_(True), np.bool_(False), bool),
        (np.str_("a"), np.str_("b"), str),
    ],
)
@pytest.mark.parametrize("container", [list, np.array])
def test_labels_come_back_as_they_were(data, small, tmp_path, one, other, kind, container):
    texts, labels = data
    y = container([one if label == "rise" else other for label in labels])
    model = Classifier(**small).fit(container(texts), y)
    loaded = Classifier.load(model.save(tmp_path / "run"))
    for classifier in (model, loaded):
        answers = classifier.predict(container(texts)).tolist()
        assert {type(answer) for answer in answers} == {kind}
        assert set(answers) <= {one, other}
        assert classifier.classes_.tolist() == sorted([one, other])
        assert classifier.score(texts, y) == np.mean(
            [
                a == b
                for a, b in zip(answers, y.tolist() if container is np.array else y, strict=True)
            ]
        )


def test_three_classes(data, small):
    texts = data[0]
    labels = [text[0] for text in texts]
    model = Classifier(**(small | {"epochs": 40})).fit(texts, labels)
    assert model.classes_.tolist() == sorted("头痛发热咳")
    assert model.predict_proba(texts).shape == (60, 5)
    assert model.score(texts, labels) >= 0.9


def test_the_same_seed_gives_the_same_bits(data, small, fitted):
    again = Classifier(**small).fit(*data)
    other = Classifier(**small, random_state=1).fit(*data)
    assert again.history_.records == fitted.history_.records
    assert other.history_.records != fitted.history_.records
    mine, others = again.model_.state_dict(), fitted.model_.state_dict()
    assert all(torch.equal(mine[name], others[name]) for name in others)
    assert (again.predict_proba(data[0]) == fitted.predict_proba(data[0])).all()


def test_the_programs_own_random_numbers_are_left_alone(data, small):
    def drawn():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = drawn()
    Classifier(**small).fit(*data)
    assert drawn() == before

    def stop(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Classifier(**small).fit(*data, report=stop)
    assert drawn() == before


def test_equal_texts_and_groups_are_held_out_whole(data, small, monkeypatch):
    """What is held out is seen by listening to the split."""
    from elman.tasks.classify import classifier

    parts = []

    def listening(*arguments):
        parts.append(split(*arguments))
        return parts[-1]

    split = classifier.grouped_split
    monkeypatch.setattr(classifier, "grouped_split", listening)
    texts, labels = data[0] * 3, data[1] * 3
    by_first = [text[0] for text in texts]
    Classifier(**(small | {"epochs": 1})).fit(texts, labels)
    Classifier(**(small | {"epochs": 1})).fit(texts, labels, np.array(by_first))
    for (stay, held), keys in zip(parts, (texts, by_first), strict=True):
        assert len(held)
        assert not {keys[i] for i in stay} & {keys[i] for i in held}


def test_ctrl_c(data, small):
    def report(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    model = Classifier(**small).fit(*data, report=report)
    assert model.history_.interrupted
    assert len(model.history_.records) == 2
    assert len(model.predict(["头痛"])) == 1

    def at_once(_):
        raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="interrupted before the first step ended"):
        Classifier(**small).fit(*data, report=at_once)


def test_a_failed_fit_leaves_the_old_one(data, small):
    model = Classifier(**small).fit(*data)
    before = model.predict_proba(data[0])
    with pytest.raises(DataError):
        model.fit(data[0], ["one"] * 60)
    assert (model.predict_proba(data[0]) == before).all()


def test_parameters(small):
    model = Classifier(**small)
    parameters = model.get_params()
    assert small.items() <= parameters.items()
    assert Classifier(**parameters).get_params() == model.get_params(deep=False) == parameters
    assert model.set_params(hidden_size=3, lr=0.5) is model
    assert model.get_params() == parameters | {"hidden_size": 3, "lr": 0.5}
    with pytest.raises(SettingError, match="no parameter 'hiden_size'; it has level, enc"):
        model.set_params(hiden_size=3)


def test_every_parameter_matters(data, small):
    """Changing any of them changes the numbers: none is forgotten on the way."""
    changes = {
        "embedding_size": 5, "hidden_size": 5, "num_layers": 2, "nonlinearity": "relu",
        "bidirectional": True, "dropout": 0.4, "token_dropout": 0.3, "epochs": 2, "batch_size": 7,
        "lr": 0.001, "weight_decay": 0.9, "label_smoothing": 0.3, "clip": 0.01, "validation": 0.4,
        "random_state": 9, "level": "word", "init": "torch", "leak": 0.5, "zoneout": 0.3,
        "recurrent_dropout": 0.3, "layer_norm": True,
    }  # fmt: skip
    assert changes.keys() | {"patience", "device", "encoder"} == Classifier().get_params().keys()
    texts = [f"{text} word" for text in data[0]]
    before = Classifier(**small).fit(texts, data[1]).predict_proba(texts)
    for name, value in changes.items():
        model = Classifier(**(small | {name: value})).fit(texts, data[1])
        assert (model.predict_proba(texts) != before).any(), name


def test_the_recurrent_weights_begin_as_they_are_told_to(data, small):
    """With a rate too small to move them."""
    still = small | {"lr": 1e-12, "epochs": 1, "num_layers": 2, "bidirectional": True}
    begun = {}
    for init in ("torch", "orthogonal", "identity", "critical", "integrator"):
        model = Classifier(**still, init=init).fit(*data)
        assert model.settings_.init == init
        begun[init] = {n: t for n, t in model.model_.rnn.state_dict().items() if "weight_hh" in n}
        assert len(begun[init]) == 4
    eye = torch.eye(8)
    for weight in begun["identity"].values():
        assert torch.allclose(weight, eye, atol=1e-6)
    for weight in begun["orthogonal"].values():
        assert torch.allclose(weight @ weight.T, eye, atol=1e-5)
        assert not torch.allclose(weight, eye, atol=0.1)
    for weight in begun["critical"].values():
        assert abs(torch.linalg.eigvals(weight).abs().max() - 1) < 1e-4
    for weight in begun["integrator"].values():
        assert torch.allclose(weight[:, 4:], eye[:, 4:], atol=1e-6)
    for weight in begun["torch"].values():  # uniform in 1/sqrt(H), so none of the two
        assert weight.abs().max() <= 8**-0.5
        assert not torch.allclose(weight @ weight.T, eye, atol=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there(data, small, device):
    message = f"^device {device}: torch sees 0 CUDA devices here; use cpu$"
    with pytest.raises(SettingError, match=message):
        Classifier(**small, device=device).fit(*data)


def test_a_word_is_a_token(small):
    texts = [f"{a} {b}" for a in ("one", "two", "six") for b in ("red", "tan", "sky", "ink")] * 2
    labels = [text.split()[0] for text in texts]
    model = Classifier(**(small | {"epochs": 30, "level": "word"})).fit(texts, labels)
    assert model.score(texts, labels) == 1
    assert set(model.reader_.vocabulary.tokens) <= {w for text in texts for w in text.split()}
    assert model.describe().startswith("words → embedding 8")
    words = model.predict_proba(["two ink", "  two   ink ", "two\nink", "ink two"])
    assert words[:3] == pytest.approx(words[[0, 0, 0]], abs=1e-6)
    assert abs(words[3] - words[0]).max() > 1e-3


def test_going_on_with_a_fit(data, small, tmp_path):
    """Stopped after each step in turn, then resumed: the same as never stopped."""
    place = tmp_path / "fit.safetensors"
    whole = Classifier(**small).fit(*data)
    steps = 0
    while True:
        model = Classifier(**small)
        model.fit(*data, report=lambda p: p.record is None, checkpoint=place, resume=True)
        steps += model.history_.steps
        if not model.history_.interrupted:
            break
    assert steps == len(whole.history_.records)  # all in one batch
    assert model.history_.records == whole.history_.records
    assert (model.predict_proba(data[0]) == whole.predict_proba(data[0])).all()
    for change in ({"hidden_size": 9}, {"random_state": 1}, {"lr": 0.1}):
        with pytest.raises(SettingError, match=f"made with {next(iter(change))} .*, now it is"):
            Classifier(**(small | change)).fit(*data, checkpoint=place, resume=True)
    with pytest.raises(SettingError, match="made with other data"):
        Classifier(**small).fit(data[0][1:], data[1][1:], checkpoint=place, resume=True)
    elsewhere = tmp_path / "other.safetensors"
    Classifier(**small).fit(*data, checkpoint=elsewhere, resume=place)
    assert not elsewhere.exists()  # it was finished: there was nothing to note
    with pytest.raises(SettingError, match=r"resume needs a checkpoint; say which file"):
        Classifier(**small).fit(*data, resume=True)


def test_patience(data, small):
    model = Classifier(**(small | {"epochs": 200, "lr": 0.05, "patience": 2})).fit(*data)
    assert len(model.history_.records) == model.history_.best_epoch + 2 < 200


def test_before_fit(tmp_path):
    for ask in (
        lambda: Classifier().predict(["x"]),
        lambda: Classifier().predict_proba(["x"]),
        lambda: Classifier().score(["x"], ["y"]),
        lambda: Classifier().save(tmp_path / "run"),
    ):
        with pytest.raises(NotFittedError, match=r"call fit, or Classifier\.load"):
            ask()
    assert list(tmp_path.iterdir()) == []
