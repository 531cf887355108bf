"""row_writer: answers beside their rows as CSV, TSV and JSONL; and which files hold rows."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from elman.data import files_in, kind_of, open_output, read_blocks, read_table, row_writer
from elman.data.delimited import delimited_writer
from elman.data.kinds import passed_over
from elman.errors import DataError, SettingError

TYPED = [{"t": "a,b", "n": 1, "x": [1.5, None]}, {"x": {"头": True}, "n": None, "t": 'say "hi"'}]
ANSWERS = [["up", 0.1 + 0.2, np.float32(0.5)], ["down\t", 1e-9, np.int64(7)]]


@pytest.fixture
def typed(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in TYPED))
    return read_table(path)


def written(kind, table, answers=ANSWERS, added=("p", "q", "r")):
    stream = io.StringIO(newline="")
    row_writer(stream, kind, table.columns, added).write(table, answers)
    return stream.getvalue()


def test_jsonl_keeps_types_and_order(typed):
    lines = written("jsonl", typed).split("\n")
    assert lines[1] == (
        '{"x": {"头": true}, "n": null, "t": "say \\"hi\\"", "p": "down\\t", "q": 1e-09, "r": 7}'
    )
    first = TYPED[0] | {"p": "up", "q": 0.1 + 0.2, "r": 0.5}
    assert json.loads(lines[0]) == first
    assert typed.records == TYPED  # what was read is not written into


def test_csv_and_tsv(typed):
    assert written("csv", typed) == (
        't,n,x,p,q,r\n"a,b",1,"[1.5, null]",up,0.300000,0.500000\n'
        '"say ""hi""",,"{""头"": true}",down\t,0.000000,7\n'
    )
    assert written("tsv", typed).splitlines()[1] == "a,b\t1\t[1.5, null]\tup\t0.300000\t0.500000"


def test_rows_of_csv_are_strings_in_jsonl(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,\n")
    table = read_table(tmp_path / "in.csv")
    assert written("jsonl", table, [[None]], ["p"]) == '{"a": "1", "b": "", "p": null}\n'
    assert written("csv", table, [[None]], ["p"]) == "a,b,p\n1,,\n"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_block_after_block_is_the_whole(tmp_path, kind):
    path = tmp_path / "in.csv"
    path.write_text("a\n" + "".join(f"{k}\n" for k in range(10)))
    out = tmp_path / f"out.{kind}"
    with open_output(out, [path]) as stream:
        writer = row_writer(stream, kind_of(out), ["a"], ["p"])
        for block in read_blocks(path, size=3):
            writer.write(block, [[int(row[0]) / 4] for row in block.rows])
    table = read_table(out)
    assert table.column("a") == [str(k) for k in range(10)]
    assert [float(p) for p in table.column("p")] == [k / 4 for k in range(10)]


def test_a_lone_carriage_return_is_written_in_quotes(tmp_path):
    path = tmp_path / "f.csv"
    rows = [["a\rb", "c\r"], ["\r\n", "d"]]
    with path.open("w", encoding="utf-8", newline="") as stream:
        write = delimited_writer(stream, ",")
        for row in [["x", "y"], *rows]:
            write(row)
    assert read_table(path).rows == rows
    for kind in ("csv", "tsv"):
        (tmp_path / f"g.{kind}").write_bytes(
            written(kind, read_table(path), [["\r"], ["\n"]], ["p"]).encode()
        )
        answers = [["\r"], ["\n"]]
        expected = [row + answer for row, answer in zip(rows, answers, strict=True)]
        assert read_table(tmp_path / f"g.{kind}").rows == expected


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_column_that_is_there_already(kind):
    with pytest.raises(DataError, match=r"^there is a column 'b' already; rename it"):
        row_writer(io.StringIO(), kind, ["a", "b"], ["p", "b"])
    with pytest.raises(DataError, match=r"^f\.csv: there is a column 'p' already; rename it"):
        row_writer(io.StringIO(), kind, ["a", "b"], ["p", "p"], Path("f.csv"))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_another_file_in_the_same_output(tmp_path, kind):
    stream = io.StringIO()
    writer = row_writer(stream, kind, ["a", "b"], ["p"])
    (tmp_path / "same.csv").write_text("b,a\n2,1\n")
    (tmp_path / "more.csv").write_text("a,b,c\n1,2,3\n")
    (tmp_path / "less.csv").write_text("a\n1\n")
    writer.write(read_table(tmp_path / "same.csv"), [["x"]])
    expected = {"csv": "a,b,p\n1,2,x\n", "jsonl": '{"b": "2", "a": "1", "p": "x"}\n'}
    assert stream.getvalue() == expected[kind]
    with pytest.raises(DataError, match=r"more\.csv: has a column 'c' that the rows before it"):
        writer.write(read_table(tmp_path / "more.csv"), [["x"]])
    with pytest.raises(DataError, match=r"less\.csv: lacks a column 'b' that the rows before it"):
        writer.write(read_table(tmp_path / "less.csv"), [["x"]])


def test_numbers_that_are_no_json(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n{"a": [1e999]}\n')
    table = read_table(tmp_path / "in.jsonl")
    with pytest.raises(DataError, match=r"row 2 \(line 2\) .* a number that JSON cannot"):
        written("jsonl", table, [[1], [2]], ["p"])
    with pytest.raises(DataError, match=r"row 1 \(line 1\) .* a number that JSON cannot"):
        written("jsonl", table, [[float("nan")], [2]], ["p"])


def test_mistakes_of_a_caller(typed):
    for kind in ("csv", "jsonl"):
        with pytest.raises(ValueError, match=r"shorter|argument"):
            written(kind, typed, ANSWERS[:1])
        with pytest.raises(ValueError, match=r"expected 3 answers a row, .* got 1"):
            written(kind, typed, [["x"], ["y"]])
    with pytest.raises(SettingError, match=r"kind should be one of .*'csv'.* got 'xlsx'"):
        row_writer(io.StringIO(), "xlsx", ["a"], ["b"])


def test_kinds():
    known = {"a.csv": "csv", "a.TSV": "tsv", "a.b.jsonl": "jsonl", "a.ndjson": "jsonl"}
    assert {name: kind_of(Path(name)) for name in known} == known
    for name in ("a", "a.json", "csv", ".csv", "a.csv.gz"):
        with pytest.raises(DataError, match=r"name it \.csv, \.tsv or \.jsonl \(or \.ndjson\)"):
            kind_of(Path(name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_tell_its_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"no file but a pipe .*; write it to a file named \.csv"):
        kind_of(tmp_path / "pipe")


def test_files_in(tmp_path):
    for name in ("b.csv", "a.jsonl", "C.TSV", ".hidden.csv", "notes.txt", "a.csv~"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "broken.csv").symlink_to("nowhere")  # not passed over in silence
    assert [p.name for p in files_in(tmp_path)] == ["C.TSV", "a.jsonl", "b.csv", "broken.csv"]
    assert [p.name for p in passed_over(tmp_path)] == ["a.csv~", "notes.txt"]
    with pytest.raises(DataError, match=r"no file to read .*; \.csv, \.tsv, \.jsonl, \.ndjson are"):
        files_in(tmp_path / "folder.csv")
    with pytest.raises(DataError, match="no such folder; check the path"):
        files_in(tmp_path / "gone")
    with pytest.raises(DataError, match="cannot be read as a folder: Not a directory"):
        files_in(tmp_path / "b.csv")
