"""Numeric sequences: JSON arrays, and rows under an id and a time."""

import json
from pathlib import Path

import numpy as np
import pytest

from elman.data import (
    Table,
    constant_within,
    grouped_sequences,
    parse_sequences,
    read_blocks,
    read_table,
)
from elman.errors import DataError


def arrays(*texts):
    lines = list(range(2, 2 + len(texts)))
    return Table(Path("f.csv"), ["x"], [[text] for text in texts], lines, "")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_arrays_of_both_kinds_of_file(tmp_path, kind):
    rng = np.random.default_rng(0)
    for trial, width in enumerate([1, 1, 2, 5]):
        wanted = [rng.normal(size=(int(rng.integers(1, 9)), width)) for _ in range(20)]
        values = [array[:, 0].tolist() if trial == 0 else array.tolist() for array in wanted]
        path = tmp_path / f"{trial}.{kind}"
        if kind == "csv":
            quoted = ("".join(['"', json.dumps(value), '"', ",a\n"]) for value in values)
            path.write_text("x,y\n" + "".join(quoted))
        else:
            path.write_text("".join(json.dumps({"x": v, "y": "a"}) + "\n" for v in values))
        table = read_table(path)
        got = parse_sequences(table, "x")
        for array, same in zip(got, wanted, strict=True):
            assert array.dtype == np.float64
            np.testing.assert_array_equal(array, same)  # every digit
            assert array.flags.c_contiguous
        blocks = [parse_sequences(block, "x") for block in read_blocks(path, size=7)]
        assert [len(block) for block in blocks] == [7, 7, 6]


def test_whole_numbers_and_blanks():
    (array,) = parse_sequences(arrays(" [ 1 , -2.5,\n3e2, 18446744073709551616 ] "), "x")
    assert array.tolist() == [[1.0], [-2.5], [300.0], [2.0**64]]


def test_an_array_that_is_a_string_of_jsonl(tmp_path):
    (tmp_path / "f.jsonl").write_text('{"x": "[1, 2]"}\n{"x": [3]}\n')
    got = parse_sequences(read_table(tmp_path / "f.jsonl"), "x")
    assert [array.tolist() for array in got] == [[[1.0], [2.0]], [[3.0]]]


WRONG = {
    "[1, 2": "is not JSON: Expecting ',' delimiter at character 6",
    "1;2;3": "is not JSON: Extra data at character 2",
    "[1, 2] 3": "is not JSON: Extra data at character 8",
    "": "is empty; fill it in or remove the row",
    " ": "is empty",
    "5": r"should be a JSON array, got 5; write it like \[1, 2, 3\], or \[\[1, 2\], \[3, 4\]\]",
    "1": "should be a JSON array, got 1;",
    "true": "should be a JSON array, got true",
    "null": "should be a JSON array, got null",
    '"[1]"': "should be a JSON array, got the string",
    '{"a": 1}': "should be a JSON array, got an object",
    "[]": "is an array without a step",
    "[[]]": "has no value at step 1",
    "[[1], []]": "has no value at step 2",
    "[[1, 2], [3]]": "has 1 values at step 2 where step 1 has 2; give every step as many",
    "[[1], 2]": "has 2 at step 2 where step 1 is an array",
    "[1, [2]]": "should have finite numbers, got an array at step 2",
    "[[[1]]]": "should have finite numbers, got an array at step 1",
    '[1, "2"]': "should have finite numbers, got the string '2' at step 2",
    "[1, true]": "should have finite numbers, got true at step 2",
    "[[1, false]]": "should have finite numbers, got false at step 1",
    "[1, null]": "should have finite numbers, got null at step 2",
    "[1, {}]": "should have finite numbers, got an object at step 2",
    "[1, NaN]": "is not JSON: NaN stands for no value there",
    "[-Infinity]": "is not JSON: -Infinity stands",
    "[1, 1e999]": "should have finite numbers, got Infinity at step 2",
    "[" + "9" * 400 + "]": r"should have finite numbers, got 9{37}\.\.\. at step 1",
    "[" + "9" * 5000 + "]": "holds a number with thousands of digits",
    "[" * 100_000: "is nested too deeply",
}


@pytest.mark.parametrize("text", WRONG, ids=[text[:20] for text in WRONG])
def test_what_is_no_sequence(text):
    with pytest.raises(DataError, match=rf"^f\.csv: row 2 \(line 3\): column 'x' {WRONG[text]}"):
        parse_sequences(arrays("[1]", text), "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [("null", "is empty"), ("1.5", "got 1.5"), ("[true]", "got true"), ('"a b"', "is not JSON"),
     ("[[1], [2, 3]]", "has 2 values at step 2"), ("[1e999]", "finite")],
)  # fmt: skip
def test_what_is_no_sequence_in_jsonl(tmp_path, value, message):
    (tmp_path / "f.jsonl").write_text(f'{{"x": [1]}}\n{{"x": {value}}}\n')
    table = read_table(tmp_path / "f.jsonl")
    with pytest.raises(DataError, match=rf"row 2 \(line 2\): column 'x' .*{message}"):
        parse_sequences(table, "x")


def test_every_row_has_as_many_values_a_step():
    message = r"row 3 \(line 4\): column 'x' has 1 values a step where row 1 \(line 2\) has 2"
    with pytest.raises(DataError, match=message):
        parse_sequences(arrays("[[1, 2]]", "[[3, 4], [5, 6]]", "[1, 2]"), "x")
    with pytest.raises(DataError, match="no column 'y'"):
        parse_sequences(arrays("[1]"), "y")


def long(*rows, columns=("id", "t", "a", "b", "label")):
    lines = list(range(2, 2 + len(rows)))
    return Table(Path("f.csv"), list(columns), [list(row.split(",")) for row in rows], lines, "")


def test_rows_in_any_order_against_a_plain_loop():
    rng = np.random.default_rng(0)
    for dates in (False, True):
        steps = [(f"g{g}", t, *rng.normal(size=2)) for g in range(6) for t in range(9 - g)]
        order = rng.permutation(len(steps))
        rows = []
        for k in order:
            name, t, a, b = steps[k]
            time = f"2024-01-{t + 1:02}T00:00Z" if dates else str(t * 7.5)  # "15.0" < "7.5" as text
            rows.append(f"{name},{time},{a!s},{b!s},{name[1]}")
        table = long(*rows)
        groups = grouped_sequences(table, "id", "t", ["b", "a"])
        assert groups.ids == list(dict.fromkeys(steps[k][0] for k in order))
        for name, sequence, members in zip(groups.ids, groups.sequences, groups.rows, strict=True):
            wanted = [(b, a) for of, _, a, b in steps if of == name]
            assert sequence.dtype == np.float64
            assert sequence.flags.c_contiguous
            np.testing.assert_array_equal(sequence, wanted)
            assert [steps[order[row]][:2] for row in members] == [
                (name, t) for t in range(len(wanted))
            ]
        assert constant_within(groups, table, "label") == [name[1] for name in groups.ids]


ROWS = ["g,1,0.5,1,up", "h,1,2,3,down", "g,2,4,5,up"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("g,3,x,1,up", r"row 4 \(line 5\): column 'a' should be a finite number .* got 'x'"),
        ("g,3,1,nan,up", r"row 4 \(line 5\): column 'b' should be a finite number .* got 'nan'"),
        ("g,3,1,inf,up", "got 'inf'"),
        ("g,3,,1,up", r"row 4 \(line 5\): column 'a' is empty"),
        (",3,1,1,up", r"row 4 \(line 5\): column 'id' is empty; fill it in or remove the row"),
        (" ,3,1,1,up", "column 'id' is empty"),
        ("g,2024-01,1,1,up", r"row 4 \(line 5\): time '2024-01' .* is a date where row 1 \(line 2"),
        ("g,,1,1,up", r"row 4 \(line 5\): column 't' is empty"),
        ("g,2.0,1,1,up", r"row 4 \(line 5\): time '2\.0' of 'g' is that of row 3 \(line 4\) too"),
        ("h,1,2,3,down", r"row 4 \(line 5\): time '1' of 'h' is that of row 2 \(line 3\) too; rem"),
    ],
)
def test_rows_that_make_no_sequence(row, message):
    with pytest.raises(DataError, match=rf"^f\.csv: .*{message}"):
        grouped_sequences(long(*ROWS, row), "id", "t", ["a", "b"])


def test_columns_that_are_not_there():
    table = long(*ROWS)
    for by, time, values in (("x", "t", ["a"]), ("id", "x", ["a"]), ("id", "t", ["a", "x"])):
        with pytest.raises(DataError, match="no column 'x'; the columns are 'id', 't'"):
            grouped_sequences(table, by, time, values)
    with pytest.raises(DataError, match="name at least one"):
        grouped_sequences(table, "id", "t", [])
    with pytest.raises(DataError, match="no column 'x'"):
        constant_within(grouped_sequences(table, "id", "t", ["a"]), table, "x")


def test_a_label_that_changes():
    table = long(*ROWS, "g,0,1,1,down")
    groups = grouped_sequences(table, "id", "t", ["a"])
    assert groups.rows == [[3, 0, 2], [1]]
    message = (
        r"row 4 \(line 5\): column 'label' is 'down' where row 1 \(line 2\) of the same id, 'g'"
    )
    with pytest.raises(DataError, match=message):
        constant_within(groups, table, "label")


def test_one_step_and_one_group():
    groups = grouped_sequences(long(ROWS[0]), "id", "t", ["a"])
    assert (groups.ids, groups.rows, groups.sequences[0].tolist()) == (["g"], [[0]], [[0.5]])
