"""Damaged runs of a `Forecaster`: one clear error, or a sane answer."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from elman import Forecaster
from elman.errors import DataError, RunDirectoryError

ODD = [
    None, True, False, 0, -1, 1, 2, 1.5, 1e308, -0.0, 10**30, -(10**400), 2**31, 2**63, 65536,
    float("nan"), float("inf"), "", "0.5", "tanh", "\ud800", "x" * 5000, [], [[]], [1, "a", None],
    {}, {"self": 1}, {"a": {"b": []}},
]  # fmt: skip


def wave(T=120):
    noise = np.random.default_rng(0).standard_normal((T, 2)).cumsum(0)
    return 5 * np.sin(np.arange(T)[:, None] * 2 * np.pi / 9) + noise


@pytest.fixture(scope="module")
def fitted():
    model = Forecaster(horizon=2, epochs=2, hidden_size=4).fit(wave()[:90], columns=["a", "b"])
    model.widen(wave())
    return model


@pytest.fixture
def saved(fitted, tmp_path):
    return fitted.save(tmp_path / "run")


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in list(enumerate(value))[:3] if isinstance(value, list) else items:
        yield from places(inner, (*path, key))


def replaced(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def check_message(message, directory):
    assert str(directory) in message
    assert "\n" not in message
    assert len(message) < 1000


def use(directory):
    """Load, answer, save again: one RunDirectoryError, or every figure sane."""
    try:
        model = Forecaster.load(directory)
    except RunDirectoryError as error:
        check_message(str(error), directory)
        return False
    y = wave()
    if model.frame_.memory > 100:  # a season that long is odd, but can be
        with pytest.raises(DataError, match="give more of what came before"):
            model.predict(y)
        return True
    lower, upper = model.predict_interval(y)
    assert np.isfinite([lower, upper, model.predict(y)]).all()
    assert (lower <= upper).all()
    assert 0 <= model.evaluate(y).coverage <= 1
    model.save(directory.with_name("again"))
    Forecaster.load(directory.with_name("again"))
    shutil.rmtree(directory.with_name("again"))
    return True


@pytest.mark.parametrize("file", ["config.json", "scaling.json"])
@pytest.mark.parametrize("hashed", [False, True])
def test_odd_values_anywhere(saved, file, hashed):
    """Where `hashed`, config.json vouches for the damaged file, so that it is looked into."""
    config = json.loads((saved / "config.json").read_text("utf-8"))
    whole = json.loads((saved / file).read_text("utf-8"))
    rng, refused = np.random.default_rng(2), 0
    cases = [(path, odd) for path in places(whole) for odd in ODD]
    for k in rng.permutation(len(cases))[:250]:
        path, odd = cases[k]
        data = json.dumps(replaced(whole, path, odd)).encode()
        (saved / file).write_bytes(data)
        if hashed and file == "scaling.json":
            config["files"][file] = hashlib.sha256(data).hexdigest()
            (saved / "config.json").write_text(json.dumps(config), "utf-8")
        try:
            refused += not use(saved)
        except Exception as error:
            raise AssertionError(f"{'.'.join(map(str, path))} = {odd!r:.80}: {error!r}") from error
    assert refused > 100


@pytest.mark.parametrize("file", ["config.json", "scaling.json", "model.safetensors"])
def test_cut_or_changed_anywhere(saved, file):
    whole, rng = (saved / file).read_bytes(), np.random.default_rng(1)
    for length in rng.integers(0, len(whole), 20).tolist():
        (saved / file).write_bytes(whole[:length])
        assert not use(saved) or not whole[length:].strip()
    for _ in range(50):
        data = bytearray(whole)
        data[rng.integers(0, len(data))] ^= 1 << rng.integers(8)
        (saved / file).write_bytes(data)
        assert not use(saved) or file == "config.json"
    (saved / file).unlink()
    assert not use(saved)
