"""Rows, the CSV file, the lines to read, and the picture."""

import re
from xml.etree import ElementTree

import pytest

from elman.bench import CASES, COLUMNS, read_rows, rows_of, write_rows
from elman.bench.chart import chart
from elman.bench.measure import Outcome
from elman.bench.report import HEAD, commit, lines_of, versions
from elman.errors import DataError

FACTS = {
    "elman": "0.1.0",
    "backend": "aten",
    "torch": "2.13.0",
    "jax": "0.10.2",
    "onnxruntime": "",
    "python": "3.11.7",
    "cpu": "A <Processor> & more",
    "instructions": "AVX2",
}


def outcome(name="middle", **forward):
    forward = forward or {"elman": [1.0, 1.0, 1.5], "torch": [4.0, 8.0, 6.0], "jax": [0.5]}
    samples = {"forward": forward, "train": {"elman": [2.0], "torch": [260.0]}}
    return Outcome(CASES[name], samples, dict.fromkeys(forward, 0.25), {}, FACTS)


@pytest.fixture
def rows():
    return rows_of(outcome(), "abc1234", "2026-01-02") + rows_of(outcome("packed"), "abc1234")


def test_rows(rows):
    assert all(tuple(sorted(row)) == tuple(sorted(COLUMNS)) for row in rows)
    ours, torchs, jaxs = rows[:3]
    assert (ours["ratio"], ours["bar"], ours["median_s"]) == ("", "", "1")
    assert (torchs["ratio"], torchs["bar"], torchs["iqr_s"]) == ("6", "5.5", "2")
    assert (jaxs["ratio"], jaxs["bar"], jaxs["samples"]) == ("0.5", "1.2", "1")
    assert (rows[4]["pass"], rows[4]["ratio"], rows[4]["bar"]) == ("train", "130", "6.5")
    assert (ours["commit"], ours["date"], ours["threads"]) == ("abc1234", "2026-01-02", "2")


def test_the_file_comes_back_as_it_was_written(rows, tmp_path):
    path = tmp_path / "results" / "cpu.csv"
    write_rows(path, rows)
    assert path.read_text("utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert read_rows(path) == rows


def test_a_file_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(DataError, match="measure anew"):
        read_rows(path)


def test_lines(rows):
    head, ours, torchs, jaxs, *_ = lines_of(rows[:5])
    assert head.strip() == "middle: N 32, L 128, H 128; 2 threads"
    assert " ".join(HEAD.split()) == "case pass contestant median ± iqr elman is bar"
    assert ours.split() == ["forward", "elman", "1", "s", "250", "ms"]
    assert torchs.split() == ["forward", "torch", "6", "s", "2", "s", "6×", "5.5"]
    assert jaxs.split()[-3:] == ["0.5×", "1.2", "below"]
    assert "torch 2.13.0, jax 0.10.2, python" in versions(rows[0])
    assert "no checkout" in versions({**rows[0], "commit": ""})


def test_commit():
    assert re.fullmatch(r"([0-9a-f]{7,}(\+dirty)?)?", commit())


def test_the_picture_is_well_formed_and_says_all_in_words(rows):
    picture = chart(rows)
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert root.get("role") == "img"
    named = root.get("aria-labelledby").split()
    assert [root.find(f"{space}{tag}").get("id") for tag in ("title", "desc")] == named
    told = root.find(f"{space}desc").text
    assert "N 32, L 128, H 128; 2 threads: training 130 times as fast as torch.nn.RNN" in told
    measured = [row for row in rows if row["ratio"]]
    assert len(root.findall(f"{space}rect")) == len(measured)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"6.0×", "0.50×", "130×"} <= set(texts)
    assert any("jax.jit(lax.scan)" in text for text in texts)


def test_bars_begin_at_one_and_grow_with_the_ratio(rows):
    root = ElementTree.fromstring(chart(rows[:5]))
    boxes = [
        (float(box.get("x")), float(box.get("width")))
        for box in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    (six, width), (half, narrow), (_, widest) = boxes
    assert half + narrow == pytest.approx(six, abs=0.11)  # below one it lies on the left
    assert narrow < width < widest
    assert all(x >= 0 and x + wide <= 860 for x, wide in boxes)


def test_no_ratio_no_picture(rows):
    with pytest.raises(ValueError, match="at least one ratio"):
        chart(rows[:1])
