"""Generator writes: token by token, under its options, from any prompt."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from elman import Generator
from elman.data.vocabulary import tokens_of
from elman.errors import (
    DataError,
    NotFittedError,
    SettingError,
    TrainingError,
)
from tests.tasks.generators import SMALL, TEXT, Plain


def test_it_writes_token_by_token(writer, monkeypatch):
    endless = writer.stream("我", 10**12, seed=1)
    first = list(itertools.islice(endless, 25))
    assert first == list(writer.stream("我", 25, seed=1))
    assert "".join(first) == writer.generate("我", 25, seed=1)
    assert all(len(token) == 1 for token in first)
    calls = []
    forward = type(writer.model_).forward
    monkeypatch.setattr(
        type(writer.model_), "forward", lambda *a: calls.append(a[1].shape) or forward(*a)
    )
    stream = writer.stream("我爱", 5, seed=1)
    assert calls == []
    next(stream)
    assert calls == [(1, 3)]
    next(stream)
    assert calls == [(1, 3), (1, 1)]  # one step a token, whatever came before


def test_streams_side_by_side(writer):
    one, other = writer.stream("我", 20, seed=1), writer.stream("她", 20, seed=2)
    pairs = list(zip(one, other, strict=True))
    assert "".join(a for a, _ in pairs) == writer.generate("我", 20, seed=1)
    assert "".join(b for _, b in pairs) == writer.generate("她", 20, seed=2)


def test_seeds(writer):
    hot = {"length": 60, "temperature": 1.5}
    assert writer.generate("", seed=7, **hot) == writer.generate("", seed=7, **hot)
    assert writer.generate("", seed=np.int64(7), **hot) == writer.generate("", seed=7, **hot)
    texts = {writer.generate("", seed=seed, **hot) for seed in (0, 1, 2**63 - 1, None, None, None)}
    assert len(texts) == 6
    torch.manual_seed(3)
    one = writer.generate("", **hot)
    torch.manual_seed(3)
    assert writer.generate("", **hot) == one  # whoever wants it has it in hand


def test_it_writes_what_the_network_thinks(writer):
    """Greedily, by hand; and how often what comes first."""
    plain, vocabulary = Plain(writer.model_), writer.vocabulary_
    ids = vocabulary.encode("\n我爱")
    for token in writer.stream("我爱", 30, temperature=0):
        with torch.no_grad():
            log_probs = plain(torch.tensor([ids]))[0][0, -1]
        best = int(log_probs[1:].argmax()) + 1
        assert token == vocabulary.tokens[best - 1]
        ids.append(best)
    with torch.no_grad():
        p = plain(torch.tensor([vocabulary.encode("\n我爱")]))[0][0, -1].double().exp()
    p[0] = 0
    p /= p.sum()
    counts = Counter(writer.generate("我爱", 1, temperature=1.0, seed=k) for k in range(500))
    for token, share in zip(vocabulary.tokens, p[1:].tolist(), strict=True):
        assert abs(counts[token] / 500 - share) <= 5 * math.sqrt(share / 500) + 0.002, token


def test_options_of_sampling(writer):
    greedy = writer.generate("我", 40, temperature=0)
    assert writer.generate("我", 40, temperature=0, seed=9) == greedy
    assert writer.generate("我", 40, temperature=1e-9, seed=9) == greedy
    assert writer.generate("我", 40, temperature=5, top_k=1, seed=9) == greedy
    assert writer.generate("我", 40, temperature=5, top_p=1e-9, seed=9) == greedy
    hot = writer.generate("我", 600, temperature=1e9, seed=9)
    assert {*hot} == {*writer.vocabulary_.tokens}
    assert writer.generate("我", 0) == ""


def test_unknown_characters_of_a_prompt(writer):
    for length, temperature in ((1, 0), (30, 0.8)):
        written = [
            writer.generate(f"{c}我爱", length, temperature=temperature, seed=1)
            for c in "🤖鑫x\u0301\x00\r\U0010ffff"
        ]
        assert len({*written}) == 1
    assert len(writer.generate("全不认识" * 50, 20)) == 20
    assert writer.generate("🤖", 9, temperature=0) != "" != writer.generate("", 9)
    assert "\ufffd" not in writer.generate("🤖🤖", 500, temperature=3.0, seed=0)


def test_an_empty_prompt_begins_a_line(writer):
    plain, vocabulary = Plain(writer.model_), writer.vocabulary_
    with torch.no_grad():
        log_probs = plain(torch.tensor([vocabulary.encode("\n")]))[0][0, -1]
    best = vocabulary.tokens[int(log_probs[1:].argmax())]
    assert writer.generate("", 1, temperature=0) == writer.generate(length=1, temperature=0) == best
    assert writer.generate("", 1, temperature=0) in "我他"  # a line begins with one of them


def test_words(prose):
    tokens = list(prose.stream("the cat", 40, seed=0))
    assert len(tokens) == 40
    assert {*tokens} <= {*prose.vocabulary_.tokens}
    text = "the cat" + "".join(tokens)
    assert " cat" in tokens
    assert tokens_of(text, "word")[2:] == tokens
    assert "  " not in text


def test_a_blank_at_the_end_of_a_prompt_belongs_to_the_next_word(prose):
    with_blank = prose.generate("the cat ", 20, seed=3)
    assert " " + with_blank == prose.generate("the cat", 20, seed=3)
    assert "the cat " + with_blank == "the cat" + prose.generate("the cat", 20, seed=3)
    assert prose.generate("cat\n", 20, seed=3) == "".join(prose.stream("cat\n", 20, seed=3))


def test_a_blank_is_a_character_like_any(writer):
    assert writer.generate("我 ", 9, temperature=0) == writer.generate("我鑫", 9, temperature=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("length", v) for v in (-1, 1.0, "3", None, True)),
        *(("seed", v) for v in (-1, 2**63, 1.5, "1", True)),
        *(("prompt", v) for v in (None, 3, b"ab", ["a"])),
        *(("temperature", v) for v in (-0.1, math.nan, math.inf, "1")),
        *(("top_k", v) for v in (-1, 1.5)),
        *(("top_p", v) for v in (0, 1.1, math.nan)),
    ],
    ids=str,
)
def test_arguments_are_refused_at_once(writer, name, value):
    with pytest.raises(SettingError, match=f"{name} should be "):
        writer.stream(**{name: value})  # not only when the first token is asked for


def test_unknown_arguments(writer):
    with pytest.raises(TypeError, match="top_q"):
        writer.generate("我", 5, top_q=1)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "level": ["byte", None, 1],
        "max_vocab": [0, -1, 1.5, "all", True],
        "embedding_size": [0, 1.5],
        "hidden_size": [0, 10**6],
        "num_layers": [0, 65],
        "nonlinearity": ["swish"],
        "dropout": [1.0, -0.1],
        "token_dropout": [1.0, -0.1],
        "init": ["zeros"],
        "chunk": [0, 1.5],
        "epochs": [0],
        "batch_size": [0],
        "lr": [0.0, math.nan, -1.0],
        "weight_decay": [-1.0],
        "clip": [0.0],
        "patience": [0],
        "validation": [0.0, 1.0],
        "random_state": [-1, 2**32, 0.5],
        "device": ["tpu", "cuda:99"],
    }.items(),
)
def test_settings_are_refused(name, values):
    for value in values:
        with pytest.raises(SettingError, match=name):
            Generator(**SMALL | {name: value}).fit(TEXT)


def test_before_anything_is_learned(tmp_path):
    model = Generator()
    for call in (model.stream, model.generate, lambda: model.predict(["我"]),
                 lambda: model.judge("我"), lambda: model.score("我"),
                 lambda: model.save(tmp_path / "run")):  # fmt: skip
        with pytest.raises(NotFittedError, match=r"call fit, or Generator\.load"):
            call()


def test_predict(writer):
    answers = writer.predict(["我爱", "", "🤖"])
    assert answers.tolist() == [writer.generate(t, 1, temperature=0) for t in ("我爱", "", "🤖")]
    assert writer.predict([]).shape == (0,)
    assert writer.predict([]).dtype.kind == answers.dtype.kind == "U"
    with pytest.raises(DataError, match=r"write \[text\]"):
        writer.predict("我爱")
    with pytest.raises(SettingError, match="the prompt should be a text, got int"):
        writer.predict([3])


@pytest.mark.parametrize("nonlinearity", ["relu", "identity"])
def test_a_network_that_runs_away(nonlinearity, tmp_path):
    model = Generator(**SMALL | {"epochs": 1}, nonlinearity=nonlinearity).fit(TEXT)
    with torch.no_grad():
        model.model_.rnn.weight_hh_l0.mul_(4)
    for temperature in (0, 1.0):
        with pytest.raises(TrainingError, match="beyond all bounds"):
            model.generate("我", 2000, temperature=temperature, seed=0)
    with pytest.raises(TrainingError, match="beyond all bounds"):
        model.judge(TEXT * 3)
