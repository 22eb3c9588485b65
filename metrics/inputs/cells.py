"""The kinds of cells that input files have, and the columns that many of them share.

Text comes trimmed, null where it is empty; what a cell makes of it is null where it is not of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import polars as pl

from connectors.schema import CURRENCIES, MINOR_UNITS, WITHDRAWN
from metrics.inputs.layout import Cell, Column, Reading

_EXACT: Final = pl.Decimal(38, 15)
_LARGEST: Final = Decimal(10) ** 13  # in ten-thousandths it still fits 64 bits
_NUMBER: Final = r"^[+-]?(\d+(\.\d*)?|\.\d+)$"
_DAY: Final = r"^\d{4}-\d{2}-\d{2}$"
_MONTH: Final = r"^\d{4}-\d{2}$"
_QUARTER: Final = r"^(\d{4})-Q([1-4])$"
_YEARS: Final = (1970, 2100)
_COMMAS: Final = (r",", "is not a number: it holds a comma, and numbers have a decimal point alone")
_OUTSIDE: Final = f"is no day of the calendar between {_YEARS[0]} and {_YEARS[1]}"
_SLASHES: Final = (
    r"^\d{1,4}[/.]\d{1,2}[/.]\d{1,4}$",
    "is not a date: whether day or month comes first is unclear",
)


def exact(text: pl.Expr) -> pl.Expr:
    """The exact decimal number of a text; null where it is none or too large."""
    number = pl.when(text.str.contains(_NUMBER)).then(text).cast(_EXACT, strict=False)
    return pl.when(number.abs() <= pl.lit(_LARGEST)).then(number)


def minor(amount: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """An exact number of major units -> minor units of the currency, half-even."""
    digits = currency.replace_strict(MINOR_UNITS, default=2, return_dtype=pl.Int8)
    scaled = (
        pl.when(digits == 0)
        .then(amount)
        .when(digits == 3)
        .then(amount * pl.lit(Decimal(1000)))
        .when(digits == 4)
        .then(amount * pl.lit(Decimal(10000)))
        .otherwise(amount * pl.lit(Decimal(100)))
    )
    return scaled.round(0, mode="half_to_even").cast(pl.Int64)


def day(text: pl.Expr) -> pl.Expr:
    """2026-04-01 -> that day."""
    found = pl.when(text.str.contains(_DAY)).then(text).str.to_date("%Y-%m-%d", strict=False)
    return pl.when(found.dt.year().is_between(*_YEARS)).then(found)


def month(text: pl.Expr) -> pl.Expr:
    """2026-04, or a day in it -> its first day."""
    whole = pl.when(text.str.contains(_MONTH)).then(text + "-01").otherwise(text)
    return day(whole).dt.month_start()


def quarter(text: pl.Expr, reading: Reading) -> pl.Expr:
    """2026-Q2 of the fiscal year that ends in 2026, or a month or a day in it -> its first day."""
    start = reading.calendar.fiscal_year_start_month
    first = month(text.str.extract(_QUARTER, 1) + f"-{start:02d}")
    into = (text.str.extract(_QUARTER, 2).cast(pl.Int64, strict=False) - 1) * 3 - 12 * (start > 1)
    named = first.dt.offset_by(pl.format("{}mo", into.fill_null(0)))
    return pl.coalesce(named, reading.calendar.quarter_first(month(text)))


def words(text: pl.Expr) -> pl.Expr:
    """Text with single blanks."""
    return text.str.replace_all(r"\s+", " ")


def text_like(example: str) -> Cell:
    """Any text."""
    return Cell(lambda text, _: words(text), "is no text", example)


def one_of(meanings: Mapping[str, str], fault: str, example: str) -> Cell:
    """A word out of a list, compared without case, blanks and hyphens for underscores -> its meaning."""

    def read(text: pl.Expr, _: Reading) -> pl.Expr:
        word = text.str.to_lowercase().str.replace_all(r"[\s_-]+", "_")
        return word.replace_strict(meanings, default=None, return_dtype=pl.String)

    return Cell(read, fault, example)


def _currency(text: pl.Expr, reading: Reading) -> pl.Expr:
    """Where none is named, the report's: so a key that holds it is the same either way."""
    code = pl.when(text.is_in(list(CURRENCIES))).then(text)
    return pl.when(text.is_null()).then(pl.lit(reading.currency)).otherwise(code)


def _count(text: pl.Expr, _: Reading) -> pl.Expr:
    whole = pl.when(text.str.contains(r"^\d{1,15}(\.0*)?$")).then(text.str.extract(r"^(\d+)", 1))
    return whole.cast(pl.Int64, strict=False)


def _share(text: pl.Expr, _: Reading) -> pl.Expr:
    percent = exact(text.str.extract(r"^([\d.]+)\s*%$", 1))
    hundredth = percent * pl.lit(Decimal("0.01"))
    # 0.75% is more likely a slip for 75% than a margin of less than one in a hundred.
    stated = pl.when((percent == 0) | (percent >= 1)).then(hundredth)
    share = pl.coalesce(stated, exact(text)).cast(pl.Float64)
    return pl.when(share.is_between(0, 1)).then(share)


LOWER: Final = Cell(lambda text, _: words(text).str.to_lowercase(), "is no text", "subscription")
DAY: Final = Cell(lambda text, _: day(text), "is not a date", "2026-04-01", ((_DAY, _OUTSIDE), _SLASHES))
MONTH: Final = Cell(
    lambda text, _: month(text),
    "is not a month",
    "2026-04",
    ((_DAY, _OUTSIDE), (_MONTH, _OUTSIDE.replace("day", "month"))),
)
QUARTER: Final = Cell(
    quarter, "is not a quarter (2026-Q2), a month (2026-04) or a day (2026-04-01)", "2026-Q2"
)
WEEK: Final = Cell(lambda text, _: day(text).dt.truncate("1w"), *(DAY.fault, DAY.example, DAY.hints))
AMOUNT: Final = Cell(lambda text, _: exact(text), "is not a number", "12000.00", (_COMMAS,))
COUNT: Final = Cell(_count, "is not a whole number of 0 or more", "42", (_COMMAS,))
NUMBER: Final = Cell(lambda text, _: exact(text).cast(pl.Float64), "is not a number", "35", (_COMMAS,))
SHARE: Final = Cell(
    _share,
    "is not a share between 0 and 1",
    "75% or 0.75",
    (
        (r"^(\d{2,}|[2-9])(\.\d*)?$", "can be a percentage or a share"),
        (r"^0*\.\d+\s*%$", "can be a percentage or a share"),
        _COMMAS,
    ),
)  # fmt: skip
CURRENCY: Final = Cell(
    _currency,
    "is not an ISO code",
    "EUR",
    (
        *((f"^{old}$", f"is no longer in use: {new} took its place") for old, new in WITHDRAWN.items()),
        (r"^[A-Z]{3}$", "is the ISO code of no currency in use"),
    ),
)

CUSTOMER: Final = Column("customer_key", text_like("acme.com"))
CURRENCY_OF: Final = Column("currency", CURRENCY, needed=False, optional=True)
SOURCE: Final = Column("source", text_like("finance"), needed=False, optional=True)
ORIGIN: Final = (
    SOURCE,
    Column("as_of", DAY, needed=False, optional=True),
)
