"""`elman predict` on folders, on other kinds of file than it writes, and on files of any length."""

import json
import shutil
from importlib import import_module

import pytest

from elman import Classifier

elman_data = import_module("elman.data")


@pytest.fixture
def folder(tmp_path, terms):
    """Three files of terms, one of them a JSONL with typed values, and two that are passed over."""
    folder = tmp_path / "many"
    folder.mkdir()
    shutil.copy(terms, folder / "b.csv")
    records = [
        {"term": "头痛发", "n": 1.5, "ok": True, "nothing": None, "list": [1, {"a": "名"}]},
        {"term": "", "n": 2, "ok": False, "nothing": None, "list": []},
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    (folder / "c.tsv").write_text("n\tterm\n1\t头痛发\n", "utf-8")
    (folder / ".hidden.csv").write_text("x\n")
    (folder / "notes.txt").write_text("x\n")
    (folder / "deeper.csv").mkdir()
    return folder


def names(place):
    return sorted(path.name for path in place.iterdir())


def test_a_folder_into_a_folder(elman, trained, folder, tmp_path, contents):
    before, out = contents(folder), tmp_path / "deep" / "answers"
    result = elman("predict", trained, folder, "-o", out)
    assert (result.code, result.out) == (0, "")
    assert names(out) == ["a.jsonl", "b.csv", "c.tsv"]
    over, *told = result.err.splitlines()
    assert over == "passed over, not .csv, .tsv or .jsonl: notes.txt"
    assert told == [
        f"{rows} rows with their answers in {out / name}"
        for rows, name in ((2, "a.jsonl"), (60, "b.csv"), (1, "c.tsv"))
    ]
    for name in names(out):
        assert (out / name).read_bytes().decode() == elman("predict", trained, folder / name).out
    assert contents(folder) == before


def test_jsonl_keeps_its_types(elman, trained, folder):
    answers = Classifier.load(trained).predict_proba(["头痛发", ""])
    lines = elman("predict", trained, folder / "a.jsonl").out.splitlines()
    for line, source, (fall, rise) in zip(
        lines, (folder / "a.jsonl").read_text("utf-8").splitlines(), answers, strict=True
    ):
        assert json.loads(line) == json.loads(source) | {
            "predicted": "fall" if fall > rise else "rise",
            "probability_fall": pytest.approx(fall, abs=1e-7),
            "probability_rise": pytest.approx(rise, abs=1e-7),
        }
        assert '"n": 1.5, "ok": true' in lines[0]
    assert "名" in lines[0]


def test_the_name_of_the_output_says_its_kind(elman, refused, trained, terms, tmp_path, folder):
    printed = elman("predict", trained, terms).out
    header, *rows = [line.split(",") for line in printed.splitlines()]
    elman("predict", trained, terms, "-o", tmp_path / "out.jsonl")
    records = [
        json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    ]
    assert [list(record) for record in records] == [header] * 60
    for record, row in zip(records, rows, strict=True):
        assert [record[name] for name in header[:4]] == row[:4]
        assert [f"{record[name]:.6f}" for name in header[4:]] == row[4:]
    elman("predict", trained, terms, "-o", tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text("utf-8") == printed.replace(",", "\t")
    elman("predict", trained, folder / "a.jsonl", "-o", tmp_path / "flat.csv")
    first = (tmp_path / "flat.csv").read_text("utf-8").splitlines()[1]
    assert first.startswith('头痛发,1.5,true,,"[1, {""a"": ""名""}]",')
    line = refused("predict", trained, terms, "-o", tmp_path / "out.xlsx")
    assert "out.xlsx: unknown kind of file; name it .csv, .tsv or .jsonl" in line


def test_one_bad_file_stops_no_other(elman, trained, folder, tmp_path):
    (folder / "aa.csv").write_text("text\nx\n")
    (folder / "bb.jsonl").write_text("{\n")
    out = tmp_path / "answers"
    out.mkdir()
    (out / "aa.csv").write_text("older answers")
    result = elman("predict", trained, folder, "-o", out)
    assert result.code == 2
    assert names(out) == ["a.jsonl", "aa.csv", "b.csv", "c.tsv"]
    assert (out / "aa.csv").read_text() == "older answers"
    told = result.err.splitlines()[1:]
    assert [line.split(":")[0] for line in told] == [
        f"2 rows with their answers in {out / 'a.jsonl'}", "error",
        f"60 rows with their answers in {out / 'b.csv'}", "error",
        f"1 rows with their answers in {out / 'c.tsv'}", "error",
    ]  # fmt: skip
    assert f"{folder / 'aa.csv'}: no column 'term'" in told[1]
    assert f"{folder / 'bb.jsonl'}: row 1 (line 1)" in told[3]
    assert told[5] == "error: 2 of 5 files could not be answered for"
    assert "Traceback" not in result.err


def test_a_folder_needs_another_folder(refused, trained, folder, terms, tmp_path, contents):
    before = contents(tmp_path)
    assert f"{folder}: is a folder; say with -o which" in refused("predict", trained, folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    before = contents(tmp_path)
    for output in (folder, folder / ".." / "many", link):
        assert "is the input folder itself; choose another for -o" in refused(
            "predict", trained, folder, "-o", output
        )
    assert f"{terms}: cannot be written: File exists" in refused(
        "predict", trained, folder, "-o", terms
    )
    (tmp_path / "empty").mkdir()
    before["empty"] = None
    assert "no file to read in this folder" in refused(
        "predict", trained, tmp_path / "empty", "-o", tmp_path / "out"
    )
    assert contents(tmp_path) == before


def test_a_long_file_is_read_a_block_at_a_time(
    elman, refused, trained, terms, tmp_path, monkeypatch
):
    """Answers are as for a short one; a slip near its end leaves the older answers alone."""

    sizes, read = [], elman_data.read_blocks

    def listening(*arguments):
        for block in read(*arguments):
            sizes.append(len(block.rows))
            yield block

    monkeypatch.setattr(elman_data, "read_blocks", listening)
    header, *lines = terms.read_text("utf-8").splitlines()
    long, out = tmp_path / "long.csv", tmp_path / "out.csv"
    long.write_text("\n".join([header, *(lines * 300)]) + "\n", "utf-8")
    assert elman("predict", trained, long, "-o", out).code == 0
    assert sizes == [8192, 8192, 18000 - 2 * 8192]
    first, *answers = out.read_text("utf-8").splitlines()
    assert [first, *answers[:60]] == elman("predict", trained, terms).out.splitlines()
    assert answers == answers[:60] * 300
    before = out.read_bytes()
    with long.open("a", encoding="utf-8") as file:
        file.write("头痛发,rise\n")
    line = refused("predict", trained, long, "-o", out)
    assert "row 18001 (line 18002) has 2 fields" in line
    assert out.read_bytes() == before
    assert names(tmp_path) == ["long.csv", "out.csv", "terms.csv"]
