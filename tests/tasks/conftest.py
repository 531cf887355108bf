"""A small classifier that learned something, for the tests that need one."""

import itertools
import random

import pytest

from elman import Classifier, Generator
from tests.tasks import generators

TEXTS = ["".join(p) for p in itertools.permutations("头痛发热咳", 3)]
LABELS = ["rise" if text < text[::-1] else "fall" for text in TEXTS]
SMALL = {
    "embedding_size": 8, "hidden_size": 8, "epochs": 4, "lr": 0.02, "token_dropout": 0.0,
    "dropout": 0.1, "validation": 0.2,
}  # fmt: skip


@pytest.fixture(scope="session")
def data():
    return list(TEXTS), list(LABELS)


@pytest.fixture(scope="session")
def small():
    """Arguments that make training quick."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def fitted():
    """Trained once; tests must not change it."""
    return Classifier(**SMALL).fit(TEXTS, LABELS)


@pytest.fixture
def saved(fitted, tmp_path):
    """A run directory of its own."""
    return fitted.save(tmp_path / "run")


@pytest.fixture(scope="session")
def writer():
    """Trained once; tests must not change it."""
    return Generator(**generators.SMALL).fit(generators.TEXT)


@pytest.fixture(scope="session")
def prose():
    """One of words; tests must not change it."""
    rng = random.Random(0)
    words = ["the cat", "a dog", "sat", "ran", "on a mat", "home"]
    text = "\n".join(" ".join(rng.choices(words, k=5)) + "." for _ in range(60))
    return Generator(**generators.SMALL, level="word").fit(text)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Exported models by their names in `exports`, each made when it is first asked for; tests
    must not change them.
    """
    from tests.tasks import exports

    known = {}

    def of(name):
        if name not in known:
            known[name] = exports.case(name, tmp_path_factory.mktemp("model"))
        return known[name]

    return of
