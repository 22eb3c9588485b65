"""HubSpot's texts as typed columns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.hubspot import values


def texts(*listed: str | None) -> pl.Series:
    return pl.Series("raw", list(listed), dtype=pl.String)


def minor(text: str | None, digits: int) -> Any:
    return values.minor_units(texts(text), pl.Series([digits], dtype=pl.Int64)).item()


@pytest.mark.parametrize(
    ("text", "digits", "expected"),
    [
        ("1250.5", 2, 125_050),
        ("0.40000000000000002220446049250313", 2, 40),
        ("12345.670000000001", 2, 1_234_567),
        ("0.125", 2, 12),  # a half goes to the even neighbour
        ("0.135", 2, 14),
        ("0.1250000000000000001", 2, 13),
        ("-0.125", 2, -12),
        ("-7", 2, -700),
        ("+7.", 2, 700),
        (".5", 2, 50),
        ("1.2345678E7", 2, 1_234_567_800),
        ("1e-3", 3, 1),
        ("1234.5", 0, 1_234),
        ("1235.5", 0, 1_236),
        ("1.0005", 3, 1_000),
        (" 12 ", 2, 1_200),
        ("", 2, None),
        (None, 2, None),
        ("1,250", 2, None),
        ("12;13", 2, None),
        ("NaN", 2, None),
        ("1e999", 2, None),
        ("99999999999999999999", 2, None),  # beyond 64 bits: set aside, not wrapped around
    ],
)
def test_amounts_become_minor_units_half_even(text: str | None, digits: int, expected: int | None) -> None:
    assert minor(text, digits) == expected


@given(
    st.decimals(min_value=-(10**12), max_value=10**12, places=7, allow_nan=False),
    st.sampled_from([0, 2, 3]),
)
def test_amounts_agree_with_decimal_arithmetic(amount: Decimal, digits: int) -> None:
    expected = (amount * 10**digits).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert minor(format(amount, "f"), digits) == int(expected)


def test_the_currency_decides_the_digits() -> None:
    found = values.exponents(texts("USD", "jpy", "KWD", None, ""), home_currency="JPY")
    assert found.to_list() == [2, 0, 3, 0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T17:00:00Z", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("2026-01-31T17:00:00.123Z", datetime(2026, 1, 31, 17, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-01-31T17:00:00+02:00", datetime(2026, 1, 31, 15, tzinfo=UTC)),
        ("1769878800000", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("1769878800000.0", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("31.01.2026", None),
        ("20260131", None),
        ("2026-02-30", None),
        ("", None),
        (None, None),
    ],
)
def test_instants(text: str | None, expected: datetime | None) -> None:
    assert values.instants(texts(text)).item() == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-31T00:00:00Z", "America/New_York", date(2026, 3, 31)),  # a day as such, never shifted
        ("2026-03-31T00:00:00.000Z", "Pacific/Auckland", date(2026, 3, 31)),
        ("1774915200000", "America/New_York", date(2026, 3, 31)),
        ("2026-03-31T02:15:00Z", "America/New_York", date(2026, 3, 30)),
        ("2026-03-31T22:30:00Z", "Asia/Tokyo", date(2026, 4, 1)),
        ("2026-03-31", "America/New_York", date(2026, 3, 31)),
        ("soon", "UTC", None),
        (None, "UTC", None),
    ],
)
def test_days(text: str | None, zone: str, expected: date | None) -> None:
    assert values.days(texts(text), zone).item() == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-31T00:00:00Z", "America/New_York", date(2026, 3, 30)),  # an instant like any other
        ("2026-03-31T17:00:00Z", "America/New_York", date(2026, 3, 31)),
        ("2026-03-31", "America/New_York", date(2026, 3, 31)),
        ("1774915200000", "Europe/Berlin", date(2026, 3, 31)),
    ],
)
def test_local_days(text: str, zone: str, expected: date) -> None:
    assert values.local_days(texts(text), zone).item() == expected


def test_numbers_and_truths() -> None:
    assert values.months(
        texts("12", "P12M", "P1Y6M", "P2Y", "P", "P3D", "x", "12.5", "", None)
    ).to_list() == [
        12,
        12,
        18,
        24,
        *[None] * 6,
    ]
    assert values.integers(texts("12", "12.0", "12.5", "x", "", None)).to_list() == [
        12,
        12,
        None,
        None,
        None,
        None,
    ]
    assert values.probabilities(texts("0.2000000000000000111", "1", "1.5", "-1", None)).to_list() == [
        0.2,
        1.0,
        None,
        None,
        None,
    ]
    assert values.booleans(texts("true", "FALSE", "yes", "0", "3", "maybe", "", None)).to_list() == [
        True,
        False,
        True,
        False,
        True,
        None,
        None,
        None,
    ]


def test_words_of_hubspot() -> None:
    assert values.forecast_categories(texts("OMIT", "best_case", "CLOSED", "HUNCH", "")).to_list() == [
        "omitted",
        "best_case",
        "closed",
        None,
        None,
    ]
    assert values.outcomes(texts("COMPLETED", "NO_SHOW", "SCHEDULED", None)).to_list() == [
        True,
        False,
        None,
        None,
    ]


def test_a_cleared_text_is_null_and_a_blank_one_stays() -> None:
    assert values.filled(texts("", " ", "n/a", None)).to_list() == [None, " ", "n/a", None]
