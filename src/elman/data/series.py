"""Tables to time series: numbers row by row, at times that are equally far apart."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from elman.data.numbers import number_remedy, parse_number, shortened
from elman.data.table import Table
from elman.data.times import date_form, parse_times, write_date
from elman.errors import DataError

_TOLERANCE = Decimal("1e-6")  # of a step, for numbers; dates are held exactly
_EXACT = Context(prec=60)  # digits: the times are subtracted as written, not as rounded to float64
_UNITS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
)


@dataclass(frozen=True, eq=False)
class Series:
    """Values at equally spaced times.

    Attributes:
        path: the file they came from.
        sha256: of the file's bytes, in hexadecimal.
        columns: the names of the values.
        values: float64, (T, C), in the order of time.
        time: the name of the column of times, or None.
        labels: what stands there in each row, as written; without one "1", "2", ...
        lines: the line of the file on which each row begins, counted from 1.
    """

    path: Path
    sha256: str
    columns: list[str]
    values: np.ndarray
    time: str | None
    labels: list[str]
    lines: list[int]

    def place(self, row: int) -> str:
        """Where row number `row`, from 0, stands: file, row and line as a person counts."""
        return f"{self.path}: row {row + 1} (line {self.lines[row]})"

    def next_times(self, n: int) -> list[str]:
        """The labels of the `n` steps after the last, written like those of the file.

        Dates at month ends stay at month ends, and an offset from UTC stays that of the last row.

        Raises:
            DataError: there is a column of times and fewer than two rows, or the calendar ends.

        >>> def after(*labels):
        ...     lines = list(range(2, 2 + len(labels)))
        ...     table = Table(Path("f.csv"), ["t", "y"], [[t, "0"] for t in labels], lines, "")
        ...     return read_series(table, ["y"], time="t").next_times(2)
        >>> after("2023-12-31", "2024-01-31"), after("0.90", "0.95")
        (['2024-02-29', '2024-03-31'], ['1.00', '1.05'])
        """
        if self.time is None:
            last = int(self.labels[-1]) if self.labels else 0
            return [str(last + k) for k in range(1, n + 1)]
        rows = [[label] for label in self.labels]
        steps = _steps(Table(self.path, [self.time], rows, self.lines, self.sha256), self.time)
        if steps is None:
            raise DataError(
                f"{self.path}: the times that follow in column {self.time!r} cannot be known from "
                f"{len(rows)} row; give at least two rows"
            )
        try:
            return [steps.after(k) for k in range(1, n + 1)]
        except (OverflowError, ValueError):  # datetime's, past its last year
            raise DataError(
                f"{self.path}: {n} steps after {self.labels[-1]!r} of column {self.time!r} are "
                f"past the year {MAXYEAR}; ask for fewer"
            ) from None


def read_series(table: Table, targets: Sequence[str], time: str | None = None) -> Series:
    """The series in a table with one step a row.

    Args:
        table: a whole file, its rows in the order of time.
        targets: the columns of the values.
        time: the column of times, numbers or dates as for `parse_times`, equally far apart: by
            the same difference or, for dates, the same number of calendar months or years. With
            offsets from UTC it is the instants that count. Default: None, the rows are taken as
            equally spaced.

    Raises:
        DataError: a column is missing or named twice, a value is no finite number, or a time
            cannot be read, does not come after the one before, or not by the same step; names
            the row.

    >>> rows = [["2023-11", "3"], ["2023-12", "5.5"], ["2024-01", "4"]]
    >>> table = Table(Path("f.csv"), ["month", "sales"], rows, [2, 3, 4], "")
    >>> series = read_series(table, ["sales"], time="month")
    >>> series.values[:, 0].tolist(), series.next_times(2)
    ([3.0, 5.5, 4.0], ['2024-02', '2024-03'])
    >>> read_series(table, ["sales"]).next_times(2)
    ['4', '5']
    """
    if not targets:
        raise DataError(f"{table.path}: no column of values is named; name at least one")
    for k, name in enumerate(targets):
        if name in targets[:k]:
            raise DataError(f"{table.path}: column {name!r} is named twice; name it once")
        if name == time:
            raise DataError(
                f"{table.path}: column {name!r} is named as the time and as a value; name another"
            )
    if time is None:
        labels = [str(row) for row in range(1, len(table.rows) + 1)]
    else:
        labels = table.column(time)
    values = np.array([_values(table, name) for name in targets], dtype=np.float64).T
    if time is not None:
        _steps(table, time)
    columns, lines = list(targets), list(table.lines)
    values = np.ascontiguousarray(values)
    return Series(table.path, table.sha256, columns, values, time, labels, lines)


def _values(table: Table, column: str) -> list[float]:
    """The numbers of a column, or an error for the first that is none."""
    texts = table.column(column)
    numbers = [parse_number(text) for text in texts]
    bad = [row for row, number in enumerate(numbers) if number is None]
    if bad:
        text = texts[bad[0]]
        wrong = f"should be a finite number like -12.5, got {shortened(text)}"
        if not text.strip():
            wrong = "is empty"
        remedy = number_remedy(text, texts, "fill it in or begin after it")
        more = f" (and {len(bad) - 1} more after it)" if len(bad) > 1 else ""
        raise DataError(f"{table.place(bad[0])}: column {column!r} {wrong}{more}; {remedy}")
    return cast("list[float]", numbers)


def _steps(table: Table, column: str) -> "_NumberSteps | _DateSteps | None":
    """The steps between the times of a column, None for one row, if they rise and are equal."""
    texts = table.column(column)
    times = parse_times(table, column, one_zone=False)
    steps: _NumberSteps | _DateSteps
    with localcontext(_EXACT):
        if times.kind == "number":
            numbers = [_decimal(text) for text in texts]
            _check_rising(table, texts, numbers)
            if len(texts) < 2:
                return None
            steps = _NumberSteps(texts, numbers)
        else:
            dates = cast("list[datetime]", times.values)
            _check_rising(table, texts, dates)
            if len(texts) < 2:
                return None
            steps = _DateSteps(texts, dates)
    odd = next((k for k, fits in enumerate(steps.fits) if not fits), None)
    if odd is None:
        return steps
    before = ("other steps are", "the step before is", "the steps before are")[min(odd, 2)]
    came, regular, remedy = steps.fault(odd)
    raise DataError(
        f"{table.place(odd + 1)}: time {shortened(texts[odd + 1])} follows "
        f"{shortened(texts[odd])}, a step of {came} where {before} {regular}: {remedy}; only a "
        "model trained without --time takes rows as equally spaced"
    )


def _check_rising(table: Table, texts: list[str], at: Sequence[Any]) -> None:
    for row, (before, now) in enumerate(pairwise(at), start=1):
        if before < now:
            continue
        what = f"{table.place(row)}: time {shortened(texts[row])}"
        if now in at[:row]:
            first = at.index(now)
            raise DataError(
                f"{what} comes twice: {table.row_name(first)} has {shortened(texts[first])}; "
                "keep one row for each time"
            )
        raise DataError(
            f"{what} does not come after {shortened(texts[row - 1])}; sort the file by time"
        )


def _remedy(step: float, regular: float) -> str:
    if step > 1.5 * regular:
        return "fill in the missing row(s)"
    return "mend the time or remove the row"


class _NumberSteps:
    """The steps between two numbers or more; `fits` says of each whether it is the commonest."""

    def __init__(self, texts: list[str], at: list[Decimal]) -> None:
        self.at = at
        self.taken = [now - before for before, now in pairwise(at)]
        self.step = _commonest(self.taken)
        self.fits = [abs(step - self.step) <= _TOLERANCE * self.step for step in self.taken]
        self.look = _Look([text.strip() for text in texts])

    def fault(self, k: int) -> tuple[str, str, str]:
        """The k-th step and the regular one in words, and a remedy."""
        step, regular = float(self.taken[k]), float(self.step)
        return f"{step:.12g}", f"{regular:.12g}", _remedy(step, regular)

    def after(self, k: int) -> str:
        """The k-th time after the last."""
        with localcontext(_EXACT):
            step = (self.at[-1] - self.at[0]) / (len(self.at) - 1)
            return self.look.written(self.at[-1] + k * step)


class _Look:
    """How a column writes its numbers: decimals, powers of ten, leading zeros."""

    def __init__(self, texts: list[str]) -> None:
        self.decimals = max(map(_decimals, texts))
        self.power = next((letter for letter in "eE" if letter in texts[-1]), "")
        self.mantissa = max(_decimals(text.lower().split("e")[0]) for text in texts)
        padded = all(map(str.isdigit, texts)) and any(t[0] == "0" and len(t) > 1 for t in texts)
        self.width = len(texts[-1]) if padded else 0

    def written(self, value: Decimal) -> str:
        if self.power:
            near = [f"{float(value):.{d}{self.power}}" for d in range(self.mantissa, 17)]
            as_wide = f"{float(value):.{self.mantissa}{self.power}}"
            return next((text for text in near if float(text) == float(value)), as_wide)
        text = f"{value:.{self.decimals}f}"
        return (text if float(text) else text.lstrip("-")).zfill(self.width)


@dataclass(frozen=True)
class _DateStep:
    """A step that dates may take, and which of theirs are it.

    Attributes:
        fits: for each step of the dates, whether it is this one.
        size: microseconds, or where there is a `day` months.
        day: of the month; where a month is shorter its last day, so that 31 is the month's end.
        aligned: for each step of the dates, whether it is one of whole months to that day.
    """

    fits: np.ndarray
    size: int
    day: int = 0
    aligned: np.ndarray | None = None


class _DateSteps:
    """The steps between two dates or more; `fits` says of each whether it is the commonest."""

    def __init__(self, texts: list[str], dates: list[datetime]) -> None:
        wall = np.array([date.replace(tzinfo=None) for date in dates], dtype="datetime64[us]")
        offsets = np.array(
            [date.utcoffset() or timedelta() for date in dates], dtype="timedelta64[us]"
        )
        self.last = dates[-1]
        self.like = date_form(texts)
        self.taken = np.diff(wall - offsets).astype(np.int64)
        self.months = np.diff(wall.astype("datetime64[M]")).astype(np.int64)
        one_hour = len(np.unique(wall - wall.astype("datetime64[D]"))) == 1
        one_zone = len(np.unique(offsets)) == 1
        self.days_by_zones = one_hour and not one_zone
        size = _mode(self.taken)
        found = [*(self._by_month(wall) if one_zone else []), _DateStep(self.taken == size, size)]
        # the most steps, then the shortest, then the calendar: 1 month before 31 days
        self.step = min(found, key=lambda s: (-int(s.fits.sum()), int(self.taken[s.fits].min())))
        self.fits = self.step.fits

    def _by_month(self, wall: np.ndarray) -> list[_DateStep]:
        """For each day of the month the commonest number of months from there to there."""
        date, month = wall.astype("datetime64[D]"), wall.astype("datetime64[M]")
        first, following = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
        day = (date - first).astype(np.int64) + 1
        length = (following - first).astype(np.int64)
        same_hour = np.diff(wall - date).astype(np.int64) == 0
        found = []
        for at in [31, *sorted({*day.tolist()} - {31})]:
            there = day == np.minimum(at, length)
            aligned = there[:-1] & there[1:] & same_hour & (self.months > 0)
            if aligned.any():
                size = _mode(self.months[aligned])
                found.append(_DateStep(aligned & (self.months == size), size, at, aligned))
        return found

    def fault(self, k: int) -> tuple[str, str, str]:
        """The k-th step and the regular one in words, and a remedy."""
        step, came = self.step, _length(int(self.taken[k]))
        regular = _months(step.size) if step.day else _length(step.size)
        if step.aligned is not None and step.aligned[k]:
            came = _months(int(self.months[k]))
        elif step.day == 31:
            regular += " between month ends"
        remedy = _remedy(float(self.taken[k]), float(np.median(self.taken[self.fits])))
        if self.days_by_zones:
            remedy = "write the dates without hours, as the offset from UTC changes between them"
        return came, regular, remedy

    def after(self, k: int) -> str:
        """The k-th date after the last."""
        if not self.step.day:
            return write_date(self.last + timedelta(microseconds=k * self.step.size), self.like)
        year, month = divmod(self.last.year * 12 + self.last.month - 1 + k * self.step.size, 12)
        if year > MAXYEAR:
            raise OverflowError
        day = min(self.step.day, monthrange(year, month + 1)[1])
        return write_date(self.last.replace(year=year, month=month + 1, day=day), self.like)


def _months(n: int) -> str:
    return _count(n // 12, "year") if n % 12 == 0 else _count(n, "month")


def _length(microseconds: int) -> str:
    for unit, size in _UNITS:
        if microseconds % size == 0:
            return _count(microseconds // size, unit)
    return f"{microseconds / 1e6:.12g} seconds"


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _mode(steps: np.ndarray) -> int:
    """The commonest, of those as common the least."""
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])


def _commonest(steps: list[Decimal]) -> Decimal:
    """The middle of the most steps that are equal within the tolerance, of as many the least."""
    ordered = sorted(steps)
    most, middle, end = 0, ordered[0], 0
    for start, least in enumerate(ordered):
        while end < len(ordered) and ordered[end] <= least * (1 + 2 * _TOLERANCE):
            end += 1
        if end - start > most:
            most, middle = end - start, (least + ordered[end - 1]) / 2
    return middle


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation:  # an exponent of twenty digits: float makes it 0
        return Decimal(float(text))


def _decimals(text: str) -> int:
    exponent = _decimal(text).as_tuple().exponent
    return min(max(0, -exponent), _EXACT.prec) if isinstance(exponent, int) else 0
