"""Calendar of one company: months, fiscal quarters, local days and the instants at which they end.

Periods are half-open in the company's time zone. ``D`` of a month is the day its values are about: its last
day, or the local day of ``known_at`` where that is earlier (definition book, ruling 1). A fiscal year carries the
number of the calendar year in which it ends, so with a year that starts in February, April 2026 lies in 2027-Q1.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from connectors.errors import ConfigurationError

_MONTH: Final = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$")
SNAPSHOT_DAY: Final = 21  # of the quarter, where a company names no other (definition book, section 4)
_SATURDAY: Final = 5


@dataclass(frozen=True)
class Quarter:
    """A fiscal quarter: its first and last day and its name, such as ``2026-Q2``."""

    label: str
    first: date
    last: date

    def nth(self, number: int) -> date:
        """The quarter's day of that number; 1 is its first."""
        return self.first + timedelta(days=number - 1)


def month_first(month: str) -> date:
    """``2026-05`` -> 1 May 2026. Raises ``ConfigurationError`` on any other form."""
    match = _MONTH.match(month)
    if match is None:
        raise ConfigurationError(f"month {month!r} is not of the form YYYY-MM; write for example 2026-05")
    return date(int(match[1]), int(match[2]), 1)


def month_last(month: str) -> date:
    """``2026-02`` -> 28 February 2026."""
    first = month_first(month)
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])


def shift(month: str, by: int) -> str:
    """``2026-01``, -1 -> ``2025-12``."""
    first = month_first(month)
    index = first.year * 12 + first.month - 1 + by
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def month_of(day: date) -> str:
    """The month a day lies in."""
    return f"{day:%Y-%m}"


def months_between(first: str, last: str) -> tuple[str, ...]:
    """Every month from ``first`` to ``last``, both included; empty when ``last`` is earlier."""
    start, end = month_first(first), month_first(last)
    count = (end.year - start.year) * 12 + end.month - start.month + 1
    return tuple(shift(first, number) for number in range(count))


@dataclass(frozen=True)
class Calendar:
    """Days, quarters and instants of one company as seen at ``known_at`` (aware, UTC).

    ``snapshot_day``: the day of a quarter on which its pipeline is read.
    """

    zone: ZoneInfo
    known_at: datetime
    fiscal_year_start_month: int = 1
    snapshot_day: int = SNAPSHOT_DAY

    @property
    def known_day(self) -> date:
        """The local day of ``known_at``."""
        return self.known_at.astimezone(self.zone).date()

    def check(self, month: str) -> None:
        """Raise ``ConfigurationError`` where the month is malformed or begins after ``known_at``'s month."""
        if month_first(month) > self.known_day:
            raise ConfigurationError(
                f"month {month} lies in the future: known are numbers up to {month_of(self.known_day)}; "
                "ask for that month or an earlier one"
            )

    def day(self, month: str) -> date:
        """D: the last day of the month, or ``known_at``'s local day where that is earlier."""
        return min(month_last(month), self.known_day)

    def end_of(self, day: date) -> datetime:
        """The instant (UTC) at which a local day ends: the next local midnight."""
        midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=self.zone)
        return midnight.astimezone(UTC)

    def moment(self, day: date) -> datetime:
        """The last instant (UTC, inclusive) of a local day that is known: its end, or ``known_at``."""
        return min(self.end_of(day) - timedelta(microseconds=1), self.known_at)

    def quarter(self, day: date) -> Quarter:
        """The fiscal quarter a day lies in."""
        offset = (day.month - self.fiscal_year_start_month) % 12
        first_month = shift(month_of(day), -(offset % 3))
        first = month_first(first_month)
        starts_this_year = self.fiscal_year_start_month == 1 or day.month < self.fiscal_year_start_month
        year = day.year if starts_this_year else day.year + 1
        return Quarter(f"{year:04d}-Q{offset // 3 + 1}", first, month_last(shift(first_month, 2)))

    def quarter_first(self, day: pl.Expr) -> pl.Expr:
        """The first day of the fiscal quarter of a date, as an expression."""
        into = (day.dt.month().cast(pl.Int64) - self.fiscal_year_start_month) % 12 % 3
        return day.dt.month_start().dt.offset_by(pl.format("-{}mo", into))

    def quarter_label(self, first: pl.Expr) -> pl.Expr:
        """The name of a fiscal quarter by its first day, as an expression: ``2026-Q2``."""
        start = self.fiscal_year_start_month
        month = first.dt.month().cast(pl.Int64)
        later = (month >= start).cast(pl.Int64) if start > 1 else pl.lit(0)
        return pl.format("{}-Q{}", first.dt.year() + later, (month - start) % 12 // 3 + 1)

    def label(self, month: str, kind: str, quarters: int = 4) -> str:
        """What a value of this month covers: ``2026-05``, ``2026-Q2``, ``2025-Q3..2026-Q2``, ``2026-03..2026-05``
        or ``2025-06..2026-05``. ``quarters``: how many trailing quarters are."""
        if kind == "quarter":
            return self.quarter(month_first(month)).label
        if kind == "trailing_quarters":
            first = self.quarter(month_first(shift(month, -3 * (quarters - 1))))
            return f"{first.label}..{self.quarter(month_first(month)).label}"
        if kind == "trailing_quarter":
            return f"{shift(month, -2)}..{month}"
        if kind == "trailing_year":
            return f"{shift(month, -11)}..{month}"
        return month

    def periods(self, months: Sequence[str]) -> pl.DataFrame:
        """One row per month, ascending: every day that the KPIs of the month are read at.

        Columns: month, day (D), prev_day (last day of the month before), year_day (last day of the month a
        year before), quarter, quarter_first, quarter_last, trailing_first (first day of the trailing four quarters),
        snapshot_day, snapshot_at (its last instant), snapshot_known (whether that day had ended at ``known_at``).
        """
        rows = []
        for month in sorted(set(months)):
            self.check(month)
            quarter = self.quarter(month_first(month))
            snapshot = quarter.nth(self.snapshot_day)
            rows.append(
                {
                    "month": month,
                    "day": self.day(month),
                    "prev_day": month_last(shift(month, -1)),
                    "year_day": month_last(shift(month, -12)),
                    "quarter": quarter.label,
                    "quarter_first": quarter.first,
                    "quarter_last": quarter.last,
                    "trailing_first": month_first(shift(month_of(quarter.first), -9)),
                    "snapshot_day": snapshot,
                    "snapshot_at": self.end_of(snapshot) - timedelta(microseconds=1),
                    "snapshot_known": self.end_of(snapshot) <= self.known_at,
                }
            )
        return pl.DataFrame(rows, schema=PERIODS)

    def quarter_back(self, quarter: Quarter, back: int) -> Quarter:
        """The quarter so many before this one."""
        return self.quarter(month_first(shift(month_of(quarter.first), -3 * back)))

    def working_day_after(self, day: date, count: int) -> date:
        """The ``count``-th day from Monday to Friday after a day."""
        while count:
            day += timedelta(days=1)
            count -= day.weekday() < _SATURDAY
        return day

    def moments(self, days: Iterable[tuple[Quarter, date]]) -> pl.DataFrame:
        """Days, each within or after a quarter, as the instants at which they end.

        Columns: quarter, quarter_first, quarter_last, day, at (the day's last known instant). Each once, in order of
        time; days that have not begun at ``known_at`` are absent, and so are those that are not over then, but for its
        own day, which is as it is known.
        """
        rows = {
            (quarter.first, day): (quarter.label, quarter.first, quarter.last, day, self.moment(day))
            for quarter, day in days
            if self.end_of(day) <= self.known_at or day == self.known_day
        }
        return pl.DataFrame(list(rows.values()), schema=MOMENTS, orient="row").sort("at", "quarter_first")

    def local_day(self, instant: pl.Expr) -> pl.Expr:
        """The local date of a UTC instant, as an expression."""
        return instant.dt.convert_time_zone(self.zone.key).dt.date()


_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "month": pl.String,
    "day": pl.Date,
    "prev_day": pl.Date,
    "year_day": pl.Date,
    "quarter": pl.String,
    "quarter_first": pl.Date,
    "quarter_last": pl.Date,
    "trailing_first": pl.Date,
    "snapshot_day": pl.Date,
    "snapshot_at": pl.Datetime("us", "UTC"),
    "snapshot_known": pl.Boolean,
}
PERIODS: Final = pl.Schema(_COLUMNS)
_MOMENT: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "quarter": pl.String,
    "quarter_first": pl.Date,
    "quarter_last": pl.Date,
    "day": pl.Date,
    "at": pl.Datetime("us", "UTC"),
}
MOMENTS: Final = pl.Schema(_MOMENT)
