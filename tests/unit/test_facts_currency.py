"""Exchange rates: which one holds on a day, and how a row is rounded."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.schema import exponent
from metrics.currency import Rates, in_words
from metrics.render.numbers import money
from tests.unit.books import Books, frame

FIRST = date(2026, 1, 1)


def rates(*rows: tuple[str, str, str], home: str = "USD", report: str = "USD") -> Rates:
    books = Books()
    for row in rows:
        books.rate(*row)
    return Rates.of(frame("exchange_rates", books.rows["exchange_rates"]), home, report)


def converted(table: Rates, amount: int | None, currency: str | None, day: date | None) -> int | None:
    schema = {"amount": pl.Int64, "currency": pl.String, "day": pl.Date}
    row = pl.DataFrame([(amount, currency, day)], schema=schema, orient="row")
    result: int | None = table.convert(row, "amount", "day", "value")["value"][0]
    return result


@pytest.mark.parametrize(
    ("day", "wanted"),
    [("2025-06-01", 110), ("2026-01-01", 110), ("2026-03-31", 110), ("2026-04-01", 125), ("2027-01-01", 125)],
)
def test_the_rate_in_force_or_the_first_one(day: str, wanted: int) -> None:
    table = rates(("EUR", "2026-04-01", "1.25"), ("EUR", "2026-01-01", "1.1"))
    assert converted(table, 100, "EUR", date.fromisoformat(day)) == wanted


def test_home_is_one_and_unknown_is_nothing() -> None:
    table = rates(("EUR", "2026-01-01", "1.1"), ("USD", "2026-01-01", "3"))
    assert converted(table, 100, "USD", FIRST) == 100
    assert converted(table, 100, "CHF", FIRST) is None
    assert converted(table, 100, None, FIRST) is None
    assert converted(table, None, "EUR", FIRST) is None
    assert converted(table, 100, "EUR", None) is None
    assert table.currencies == ["EUR", "USD"]


@pytest.mark.parametrize(("amount", "wanted"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
def test_halves_go_to_the_even_neighbour(amount: int, wanted: int) -> None:
    assert converted(rates(("EUR", "2026-01-01", "0.5")), amount, "EUR", FIRST) == wanted


def test_another_report_currency_is_reached_through_home() -> None:
    table = rates(
        ("EUR", "2026-01-01", "1.25"), ("GBP", "2026-02-01", "1.5"), ("EUR", "2026-03-01", "1"), report="EUR"
    )
    assert converted(table, 1000, "EUR", FIRST) == 1000
    assert converted(table, 1000, "USD", FIRST) == 800
    assert converted(table, 1000, "GBP", FIRST) == 1200
    assert converted(table, 1000, "GBP", date(2026, 3, 1)) == 1500
    assert converted(table, 1000, "USD", date(2026, 3, 1)) == 1000
    assert converted(rates(report="EUR"), 1000, "USD", FIRST) is None


@given(
    st.integers(-(10**13), 10**13),
    st.decimals(Decimal("0.000001"), Decimal(100_000), places=12),
    st.sampled_from(["EUR", "JPY", "KWD", "KRW", "GBP"]),
    st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_conversion_is_exact(amount: int, rate: Decimal, currency: str, home: str) -> None:
    table = rates((currency, "2026-01-01", str(rate)), home=home, report=home)
    exact = Decimal(amount).scaleb(-exponent(currency)) * (rate if currency != home else 1)
    wanted = exact.scaleb(exponent(home)).to_integral_value(ROUND_HALF_EVEN)
    assert converted(table, amount, currency, FIRST + timedelta(days=3)) == wanted


def test_rows_keep_their_order_and_columns() -> None:
    table = rates(("EUR", "2026-01-01", "2"))
    rows = pl.DataFrame({"k": [1, 2, 3], "amount": [1, 2, 3], "currency": ["EUR", "USD", "EUR"],
                         "day": [FIRST, FIRST - timedelta(days=9), FIRST - timedelta(days=5)]})  # fmt: skip
    result = table.convert(rows, "amount", "day", "value")
    assert result.columns == ["k", "amount", "currency", "day", "value"]
    assert result.select("k", "value").rows() == [(1, 2), (2, 2), (3, 6)]


@pytest.mark.parametrize("currency", ["USD", "JPY", "CHF", "KWD", "EUR"])
def test_notes_write_money_as_the_report_does(currency: str) -> None:
    amounts = [0, 5, -5, 99, 100, 99_999, 100_000, -123_456_789, 39_897_866, 10**15]
    told = pl.DataFrame({"minor": amounts}).select(in_words(pl.col("minor"), currency)).to_series()
    assert told.to_list() == [money(amount, currency) for amount in amounts]


def test_an_amount_that_is_not_known_has_no_words() -> None:
    assert pl.select(in_words(pl.lit(None, pl.Int64), "USD")).item() is None
