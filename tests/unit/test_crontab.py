"""Cron lines mean what crontab(5) says, and come round at the right local time through both clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from scheduler import crontab
from scheduler.daemon import trigger
from scheduler.occurrence import Calendar
from scheduler.schedule import Cron, parse

# November 2026 begins on a Sunday: the days of that month on which a line fires.
SUNDAYS, MONDAYS, FRIDAYS = [1, 8, 15, 22, 29], [2, 9, 16, 23, 30], [6, 13, 20, 27]
DAYS = {
    "0 8 * * 0": SUNDAYS,
    "0 8 * * 7": SUNDAYS,
    "0 8 * * sun": SUNDAYS,
    "0 8 * * 1": MONDAYS,
    "0 8 * * MON": MONDAYS,
    "0 8 * * 5": FRIDAYS,
    "0 8 * * 1-5": [d for d in range(1, 31) if d not in SUNDAYS and d not in range(7, 31, 7)],
    "0 8 * * mon-fri": [d for d in range(1, 31) if d not in SUNDAYS and d not in range(7, 31, 7)],
    "0 8 * * 6-7": sorted([*SUNDAYS, 7, 14, 21, 28]),
    "0 8 * * sat-sun": sorted([*SUNDAYS, 7, 14, 21, 28]),
    "0 8 * * 0,6": sorted([*SUNDAYS, 7, 14, 21, 28]),
    "0 8 * * 1-5/2": sorted([*MONDAYS, *FRIDAYS, 4, 11, 18, 25]),
    "0 8 * * */3": sorted([*SUNDAYS, 4, 11, 18, 25, 7, 14, 21, 28]),
    "0 8 13 * 5": sorted({13, *FRIDAYS}),  # either the day of the month or the day of the week
    "0 8 1,15 * 1": sorted({1, 15, *MONDAYS}),
    "0 8 13 * *": [13],
    "0 8 * * *": list(range(1, 31)),
    "0 8 */10 * *": [1, 11, 21],
    "0 8 */10 * 0": [1],  # crontab takes a step over * as free, so both must fit
    "0 8 1-7 nov-dec *": list(range(1, 8)),
    "0 8 * 1-10,12 *": [],
}


@pytest.mark.parametrize("expression", DAYS)
def test_days(expression: str) -> None:
    cron = crontab.parse(expression)
    assert [day for day in range(1, 31) if cron.on(date(2026, 11, day))] == DAYS[expression]


@pytest.mark.parametrize(
    ("expression", "minutes", "hours"),
    [
        ("*/20 9-17/4 * * *", [0, 20, 40], [9, 13, 17]),
        ("5,10-12 0 * * *", [5, 10, 11, 12], [0]),
        ("7-59/26 23 * * *", [7, 33, 59], [23]),
    ],
)
def test_times(expression: str, minutes: list[int], hours: list[int]) -> None:
    cron = crontab.parse(expression)
    assert (sorted(cron.minutes), sorted(cron.hours)) == (minutes, hours)


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("99 * * * *", ["minute '99'", "0 to 59"]),
        ("0 24 * * *", ["hour '24'", "0 to 23"]),
        ("0 8 0 * *", ["day of the month '0'", "1 to 31"]),
        ("0 8 * 13 *", ["month '13'", "1 to 12", "jan to dec"]),
        ("0 8 * * 8", ["day of the week '8'", "0 to 7", "Sunday"]),
        ("0 8 * * mo", ["day of the week 'mo'", "sun to sat"]),
        ("0 8 * mon *", ["month 'mon'"]),
        ("0 8 * * 5#2", ["'5#2'", "1-5"]),
        ("0 8 L * *", ["'L'", "1 to 31"]),
        ("0 8 ? * 1", ["'?'"]),
        ("0 8 -1 * *", ["'-1'"]),
        ("*/0 8 * * *", ["'*/0'", "1 or more"]),
        ("5/15 * * * *", ["'5/15'", "5-59/15"]),
        ("0 17-9 * * *", ["'17-9'", "backwards"]),
        ("0 8 * * sat-mon", ["'sat-mon'", "backwards"]),
        ("0 8,, * * *", ["'8,,'"]),
        ("0 8 31 2 *", ["never comes", "31"]),
        ("0 8 * *", ["4 fields", "minute, hour, day of the month, month, day of the week"]),
        ("0 0 8 * * 1", ["6 fields"]),
        ("٣ 8 * * *", ["minute"]),
    ],
)
def test_what_is_wrong_names_the_field_and_what_is_allowed(expression: str, parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"cron|understood|never") as caught:
        parse(f"cron: {expression}")
    for part in parts:
        assert part in str(caught.value)


def fires(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Through APScheduler's own trigger, as the daemon asks it."""
    local = ZoneInfo(zone)
    made = trigger(parse(f"cron: {expression}"), local)
    now, previous, found = datetime.fromisoformat(start).replace(tzinfo=local), None, []
    for _ in range(count):
        previous = made.get_next_fire_time(previous, now)
        now = previous
        found.append(previous.isoformat()[5:])
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        # spring: New York skips 02:00 to 03:00 on 8 March 2026, Berlin on 29 March
        ("America/New_York", "30 2 * * *", "2026-03-08T00:00",
         ["03-08T03:30:00-04:00", "03-09T02:30:00-04:00"]),
        ("Europe/Berlin", "30 2 * * 0", "2026-03-28T00:00", ["03-29T03:30:00+02:00", "04-05T02:30:00+02:00"]),
        ("Europe/Berlin", "*/30 * * * *", "2026-03-29T01:15",
         ["03-29T01:30:00+01:00", "03-29T03:00:00+02:00", "03-29T03:30:00+02:00", "03-29T04:00:00+02:00"]),
        # autumn: New York shows 01:00 to 02:00 twice on 1 November 2026, Berlin 02:00 to 03:00 on 25 October
        ("America/New_York", "30 1 * * *", "2026-11-01T00:00",
         ["11-01T01:30:00-04:00", "11-02T01:30:00-05:00"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:00", ["10-25T02:30:00+02:00", "10-26T02:30:00+01:00"]),
        ("Europe/Berlin", "*/30 2 * * *", "2026-10-25T00:00",
         ["10-25T02:00:00+02:00", "10-25T02:30:00+02:00", "10-26T02:00:00+01:00"]),
        ("Europe/Berlin", "0 * * * *", "2026-10-25T01:30",
         ["10-25T02:00:00+02:00", "10-25T02:00:00+01:00", "10-25T03:00:00+01:00"]),
        # over a change of the clock the local hour stays
        ("America/New_York", "0 8 * * 1", "2026-10-27T00:00",
         ["11-02T08:00:00-05:00", "11-09T08:00:00-05:00"]),
        ("Europe/Berlin", "0 8 1 1,7 *", "2026-06-01T00:00", ["07-01T08:00:00+02:00", "01-01T08:00:00+01:00"]),
        # Friday the 13th is asked for: either of the two fits
        ("Europe/Berlin", "0 8 13 * 5", "2026-11-07T00:00",
         ["11-13T08:00:00+01:00", "11-20T08:00:00+01:00", "11-27T08:00:00+01:00", "12-04T08:00:00+01:00",
          "12-11T08:00:00+01:00", "12-13T08:00:00+01:00"]),
        ("Europe/Berlin", "0 8 29 2 *", "2026-11-07T00:00", ["02-29T08:00:00+01:00", "02-29T08:00:00+01:00"]),
    ],
)  # fmt: skip
def test_when_it_fires(zone: str, expression: str, start: str, expected: list[str]) -> None:
    assert fires(expression, zone, start, len(expected)) == expected


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 * * * *", "0 8 13 * 5", "15 1,2 * * 0"])
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
def test_next_and_last_agree(zone: str, expression: str) -> None:
    calendar = Calendar(Cron(expression), ZoneInfo(zone))
    start = datetime(2026, 10, 24 if zone == "Europe/Berlin" else 31, tzinfo=UTC)
    times = []
    for _ in range(200 if expression.startswith("*") else 40):
        found = calendar.next(start, start)
        assert found is not None
        start = found.astimezone(
            UTC
        )  # moments in the hour that is shown twice are equal to none in another zone
        times.append(start)

    def last(now: datetime) -> datetime:
        found = calendar.last(now)
        assert found is not None
        return found.astimezone(UTC)

    assert times == sorted(set(times))
    for earlier, later in pairwise(times):
        assert last(later) == later
        assert last(later - timedelta(seconds=1)) == earlier
