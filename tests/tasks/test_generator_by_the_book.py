"""Generator against torch.nn.RNN and hand computation: loss, gradients, figures."""

import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from elman import Generator
from elman.data.vocabulary import tokens_of
from elman.errors import (
    DataError,
)
from elman.tasks.devices import seeded
from elman.tasks.generate.corpus import new_vocabulary, split_at_line
from elman.tasks.generate.lesson import GeneratorLesson, new_network, total_nats
from tests.tasks.generators import SMALL, TEXT, Plain


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
    lesson = GeneratorLesson(model, settings, ids, ids[:50], 50, 0.0, torch.device("cpu"))
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
    # what is not known is spelled: each byte and an end, 8 bits each
    spelled = 8 * sum(len(t.encode()) + 1 for t in tokens[1:] if t not in number)
    judgement = model.judge(text)
    assert judgement.characters == len(text)
    bits = (nats / math.log(2) + spelled) / len(text)
    assert judgement.bits_per_character == pytest.approx(bits, rel=1e-5)
    assert judgement.perplexity == pytest.approx(math.exp(nats / (len(ids) - 1)), rel=1e-5)
    assert judgement.unigram_bits == pytest.approx((unigram + spelled) / len(text), rel=1e-12)
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
