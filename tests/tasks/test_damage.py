"""Hundreds of damaged run directories and files: one clear error, or a sane answer."""

import io
import json
import shutil
import signal

import numpy as np
import pytest

from elman import Classifier
from elman.data import read_table, row_writer
from elman.errors import DataError, ElmanError, RunDirectoryError
from elman.tasks.classify.files import (
    Columns,
    answer_columns,
    answers,
    evaluate_on_table,
    train_on_table,
)

FILES = ["config.json", "vocab.json", "model.safetensors", "metrics.jsonl"]
ODD = [
    None, True, False, 0, -1, 1, 2, 1.5, 1e308, -0.0, 10**30, -(10**400), 2**31, 2**63, 65536,
    float("nan"), float("inf"), "", "0.5", "1", "tanh", "<unk>", "\ud800", "x" * 5000, [], [[]],
    ["a", "a"], [1, "a", None], {}, {"self": 1}, {"a": {"b": []}},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_hanging():
    """A load that takes longer than a minute fails instead of hanging."""

    def late(*_):
        raise AssertionError("still at it after a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def check_message(error, path):
    """One line, not too long, that names the place."""
    message = str(error)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000


def use(directory):
    """Load, answer, save again: an ElmanError, or every figure sane. True if it answered."""
    try:
        model = Classifier.load(directory)
    except RunDirectoryError as error:
        check_message(error, directory)
        return False
    probabilities = model.predict_proba(["头痛发", "abc", ""])
    assert probabilities.shape == (3, len(model.classes_))
    assert np.isfinite(probabilities).all()
    assert np.allclose(probabilities.sum(1), 1)
    assert len(model.predict(["头痛发"])) == 1
    try:
        model.save(directory.with_name("again"))
    except ElmanError:
        return True
    Classifier.load(directory.with_name("again"))
    shutil.rmtree(directory.with_name("again"))
    return True


@pytest.mark.parametrize("file", FILES)
def test_cut_short_anywhere(saved, file):
    whole = (saved / file).read_bytes()
    rng = np.random.default_rng(0)
    answered = []
    for length in sorted({0, 1, 7, 8, 9, *rng.integers(0, len(whole), 25).tolist()}):
        (saved / file).write_bytes(whole[:length])
        if use(saved):
            answered.append(length)
    if file != "metrics.jsonl":  # that one is not needed, and a line fewer cannot be told
        assert [n for n in answered if whole[n:].strip()] == []


@pytest.mark.parametrize("file", FILES)
def test_bytes_changed_anywhere(saved, file):
    whole = (saved / file).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for trial in range(80):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            place = rng.integers(0, min(len(data), 600) if trial % 2 else len(data))
            data[place] = (
                rng.integers(0, 256) if trial % 4 < 2 else data[place] ^ (1 << rng.integers(8))
            )
        (saved / file).write_bytes(data)
        refused += not use(saved)
    assert refused >= 10


def places(value, path=()):
    """The path of every value inside a JSON value."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def removed(value, path):
    copy = value.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = removed(value[path[0]], path[1:])
    return copy


@pytest.mark.parametrize("file", ["config.json", "vocab.json", "metrics.jsonl"])
def test_odd_values_anywhere(saved, file):
    lines = (saved / file).read_text("utf-8").splitlines()
    text = "\n".join(lines) if file != "metrics.jsonl" else lines[0]
    whole = json.loads(text)
    rng = np.random.default_rng(2)
    everywhere = list(places(whole))
    cases = [(path, odd) for path in everywhere for odd in ODD]
    for k in rng.permutation(len(cases))[:400]:
        path, odd = cases[k]
        try:
            (saved / file).write_text(json.dumps(replaced(whole, path, odd)) + "\n", "utf-8")
            use(saved)
        except Exception as error:
            raise AssertionError(f"{'.'.join(map(str, path))} = {odd!r}: {error!r}") from error
    for path in everywhere[1:]:
        (saved / file).write_text(json.dumps(removed(whole, path)), "utf-8")
        use(saved)


@pytest.mark.parametrize("file", [*FILES, "README.md"])
def test_a_file_gone_or_a_directory(saved, file):
    (saved / file).unlink()
    needed = file in FILES[:3]
    assert use(saved) is not needed
    (saved / file).mkdir()
    assert use(saved) is (file == "README.md")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "tag"}, "a run of the task 'tag', 'classify' is needed"),
        ({"format": "other"}, "config.json is not that of an elman run"),
        ({"format_version": 3}, r"written by a newer elman \(format 3, .*pip install --upgrade"),
        ({"format_version": 10**30, "new": 1}, "written by a newer elman"),
        ({"classes": ["a"]}, "config.json: damaged: classes"),
        ({"classes": ["a", "b", "c"]}, r"model\.safetensors: damaged: linear\.\w+ should be \(3"),
        ({"classes": ["a", "a"]}, "config.json: damaged: classes"),
        ({"settings": {"hidden_size": 16384}}, "config.json: damaged: settings: .* is missing"),
        ({"settings": {"hiden_size": 8}}, "config.json: damaged: .*no parameter 'hiden_size'"),
        ({"settings": {"self": 8}}, "config.json: damaged: .*no parameter 'self'"),
        ({"settings": {"dropout": "0.5"}}, "config.json: damaged: .*dropout"),
    ],
    ids=str,
)  # fmt: skip
def test_the_message(saved, change, message):
    config = json.loads((saved / "config.json").read_text("utf-8"))
    (saved / "config.json").write_text(json.dumps(config | change), "utf-8")
    with pytest.raises(RunDirectoryError, match=message):
        Classifier.load(saved)


def damaged_tables(rng):
    """CSV and JSONL files, each with a few bytes of the hard kind put in, cut or changed."""
    pairs = [(text, label) for text, label in zip("甲乙丙丁戊己", "ababab", strict=True)] * 4
    csv = "term,label\n" + "".join(f'"{text}",{label}\n' for text, label in pairs)
    jsonl = "".join(json.dumps({"term": t, "label": c}) + "\n" for t, c in pairs)
    hard = [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"{", b"}", b"\\", b"\\ud800", b"\t", b"\x85"]
    for trial in range(200):
        name, text = ("t.csv", csv) if trial % 2 else ("t.jsonl", jsonl)
        data = bytearray(text.encode())
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(0, len(data)))
            piece = hard[rng.integers(len(hard))]
            data[place : place + int(rng.integers(0, 3))] = piece
        if rng.random() < 0.2:
            data = data[: rng.integers(0, len(data))]
        yield name, bytes(data)


def test_damaged_tables(fitted, tmp_path, small):
    rng = np.random.default_rng(3)
    columns, told = Columns("term", "label"), 0
    for name, data in damaged_tables(rng):
        path = tmp_path / name
        path.write_bytes(data)
        try:
            table = read_table(path)
            units, rows = answers(fitted, table, columns)
            for kind in ("csv", "jsonl"):
                stream = io.StringIO()
                added = answer_columns(fitted)
                row_writer(stream, kind, units.columns, added, path).write(units, rows)
                stream.getvalue().encode()
            model = Classifier(**(small | {"epochs": 1, "hidden_size": 2}))
            train_on_table(model, table, columns, 0.3)
            model.save(tmp_path / "run")
            shutil.rmtree(tmp_path / "run")
            evaluate_on_table(model, table, columns)
        except DataError as error:
            told += 1
            check_message(error, path)
        except Exception as error:
            raise AssertionError(f"{error!r} on {data!r}") from error
    assert 60 <= told < 200
