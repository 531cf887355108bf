"""Generator: learns, takes any text, and has scikit-learn's manners."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch

from elman import Generator
from elman.data import Vocabulary, read_text
from elman.data.vocabulary import tokens_of
from elman.errors import (
    DataError,
    SettingError,
)
from elman.tasks.generate.corpus import joined, new_vocabulary, split_at_line
from tests.tasks.generators import EXAMPLE, HARD, SMALL, TEXT, same, weights


def test_it_learns_a_language():
    rng = random.Random(0)  # after a digit it must know what came three characters before
    text = "".join(f"{a}→{b}={a}；" for a, b in (rng.choices("甲乙丙丁", k=2) for _ in range(700)))
    model = Generator(hidden_size=48, embedding_size=16, epochs=8, chunk=16).fit(text)
    for a, b in itertools.product("甲乙丙丁", repeat=2):
        assert model.generate(f"{a}→{b}=", 2, temperature=0) == f"{a}；"
    fresh = "".join(f"{a}→{b}={a}；" for a, b in (rng.choices("甲乙丙丁", k=2) for _ in range(200)))
    judgement = model.judge(fresh)  # two of six characters are free, two bits each
    assert 4 / 6 <= judgement.bits_per_character < 0.75
    assert judgement.unigram_bits > 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_after_i_love_comes_you(seed):
    model = Generator(random_state=seed).fit(read_text(EXAMPLE).text)
    assert model.generate("我爱", 1, temperature=0) == "你"
    warm = [model.generate("我爱", 1, temperature=0.8, seed=k) for k in range(20)]
    assert warm.count("你") >= 18
    assert model.predict(["我爱", "他说：我爱"]).tolist() == ["你", "你"]


def test_the_same_seed_the_same_bits():
    one, other = (Generator(**SMALL, dropout=0.1).fit(TEXT) for _ in range(2))
    assert same(weights(one), weights(other))
    assert one.history_.records == other.history_.records
    assert not same(weights(one), weights(Generator(**SMALL, random_state=1).fit(TEXT)))


def test_training_leaves_the_rest_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = Generator(**SMALL).fit(TEXT)
    model.generate("我", 5, seed=3)
    model.judge("我爱你")
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_default_dtype(torch.float64)
    try:
        again = Generator(**SMALL).fit(TEXT)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {tensor.dtype for tensor in weights(again).values()} == {torch.float32}


def test_a_failed_fit_leaves_what_was_learned():
    model = Generator(
        **SMALL,
    ).fit(TEXT)
    before = weights(model), model.generate("我", 9, seed=1)
    model.set_params(hidden_size=8)
    with pytest.raises(DataError):
        model.fit("short")
    assert same(weights(model), before[0])
    assert model.generate("我", 9, seed=1) == before[1]


OTHER = {
    "max_vocab": 5, "embedding_size": 9, "hidden_size": 17, "num_layers": 2,
    "nonlinearity": "relu", "dropout": 0.3, "token_dropout": 0.5, "init": "identity", "chunk": 5,
    "epochs": 2, "batch_size": 1, "lr": 0.01, "weight_decay": 0.9, "clip": 0.01,
    "validation": 0.2, "random_state": 1, "leak": 0.5, "zoneout": 0.3, "recurrent_dropout": 0.3,
    "layer_norm": True,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OTHER))
def test_every_parameter_matters(writer, name):
    model = Generator(**SMALL | {name: OTHER[name]}).fit(TEXT)
    assert getattr(model.settings_, name) == OTHER[name]
    assert not same(weights(model), weights(writer))
    assert model.history_.records[-1] != writer.history_.records[-1]


def test_the_level_matters():
    text = "so it is, and so it was.\n" * 20
    models = [
        Generator(**SMALL | {"epochs": 1}, level=level).fit(text) for level in ("char", "word")
    ]
    assert [model.vocabulary_.tokens[0] for model in models] == [" ", " it"]
    assert models[0].judge(text) != models[1].judge(text)


def test_patience_and_the_best_weights():
    text = "".join(random.Random(0).choices("甲乙丙丁戊己庚辛", k=800))  # nothing to learn
    # enough epochs that the schedule holds lr up: at its end even noise is learned a little better
    arguments = SMALL | {"hidden_size": 48, "lr": 0.03, "epochs": 60}
    models = {p: Generator(**arguments, patience=p).fit(text) for p in (1, 3)}
    for patience, model in models.items():
        history = model.history_
        assert history.epochs == history.best_epoch + patience < 60
        held = split_at_line(text, 0.05)[1]
        best = min(record["valid_bits_per_character"] for record in history.records)
        assert model.judge(held).bits_per_character == pytest.approx(best, rel=1e-12)


def test_it_has_all_parameters_of_its_settings():
    names = [*OTHER, "level", "patience", "device"]
    assert sorted(Generator().get_params()) == sorted(names)
    assert Generator().get_params() == Generator()._checked_settings().model_dump()
    assert repr(Generator(lr=0.5)) == "Generator(lr=0.5)"


@pytest.mark.parametrize("level", ["char", "word"])
def test_any_character(level):
    model = Generator(**SMALL | {"epochs": 1, "level": level}).fit(HARD * 20)
    assert "".join(tokens_of(HARD, level)) == HARD
    assert {*model.vocabulary_.tokens} <= {*tokens_of(HARD * 20, level)}
    assert model.vocabulary_.decode(model.vocabulary_.encode(HARD)) == HARD
    assert model.judge(HARD).unknown == 0
    pieces = list(model.stream(HARD, 30, temperature=1.5, seed=0))
    assert {*pieces} <= {*model.vocabulary_.tokens}


def test_a_lone_surrogate(writer):
    with pytest.raises(DataError, match="half a character"):
        Generator(**SMALL).fit(TEXT + "\udc80")
    with pytest.raises(DataError, match="half a character"):
        Generator(**SMALL).fit([TEXT, "\ud800"])
    for prompt in ("\ud800", "我\udfff爱"):
        with pytest.raises(SettingError, match="half a character"):
            writer.stream(prompt, 1)


def test_several_texts_are_joined_by_line_breaks(writer):
    again = Generator(**SMALL).fit(TEXT.split("\n"))
    assert same(weights(again), weights(writer))
    assert joined(np.array(["a", "b"])) == joined(("a", "b")) == joined(iter("ab")) == "a\nb"


def test_held_out_is_the_end_of_the_text():
    text = TEXT[:-80] + "末" * 80
    model = Generator(**SMALL | {"validation": 0.2, "epochs": 1}).fit(text)
    assert "末" not in model.vocabulary_.tokens
    for fraction in (0.01, 0.05, 0.5, 0.9, 0.99):
        for whole in (TEXT, "a" * 500, "\n" * 50, "ab\n", "x"):
            stay, held = split_at_line(whole, fraction)
            assert stay + held == whole
            assert held
            assert len(held) <= 1.25 * fraction * len(whole) + 1.5


def test_too_short():
    short = "at least 100 are needed; give a longer one"
    Generator(**SMALL | {"epochs": 1}).fit("a" * 105)
    with pytest.raises(DataError, match=f"too short: 99 characters .*{short}"):
        Generator(**SMALL).fit("a" * 104)
    with pytest.raises(DataError, match=f"too short: 2[0-9] words .*{short}"):
        Generator(**SMALL, level="word").fit("incomprehensibilities " * 30)
    for empty in ("", [], [""]):
        with pytest.raises(DataError, match=short):
            Generator(**SMALL).fit(empty)


def test_more_characters_than_a_text_has():
    settings = Generator()._checked_settings()
    most = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    assert len(new_vocabulary(most, settings)) == 20_001
    with pytest.raises(DataError, match=r"20001 different .*--encoding.*--max-vocab 20000"):
        new_vocabulary(most + "a", settings)
    with pytest.raises(DataError, match="different characters, more than 20000"):
        Generator().fit(most + "a" * 5000 + "b" * 5000)
    settings = Generator(max_vocab=20_000)._checked_settings()
    vocabulary = new_vocabulary(most + "龦龦", settings)
    assert len(vocabulary) == 20_001
    assert vocabulary.tokens[0] == "龦"


def test_the_commonest_are_kept():
    stay, _ = split_at_line(TEXT, 0.05)
    model = Generator(**SMALL | {"epochs": 1}, max_vocab=4).fit(TEXT)
    counts = Counter(stay)
    assert model.vocabulary_.tokens == sorted(counts, key=lambda c: (-counts[c], c))[:4]
    assert model.counts_.sum() == len(stay)
    assert model.counts_[0] == len(stay) - sum(counts[c] for c in model.vocabulary_.tokens)
    assert {*model.generate("", 100, temperature=2.0, seed=0)} <= {*model.vocabulary_.tokens}
    words = "".join(f" w{k}" * (3 if k < 10_000 else 2) for k in range(12_000)) + " once"
    settings = Generator(level="word")._checked_settings()
    vocabulary = new_vocabulary(words, settings)
    assert len(vocabulary) == 10_001
    assert {*vocabulary.tokens} == {f" w{k}" for k in range(10_000)}
    settings = Generator(level="word", max_vocab=20_000)._checked_settings()
    assert len(new_vocabulary(words, settings)) == 12_002


def test_more_than_half_unknown():
    strange = " ".join(f"w{k}" for k in range(400))
    with pytest.raises(DataError, match=r"100% of the text would be <unk> .* of 0; raise max_voc"):
        Generator(**SMALL, level="word").fit(strange)
    with pytest.raises(DataError, match=r"\d\d% of the text .*of 1; raise max_vocab"):
        Generator(**SMALL, max_vocab=1).fit(TEXT)
    Generator(**SMALL | {"epochs": 1}, level="word", max_vocab=1000).fit(strange)
    Generator(**SMALL | {"epochs": 1}, max_vocab=1).fit("ab" * 200)  # half is not more than half


def test_with_scikit_learn():
    base = pytest.importorskip("sklearn.base")
    model_selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    model = Generator(**SMALL)
    copy = base.clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    lines = TEXT.split("\n")
    grid = {"hidden_size": np.array([4, 16]), "lr": [1e-4, 0.02]}
    search = model_selection.GridSearchCV(model, grid, cv=2, error_score="raise").fit(lines)
    assert search.best_params_ == {"hidden_size": 16, "lr": 0.02}
    assert same(weights(search.best_estimator_), weights(Generator(**SMALL).fit(TEXT)))
    scores = model_selection.cross_val_score(model, lines, cv=3)
    assert ((scores < 0) & (scores > -4)).all()
    lower = preprocessing.FunctionTransformer(lambda texts: [text.upper() for text in texts])
    chain = pipeline.Pipeline([("upper", lower), ("write", Generator(**SMALL))])
    chain.fit(["i love you."] * 40)
    assert {*"".join(chain.predict(["i lov"] * 3))} <= {*"I LOVEYU.\n"}
    assert chain.score(["i love you."]) == chain["write"].score("I LOVE YOU.")
    search = model_selection.GridSearchCV(chain, {"write__epochs": [1, 3]}, cv=2)
    assert search.fit(["i love you."] * 40).best_params_ == {"write__epochs": 3}


def test_a_vocabulary_without_a_line_break(tmp_path):
    model = Generator(**SMALL | {"epochs": 1}).fit("甲乙丙" * 100)
    assert "\n" not in model.vocabulary_.tokens
    assert {*model.generate("", 50, seed=0)} <= {*"甲乙丙"}
    assert model.judge("甲").unknown == 0
    assert Vocabulary.of(["甲"]).encode("\n") == [0]
