"""Damaged runs of a Generator: one clear error, or sane answers."""

import json
import math
import shutil

import numpy as np
import pytest

from elman import Generator
from elman.errors import (
    RunDirectoryError,
)

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
