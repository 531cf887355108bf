"""read_blocks: the rows and errors of the whole file, wherever it is cut, in flat memory."""

import csv
import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from elman.data import read_blocks, read_table
from elman.data.decoding import decode, decoded, lines_of
from elman.errors import DataError, SettingError

CSV = 'a,b\n"x\ny",1\n\n头痛,"""2"""\r\n"dos\r\nends",3\nlast,4'
LINES = '{"a": "头", "b": [1, 2.0]}\n\n{"b": null, "a": "x\\ny"}\r\n{"a": true, "b": {}}'


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def joined(path, size, **options):
    """Rows, lines and records of all blocks, each block's own numbers checked."""
    rows, lines, records = [], [], []
    for block in read_blocks(path, size=size, **options):
        assert block.start == len(rows)
        assert block.sha256 == ""
        assert 1 <= len(block.rows) <= size
        for row in range(len(block.rows)):
            assert (
                block.place(row) == f"{path}: row {len(rows) + row + 1} (line {block.lines[row]})"
            )
        rows += block.rows
        lines += block.lines
        records += block.records or []
    return rows, lines, records


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_csv_in_blocks(write, size):
    rows = [["x\ny", "1"], ["头痛", '"2"'], ["dos\r\nends", "3"], ["last", "4"]]
    assert joined(write(CSV), size) == (rows, [2, 5, 6, 8], [])


@pytest.mark.parametrize("size", [1, 2, 100])
def test_jsonl_in_blocks_keeps_the_types(write, size):
    rows = [["头", "[1, 2.0]"], ["x\ny", ""], ["true", "{}"]]
    records = [{"a": "头", "b": [1, 2.0]}, {"b": None, "a": "x\ny"}, {"a": True, "b": {}}]
    path = write(LINES, "file.jsonl")
    got = joined(path, size)
    assert got == (rows, [1, 3, 4], records)
    assert list(got[2][1]) == ["b", "a"]  # the order of the keys too
    assert read_table(path).records == records


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "big5", "utf-32"]
)
def test_any_cut_of_the_bytes(monkeypatch, write, encoding, chunk):
    text = CSV.replace("头痛", "頭痛" if encoding == "big5" else "头😀痛")
    path = write(text.encode(encoding))
    whole = read_table(path, encoding)
    monkeypatch.setattr("elman.data.decoding._CHUNK", chunk)
    assert joined(path, 2, encoding=encoding) == (whole.rows, whole.lines, [])
    again = read_table(path, encoding)
    assert (again.rows, again.sha256) == (whole.rows, whole.sha256)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_text_without_a_mark(write, encoding):
    path = write(CSV.encode(encoding))
    rows = read_table(path, encoding).rows
    assert rows[1] == ["头痛", '"2"']
    if encoding[-2:] == sys.byteorder[0] + "e":  # as Python does: the machine's own order
        assert read_table(path, encoding[:-3]).rows == rows


def test_random_bytes_cut_anywhere():
    """Against Python's own decoding of the whole: the text, or the first byte that is wrong."""
    rng = np.random.default_rng(0)
    wrong = 0
    for trial in range(300):
        encoding = ["utf-8", "gb18030", "utf-16-le", "shift_jis", "utf-8-sig"][trial % 5]
        data = "".join(rng.choice(list("ab\n\r中日"), 30)).encode(encoding)
        if trial % 2:
            place = int(rng.integers(len(data)))
            data = data[:place] + rng.bytes(1).replace(b"\0", b"x") + data[place + 1 :]
        cuts = [0, *sorted(rng.integers(0, len(data), 6).tolist()), len(data)]
        chunks = [data[i:j] for i, j in pairwise(cuts)]
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            wrong += 1
            start = error.start + 3 * (encoding == "utf-8-sig" and data[:3] == b"\xef\xbb\xbf")
            before = data[:start].decode(encoding)
            line = before.count("\n") + before.count("\r") - before.count("\r\n") + 1
            if before.endswith("\r"):
                line -= 1  # it may be the beginning of "\r\n"
            with pytest.raises(DataError, match=rf"on line {line} \(offset {start}\) is not "):
                list(decoded(chunks, "f", encoding))
        else:
            if "\0" in text:
                continue
            assert "".join(decoded(chunks, "f", encoding)) == text.removeprefix("\ufeff")
            assert decode(data, "f", encoding) == text.removeprefix("\ufeff")
    assert wrong > 30


def test_a_wrong_byte_far_into_a_file(write):
    start = b"a,b\n" + b"1,2\n" * 200_000
    path = write(start + b"x,\xff\n" + b"1,2\n" * 1000)
    message = rf"byte 0xff on line 200002 \(offset {len(start) + 2}\) is not utf-8"
    with pytest.raises(DataError, match=message):
        read_table(path)
    blocks = read_blocks(path)
    assert next(blocks).rows[0] == ["1", "2"]  # what is before is read
    with pytest.raises(DataError, match=message):
        list(blocks)


def test_errors_count_through_the_whole_file(write):
    rows = "1,2\n\n" * 9000
    path = write("a,b\n" + rows + "1,2,3\n")
    message = r"row 9001 \(line 18002\) has 3 fields where the first line names 2"
    for size in (1, 8192, 100_000):
        with pytest.raises(DataError, match=message):
            list(read_blocks(path, size=size))
    path = write("a,b\n" + rows + '1,"2\n')
    with pytest.raises(
        DataError, match=r"quote that is not closed or not doubled from line 18001 on"
    ):
        list(read_blocks(path))
    path = write('{"a": 1}\n' * 9000 + '{"a": }\n', "f.jsonl")
    with pytest.raises(DataError, match=r"row 9001 \(line 9001\) is not JSON: .* at character 7"):
        list(read_blocks(path))
    path = write("a,b\n" + "1,2\n" * 150_000 + "1,\0\n")
    with pytest.raises(DataError, match="a NUL character on line 150002; this is not a text file"):
        list(read_blocks(path))
    path = write('{"a": 1}\n' * 9000 + '{"a": "\\ud800"}\n', "f.jsonl")
    with pytest.raises(DataError, match=r"row 9001 \(line 9001\): column 'a' holds half a char"):
        list(read_blocks(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1, "a": 2}', r"row 1 \(line 1\) has the key 'a' twice; rename or remove one"),
        ('{"a": {"b": 1, "b": 1}}', r"row 1 \(line 1\) has the key 'b' twice"),
        ('{"a": NaN}', r"row 1 \(line 1\) is not JSON: NaN stands for no value there; write null"),
        ('{"a": [-Infinity]}', r"row 1 \(line 1\) is not JSON: -Infinity stands for no value"),
        ('{"a": 1} {"a": 2}', r"row 1 \(line 1\) is not JSON: Extra data at character 10"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number with thousands of digits; shorten it"),
    ],
)
def test_json_that_would_lose_or_break_something(write, line, message):
    with pytest.raises(DataError, match=message):
        read_table(write(line + "\n", "f.jsonl"))


def test_a_blank_beginning_and_only_blanks(monkeypatch, write):
    monkeypatch.setattr("elman.data.decoding._CHUNK", 2)
    assert next(read_blocks(write("\n" * 9 + "a\n\n1\n"))).lines == [12]
    with pytest.raises(DataError, match="the file is empty"):
        list(read_blocks(write("\n \t" * 9)))


def test_lines_that_end_in_all_ways(monkeypatch, write):
    monkeypatch.setattr("elman.data.decoding._CHUNK", 3)
    assert list(lines_of(decoded([b"abcd\r", b"\n\r", b"\r\ne\r"], "f", "utf-8"))) == [
        "abcd\r\n", "\r", "\r\n", "e\r",
    ]  # fmt: skip
    table = read_table(write("a\rx\r\ny\nz"))
    assert (table.rows, table.lines) == ([["x"], ["y"], ["z"]], [2, 3, 4])
    table = read_table(write('{"a": 1}\r{"a": 2}\r\n{"a": 3}\n', "f.jsonl"))
    assert (table.rows, table.lines) == ([["1"], ["2"], ["3"]], [1, 2, 3])


def test_a_quote_that_swallows_the_file(monkeypatch, write):
    monkeypatch.setattr("elman.data.delimited._LONGEST_FIELD", 1000)
    path = write("a,b\n1,2\n" + '3,"4\n' + "5,6\n" * 10_000)
    with pytest.raises(DataError, match=r"field larger than field limit.*from line 3 on"):
        list(read_blocks(path))


def test_the_csv_module_is_left_as_it_was(write):
    before = csv.field_size_limit()
    path = write("a\n" + "x" * 200_000 + "\n" + "y\n" * 10)
    for _ in read_blocks(path, size=1):
        assert csv.field_size_limit() == before
    with pytest.raises(DataError):
        list(read_blocks(write("a\n1,2\n")))
    assert csv.field_size_limit() == before


def test_blocks_of_long_rows_are_short(monkeypatch, write):
    monkeypatch.setattr("elman.data.table._CHARACTERS", 1000)
    path = write("a\n" + ("x" * 400 + "\n") * 7)
    assert [len(block.rows) for block in read_blocks(path)] == [3, 3, 1]


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_is_none(tmp_path, size):
    with pytest.raises(SettingError, match="size should be at least 1"):
        read_blocks(tmp_path / "f.csv", size=size)


def test_a_missing_file_is_told_with_the_first_block(tmp_path):
    for name in ("f.csv", "f"):
        with pytest.raises(DataError, match="no such file; check the path"):
            next(read_blocks(tmp_path / name))


FLAT = """
import resource, sys
from elman.data import read_blocks
for path in sys.argv[1:]:
    rows = 0
    for block in read_blocks(path, size=1000):
        rows += len(block.rows)
        if rows == 20_000:
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_flat_memory(tmp_path):
    """300,000 rows a file, 60 MB as strings: at the last row hardly more than at row 20,000."""
    text = "头痛" + "x" * 60
    lines = {
        "big.csv": f"{text},real\n",
        "big.jsonl": json.dumps({"a": text, "b": 1}, ensure_ascii=False) + "\n",
    }
    for name, line in lines.items():
        with (tmp_path / name).open("w", encoding="utf-8") as stream:
            stream.write("a,b\n" if name == "big.csv" else "")
            for _ in range(300):
                stream.write(line * 1000)
    child = subprocess.run(
        [sys.executable, "-c", FLAT, *(tmp_path / name for name in lines)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for said in child.stdout.splitlines():
        rows, grown = map(int, said.split())
        assert rows == 300_000
        assert grown < 4 << 10  # KiB
