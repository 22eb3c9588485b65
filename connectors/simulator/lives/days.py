"""The company's calendar as tables, so that no date arithmetic happens while lives are generated.

A day is its number counted from the first day of the company. Instants are epoch seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_BEYOND = 5 * 366  # close dates, starts and ends reach beyond the last event


def add_months(day: date, months: int) -> date:
    """Calendar months later, on the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return first + timedelta(days=min(day.day, (following - first).days) - 1)


class Days:
    """Everything about the days from ``start`` to some years after ``end``."""

    def __init__(self, start: date, history_end: date, end: date, zone: ZoneInfo) -> None:
        count = (end - start).days + _BEYOND
        dates = [start + timedelta(days=n) for n in range(count)]
        self.start = start
        self.history = (history_end - start).days  # the first day after history
        self.horizon = (end - start).days  # nothing happens from this day on
        self.iso = [d.isoformat() for d in dates]
        self.weekday = [d.weekday() for d in dates]
        # Wall-clock midnight such that adding seconds gives the right wall-clock time from 3 am on, also
        # on the days when clocks change at 2 am.
        self.midnight = [
            int(datetime.combine(d, time(12), zone).astimezone(UTC).timestamp()) - 43_200 for d in dates
        ]
        self.month = [(d.year - start.year) * 12 + d.month - start.month for d in dates]
        self.calendar_month = [d.month for d in dates]
        self.of_month = [d.day for d in dates]
        months = self.month[-1] + 2
        firsts = [add_months(start.replace(day=1), n) for n in range(months + 1)]
        self.first_of = [(d - start).days for d in firsts]
        self.end_instant = int(datetime.combine(end, time(0), zone).timestamp())
        self.start_instant = int(datetime.combine(start, time(0), zone).timestamp())

    def month_end(self, day: int) -> int:
        """The last day of the month of ``day``."""
        return self.first_of[self.month[day] + 1] - 1

    def add_months(self, day: int, months: int) -> int:
        """Calendar months later, on the last day of a shorter month."""
        month = self.month[day] + months
        first = self.first_of[month]
        return first + min(self.of_month[day], self.first_of[month + 1] - first) - 1

    def months_between(self, first: int, last: int) -> int:
        """Whole months that reach from ``first`` at least to ``last``; at least 1."""
        months = self.month[last] - self.month[first]
        return max(1, months + (self.add_months(first, max(months, 0)) < last))

    def quarter_end(self, day: int) -> int:
        """The last day of the calendar quarter of ``day``."""
        return self.first_of[self.month[day] + 3 - (self.calendar_month[day] - 1) % 3] - 1

    def workday(self, day: int) -> int:
        """The day itself, or the Monday after a weekend."""
        weekday = self.weekday[day]
        return day if weekday < 5 else day + 7 - weekday


class Density:
    """Days drawn by how much business falls on them: ``seasonality`` 0 is flat, 1 a usual year."""

    # A slow summer and late December, busy springs and autumns.
    _BY_MONTH = (0.0, 0.1, 0.2, 0.1, 0.1, 0.0, -0.3, -0.4, 0.2, 0.25, 0.15, -0.4)

    def __init__(self, days: Days, seasonality: float) -> None:
        total = 0.0
        self._upto: list[float] = []
        for day in range(days.horizon):
            weight = max(0.05, 1 + seasonality * self._BY_MONTH[days.calendar_month[day] - 1])
            total += weight
            self._upto.append(total)
        self._total = total

    def draw(self, u: float, from_day: int = 0) -> int:
        """The day at the share ``u`` (0..1) of all business from ``from_day`` on."""
        before = self._upto[from_day - 1] if from_day > 0 else 0.0
        return min(bisect_right(self._upto, before + u * (self._total - before)), len(self._upto) - 1)
