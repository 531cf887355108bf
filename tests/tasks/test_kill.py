"""A process killed at any step of saving leaves the old run or the new one, never half of one."""

import json
import os
import subprocess
import sys

import pytest

# Each child is killed by SIGKILL just before its n-th change to the disk, for n = 1, 2, ...
# until one lives to the end; after each, whatever lies there is loaded.
DRIVER = """
import json, os, shutil, signal, sys
from pathlib import Path
from elman import Classifier

CHANGES = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"}
base, old = Path(sys.argv[1]), sys.argv[2]

def dies_at(n):
    target = base / str(n) / "run"
    shutil.copytree(old, target)
    child = os.fork()
    if child == 0:
        model = Classifier.load(target)
        model.about.command = "new"
        count = 0
        def hook(event, arguments):
            nonlocal count
            if event not in CHANGES or (event == "open" and str(base) not in str(arguments[0])):
                return
            count += 1
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        model.save(target)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    found = {}
    for place in sorted(target.parent.iterdir()):
        if not place.name.startswith("."):
            model = Classifier.load(place)  # whole, or this fails
            answer = model.predict_proba(["abc"])[0].tolist()
            found[place.name] = [model.about.command, answer, len(model.history_.records)]
    return [status, found]

results = []
while not results or results[-1][0] != 0:
    results.append(dies_at(len(results) + 1))
print(json.dumps(results))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_every_step_of_saving(fitted, tmp_path, data):
    from elman import Classifier

    model = Classifier.load(fitted.save(tmp_path / "first"))
    model.about.command = "old"
    old = model.save(tmp_path / "old")
    driver = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRIVER, str(tmp_path), str(old)],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert driver.returncode == 0, driver.stderr
    results = json.loads(driver.stdout)
    assert len(results) >= 18  # seven files opened and synced, moves, and the last one whole
    assert [status for status, _ in results] == [9] * (len(results) - 1) + [0]
    answer, epochs = fitted.predict_proba(["abc"])[0].tolist(), len(fitted.history_.records)
    whole = {name: [name, answer, epochs] for name in ("old", "new")}
    seen = []
    for _, found in results:
        assert found in (
            {"run": whole["old"]},
            {"run.bak-1": whole["old"]},
            {"run": whole["new"], "run.bak-1": whole["old"]},
        )
        seen.append(found)
    assert seen[0] == {"run": whole["old"]}
    assert seen[-1] == {"run": whole["new"], "run.bak-1": whole["old"]}
