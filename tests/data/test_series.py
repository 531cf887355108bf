"""read_series: values and times that can be used, what follows them, and what is refused."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from elman.data import Series, Table, read_series, read_table
from elman.data.times import write_date
from elman.errors import DataError


def at(*times):
    lines = list(range(2, 2 + len(times)))
    return Table(Path("f.csv"), ["t", "y"], [[time, "0"] for time in times], lines, "ab")


def series(*times):
    return read_series(at(*times), ["y"], time="t")


def after(*times, n=2):
    return series(*times).next_times(n)


def refused(*times):
    with pytest.raises(DataError) as error:
        series(*times)
    return str(error.value)


def days(first, n, step=1):
    start = datetime.fromisoformat(first)
    return [(start + timedelta(days=step * k)).date().isoformat() for k in range(n)]


def months(n, day="-01"):
    return [f"{2019 + k // 12}-{k % 12 + 1:02}{day}" for k in range(n)]


# -- values


def test_values_in_the_order_asked_for(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('day,a,b\n2024-01-01,1,-.5\n"2024-01-02", 2 ,1e3\n\n2024-01-03,3,0\n')
    table = read_table(path)
    got = read_series(table, ["b", "a"], time="day")
    assert isinstance(got, Series)
    assert got.values.dtype == np.float64
    assert got.values.flags.c_contiguous
    np.testing.assert_array_equal(got.values, [[-0.5, 1], [1000, 2], [0, 3]])
    assert (got.path, got.sha256, got.columns, got.time) == (path, table.sha256, ["b", "a"], "day")
    assert got.labels == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert got.lines == [2, 3, 5]
    assert [got.place(row) for row in range(3)] == [table.place(row) for row in range(3)]
    assert got.place(2) == f"{path}: row 3 (line 5)"


def test_jsonl(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"t": 1, "y": 2.5}\n{"t": 2, "y": 1e2}\n')
    got = read_series(read_table(path), ["y"], "t")
    assert (got.values.tolist(), got.labels, got.next_times(1)) == (
        [[2.5], [100]],
        ["1", "2"],
        ["3"],
    )
    path.write_text('{"t": 1, "y": 2.5}\n{"t": 2, "y": null}\n')
    with pytest.raises(DataError, match=r"row 2 \(line 2\): column 'y' is empty; fill it in or be"):
        read_series(read_table(path), ["y"], "t")


FILL_IN = "fill it in or begin after it"
MARKS = "write it without thousands marks and with a decimal point, like 1234567.5"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        *((text, FILL_IN) for text in ("NA", "n/a", "NaN", "nan", "inf", "-Infinity", "1e999")),
        *((text, FILL_IN) for text in ("-", "null", "#N/A")),
        *((text, MARKS) for text in ("1,5", "1,234", "1,234,567", "-1,234.5", "1.234,5")),
        *((text, MARKS) for text in ("1.234.567", "1 234", "1'234.50", "1_234")),
        *((text, "write it as a number") for text in ("x", "12 kg", "5%", "$5", "1 2", "1-2")),
    ],
)
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_value_that_is_no_number(text, remedy, row):
    rows = [[str(k), "7", "1"] for k in range(3)]
    rows[row][2] = text
    table = Table(Path("f.csv"), ["t", "x", "y"], rows, [2, 3, 4], "")
    wanted = (
        f"f.csv: row {row + 1} (line {row + 2}): column 'y' should be a finite number like -12.5, "
        f"got {text!r}; {remedy}"
    )
    for time in (None, "t"):
        with pytest.raises(DataError, match=f"^{re.escape(wanted)}$"):
            read_series(table, ["x", "y"], time)
    assert read_series(table, ["x"]).values.shape == (3, 1)  # what is not asked for is not read


def test_a_column_without_any_number():
    table = Table(Path("f.csv"), ["y"], [["up"], ["down"], [""]], [2, 3, 4], "")
    with pytest.raises(DataError) as error:
        read_series(table, ["y"])
    assert str(error.value) == (
        "f.csv: row 1 (line 2): column 'y' should be a finite number like -12.5, got 'up' (and 2 "
        "more after it); no value of the column is a number: name a column of numbers"
    )


@pytest.mark.parametrize("text", ["", "  "])
def test_a_value_that_is_missing(text):
    table = Table(Path("f.csv"), ["y"], [["1"], [text], ["2"], ["NA"]], [2, 3, 4, 5], "")
    with pytest.raises(DataError) as error:
        read_series(table, ["y"])
    assert str(error.value) == (
        "f.csv: row 2 (line 3): column 'y' is empty (and 1 more after it); fill it in or begin "
        "after it"
    )


@pytest.mark.parametrize(
    ("targets", "time", "message"),
    [
        (["y", "y"], None, "column 'y' is named twice"),
        (["y", "t"], "t", "column 't' is named as the time and as a value"),
        (["z"], None, "no column 'z'; the columns are 't', 'y'"),
        (["y"], "z", "no column 'z'; the columns are 't', 'y'"),
        ([], None, "no column of values is named"),
    ],
)
def test_columns_that_cannot_be(targets, time, message):
    with pytest.raises(DataError, match=f"^f.csv: {message}"):
        read_series(at("1", "2"), targets, time)


# -- times that are equally far apart, and those that follow


def test_without_a_time():
    got = read_series(at("b", "a", "a"), ["y"])
    assert (got.time, got.labels, got.next_times(2)) == (None, ["1", "2", "3"], ["4", "5"])
    one = read_series(at("b"), ["y"])
    assert (one.values.shape, one.next_times(1), one.next_times(0)) == ((1, 1), ["2"], [])


def test_one_row_has_no_step():
    for time in ("5", "2024-01"):
        got = series(time)
        assert got.labels == [time]
        with pytest.raises(DataError, match=r"^f\.csv: .* 't' .* at least two rows"):
            got.next_times(1)
    assert "cannot be read" in refused("x")


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        (["1988", "1989", "1990"], ["1991", "1992"]),
        (["-4", "-2"], ["0", "2"]),
        (["0.1", "0.2", "0.3", "0.4"], ["0.5", "0.6"]),
        (["-0.3", "-0.2", "-0.1"], ["0.0", "0.1"]),
        (["0", "0.25", "0.5", "0.75"], ["1.00", "1.25"]),
        (["1.50", "2.00"], ["2.50", "3.00"]),
        (["0.9", "1.0"], ["1.1", "1.2"]),
        ([" 1", " 2 "], ["3", "4"]),
        (["008", "009"], ["010", "011"]),
        (["099", "100"], ["101", "102"]),
        (["0", "10"], ["20", "30"]),
        (["1700000000.1", "1700000000.2", "1700000000.3"], ["1700000000.4", "1700000000.5"]),
        (["1.0000000", "2.0000009", "3.0000000"], ["4.0000000", "5.0000000"]),  # within 1e-6
        (["9007199254740993", "9007199254740994"], ["9007199254740995", "9007199254740996"]),
        (["1700000000000000000", "1700000000000000001"],
         ["1700000000000000002", "1700000000000000003"]),
        ([f"{k / 10:.18e}" for k in range(1, 4)], [f"{k / 10:.18e}" for k in range(4, 6)]),
        (["8e3", "9e3"], ["1e+04", "1.1e+04"]),
        (["1E-3", "2E-3"], ["3E-03", "4E-03"]),
        (["1e300", "2e300"], ["3e+300", "4e+300"]),
        (["0e-99999999999999999999", "1"], ["2", "3"]),
        (["0e-99999999", "1"], [f"2.{'0' * 60}", f"3.{'0' * 60}"]),
    ],
)  # fmt: skip
def test_numbers_keep_their_look(times, wanted):
    got = after(*times)
    if "e" in times[-1] and len(times[-1]) > 20:  # written out of floats: the last digit is noise
        np.testing.assert_allclose([*map(float, got)], [*map(float, wanted)], rtol=1e-15)
        assert [*map(len, got)] == [*map(len, wanted)]
    else:
        assert got == wanted


def test_floats_that_went_wrong_by_their_last_digit():
    times = [repr(k * 0.1) for k in range(200)]
    assert "0.30000000000000004" in times
    np.testing.assert_allclose([*map(float, after(*times))], [20.0, 20.1], rtol=1e-14)


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        # months and years, in each form
        (["2023-11", "2023-12"], ["2024-01", "2024-02"]),
        (["2023-01", "2023-04", "2023-07"], ["2023-10", "2024-01"]),
        (["2023-11-01", "2023-12-01"], ["2024-01-01", "2024-02-01"]),
        (["2023-11-15", "2023-12-15", "2024-01-15"], ["2024-02-15", "2024-03-15"]),
        (["2022-07-04", "2023-07-04"], ["2024-07-04", "2025-07-04"]),
        (["1960-06-30T12:00", "1960-09-30T12:00"], ["1960-12-31T12:00", "1961-03-31T12:00"]),
        (["0001-01", "0001-02"], ["0001-03", "0001-04"]),
        # month ends
        (["2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31"]),
        (["2023-01-31", "2023-02-28", "2023-03-31"], ["2023-04-30", "2023-05-31"]),
        (["2023-02-28", "2023-03-31"], ["2023-04-30", "2023-05-31"]),
        (["2023-04-30", "2023-06-30"], ["2023-08-31", "2023-10-31"]),
        (["2023-06-30", "2023-09-30", "2023-12-31"], ["2024-03-31", "2024-06-30"]),
        (["2021-12-31", "2022-12-31"], ["2023-12-31", "2024-12-31"]),
        (["2020-02-29", "2021-02-28", "2022-02-28", "2023-02-28"], ["2024-02-29", "2025-02-28"]),
        (["2016-02-29", "2020-02-29"], ["2024-02-29", "2028-02-29"]),
        # the same day, where it is no month's end
        (["2019-02-28", "2020-02-28", "2021-02-28"], ["2022-02-28", "2023-02-28"]),
        (["2023-12-30", "2024-01-30", "2024-02-29"], ["2024-03-30", "2024-04-30"]),
        (["2023-01-29", "2023-02-28", "2023-03-29"], ["2023-04-29", "2023-05-29"]),
        # a length
        (["2024-02-27", "2024-02-28"], ["2024-02-29", "2024-03-01"]),
        (["2024-02-19", "2024-02-26"], ["2024-03-04", "2024-03-11"]),
        (["2023-02-01", "2023-03-01", "2023-03-29"], ["2023-04-26", "2023-05-24"]),
        (["2023-01-31", "2023-03-02", "2023-04-01"], ["2023-05-01", "2023-05-31"]),
        (["2024-02-28T22:00", "2024-02-28T23:00"], ["2024-02-29T00:00", "2024-02-29T01:00"]),
        (["2024-12-31 23:59:58", "2024-12-31 23:59:59"],
         ["2025-01-01 00:00:00", "2025-01-01 00:00:01"]),
        (["1969-12-31t23:59:59.5", "1970-01-01t00:00:00.0"],
         ["1970-01-01t00:00:00.5", "1970-01-01t00:00:01.0"]),
        (["2024-01-01T00:00:00,123456000", "2024-01-01T00:00:00,123457000"],
         ["2024-01-01T00:00:00,123458000", "2024-01-01T00:00:00,123459000"]),
        # a fullest form, where it changes
        (["2024-01-01T00:00:00", "2024-01-01T00:00:00.500", "2024-01-01T00:00:01"],
         ["2024-01-01T00:00:01.500", "2024-01-01T00:00:02.000"]),
        (["2024-01-01", "2024-01-01T12:00", "2024-01-02"],
         ["2024-01-02T12:00", "2024-01-03T00:00"]),
        # zones
        (["2024-01-01T22:30Z", "2024-01-01T23:00Z"], ["2024-01-01T23:30Z", "2024-01-02T00:00Z"]),
        (["2024-01-31 00:00+0530", "2024-02-29 00:00+0530"],
         ["2024-03-31 00:00+0530", "2024-04-30 00:00+0530"]),
        (["2024-01-01T22:00-03", "2024-01-01T23:00-03"],
         ["2024-01-02T00:00-03", "2024-01-02T01:00-03"]),
        (["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"],
         ["2024-03-31T04:00+02:00", "2024-03-31T05:00+02:00"]),
        (["2024-10-27T01:00+02:00", "2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"],
         ["2024-10-27T03:00+01:00", "2024-10-27T04:00+01:00"]),
        (["2024-10-27T01:00:30+02:00", "2024-10-27T02:00:30+02:00", "2024-10-27T02:00:30+01:00"],
         ["2024-10-27T03:00:30+01:00", "2024-10-27T04:00:30+01:00"]),
        (["2024-10-27T01:30:00+02:00", "2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00"],
         ["2024-10-27T04:30:00+02:00", "2024-10-27T05:30:00+02:00"]),  # the zone of its form
        # a spreadsheet's, padded as there
        (["2000/1/1", "2000/1/2"], ["2000/1/3", "2000/1/4"]),
        (["2000/01/01", "2000/01/02"], ["2000/01/03", "2000/01/04"]),
        (["2000/9/30", "2000/10/31", "2000/11/30", "2000/12/31"], ["2001/1/31", "2001/2/28"]),
        (["2000/09/30", "2000/10/31", "2000/11/30", "2000/12/31"], ["2001/01/31", "2001/02/28"]),
        (["2000/11/30", "2000/12/31"], ["2001/1/31", "2001/2/28"]),  # none shows: a spreadsheet's
        (["2000/1", "2000/2"], ["2000/3", "2000/4"]),
        (["2000/11", "2000/12"], ["2001/1", "2001/2"]),
        (["2000/01", "2000/02"], ["2000/03", "2000/04"]),
        (["2000/1/1 12:00", "2000/1/1 18:00"], ["2000/1/2 0:00", "2000/1/2 6:00"]),
        (["2000/1/1 0:00", "2000/1/1 12:00"], ["2000/1/2 0:00", "2000/1/2 12:00"]),
        (["2000/1/1 00:00", "2000/1/1 12:00"], ["2000/1/2 00:00", "2000/1/2 12:00"]),
        (["2000/01/01 9:30:00", "2000/01/01 9:30:01"],
         ["2000/01/01 9:30:02", "2000/01/01 9:30:03"]),
        (["2000/1/1", "2000/1/1 12:00", "2000/1/2"], ["2000/1/2 12:00", "2000/1/3 0:00"]),
        (["2000/12/30", "2000/12/31", "2001/1/1"], ["2001/1/2", "2001/1/3"]),
        (["2000年1月1日", "2000年1月2日"], ["2000年1月3日", "2000年1月4日"]),
        (["2000年01月01日", "2000年01月02日"], ["2000年01月03日", "2000年01月04日"]),
        (["2000年11月", "2000年12月"], ["2001年1月", "2001年2月"]),
        (["2000年08月", "2000年09月"], ["2000年10月", "2000年11月"]),
        (["2000-12-31", "2001/1/1", "2001-01-02"], ["2001-01-03", "2001-01-04"]),
    ],
)  # fmt: skip
def test_dates_keep_their_form(times, wanted):
    assert after(*times) == wanted


def test_the_times_that_follow_carry_the_series_on():
    for times in (
        months(40), months(40, ""), months(40, "-15"), days("2023-12-25", 40),
        days("1968-02-01", 40, 7),
        [day.replace("-0", "/").replace("-", "/") for day in days("2023-12-25", 40)],
        [day.replace("-", "/") for day in days("2023-09-25", 40)],
        [month.replace("-0", "-").replace("-", "年") + "月" for month in months(40, "")],
        ["2020-01-31", "2020-02-29", *after("2020-01-31", "2020-02-29", n=60)],
        [str(year) for year in range(1900, 1950)], [f"{k / 4:.2f}" for k in range(-9, 40)],
    ):  # fmt: skip
        assert after(*times[:20], n=len(times) - 20) == times[20:]
        assert series(*times).labels == list(times)


def test_the_calendar_ends():
    assert after("9999-10", "9999-11", n=1) == ["9999-12"]
    for times in (
        ["9999-11", "9999-12"],
        ["9999-12-30", "9999-12-31"],
        ["9997-02-28", "9998-02-28"],
    ):
        with pytest.raises(
            DataError, match=r"2 steps after .* are past the year 9999; ask for fewer"
        ):
            after(*times)


def test_a_date_is_not_written_like_what_is_none():
    with pytest.raises(ValueError, match="'x' is no date"):
        write_date(datetime(2024, 1, 1), like="x")


# -- times that are not


SPACED = "; only a model trained without --time takes rows as equally spaced"
FILL = f": fill in the missing row(s){SPACED}"
MEND = f": mend the time or remove the row{SPACED}"


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["1989", "1988"],
         "row 2 (line 3): time '1988' does not come after '1989'; sort the file by time"),
        (["1989", "1990", "1990", "1991"],
         "row 3 (line 4): time '1990' comes twice: row 2 (line 3) has '1990'; keep one row for "
         "each time"),
        (["1990", "1990.0"],
         "row 2 (line 3): time '1990.0' comes twice: row 1 (line 2) has '1990'; keep one row for "
         "each time"),
        (["1989", "1990", "1991", "1989", "1990"],  # one series after another
         "row 4 (line 5): time '1989' comes twice: row 1 (line 2) has '1989'; keep one row for "
         "each time"),
        (["2024-03", "2024-02", "2024-01"],
         "row 2 (line 3): time '2024-02' does not come after '2024-03'; sort the file by time"),
        (["2024-10-27T02:00+01:00", "2024-10-27T02:30+02:00"],  # half an hour before it
         "row 2 (line 3): time '2024-10-27T02:30+02:00' does not come after "
         "'2024-10-27T02:00+01:00'; sort the file by time"),
        (["2024-10-27T01:00+01:00", "2024-10-27T02:00+02:00"],
         "row 2 (line 3): time '2024-10-27T02:00+02:00' comes twice: row 1 (line 2) has "
         "'2024-10-27T01:00+01:00'; keep one row for each time"),
        (["2024-01-01T00:00", "2024-01-01T01:00Z"],
         "row 2 (line 3): time '2024-01-01T01:00Z' of column 't' has the time zone UTC where "
         "row 1 (line 2) has no time zone; write all times in one zone"),
        (["1", "2024-01"],
         "row 2 (line 3): time '2024-01' of column 't' is a date where row 1 (line 2) has a "
         "number; write all times one way"),
        (["1", ""], "row 2 (line 3): column 't' is empty; fill it in or remove the row"),
    ],
)  # fmt: skip
def test_times_that_do_not_rise(times, message):
    assert refused(*times) == f"f.csv: {message}"


@pytest.mark.parametrize(
    ("times", "row", "what", "remedy"),
    [
        (["1986", "1987", "1988", "1990"], 4,
         "time '1990' follows '1988', a step of 2 where the steps before are 1", FILL),
        (["1987", "1988", "1990"], 3,
         "time '1990' follows '1988', a step of 2 where the step before is 1", FILL),
        (["1986", "1988", "1989"], 2,  # as common: the shorter one is the step
         "time '1988' follows '1986', a step of 2 where other steps are 1", FILL),
        (["1980", "1988", "1989", "1990"], 2,  # the odd one is the first
         "time '1988' follows '1980', a step of 8 where other steps are 1", FILL),
        (["0", "5", "10", "20", "30", "40"], 2,  # the step became longer
         "time '5' follows '0', a step of 5 where other steps are 10", MEND),
        (["0.1", "0.2", "0.3", "0.45"], 4,
         "time '0.45' follows '0.3', a step of 0.15 where the steps before are 0.1", MEND),
        (["1", "2", "3.00001", "4.00001"], 3,
         "time '3.00001' follows '2', a step of 1.00001 where the step before is 1", MEND),
        (["0", "1", "2", "2.5", "3", "4"], 4,
         "time '2.5' follows '2', a step of 0.5 where the steps before are 1", MEND),
        # a working week
        ([*days("2024-01-01", 5), *days("2024-01-08", 5)], 6,
         "time '2024-01-08' follows '2024-01-05', a step of 3 days where the steps before are "
         "1 day", FILL),
        (["2024-01-05", "2024-01-08", "2024-01-09"], 2,
         "time '2024-01-08' follows '2024-01-05', a step of 3 days where other steps are 1 day",
         FILL),
        ([*days("2024-01-01", 9, 7), "2024-03-11"], 10,
         "time '2024-03-11' follows '2024-02-26', a step of 14 days where the steps before are "
         "7 days", FILL),
        # a day missing from months and from years, though most are of 31 and 365 days
        ([*months(7), *months(20)[8:]], 8,
         "time '2019-09-01' follows '2019-07-01', a step of 2 months where the steps before are "
         "1 month", FILL),
        (["2019-01", "2019-03", "2019-04", "2019-05"], 2,
         "time '2019-03' follows '2019-01', a step of 2 months where other steps are 1 month",
         FILL),
        ([f"{year}-01-01" for year in (2019, 2020, 2021, 2022, 2024)], 5,
         "time '2024-01-01' follows '2022-01-01', a step of 2 years where the steps before are "
         "1 year", FILL),
        (["2096-02-29", "2100-02-28", "2104-02-29", "2105-02-28"], 4,
         "time '2105-02-28' follows '2104-02-29', a step of 1 year where the steps before are "
         "4 years", MEND),
        (["2024-01-15", "2024-02-15", "2024-03-15", "2024-04-18"], 4,
         "time '2024-04-18' follows '2024-03-15', a step of 34 days where the steps before are "
         "1 month", MEND),
        (["2024-01-01", "2024-02-01", "2024-03-01T01:00", "2024-04-01", "2024-05-01"], 3,
         "time '2024-03-01T01:00' follows '2024-02-01', a step of 697 hours where the step before "
         "is 1 month", MEND),
        (["2023-01-31", "2023-02-28", "2023-03-28", "2023-04-30", "2023-05-31"], 3,
         "time '2023-03-28' follows '2023-02-28', a step of 28 days where the step before is "
         "1 month between month ends", MEND),
        (["2023-01-31", "2023-02-28", "2023-04-30", "2023-05-31"], 3,
         "time '2023-04-30' follows '2023-02-28', a step of 2 months where the step before is "
         "1 month", FILL),
        # hours
        (["2024-03-31T00:00", "2024-03-31T01:00", "2024-03-31T03:00", "2024-03-31T04:00"], 3,
         "time '2024-03-31T03:00' follows '2024-03-31T01:00', a step of 2 hours where the step "
         "before is 1 hour", FILL),
        (["2024-01-01T00:00:00", "2024-01-01T00:01:30", "2024-01-01T00:03:00",
          "2024-01-01T00:04:30.5"], 4,
         "time '2024-01-01T00:04:30.5' follows '2024-01-01T00:03:00', a step of 90.5 seconds "
         "where the steps before are 90 seconds", MEND),
        (["2024-10-27T00:00+02:00", "2024-10-27T01:00+02:00", "2024-10-27T02:00+01:00"], 3,
         "time '2024-10-27T02:00+01:00' follows '2024-10-27T01:00+02:00', a step of 2 hours where "
         "the step before is 1 hour", FILL),
        # days by the clock of a place
        (["2024-03-29T00:00+01:00", "2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00",
          "2024-04-01T00:00+02:00", "2024-04-02T00:00+02:00"], 4,
         "time '2024-04-01T00:00+02:00' follows '2024-03-31T00:00+01:00', a step of 23 hours "
         "where the steps before are 1 day", ": write the dates without hours, as the offset from "
         f"UTC changes between them{SPACED}"),
    ],
)  # fmt: skip
def test_steps_that_are_not_equal(times, row, what, remedy):
    assert refused(*times) == f"f.csv: row {row} (line {row + 1}): {what}{remedy}"


def test_any_row_left_out_is_found():
    whole = {
        "number": [f"{k / 8:.3f}" for k in range(24)],
        "day": days("2024-02-20", 24),
        "month": months(24),
        "month end": ["2023-01-31", "2023-02-28", *after("2023-01-31", "2023-02-28", n=22)],
        "leap year": ["2020-02-29", "2021-02-28", *after("2020-02-29", "2021-02-28", n=22)],
    }
    for kind, times in whole.items():
        for gone in range(1, 23):
            message = refused(*times[:gone], *times[gone + 1 :])
            assert message.startswith(f"f.csv: row {gone + 1} (line {gone + 2}): time"), kind
            assert "fill in the missing row" in message
            swapped = times.copy()
            swapped[gone - 1 : gone + 1] = swapped[gone], swapped[gone - 1]
            assert (
                f"row {gone + 1} (line {gone + 2}): time {times[gone - 1]!r} does not come after "
                in (refused(*swapped))
            )


def test_a_long_series_is_quick_and_exact():
    start = datetime(2000, 1, 1)
    times = [(start + timedelta(minutes=k)).isoformat() for k in range(50_000)]
    assert after(*times, n=1) == [(start + timedelta(minutes=50_000)).isoformat()]
    assert after(*(f"{k / 1000:.3f}" for k in range(50_000)), n=1) == ["50.000"]


def test_days_without_dashes_follow_the_calendar():
    assert after("20240129", "20240130", "20240131") == ["20240201", "20240202"]
    assert after("20240131", "20240229") == ["20240331", "20240430"]
