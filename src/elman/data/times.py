"""Columns of times: numbers, or dates that begin with the year."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal, NamedTuple, TypeVar

from elman.data.numbers import parse_number, shortened
from elman.data.table import Table
from elman.errors import DataError

_T = TypeVar("_T")


class _Form(NamedTuple):
    """A way to write dates: what stands around their numbers, and what is matched by it all."""

    pattern: re.Pattern[str]
    after_year: str
    after_month: str
    before_day: str
    after_day: str

    @classmethod
    def of(cls, digits: str, blank: str, *around: str, day: str = "?") -> "_Form":
        """The form whose months, days and hours have `digits`, and `blank` before the hour.

        Args:
            day: "?" where what is from the day on may be left out, else "".
        """
        after_year, after_month, before_day, after_day = around
        pattern = (
            rf"(?P<year>[0-9]{{4}}){after_year}(?P<month>[0-9]{digits}){after_month}"
            rf"({before_day}(?P<day>[0-9]{digits}){after_day}"
            rf"((?P<blank>{blank})(?P<hour>[0-9]{digits}):(?P<minute>[0-9]{{2}})"
            r"(:(?P<second>[0-9]{2})((?P<point>[.,])(?P<fraction>[0-9]{1,9}))?)?"
            rf"(?P<zone>[Zz]|[+-][0-9]{{2}}(:?[0-9]{{2}})?)?)?){day}"
        )
        return cls(re.compile(pattern), after_year, after_month, before_day, after_day)


_FORMS = (
    _Form.of("{2}", "[Tt ]", "-", "", "-", ""),  # ISO 8601
    _Form.of("{1,2}", " ", "/", "", "/", ""),  # a spreadsheet's
    _Form.of("{1,2}", " ?", "年", "月", "", "日"),
    _Form.of("{2}", "[Tt ]", "", "", "", "", day=""),  # 20240131; without a day it is a number
)


@dataclass(frozen=True)
class Times:
    """The times of a table's rows.

    Attributes:
        kind: "number" or "date".
        values: one a row, float or datetime as `kind` says. The datetimes have all a time
            zone, the same unless asked otherwise, or all none.
    """

    kind: Literal["number", "date"]
    values: list[float] | list[datetime]


def parse_times(table: Table, column: str, one_zone: bool = True) -> Times:
    """The times in a column: all numbers, or all dates.

    A year alone is a number. Eight digits are a date, like 20240131, where all of the column are
    one from 1900 to 2099.

    Args:
        table: its rows in any order.
        column: the times.
        one_zone: whether dates with another offset from UTC than the first are refused. Those
            with and without one are never mixed. Default: True.

    Raises:
        DataError: there is no such column, or a value cannot be read as a time, is of another
            kind than the first, or has another time zone; names the row.

    >>> from pathlib import Path
    >>> def column(*values):
    ...     return Table(Path("f.csv"), ["t"], [[v] for v in values], [2, 3], "")
    >>> parse_times(column("2023", "2024.5"), "t")
    Times(kind='number', values=[2023.0, 2024.5])
    >>> times = parse_times(column("2024-01", "2024-02-01 12:30"), "t")
    >>> times.kind, [time.isoformat() for time in times.values]
    ('date', ['2024-01-01T00:00:00', '2024-02-01T12:30:00'])
    """
    texts = table.column(column)
    if texts and parse_number(texts[0]) is not None and not all(map(_is_compact, texts)):
        return Times("number", _all(table, column, _number))
    dates = _all(table, column, parse_date)
    for row, date in enumerate(dates):
        unlike = date.utcoffset() != dates[0].utcoffset()
        if unlike and (one_zone or None in (date.tzinfo, dates[0].tzinfo)):
            raise DataError(
                f"{_what(table, column, row)} has {_zone_name(date)} where {table.row_name(0)} "
                f"has {_zone_name(dates[0])}; write all times in one zone"
            )
    return Times("date", dates)


def parse_date(text: str) -> datetime:
    """The date and time a text writes; what is left out is the first of its kind.

    Known are ISO 8601's YYYY-MM, YYYY-MM-DD and YYYY-MM-DDThh:mm, with seconds and their fraction
    or not, with a blank for the T, and with Z, +hh:mm, +hhmm or +hh, or no time zone; the same
    without the dashes, YYYYMMDD; and those of spreadsheets, whose zeros in front may be missing:
    YYYY/M, YYYY/M/D and YYYY/M/D h:mm, and YYYY年M月, YYYY年M月D日. Dates that begin with the day
    or the month are not: 1/2/2024 is both.

    Raises:
        ValueError: the text is no such date; says why.

    >>> parse_date("2024-02").isoformat(), parse_date("2024-01-31T12:00:00.5Z").isoformat()
    ('2024-02-01T00:00:00', '2024-01-31T12:00:00.500000+00:00')
    >>> parse_date("2024/1/31 9:00").isoformat(), parse_date("2024年1月").isoformat()
    ('2024-01-31T09:00:00', '2024-01-01T00:00:00')
    """
    found = _match(text)
    if found is None:
        raise ValueError("write a number, or a date like 2024-01-31 or 2024-01-31T12:00")
    part = found[1].groupdict()
    fraction = (part["fraction"] or "").ljust(9, "0")
    if fraction[6:].strip("0"):
        raise ValueError("a fraction of a second has at most 6 decimals")
    return datetime(
        int(part["year"]),
        int(part["month"]),
        int(part["day"] or 1),
        int(part["hour"] or 0),
        int(part["minute"] or 0),
        int(part["second"] or 0),
        int(fraction[:6]),
        tzinfo=_zone(part["zone"]),
    )


def write_date(date: datetime, like: str) -> str:
    """A date in the form of another: its parts, separators, decimals and zone as written.

    A date in one zone is converted to that of the other.

    >>> write_date(parse_date("2024-02-01 12:30"), like="2024-01-31T12:00:00Z")
    '2024-02-01T12:30:00Z'
    >>> write_date(parse_date("2024-02-01"), like="2024/1/1")
    '2024/2/1'
    """
    found = _match(like)
    if found is None:
        raise ValueError(f"like: {shortened(like)} is no date")
    form, part = found[0], found[1].groupdict()
    if date.tzinfo is not None and part["zone"]:
        date = date.astimezone(_zone(part["zone"]))

    def padded(number: int, name: str) -> str:
        return str(number).zfill(len(part[name]))

    text = f"{date.year:04}{form.after_year}{padded(date.month, 'month')}{form.after_month}"
    if part["day"]:
        text += form.before_day + padded(date.day, "day") + form.after_day
    if part["hour"]:
        text += f"{part['blank']}{padded(date.hour, 'hour')}:{date.minute:02}"
    if part["second"]:
        text += f":{date.second:02}"
    if part["fraction"]:
        text += part["point"] + f"{date.microsecond:06}000"[: len(part["fraction"])]
    return text + (part["zone"] or "")


def date_form(texts: Sequence[str]) -> str:
    """A date in the form of a column's dates, for `write_date`: the fullest, of these the last.

    Its month, day and hour show whether those of the column have a zero in front; where none in
    the column does, they have not.

    >>> date_form(["2024-01", "2024-01-31T12:00+08:00", "2024-02-01"])
    '2024-01-31T12:00+08:00'
    >>> date_form(["2024/9/30", "2024/10/31"]), date_form(["2024/09/30", "2024/10/31"])
    ('2024/1/1', '2024/01/01')
    """
    found = [match for match in map(_match, reversed(texts)) if match]
    form, like = max(found, key=lambda match: _detail(match[1]))
    if form is _FORMS[0]:
        return like[0]
    matches = [match for of, match in found if of is form]
    date = _zeros(matches, ("month", "day")) or "1"
    hour = _zeros(matches, ("hour",)) or date
    text = like[0]
    for name, number in (("hour", hour), ("day", date), ("month", date)):
        start, end = like.span(name)
        if end > 0:
            text = text[:start] + number + text[end:]
    return text


def _match(text: str) -> tuple[_Form, re.Match[str]] | None:
    """The form of a date, and its parts."""
    text = text.strip()
    for form in _FORMS:
        if match := form.pattern.fullmatch(text):
            return form, match
    return None


def _is_compact(text: str) -> bool:
    """Whether eight digits are a date of these centuries."""
    if not re.fullmatch(r"(19|20)[0-9]{6}", text.strip()):
        return False
    try:
        parse_date(text)
    except ValueError:
        return False
    return True


def _detail(match: re.Match[str]) -> int:
    """How much of a date is written, to compare."""
    return sum(bool(match[name]) for name in ("day", "hour", "second")) + len(
        match["fraction"] or ""
    )


def _zeros(matches: Sequence[re.Match[str]], names: Sequence[str]) -> str | None:
    """A one as the first number below ten is written, "01" or "1"; None where there is none."""
    for match in matches:
        for name in names:
            number = match[name]
            if number and (len(number) == 1 or number[0] == "0"):
                return "1".zfill(len(number))
    return None


def _all(table: Table, column: str, parse: Callable[[str], _T]) -> list[_T]:
    """Every value of a column, or an error that says which row cannot be read and why."""
    values: list[_T] = []
    for row, text in enumerate(table.column(column)):
        try:
            values.append(parse(text))
        except ValueError as error:
            if not text.strip():
                raise DataError(
                    f"{table.place(row)}: column {column!r} is empty; fill it in or remove the row"
                ) from None
            wrong = f"cannot be read: {error}"
            if row and _kind(text):
                wrong = (
                    f"is a {_kind(text)} where {table.row_name(0)} has a "
                    f"{_kind(table.column(column)[0])}; write all times one way"
                )
            raise DataError(f"{_what(table, column, row)} {wrong}") from None
    return values


def _kind(text: str) -> Literal["number", "date"] | None:
    if parse_number(text) is not None:
        return "number"
    try:
        parse_date(text)
    except ValueError:
        return None
    return "date"


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("a time zone is at most 23:59 from UTC")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _zone_name(date: datetime) -> str:
    return "no time zone" if date.tzinfo is None else f"the time zone {date.tzname()}"


def _what(table: Table, column: str, row: int) -> str:
    return f"{table.place(row)}: time {shortened(table.column(column)[row])} of column {column!r}"


def _number(text: str) -> float:
    value = parse_number(text)
    if value is None:
        raise ValueError("write a finite number, as in the first row")
    return value
