"""parse_times and parse_numbers: what is read, and what is refused with its row."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from elman.data import Table, Times, parse_numbers, parse_times
from elman.data.times import parse_date, write_date
from elman.errors import DataError


def column(*values, start=0):
    lines = list(range(2, 2 + len(values)))
    return Table(Path("f.csv"), ["t"], [[v] for v in values], lines, "", start)


def offset(hours, minutes=0):
    return timezone(timedelta(hours=hours, minutes=minutes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        (" 2024-01-31 ", datetime(2024, 1, 31)),
        ("2024-02", datetime(2024, 2, 1)),
        ("2024-02-29", datetime(2024, 2, 29)),
        ("0001-01", datetime(1, 1, 1)),
        ("2024-01-31T12:00", datetime(2024, 1, 31, 12)),
        ("2024-01-31t12:05", datetime(2024, 1, 31, 12, 5)),
        ("2024-01-31 12:05:59", datetime(2024, 1, 31, 12, 5, 59)),
        ("2024-01-31T12:05:59.5", datetime(2024, 1, 31, 12, 5, 59, 500_000)),
        ("2024-01-31T12:05:59,000001", datetime(2024, 1, 31, 12, 5, 59, 1)),
        ("2024-01-31 12:05:59.123456000", datetime(2024, 1, 31, 12, 5, 59, 123_456)),
        ("2024-01-31T12:00Z", datetime(2024, 1, 31, 12, tzinfo=timezone.utc)),
        ("2024-01-31T12:00:01z", datetime(2024, 1, 31, 12, 0, 1, tzinfo=timezone.utc)),
        ("2024-01-31 12:00+08:00", datetime(2024, 1, 31, 12, tzinfo=offset(8))),
        ("2024-01-31T12:00-0330", datetime(2024, 1, 31, 12, tzinfo=offset(-3, -30))),
        ("2024-01-31T12:00+08", datetime(2024, 1, 31, 12, tzinfo=offset(8))),
        ("2024/1/1", datetime(2024, 1, 1)),
        (" 2024/01/31 ", datetime(2024, 1, 31)),
        ("2024/1", datetime(2024, 1, 1)),
        ("2024/12", datetime(2024, 12, 1)),
        ("2024/1/1 12:00", datetime(2024, 1, 1, 12)),
        ("2024/1/1 9:05", datetime(2024, 1, 1, 9, 5)),
        ("2024/01/01 09:05:01.5", datetime(2024, 1, 1, 9, 5, 1, 500_000)),
        ("2024/1/1 9:05+08:00", datetime(2024, 1, 1, 9, 5, tzinfo=offset(8))),
        ("2024年1月1日", datetime(2024, 1, 1)),
        ("2024年01月31日", datetime(2024, 1, 31)),
        ("2024年12月", datetime(2024, 12, 1)),
        ("2024年1月1日 9:05", datetime(2024, 1, 1, 9, 5)),
        ("2024年1月1日09:05", datetime(2024, 1, 1, 9, 5)),
        ("2024-01-31T12:00-00:00", datetime(2024, 1, 31, 12, tzinfo=timezone.utc)),
    ],
)
def test_dates(text, expected):
    date = parse_date(text)
    assert date == expected
    assert date.utcoffset() == expected.utcoffset()
    assert parse_times(column(text), "t") == Times("date", [expected])


@pytest.mark.parametrize(
    "text",
    ["31.01.2024", "01/31/2024", "1/2/2024", "2024-1-5", "2024/1-5", "24-01-31",
     "2024-W05", "2024-031", "Q1",
     "2024-01-31T", "2024-01-31T12", "2024-01-31T1200", "2024-01-31T12:00 +08:00", "2024-01Z",
     "2024-01-31Z", "2024-01-31T12:00:00.", "2024-01-31T12:00:00.1234567891", "١٢٣٤-٠١", "today",
     "2024/1/31T12:00", "2024/1/31 9", "2024/1/31 9:5", "2024/1/31/2", "24/1/31", "2024/001",
     "2024年", "2024年1", "2024年1月31", "2024-1月", "2024/1/", "2024/1/31 9:00 AM",
     "2024-01-31T12:00+8", "2024-01-31\n2024-02-01", "x" * 1000],
)  # fmt: skip
def test_what_is_no_date(text):
    with pytest.raises(DataError, match=r"^f\.csv: row 1 \(line 2\): time .* of column 't' ") as e:
        parse_times(column(text), "t")
    assert "write a number, or a date like 2024-01-31 or 2024-01-31T12:00" in str(e.value)
    assert len(str(e.value)) < 250


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-13", "month must be in 1..12"),
        ("2024/13/1", "month must be in 1..12"),
        ("2024年2月30日", "day"),
        ("2023-02-29", "day"),
        ("2024-00-01", "month"),
        ("0000-01", "year"),
        ("2024-01-31T24:00", "hour must be in 0..23"),
        ("2024-01-31T23:60", "minute"),
        ("2024-12-31T23:59:60", "second"),
        ("2024-01-31T12:00+24:00", "a time zone is at most 23:59 from UTC"),
        ("2024-01-31T12:00:00.0000001", "a fraction of a second has at most 6 decimals"),
    ],
)
def test_dates_that_never_were(text, why):
    with pytest.raises(DataError, match=rf"row 1 \(line 2\): .* cannot be read: .*{why}"):
        parse_times(column(text), "t")


def test_numbers_and_years():
    times = parse_times(column("2023", "-1.5e3", " 7 ", "+.5", "1.", "20240131"), "t")
    assert times == Times("number", [2023.0, -1500.0, 7.0, 0.5, 1.0, 20240131.0])
    assert all(type(value) is float for value in times.values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("2023", "2024-01"), "row 2 .* '2024-01' .* is a date where row 1 .line 2. has a number"),
        (("2023-12", "2024"), "row 2 .* '2024' .* is a number where row 1 .line 2. has a date"),
        (("1", "x"), "row 2 .* 'x' of column 't' cannot be read: write a finite number"),
        (("1", "nan"), "row 2 .* 'nan' .* write a finite number"),
        (("inf",), "row 1 .* cannot be read"),
        (("1", ""), "row 2 .line 3.: column 't' is empty; fill it in or remove the row"),
        (("  ",), "row 1 .line 2.: column 't' is empty"),
        (
            ("2024-01-01T00:00Z", "2024-01-02T00:00"),
            "row 2 .* has no time zone where row 1 .line 2. has the time zone UTC; write all",
        ),
        (
            ("2024-01-01", "2024-01-02T00:00+08:00"),
            r"row 2 .* has the time zone UTC\+08:00 where row 1 .line 2. has no time zone",
        ),
        (
            ("2024-01-01T00:00+08:00", "2024-01-02T00:00+08", "2024-01-02T00:00+09:00"),
            r"row 3 .* UTC\+09:00 where row 1 .* UTC\+08:00; write all times in one zone",
        ),
    ],
)
def test_mixtures_and_gaps(values, message):
    with pytest.raises(DataError, match=message):
        parse_times(column(*values), "t")


def test_one_zone_in_many_spellings():
    times = parse_times(
        column("2024-01-01T00:00Z", "2024-01-01T00:00+00", "2024-01-01 01:00-0000"), "t"
    )
    assert len(set(times.values)) == 2


def test_rows_of_a_block_count_through_the_file():
    with pytest.raises(DataError, match=r"row 12 \(line 3\).* where row 11 \(line 2\) has"):
        parse_times(column("1", "2024-01", start=10), "t")


def test_a_column_that_is_not_there():
    for parse in (parse_times, parse_numbers):
        with pytest.raises(DataError, match="no column 'x'; the columns are 't'"):
            parse(column("1"), "x")


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-Infinity", "1e999", "1,5", "1,000", "1_000", "0x10", "1 2", "--1", ".", "e5",
     "true", "½", "１２", "1e"],
)  # fmt: skip
def test_what_is_no_number(text):
    with pytest.raises(DataError, match=r"^f\.csv: row 2 \(line 3\): column 't' should be a fin"):
        parse_numbers(column("1", text), "t")


def test_an_empty_field_is_no_number():
    with pytest.raises(DataError, match=r"row 1 .* column 't' is empty; fill it in or remove"):
        parse_numbers(column(" "), "t")


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (("1", "1,234"), "write it without thousands marks and with a decimal point"),
        (("1", "x"), "write it as a number"),
        (("１", "２"), "write it with the digits 0 to 9, like 1"),
        (("x", "y"), "no value of the column is a number: name a column of numbers"),
        (("1", "NA"), "mend it or remove the row"),
    ],
)
def test_the_remedy_for_what_is_no_number(values, remedy):
    with pytest.raises(DataError, match=f"; {remedy}"):
        parse_numbers(column(*values), "t")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("20240131", "20240201"), "date"),
        (("20240131", " 19991231 "), "date"),
        (("20240131", "20240231"), "number"),  # no such day
        (("20240131", "20241"), "number"),
        (("12345678", "12345679"), "number"),
        (("202401", "202402"), "number"),
    ],
)
def test_eight_digits_are_a_date_where_all_are_one(values, kind):
    assert parse_times(column(*values), "t").kind == kind


def test_a_date_without_dashes_is_written_so():
    for text in ("20240131", "20240131 12:30"):
        assert write_date(parse_date(text), like=text) == text
    with pytest.raises(ValueError, match="write a number, or a date"):
        parse_date("202401")
