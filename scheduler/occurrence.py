"""When a schedule of days and times comes round: the next time, and the last one, in one time zone.

A time that the clock skips in spring comes as much later as the clock jumps; a time that it shows twice in autumn comes
once, the first time. Only a cron line whose hour is free goes on through both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from scheduler import crontab
from scheduler.schedule import BusinessDay, Cron, Weekly

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FARTHEST: Final = 41 * 366  # days; what does not come within them was refused when it was read


@dataclass(frozen=True)
class Calendar:
    """A schedule in a time zone."""

    schedule: Weekly | BusinessDay | Cron
    zone: ZoneInfo

    def next(self, now: datetime, previous: datetime | None = None) -> datetime | None:
        """The first occurrence at or after ``now``, and after ``previous``."""
        now = now.astimezone(
            UTC
        )  # times of one zone are compared as the clock shows them, also when it goes back
        previous = previous.astimezone(UTC) if previous else None
        for day in self._days(max(now, previous or now), 1):
            for moment in self._moments(day):
                if moment >= now and (previous is None or moment > previous):
                    return moment.astimezone(self.zone)
        return None

    def last(self, now: datetime) -> datetime | None:
        """The last occurrence at or before ``now``."""
        now = now.astimezone(UTC)
        for day in self._days(now, -1):
            for moment in reversed(self._moments(day)):
                if moment <= now:
                    return moment.astimezone(self.zone)
        return None

    def _days(self, start: datetime, step: int) -> Iterable[date]:
        # One day beside the first: the clock's jump can move a time over midnight.
        first = start.astimezone(self.zone).date() - timedelta(days=step)
        on, _, _ = self._when
        days = (first + timedelta(days=step * n) for n in range(_FARTHEST))
        return (day for day in days if on(day))

    @cached_property
    def _when(self) -> tuple[Callable[[date], bool], tuple[time, ...], bool]:
        """Which days, at which local times, and whether twice where the clock shows a time twice."""
        match self.schedule:
            case Weekly(day, hour, minute):
                return lambda on: day is None or _DAYS[on.weekday()] == day, (time(hour, minute),), False
            case BusinessDay(n, hour, minute):
                return lambda on: on == business_day(on, n), (time(hour, minute),), False
            case Cron(expression):
                cron = crontab.parse(expression)
                times = tuple(time(h, m) for h in sorted(cron.hours) for m in sorted(cron.minutes))
                return cron.on, times, cron.steady

    def _moments(self, day: date) -> list[datetime]:
        """The instants of a day, as UTC, in order."""
        _, times, twice = self._when
        first = [datetime.combine(day, at, tzinfo=self.zone) for at in times]
        found = {local.astimezone(UTC) for local in first}
        if twice:
            again = {local: local.replace(fold=1).astimezone(UTC) for local in first}
            found |= {at for local, at in again.items() if at.astimezone(self.zone).time() == local.time()}
        return sorted(found)


def business_day(day: date, n: int) -> date:
    """The n-th day from Monday to Friday of the month of ``day``."""
    found, left = day.replace(day=1), n
    while True:
        left -= found.weekday() < 5
        if left == 0:
            return found
        found += timedelta(days=1)
