"""Readable schedules, and when they fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.daemon import next_run
from scheduler.occurrence import Calendar
from scheduler.schedule import BusinessDay, Cron, Every, Schedule, Weekly, parse

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every 15 minutes", Every(timedelta(minutes=15))),
        ("every hour", Every(timedelta(hours=1))),
        ("Every 2 Days", Every(timedelta(days=2))),
        ("Mon 08:00", Weekly("mon", 8, 0)),
        ("friday 16:30", Weekly("fri", 16, 30)),
        ("daily 06:05", Weekly(None, 6, 5)),
        ("business day 5 08:00", BusinessDay(5, 8, 0)),
        ("cron: 0 8 * * 1", Cron("0 8 * * 1")),
        ("cron:*/5 8-18 1,15 jan-jun Mon", Cron("*/5 8-18 1,15 jan-jun Mon")),
    ],
)
def test_schedules_that_are_understood(text: str, expected: Schedule) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "every 0 minutes",
        "Mon 24:00",
        "business day 0 08:00",
        "business day 21 08:00",
    ],
)
def test_schedules_that_are_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|time of day|interval|business days"):
        parse(text)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # May 2026 begins on a Friday: business days 1, 4, 5, 6, 7
        ("2026-05-01T00:00:00+02:00", "2026-05-07T08:00:00+02:00"),
        ("2026-05-07T08:00:00+02:00", "2026-05-07T08:00:00+02:00"),
        ("2026-05-07T08:00:01+02:00", "2026-06-05T08:00:00+02:00"),
        # over both daylight-saving changes the local hour stays
        ("2026-03-10T00:00:00+01:00", "2026-04-07T08:00:00+02:00"),
        ("2026-10-08T00:00:00+02:00", "2026-11-06T08:00:00+01:00"),
        ("2026-12-30T00:00:00+01:00", "2027-01-07T08:00:00+01:00"),
    ],
)
def test_business_days(now: str, expected: str) -> None:
    fires = next_run("business day 5 08:00", BERLIN, datetime.fromisoformat(now))
    assert fires == datetime.fromisoformat(expected)


def test_a_run_that_did_not_come_lies_in_the_past() -> None:
    last = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
    due = next_run("every 15 minutes", BERLIN, last + timedelta(hours=3), last)
    assert due == last + timedelta(minutes=15)


def test_every_month_has_exactly_one_business_day_five() -> None:
    calendar = Calendar(BusinessDay(5, 8, 0), BERLIN)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    fired = []
    previous = None
    for _ in range(24):
        previous = calendar.next(now, previous)
        assert previous is not None
        fired.append(f"{previous.astimezone(BERLIN):%Y-%m}")
        now = previous
        assert calendar.last(previous) == previous
    assert fired == [f"{2026 + n // 12}-{n % 12 + 1:02d}" for n in range(24)]


def test_a_local_time_that_daylight_saving_skips_still_fires() -> None:
    fires = Calendar(BusinessDay(1, 2, 30), NEW_YORK).next(datetime(2027, 3, 1, tzinfo=UTC))
    assert fires is not None
    assert fires.astimezone(UTC) == datetime(2027, 3, 1, 7, 30, tzinfo=UTC)
