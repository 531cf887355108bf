"""read_table on files that cannot be used: one line that names file, place and remedy."""

import re

import pytest

from elman.data import read_table
from elman.errors import DataError

JSONL = "file.jsonl"

CASES = {
    # name: (file name, bytes, what the message says after the path)
    "empty": ("file.csv", b"", ": the file is empty"),
    "only blanks": ("file.csv", b" \r\n\n\t", ": the file is empty"),
    "only a mark": ("file.csv", b"\xef\xbb\xbf", ": the file is empty"),
    "header only": ("file.csv", b"a,b\n", ": no rows below the column names; add some"),
    "duplicate column": ("file.csv", b"a,b,a\n1,2,3\n", ": two columns are named 'a'; rename one"),
    "duplicate but for blanks": ("file.csv", b"a, a\n1,2\n", ": two columns are named 'a'"),
    "empty column": ("file.csv", b"a,\n1,2\n", ": a column on the first line has no name"),
    "too many fields": (
        "file.csv", b"a,b\n1,2\n1,2,3\n",
        r": row 2 \(line 3\) has 3 fields where the first line names 2 columns; put quotes around",
    ),
    "too few fields": ("file.csv", b"a,b\n\n1\n", r": row 1 \(line 3\) has 1 fields? where"),
    "too few after a long one": (
        "file.csv", b'a,b\n"1\n1",2\n3\n', r": row 2 \(line 4\) has 1 fields? where",
    ),
    "too few in a long one": (
        "file.csv", b'a,b,c\n"1\n1",2\n3,4,5\n', r": row 1 \(line 2\) has 2 fields where",
    ),
    "open quote": ("file.csv", b'a,b\n1,"2\n3,4\n', r": line \d .*quote"),
    "text after a quote": ("file.csv", b'a,b\n1,"2"x\n', ": line 2 cannot be read as CSV: "),
    "tsv says so": ("file.tsv", b'a\tb\n1\t"2"x\n', ": line 2 cannot be read as TSV"),
    "unknown suffix": ("file.xlsx", b"PK\3\4", r": unknown kind of file; name it \.csv, \.tsv or"),
    "no suffix": ("file", b"a,b\n1,2\n", ": unknown kind of file"),
    "nul": ("file.csv", b"a,b\n1,2\n1,\0\n", ": a NUL character on line 3; this is no"),
    "not json": (JSONL, b'{"a": 1}\n\n{"a": \n', r": row 2 \(line 3\) is not JSON: "),
    "an array": (JSONL, b'["a"]\n', r": row 1 \(line 1\) should be a JSON object, got list"),
    "a number": (JSONL, b'{"a": 1}\n7\n', r": row 2 \(line 2\) should be a JSON object, got int"),
    "other keys": (
        JSONL, b'{"a": 1}\n{"b": 1}\n', r": row 2 \(line 2\) should have the keys of the first row",
    ),
    "a key too few": (JSONL, b'{"a": 1, "b": 2}\n{"a": 1}\n', r": row 2 \(line 2\) .*'b' differs"),
    "empty key": (JSONL, b'{"": 1}\n', ": .*no name"),
    "no keys": (JSONL, b'{}\n{}\n', r": row 1 \(line 1\)"),
    "no keys at first": (JSONL, b'{}\n{"a": 1}\n', r": row 1 \(line 1\)"),
    "deep": (
        JSONL, b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        r": row 1 \(line 1\) is nested too deeply",
    ),
    "a long number": (JSONL, b'{"a": ' + b"9" * 5000 + b"}\n", r": row 1 \(line 1\) "),
    "half a character": (
        JSONL, b'{"a": 1}\n{"a": "x\\ud800"}\n', r": row 2 \(line 2\).* surrogate",
    ),
    "half a character in a name": (JSONL, b'{"\\udc00": 1}\n', ": .*surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_message(tmp_path, case):
    name, content, message = CASES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path)) + message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match=r"missing\.csv: no such file; check the path"):
        read_table(tmp_path / "missing.csv")
    with pytest.raises(DataError, match=r"missing: no such file"):
        read_table(tmp_path / "missing")


@pytest.mark.parametrize("name", ["folder.csv", "folder"])
def test_a_directory(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name}: .*directory"):
        read_table(tmp_path / name)


def test_a_path_below_a_file_and_a_path_too_long(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"b\.csv: cannot be read: Not a directory"):
        read_table(tmp_path / "a.csv" / "b.csv")
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        read_table(tmp_path / ("a" * 300 + ".csv"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
def test_a_wrong_encoding_names_byte_line_and_flag(tmp_path, mark):
    path = tmp_path / "file.csv"
    path.write_bytes(mark + b"term,label\nabc,real\n" + b"\xd6\xd0,fake\n")
    offset = len(mark) + 20
    message = (
        rf"file\.csv: byte 0xd6 on line 3 \(offset {offset}\) is not utf-8; .*--encoding gb18030"
    )
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_a_wrong_encoding_that_was_asked_for(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(
        DataError, match=r"byte 0xff on line 2 .* is not gb18030; .*--encoding utf-8"
    ):
        read_table(path, "gb18030")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("asked", ["utf-8", "UTF-8", "utf8"])
def test_utf_16_is_known_by_its_mark(tmp_path, encoding, asked):
    path = tmp_path / "file.csv"
    path.write_bytes("\ufeffa,b\n1,2\n".encode(encoding))
    with pytest.raises(DataError, match=r"this is UTF-16 text; say so with --encoding utf-16"):
        read_table(path, asked)
    assert read_table(path, "utf-16").rows == [["1", "2"]]


@pytest.mark.parametrize("encoding", ["utf-99", "", "hex", "rot13", "zip", "undefined", "idna"])
def test_an_encoding_that_is_none(tmp_path, encoding):
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n1,2\n\xff,3\n")
    with pytest.raises(DataError, match=r"file\.csv: .*(utf-8|gb18030)"):
        read_table(path, encoding)


def test_a_column_that_is_not_there(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("term,label\nx,y\n")
    with pytest.raises(DataError, match=r"no column 'text'; the columns are 'term', 'label'"):
        read_table(path).column("text")


SEMICOLONS = "; the file seems to be separated by semicolons: save it with commas"
TABS = "; the file seems to be separated by tabs: name it .tsv"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", "a;b\n1,5;2\n", f"row 1 (line 2) has 2 fields where the first line names 1 "
         f"column{SEMICOLONS}"),
        ("f.csv", "a\tb\n1,5\t2\n", f"row 1 (line 2) has 2 fields where the first line names 1 "
         f"column{TABS}"),
        ("f.csv", 'a;b\n"1";"2"\n', f"line 2 cannot be read as CSV: ',' expected after '\"'"
         f"{SEMICOLONS}"),
        ("f.csv", '\n"a";"b"\n1;2\n', f"line 2 cannot be read as CSV: ',' expected after '\"'"
         f"{SEMICOLONS}"),
        ("f.csv", 'a\tb\n"1"\t"2"\n', f"line 2 cannot be read as CSV: ',' expected after '\"'"
         f"{TABS}"),
        ("F.CSV", '"a"\t"b"\n', f"line 1 cannot be read as CSV: ',' expected after '\"'{TABS}"),
        ("f.tsv", "a;b\n1\t2;3\n", "row 1 (line 2) has 2 fields where the first line names 1 "
         "column; the file seems to be separated by semicolons: save it with tabs"),
        ("f.csv", "a,b;c\n1\n", "row 1 (line 2) has 1 field where the first line names 2 columns; "
         "put quotes around a field that holds a separator"),
        ("f.csv", '"a"x,"b;c"\n', "line 1 cannot be read as CSV: ',' expected after '\"'; look for "
         "a quote that is not closed or not doubled from line 1 on"),
    ],
)  # fmt: skip
def test_another_separator_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert str(error.value) == f"{path}: {message}"


def test_another_separator_is_told_for_a_column(tmp_path):
    for content, hint in (("a;b\n1;2\n", SEMICOLONS), ("a\tb\n1\t2\n", TABS), ("c\n1\n", "")):
        path = tmp_path / "f.csv"
        path.write_text(content)
        with pytest.raises(DataError) as error:
            read_table(path).column("a")
        columns = repr(content.split("\n")[0])
        assert str(error.value) == f"{path}: no column 'a'; the columns are {columns}{hint}"
