"""A training killed at any change of the disk: its place is absent, unfinished or whole."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

# As in test_kill.py each child is killed just before its n-th change to the disk; then what lies
# there is looked at, and the training is gone on with.
DRIVER = """
import itertools, json, os, shutil, signal, sys
from contextlib import redirect_stdout
from pathlib import Path
import elman
from elman import Classifier
from elman.cli.train_classify import run_classifier
from elman.cli.training import Place
from elman.data import Table
from elman.errors import ElmanError, SettingError
from elman.tasks import livepage
from elman.tasks.classify.files import Columns

livepage._OFTEN, livepage._SHARE = 0.0, 1e9  # a page after every epoch
CHANGES = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate"}
base, has_older = Path(sys.argv[1]), sys.argv[2] == "older"
TEXTS = ["".join(p) for p in itertools.permutations("头痛发热咳", 3)]
ROWS = [[t, "rise" if t < t[::-1] else "fall"] for t in TEXTS]
TABLE = Table(Path("terms.csv"), ["term", "label"], ROWS, list(range(2, 62)), "0" * 64)

def train(target, seed=1, resume=False):
    model = Classifier(hidden_size=4, embedding_size=4, epochs=2, lr=0.02, random_state=seed)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        run_classifier(model, TABLE, Columns("term", "label"), 0.2, Place(target, resume))

def content(run):
    return [(run / name).read_bytes().hex() for name in ("model.safetensors", "metrics.jsonl")]

train(base / "expected")
train(base / "older", seed=2)
NAMES = {str(content(base / name)): name for name in ("expected", "older")}

def look(target):
    found = {}
    for place in sorted(target.parent.iterdir()):
        if place.name.startswith("."):
            continue
        try:
            elman.load(place).predict_proba(["abc"])
            found[place.name] = NAMES[str(content(place))]
        except ElmanError as error:
            found[place.name] = str(error)
    return found

def dies_at(n):
    target = base / str(n) / "run"
    target.parent.mkdir()
    if has_older:
        shutil.copytree(base / "older", target)
    child = os.fork()
    if child == 0:
        count = 0
        def hook(event, arguments):
            nonlocal count
            changes = event in CHANGES and (
                event != "open" or str(base) in str(arguments[0]) and arguments[2] & os.O_ACCMODE
            )
            count += changes
            if changes and count == n:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        train(target)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    before, how = look(target), "resumed"
    try:
        train(target, resume=True)
    except SettingError as error:
        assert "made with random_state 2, now it is 1" in str(error), error
        train(target)
        how = "begun anew"
    return [status, before, how, look(target)]

results = []
while not results or results[-1][0] != 0:
    results.append(dies_at(len(results) + 1))
print(json.dumps(results))
"""


@pytest.fixture
def killed(tmp_path):
    """What lay there after each kill, how it went on, and what lay there then."""

    def run(older):
        driver = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRIVER, str(tmp_path), older],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert driver.returncode == 0, driver.stderr
        results = json.loads(driver.stdout)
        assert [status for status, *_ in results] == [9] * (len(results) - 1) + [0]
        assert len(results) >= 12
        return [rest for _, *rest in results]

    return run


def test_in_a_new_place(killed):
    results = killed("none")
    kinds = []
    for before, how, after in results:
        message = before.get("run", "absent")
        kind = (
            "unfinished" if "its training is not finished; give the command" in message else message
        )
        if message.endswith("not a run directory, config.json is missing"):
            kind = "empty"  # a folder, just made
        kinds.append(kind)
        assert before.keys() <= {"run"}
        assert how == "resumed"
        assert after == {"run": "expected"}, (kind, after)
    first_of_each = list(dict.fromkeys(kinds))
    assert first_of_each == ["absent", "empty", "unfinished", "expected"]
    assert kinds == sorted(kinds, key=first_of_each.index)


def test_where_an_older_run_is(killed):
    results = killed("older")
    seen = []
    for before, how, after in results:
        assert before in (
            {"run": "older"},
            {"run.bak-1": "older"},
            {"run": "expected", "run.bak-1": "older"},
        )
        assert after == {"run": "expected", "run.bak-1": "older"}, (before, after)
        seen.append((before, how))
    assert seen[0] == ({"run": "older"}, "begun anew")  # there was nothing to go on from
    assert ({"run": "older"}, "resumed") in seen
    assert seen[-1] == ({"run": "expected", "run.bak-1": "older"}, "resumed")
