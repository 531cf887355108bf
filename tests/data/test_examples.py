"""The data that travels with the package is what examples/data/README.md says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elman.data import read_table

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SENTENCES = EXAMPLES / "data" / "sentences_zh.txt"
SUNSPOTS = EXAMPLES / "data" / "sunspots.csv"


@pytest.fixture(scope="module")
def text():
    return SENTENCES.read_bytes().decode("utf-8")


@pytest.fixture(scope="module")
def series():
    table = read_table(SUNSPOTS)
    assert table.columns == ["year", "sunspots"]
    years = [int(year) for year in table.column("year")]
    return years, np.array([float(value) for value in table.column("sunspots")])


@pytest.mark.parametrize("script", ["make_terms.py", "make_sentences.py"])
def test_the_script_would_write_the_same_bytes(script):
    command = [sys.executable, str(EXAMPLES / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [SENTENCES, SUNSPOTS], ids=lambda path: path.name)
def test_plain_utf_8_lines(path):
    data = path.read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert not data.endswith(b"\n\n")


def test_every_line_is_a_sentence_and_none_comes_twice(text):
    lines = text.splitlines()
    assert 1500 <= len(lines) <= 2500
    assert len(set(lines)) == len(lines)
    sentence = re.compile(r"[\u4e00-\u9fff，、：]{3,19}[。！？]")
    assert [line for line in lines if not sentence.fullmatch(line)] == []


def test_what_follows_is_always_the_same(text):
    assert set(re.findall("我爱(.)", text, re.DOTALL)) == {"你"}
    lines = text.splitlines()
    assert 0.05 <= sum("我爱你" in line for line in lines) / len(lines) <= 0.08


def test_it_is_in_what_is_learned_and_in_what_is_held_out(text):
    cut = len(text) * 9 // 10
    assert text[:cut].count("我爱你") >= 100
    assert text[cut:].count("我爱你") >= 10


def test_the_years_are_consecutive_and_the_values_numbers(series):
    years, values = series
    assert years == list(range(1700, 2009))
    assert np.isfinite(values).all()
    assert (values >= 0).all()


def test_known_years(series):
    known = {
        1700: 5.0, 1711: 0.0, 1778: 154.4, 1810: 0.0, 1816: 45.8, 1870: 139.0, 1913: 1.4,
        1957: 190.2, 1958: 184.8, 1979: 155.4, 1996: 8.6, 2000: 119.6, 2008: 2.9,
    }  # fmt: skip
    values = dict(zip(*series, strict=True))
    assert {year: values[year] for year in known} == known
    assert max(values, key=values.get) == 1957


def test_the_cycle_of_about_eleven_years(series):
    x = series[1] - series[1].mean()
    correlation = [float(x[lag:] @ x[: len(x) - lag] / (x @ x)) for lag in range(20)]
    assert int(np.argmax(correlation[6:])) + 6 in (10, 11)
    assert correlation[11] > 0.5
    assert max(correlation[5:7]) < -0.25  # half a cycle later it is the other way round
