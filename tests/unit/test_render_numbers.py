"""How numbers are written, and that rounding never hides a missed threshold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.kpi import Unit
from metrics.render import numbers


@pytest.mark.parametrize(
    ("minor", "currency", "exact", "short"),
    [
        (421_345_000, "USD", "$4,213,450.00", "$4.21M"),
        (0, "USD", "$0.00", "$0"),
        (-5_400_000, "USD", "-$54,000.00", "-$54K"),
        (99_999_999, "USD", "$999,999.99", "$1.00M"),
        (99_949_999, "USD", "$999,499.99", "$999K"),
        (123_456, "USD", "$1,234.56", "$1.23K"),
        (1_250_000, "EUR", "€12,500.00", "€12.5K"),
        (1_200, "JPY", "¥1,200", "¥1.20K"),
        (1_234_567, "KWD", "KWD 1,234.567", "KWD 1.23K"),
        (250_000_000_000, "CHF", "CHF 2,500,000,000.00", "CHF 2.50B"),
        (4, "USD", "$0.04", "$0"),
        (-4, "USD", "-$0.04", "$0"),
        (9_007_199_254_740_993, "USD", "$90,071,992,547,409.93", "$90072B"),
    ],
)
def test_money(minor: int, currency: str, exact: str, short: str) -> None:
    assert numbers.money(minor, currency) == exact
    assert numbers.money_short(minor, currency).replace(",", "") == short.replace(",", "")


@given(st.integers(-(10**15), 10**15), st.sampled_from(["USD", "JPY", "KWD"]))
def test_exact_money_reads_back(minor: int, currency: str) -> None:
    text = numbers.money(minor, currency)
    digits = "".join(letter for letter in text if letter in "-0123456789.")
    assert Decimal(digits) == numbers.major(minor, currency)


@pytest.mark.parametrize(
    ("ratio", "edges", "text"),
    [
        (0.85, (), "85.0%"),
        (0.9996, (), "100.0%"),
        (0.9996, (1.0,), "99.96%"),
        (1.0, (1.0,), "100.0%"),
        (0.79999, (0.8,), "79.999%"),
        (0.8, (0.8,), "80.0%"),
        (1.10004, (1.1,), "110.004%"),
        (-0.0001, (), "0.0%"),
        (0.0, (), "0.0%"),
    ],
)
def test_percent(ratio: float, edges: tuple[float, ...], text: str) -> None:
    assert numbers.percent(ratio, edges=edges) == text


@given(st.floats(0.5, 1.5), st.sampled_from([0.8, 1.0, 1.1, 1.2]))
def test_a_printed_percentage_stands_on_the_same_side_of_the_line(ratio: float, edge: float) -> None:
    printed = Decimal(numbers.percent(ratio, edges=(edge,))[:-1])
    line = Decimal(str(edge)) * 100
    if abs(ratio - edge) > 1e-9:
        assert (printed < line, printed > line) == (ratio < edge, ratio > edge)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.25, "multiple", "2.25×"),
        (103, "days", "103 days"),
        (1, "days", "1 day"),
        (145.66, "days", "145.7 days"),
        (20.0, "months", "20 months"),
        (1204, "count", "1,204"),
        (82.25, "points", "82.2"),
    ],
)
def test_other_units(value: float, unit: Unit, text: str) -> None:
    assert numbers.quantity(value, unit, "USD") == text


@pytest.mark.parametrize(
    ("now", "before", "unit", "text"),
    [
        (335.0, 300.0, "currency", "+11.7%"),
        (300, 335, "currency", "-10.4%"),
        (300, 0, "currency", None),
        (300, -5, "currency", None),
        (None, 5, "currency", None),
        (0.25, 0.2, "ratio", "+5.0 pts"),
        (2.25, 3.1, "multiple", "-0.85×"),
    ],
)
def test_change(now: float | None, before: float | None, unit: Unit, text: str | None) -> None:
    assert numbers.change(now, before, unit, "USD") == text


def test_dates() -> None:
    assert numbers.month_name("2026-05") == "May 2026"
    assert numbers.month_short("2026-12") == "Dec 26"
    assert numbers.instant(datetime(2026, 6, 1, 8, 5, tzinfo=UTC)) == "1 June 2026, 08:05 UTC"
