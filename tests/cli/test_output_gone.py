"""Standard output that is full, or whose reader has gone: one line or none, no traceback."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

FULL = Path("/dev/full")
TRAIN = "train classify FILE --text term --label label --epochs 1 --out NEW"
COMMANDS = [["info"], ["evaluate", "RUN", "FILE"], ["predict", "RUN", "FILE"], TRAIN.split()]


@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_full(process, trained, terms, tmp_path, words):
    places = {"RUN": trained, "FILE": terms, "NEW": tmp_path / "new"}
    with FULL.open("w") as full:
        done = process(
            *(places.get(word, word) for word in words),
            capture_output=False, stdout=full, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["terms.csv"]


@pytest.mark.skipif(os.name == "nt", reason="needs pipes that break")
def test_a_reader_that_has_gone(command, trained, tmp_path):
    start, environment = command
    file = tmp_path / "many.csv"
    file.write_text("term\n" + "头痛发\n" * 50_000, "utf-8")
    with subprocess.Popen(
        [*start, "predict", str(trained), str(file)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as writer:  # fmt: skip
        assert writer.stdout.readline().startswith("term,predicted")
        writer.stdout.close()
        assert writer.stderr.read() == ""
        assert writer.wait(300) == 141


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes what it is told to")
@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [("info", ">&-", 0), ("predict RUN FILE", ">&-", 0), ("predict RUN gone.csv", "2>&-", 2)],
)
def test_closed_by_who_called(command, trained, terms, words, closed, code):
    """Nothing is said where nobody listens; the end is the same."""
    start, environment = command
    places = {"RUN": trained, "FILE": terms}
    line = shlex.join([*start, *(str(places.get(word, word)) for word in words.split())])
    done = subprocess.run(
        ["sh", "-c", f"exec {line} {closed}"], env=environment, capture_output=True, check=False
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
