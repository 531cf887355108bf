"""read_table: what a well-meant file holds is what comes out."""

import csv
import io
import json

import numpy as np
import pytest

from elman.data import read_table
from elman.data.delimited import delimited_writer


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, name="file.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **options)

    return write_and_read


WHOLE = (["term", "label"], [["头痛", "real"], ["痛头", "fake"]])
CSV = "term,label\n头痛,real\n痛头,fake\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.csv", CSV),
        ("upper.CSV", CSV),
        ("no-last-end.csv", CSV.rstrip("\n")),
        ("dos.csv", CSV.replace("\n", "\r\n")),
        ("old-mac.csv", CSV.replace("\n", "\r")),
        ("mark.csv", "\ufeff" + CSV),
        ("quoted.csv", '"term","label"\r\n"头痛","real"\r\n"痛头","fake"\r\n'),
        ("quoted-mark.csv", '\ufeff"term",label\n头痛,real\n痛头,fake\n'),
        ("blank-lines.csv", "\n\nterm,label\n\n头痛,real\n\n\n痛头,fake\n\n"),
        ("spaces-in-names.csv", CSV.replace("term,label", " term , label")),
        ("tabs.tsv", CSV.replace(",", "\t")),
        ("objects.jsonl", '{"term": "头痛", "label": "real"}\n{"label": "fake", "term": "痛头"}'),
        (
            "escaped.ndjson",
            '{"term":"\\u5934痛","label":"real"}\r\n\n{"term":"痛头","label":"fake"}',
        ),
        ("mark.jsonl", '\ufeff{"term":"头痛","label":"real"}\n{"term":"痛头","label":"fake"}\n'),
    ],
)
def test_one_table_in_many_forms(read, name, text):
    table = read(text, name)
    assert (table.columns, table.rows) == WHOLE
    assert table.column("label") == ["real", "fake"]


@pytest.mark.parametrize(
    "encoding", ["gb18030", "utf-16", "utf-16-le", "utf-8-sig", "UTF8", "big5"]
)
def test_other_encodings(read, encoding):
    text = CSV.replace("头", "頭")
    table = read(text.encode(encoding), encoding=encoding)
    assert table.rows == [["頭痛", "real"], ["痛頭", "fake"]]


def test_quotes_separators_and_line_ends_inside_a_field(read):
    table = read('a,b\n"x, y","he said ""no"""\n"two\nlines",3\n"dos\r\nends",4\nlast,5\n')
    assert table.rows == [
        ["x, y", 'he said "no"'],
        ["two\nlines", "3"],
        ["dos\r\nends", "4"],
        ["last", "5"],
    ]
    assert table.lines == [2, 3, 5, 7]
    assert table.place(3).endswith("file.csv: row 4 (line 7)")


def test_separators_that_only_look_so(read):
    assert read("a\tb\nx,y\tz\n", "f.tsv").rows == [["x,y", "z"]]
    assert read("a;b\nx;y\n").columns == ["a;b"]
    assert read("a,b\nx\u2028y,z\x0cw\n").rows == [["x\u2028y", "z\x0cw"]]
    assert read('{"a": "x\u2028y\x85"}\n', "f.jsonl").rows == [["x\u2028y\x85"]]


def test_spaces_in_a_field_stay(read):
    assert read("a,b\n x , y\n").rows == [[" x ", " y"]]


def test_json_values_become_text(read):
    table = read('{"a": null, "b": 1, "c": 1.5, "d": true, "e": ["头"], "f": ""}\n', "f.jsonl")
    assert table.rows == [["", "1", "1.5", "true", '["头"]', ""]]


def test_json_lines_count_from_the_file(read):
    table = read('\n{"a": 1}\n\n{"a": 2}\n', "f.jsonl")
    assert table.lines == [2, 4]
    assert table.place(1).endswith("row 2 (line 4)")


def test_a_long_field(read):
    long = "头" * 200_000
    assert read(f"a,b\n{long},x\n").rows == [[long, "x"]]


def test_what_is_written_is_read_again(tmp_path):
    """Against Python's own csv, over random fields made of the hard characters."""
    rng = np.random.default_rng(0)
    alphabet = list('ab,;\t"\n头 ')
    for trial in range(50):
        width = int(rng.integers(1, 5))
        rows = [
            ["".join(rng.choice(alphabet, rng.integers(1, 6))) for _ in range(width)]
            for _ in range(int(rng.integers(1, 8)))
        ]
        columns = [f"c{k}" for k in range(width)]
        path = tmp_path / f"{trial}.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            write = delimited_writer(stream, ",")
            for row in [columns, *rows]:
                write(row)
        assert read_table(path).rows == rows
        assert list(csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))) == [
            columns,
            *rows,
        ]
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        path.with_suffix(".jsonl").write_text("\n".join(lines), "utf-8")
        assert read_table(path.with_suffix(".jsonl")).rows == rows
