"""Months, fiscal quarters, and the instants at which local days end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigurationError
from metrics.period import Calendar, month_first, month_last, months_between, shift


def calendar(known_at: str = "2026-05-31T23:30:00+00:00", zone: str = "UTC", start: int = 1) -> Calendar:
    return Calendar(ZoneInfo(zone), datetime.fromisoformat(known_at).astimezone(UTC), start)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-01-01", "", "may"])
def test_a_month_is_four_digits_and_two(text: str) -> None:
    with pytest.raises(ConfigurationError, match="YYYY-MM"):
        month_first(text)


def test_last_days_and_steps() -> None:
    assert month_last("2024-02") == date(2024, 2, 29)
    assert shift("2026-01", -1) == "2025-12"
    assert shift("2025-12", 13) == "2027-01"
    assert months_between("2025-11", "2026-02") == ("2025-11", "2025-12", "2026-01", "2026-02")
    assert months_between("2026-02", "2026-01") == ()


def test_d_is_the_last_day_or_today() -> None:
    assert calendar().day("2026-04") == date(2026, 4, 30)
    assert calendar("2026-05-12T10:00:00+00:00").day("2026-05") == date(2026, 5, 12)


def test_today_is_local() -> None:
    assert calendar(zone="America/New_York").day("2026-05") == date(2026, 5, 31)
    assert calendar(zone="Asia/Tokyo").known_day == date(2026, 6, 1)
    assert calendar("2026-06-01T02:00:00+00:00", "America/New_York").known_day == date(2026, 5, 31)


def test_a_month_in_the_future_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"2026-06 lies in the future.*2026-05"):
        calendar().periods(["2026-06"])
    assert calendar(zone="Asia/Tokyo").periods(["2026-06"])["day"].to_list() == [date(2026, 6, 1)]


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("UTC", date(2026, 3, 31), "2026-04-01T00:00:00+00:00"),
        ("America/New_York", date(2026, 3, 7), "2026-03-08T05:00:00+00:00"),
        ("America/New_York", date(2026, 3, 8), "2026-03-09T04:00:00+00:00"),  # clocks have gone forward
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T23:00:00+00:00"),
        ("Pacific/Auckland", date(2026, 1, 1), "2026-01-01T11:00:00+00:00"),
    ],
)
def test_a_day_ends_at_the_next_local_midnight(zone: str, day: date, instant: str) -> None:
    assert calendar(zone=zone).end_of(day) == datetime.fromisoformat(instant)


def test_the_last_known_moment_is_never_after_now() -> None:
    now = calendar()
    assert now.moment(date(2026, 5, 30)) == datetime(2026, 5, 31, tzinfo=UTC) - timedelta(microseconds=1)
    assert now.moment(date(2026, 5, 31)) == now.known_at


@pytest.mark.parametrize(
    ("start", "day", "label", "first", "last"),
    [
        (1, date(2026, 5, 3), "2026-Q2", date(2026, 4, 1), date(2026, 6, 30)),
        (1, date(2026, 12, 31), "2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
        (2, date(2026, 1, 31), "2026-Q4", date(2025, 11, 1), date(2026, 1, 31)),
        (2, date(2026, 2, 1), "2027-Q1", date(2026, 2, 1), date(2026, 4, 30)),
        (4, date(2026, 3, 31), "2026-Q4", date(2026, 1, 1), date(2026, 3, 31)),
        (12, date(2026, 12, 1), "2027-Q1", date(2026, 12, 1), date(2027, 2, 28)),
    ],
)
def test_fiscal_quarters(start: int, day: date, label: str, first: date, last: date) -> None:
    quarter = calendar(start=start).quarter(day)
    assert (quarter.label, quarter.first, quarter.last) == (label, first, last)
    assert quarter.nth(21) == first + timedelta(days=20)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 12))
def test_quarters_agree_in_columns_and_cover_every_day(day: date, start: int) -> None:
    now = calendar(start=start)
    quarter = now.quarter(day)
    assert quarter.first <= day <= quarter.last
    assert now.quarter(quarter.last + timedelta(days=1)).first == quarter.last + timedelta(days=1)
    column = pl.DataFrame({"day": [day]}).select(now.quarter_first(pl.col("day")))
    assert column.item() == quarter.first


def test_labels_say_what_a_value_covers() -> None:
    now = calendar(start=2)
    assert now.label("2026-04", "month") == "2026-04"
    assert now.label("2026-04", "quarter") == "2027-Q1"
    assert now.label("2026-04", "trailing_year") == "2025-05..2026-04"
    assert now.label("2026-04", "trailing_quarters") == "2026-Q2..2027-Q1"


def test_periods_of_a_month() -> None:
    row = calendar().periods(["2026-04", "2026-03", "2026-04"]).row(1, named=True)
    assert row["month"] == "2026-04"
    assert (row["prev_day"], row["year_day"]) == (date(2026, 3, 31), date(2025, 4, 30))
    assert row["snapshot_day"] == date(2026, 4, 21)
    assert row["snapshot_at"] == datetime(2026, 4, 21, 23, 59, 59, 999999, tzinfo=UTC)
    assert row["snapshot_known"]
    assert not calendar("2026-04-21T23:59:00+00:00").periods(["2026-04"])["snapshot_known"][0]
    assert calendar("2026-04-22T00:00:00+00:00").periods(["2026-04"])["snapshot_known"][0]


@pytest.mark.parametrize(
    ("day", "wanted"),
    [
        (date(2026, 3, 31), date(2026, 4, 7)),  # a Tuesday
        (date(2026, 1, 30), date(2026, 2, 6)),  # a Friday
        (date(2026, 1, 31), date(2026, 2, 6)),  # a Saturday
        (date(2026, 2, 1), date(2026, 2, 6)),  # a Sunday
    ],
)
def test_the_fifth_day_from_monday_to_friday_after_a_day(day: date, wanted: date) -> None:
    assert calendar().working_day_after(day, 5) == wanted


def test_quarters_back_and_their_days() -> None:
    quarter = calendar().quarter(date(2026, 2, 14))
    assert quarter.nth(1) == date(2026, 1, 1)
    assert quarter.nth(45) == date(2026, 2, 14)
    assert calendar().quarter_back(quarter, 5).label == "2024-Q4"
    assert calendar(start=2).quarter_back(calendar(start=2).quarter(date(2026, 1, 31)), 1).label == "2026-Q3"


@pytest.mark.parametrize("start", range(1, 13))
def test_the_name_of_a_quarter_as_an_expression(start: int) -> None:
    mine = calendar(start=start)
    firsts = [mine.quarter(date(2025, month, 15)).first for month in range(1, 13)]
    frame = pl.DataFrame({"first": firsts}).with_columns(label=mine.quarter_label(pl.col("first")))
    assert frame["label"].to_list() == [mine.quarter(first).label for first in firsts]


def test_moments_are_the_days_that_are_over_and_today() -> None:
    mine = calendar("2026-05-12T10:00:00+00:00")
    quarter = mine.quarter(date(2026, 5, 12))
    days = [(quarter, date(2026, 5, day)) for day in (13, 12, 11, 11)]
    found = mine.moments(days)
    assert found.select("quarter", "quarter_first", "quarter_last", "day").rows() == [
        ("2026-Q2", date(2026, 4, 1), date(2026, 6, 30), date(2026, 5, 11)),
        ("2026-Q2", date(2026, 4, 1), date(2026, 6, 30), date(2026, 5, 12)),
    ]
    assert found["at"].to_list() == [
        datetime(2026, 5, 11, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 5, 12, 10, tzinfo=UTC),
    ]
    assert mine.moments([]).is_empty()
