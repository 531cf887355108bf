"""Generator: learns, foretells by the book, writes on, and comes back the same."""

import itertools
import json
import math
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from elman import Classifier, Generator
from elman.data import Vocabulary, read_text
from elman.data.vocabulary import tokens_of
from elman.errors import (
    DataError,
    InterruptedTrainingError,
    NotFittedError,
    RunDirectoryError,
    SettingError,
    TrainingError,
)
from elman.tasks.generate import writing
from elman.tasks.generate.corpus import joined, new_vocabulary, split_at_line
from elman.tasks.generate.files import train_on_text
from elman.tasks.generate.lesson import GeneratorLesson, new_network, total_nats
from elman.tasks.task import seeded

EXAMPLE = Path(__file__).parents[2] / "examples/data/sentences_zh.txt"
TEXT = "我爱你。你爱我！\n他爱她，她也爱他。\n" * 30
SMALL = {
    "embedding_size": 8, "hidden_size": 16, "epochs": 3, "lr": 0.02, "chunk": 8, "batch_size": 3,
}  # fmt: skip
STREAM = "我爱你。你爱我。\n"


@pytest.fixture(scope="module")
def writer():
    """Trained once; tests must not change it."""
    return Generator(**SMALL).fit(TEXT)


@pytest.fixture(scope="module")
def prose():
    """One of words; tests must not change it."""
    rng = random.Random(0)
    words = ["the cat", "a dog", "sat", "ran", "on a mat", "home"]
    text = "\n".join(" ".join(rng.choices(words, k=5)) + "." for _ in range(60))
    return Generator(**SMALL, level="word").fit(text)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


class Plain(nn.Module):
    """The network in torch's own modules, with the weights of another."""

    def __init__(self, model):
        super().__init__()
        rnn = model.rnn
        self.embedding = nn.Embedding(model.embedding.num_embeddings, rnn.input_size)
        self.rnn = nn.RNN(rnn.input_size, rnn.hidden_size, rnn.num_layers, batch_first=True)
        self.linear = nn.Linear(rnn.hidden_size, model.embedding.num_embeddings)
        self.to(model.linear.weight.dtype).load_state_dict(model.state_dict())

    def forward(self, tokens, state=None):
        h, state = self.rnn(self.embedding(tokens), state)
        return self.linear(h).log_softmax(-1), state

    def nats(self, ids):
        """Of all but the first, in one pass."""
        tokens = torch.tensor(ids)
        with torch.no_grad():
            log_probs = self(tokens[None, :-1])[0][0].double()
        return -sum(float(log_probs[t, k]) for t, k in enumerate(tokens[1:].tolist()))


# Learning ------------------------------------------------------------------------------------


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
    "validation": 0.2, "random_state": 1,
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
    arguments = SMALL | {"hidden_size": 48, "lr": 0.03, "epochs": 12}
    models = {p: Generator(**arguments, patience=p).fit(text) for p in (1, 3)}
    for patience, model in models.items():
        history = model.history_
        assert history.epochs == history.best_epoch + patience < 12
        held = split_at_line(text, 0.05)[1]
        best = min(record["valid_bits_per_character"] for record in history.records)
        assert model.judge(held).bits_per_character == pytest.approx(best, rel=1e-12)


def test_it_has_all_parameters_of_its_settings():
    names = [*OTHER, "level", "patience", "device"]
    assert sorted(Generator().get_params()) == sorted(names)
    assert Generator().get_params() == Generator()._checked_settings().model_dump()
    assert repr(Generator(lr=0.5)) == "Generator(lr=0.5)"


# Truncated back-propagation, by hand ---------------------------------------------------------


def by_hand(ids, settings, epoch=1):
    """The rows of an epoch: some tokens hidden, the ring turned, streams side by side."""
    rng = np.random.default_rng([settings.random_state, epoch])
    once = [i for i, n in Counter(ids.tolist()).items() if n == 1]
    draws = rng.random(len(ids))
    chance = [0.5 if k in once else 0.001 for k in ids.tolist()]
    hidden = [0 if d < c else int(k) for d, c, k in zip(draws, chance, ids, strict=True)]
    turn = int(rng.integers(len(ids)))
    ring = hidden[turn:] + hidden[:turn]
    count = max(1, min(settings.batch_size, len(ids) // (32 * settings.chunk)))
    steps = (len(ids) - 1) // count
    return torch.tensor([ring[k * steps : (k + 1) * steps + 1] for k in range(count)])


def lesson_of(text, **more):
    settings = Generator(**SMALL | {"token_dropout": 0.0} | more)._checked_settings()
    vocabulary = new_vocabulary(text, settings)
    ids = np.array(vocabulary.encode(text))
    with seeded(settings.random_state, "cpu"):
        model = new_network(settings, len(vocabulary))
    lesson = GeneratorLesson(model, settings, ids, ids[:50], 50, torch.device("cpu"))
    return lesson, settings, ids


@pytest.mark.parametrize("layers", [1, 2])
def test_loss_and_gradients_of_an_epoch_by_hand(layers):
    text = "".join(random.Random(1).choices("甲乙丙丁，。\n", k=800)) + "子丑寅卯"
    lesson, settings, ids = lesson_of(text, num_layers=layers)
    model, plain = lesson.model.double(), Plain(lesson.model.double())
    bounds = lesson.batches(np.random.default_rng([0, 1]))
    rows = by_hand(ids, settings)
    assert rows.shape == (3, 268)
    assert torch.equal(lesson.rows, rows)
    assert (rows == 0).sum() > (ids == 0).sum()
    state, forgetful = None, []
    for number, start in enumerate(range(0, 267, 8)):
        end = min(start + 8, 267)
        assert bounds[number] == (start, end)
        tokens, targets = rows[:, start:end], rows[:, start + 1 : end + 1]
        log_probs, last = plain(tokens, state)
        loss = -log_probs.gather(2, targets[..., None]).sum()
        plain.zero_grad()
        loss.backward()
        forgetful.append(bool(torch.isclose(plain(tokens)[0], log_probs).all()))
        state = last.detach()

        model.zero_grad()
        total, count = lesson.loss(model, bounds[number])
        total.backward()
        assert count == 3 * (end - start)
        assert total.item() == pytest.approx(loss.item(), rel=1e-12)
        assert torch.allclose(lesson.carried["state"], state, atol=1e-12)
        assert not lesson.carried["state"].requires_grad
        for (name, mine), (_, theirs) in zip(
            model.named_parameters(), plain.named_parameters(), strict=True
        ):
            assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-11), name
    assert len(bounds) == number + 1 == len(forgetful)
    assert forgetful == [True] + [False] * number  # what was carried made the difference


def test_tokens_are_hidden_when_read_and_not_when_told():
    lesson, _, _ = lesson_of(TEXT, token_dropout=0.99)
    bounds = lesson.batches(np.random.default_rng(0))
    seen = []

    def network(tokens, state):
        seen.append(tokens)
        return lesson.model(tokens, state)

    for batch in bounds:
        lesson.loss(network, batch)
    read = torch.cat(seen, 1)
    assert 0.97 < (read == 0).double().mean() < 1
    assert (lesson.rows[:, 1:] == 0).double().mean() < 0.01


def test_a_whole_epoch_by_hand():
    model = Generator(**SMALL | {"epochs": 1, "token_dropout": 0.0, "weight_decay": 0.3}).fit(TEXT)
    stay, held = split_at_line(TEXT, 0.05)
    lesson, settings, ids = lesson_of(stay, epochs=1, weight_decay=0.3)
    plain = Plain(lesson.model)
    rows = by_hand(ids, settings)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.02, weight_decay=0.3)
    starts = range(0, rows.shape[1] - 1, 8)
    state, losses = None, []
    for number, start in enumerate(starts):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - number / len(starts))
        chunk = rows[:, start : start + 9]
        log_probs, state = plain(chunk[:, :-1], None if state is None else state.detach())
        loss = nn.functional.nll_loss(log_probs.flatten(0, 1), chunk[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    record = model.history_.records[0]
    # float32 rounds at 6e-8, some seventy steps of a learner at rest amplify it little
    assert record["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    held_ids = model.vocabulary_.encode("\n" + held)
    assert record["valid_loss"] == pytest.approx(plain.nats(held_ids) / len(held), rel=1e-3)
    assert losses[-1] < losses[0] / 2


# Judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 3, 100, 513, 514, 1300])
def test_the_nats_of_a_whole_pass_whatever_the_chunk(writer, length):
    model = Generator(**SMALL)
    model.settings_, model.vocabulary_ = writer.settings_, writer.vocabulary_
    network = model._new_network().double().eval()
    network.load_state_dict(writer.model_.state_dict())
    ids = np.array(writer.vocabulary_.encode((TEXT * 3)[:length]))
    whole = Plain(network).nats(ids)
    for chunk in (1, 7, 512, length - 1, 10**6):
        assert total_nats(network, ids, chunk) == pytest.approx(whole, rel=1e-12)
    assert total_nats(network, ids) == pytest.approx(whole, rel=1e-12)
    assert total_nats(writer.model_, ids) == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("writer", "我爱她。\n她也爱你！\n"),
        ("writer", "我爱🤖，x"),
        ("writer", "我"),
        ("writer", "🤖"),
        ("writer", "\n"),
        ("prose", "the cat sat on the mat."),
        ("prose", "a cow jumped over the moon\n"),
        ("prose", "  indented"),
    ],
)
def test_a_judgement_by_hand(request, kind, text):
    model = request.getfixturevalue(kind)
    level = model.level
    tokens = tokens_of("\n" + text, level)
    number = {token: i for i, token in enumerate(model.vocabulary_.tokens, start=1)}
    ids = [number.get(token, 0) for token in tokens]
    nats = Plain(model.model_).nats(ids)
    total = sum(int(n) + 1 for n in model.counts_)
    unigram = -sum(math.log2((int(model.counts_[i]) + 1) / total) for i in ids[1:])
    judgement = model.judge(text)
    assert judgement.characters == len(text)
    bits = nats / math.log(2) / len(text)
    assert judgement.bits_per_character == pytest.approx(bits, rel=1e-5)
    assert judgement.perplexity == pytest.approx(math.exp(nats / (len(ids) - 1)), rel=1e-5)
    assert judgement.unigram_bits == pytest.approx(unigram / len(text), rel=1e-12)
    unknown = sum(token not in number for token in tokens[1:]) / (len(tokens) - 1)
    assert judgement.unknown == pytest.approx(unknown)
    assert model.score(text) == -judgement.bits_per_character
    assert model.score(text.split("\n")) == model.score(text)


def test_counts_are_of_the_text_learned_from(writer, prose):
    stay, _ = split_at_line(TEXT, 0.05)
    counts = Counter(stay)
    assert writer.vocabulary_.tokens == sorted(counts, key=lambda c: (-counts[c], c))
    assert writer.counts_.tolist() == [0, *(counts[c] for c in writer.vocabulary_.tokens)]
    assert prose.counts_[0] == 1  # the first of the text, without a blank before it
    assert min(prose.counts_[1:]) >= 2


def test_what_cannot_be_judged(writer):
    for empty in ("", []):
        with pytest.raises(DataError, match="the text is empty; give some"):
            writer.judge(empty)
    for odd in (None, 3, b"abc", ["a", 3], ["a", None], [b"a"], np.array([["a"]])):
        with pytest.raises(DataError, match=r"X(\[\d\])? should be "):
            writer.judge(odd)
        with pytest.raises(DataError, match=r"X(\[\d\])? should be "):
            Generator(**SMALL).fit(odd)
    with pytest.raises(DataError, match="half a character"):
        writer.judge("我\ud83d")


# Texts ---------------------------------------------------------------------------------------

HARD = "😀👨‍👩‍👧‍👦 ça va? e\u0301te\u0301 𠮷野家\r\n\u200bहिन्दी\tالعربية \U0010ffff �<unk>\r\n"


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


# Writing -------------------------------------------------------------------------------------


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
        "nonlinearity": ["sigmoid"],
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
        "random_state": [-1, 2**32, None],
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


# Reports, interruptions, going on ------------------------------------------------------------


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


# Saved and loaded ----------------------------------------------------------------------------


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


ODD = [
    None, True, -1, 0, 1, 1.5, 10**30, 2**63, float("nan"), float("inf"), "", "1", "<unk>", "我",
    "\ud800", "x" * 5000, [], [[]], ["a", "a"], [1, None], {}, {"a": {"b": []}},
]  # fmt: skip


def check_use(run):
    """Load and write: a RunDirectoryError that names the place, or all is sane."""
    try:
        model = Generator.load(run)
    except RunDirectoryError as error:
        message = str(error)
        assert str(run) in message
        assert "\n" not in message
        assert len(message) < 1000
        return False
    assert len(list(model.stream("我爱", 5, seed=0))) == 5
    assert math.isfinite(model.judge("我爱🤖").bits_per_character)
    return True


def places(value, path=()):
    yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def changed(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], odd)
    return copy


def rewrite(run, name, data, sign):
    """Put other bytes there; with `sign`, as if elman had written them."""
    (run / name).write_bytes(data)
    if sign:
        import hashlib

        config = json.loads((run / "config.json").read_text("utf-8"))
        config["files"][name] = hashlib.sha256(data).hexdigest()
        (run / "config.json").write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize("sign", [False, True], ids=["unsigned", "signed"])
def test_odd_values_in_the_vocabulary(writer, tmp_path, sign):
    run = writer.save(tmp_path / "run")
    whole = json.loads((run / "vocab.json").read_text("utf-8"))
    cases = [(path, odd) for path in places(whole) for odd in ODD]
    answered = 0
    for k in np.random.default_rng(0).permutation(len(cases))[:250]:
        path, odd = cases[k]
        rewrite(run, "vocab.json", json.dumps(changed(whole, path, odd)).encode(), sign)
        try:
            answered += check_use(run)
        except Exception as error:
            raise AssertionError(f"{path} = {odd!r}: {error!r}") from error
    assert answered == 0 if not sign else 10 < answered < 200


@pytest.mark.parametrize("sign", [False, True], ids=["unsigned", "signed"])
def test_bytes_changed_in_the_vocabulary(writer, tmp_path, sign):
    run = writer.save(tmp_path / "run")
    whole = (run / "vocab.json").read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(120):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = (
                rng.integers(0, 256) if trial % 2 else data[place] ^ (1 << rng.integers(8))
            )
        if trial % 10 == 0:
            data = data[: rng.integers(0, len(data))]
        rewrite(run, "vocab.json", bytes(data), sign)
        assert not check_use(run) or sign or bytes(data) == whole


def test_odd_values_in_the_config(writer, tmp_path):
    run = writer.save(tmp_path / "run")
    whole = json.loads((run / "config.json").read_text("utf-8"))
    cases = [(path, odd) for path in places(whole) for odd in [*ODD, "word", "relu", "classify"]]
    for k in np.random.default_rng(2).permutation(len(cases))[:250]:
        path, odd = cases[k]
        text = json.dumps(changed(whole, path, odd))
        (run / "config.json").write_text(text, "utf-8")
        try:
            check_use(run)
        except Exception as error:
            raise AssertionError(f"{path} = {odd!r}: {error!r}") from error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ["我", "我"]}, "each token once"),
        ({"tokens": ["我", "<unk>"]}, "<unk> not at all"),
        ({"tokens": ["我", 3]}, "a list of strings named tokens"),
        ({"tokens": None}, "a list of strings named tokens"),
        ({"counts": [1]}, "a count for each token"),
        ({"counts": None}, "a count for each token"),
        ({"tokens": ["我"], "counts": [0, 1]}, r"model\.safetensors: damaged: .* should be \(2, "),
    ],
    ids=str,
)
def test_the_message(writer, tmp_path, change, message):
    run = writer.save(tmp_path / "run")
    whole = json.loads((run / "vocab.json").read_text("utf-8"))
    rewrite(run, "vocab.json", json.dumps(whole | change).encode(), sign=True)
    with pytest.raises(RunDirectoryError, match=message):
        Generator.load(run)


def test_counts_that_are_none(writer, tmp_path):
    run = writer.save(tmp_path / "run")
    whole = json.loads((run / "vocab.json").read_text("utf-8"))
    for odd in (-1, 1.5, True, "1", None, 2**62, [1]):
        counts = [odd, *whole["counts"][1:]]
        rewrite(run, "vocab.json", json.dumps(whole | {"counts": counts}).encode(), sign=True)
        with pytest.raises(RunDirectoryError, match="a count for each token"):
            Generator.load(run)
    shutil.rmtree(run)
    with pytest.raises(RunDirectoryError, match="no such run directory"):
        Generator.load(run)


# With scikit-learn ---------------------------------------------------------------------------


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
