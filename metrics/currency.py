"""Conversion into the report's currency: dated rates, one rounding per row, nothing converted by guess.

The rate of a day is the one in force on it; before the first one, the first one; the home currency is 1
(definition book, ruling 5). Each row is converted once and rounded half-even to the report currency's minor unit
(ruling 6), in decimals, never in floats. A currency without any rate has no value: null, and the row is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cached_property
from typing import Final, TypeVar

import polars as pl

from connectors.schema import exponent

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

# Minor units of the report's currency for one minor unit of the row's. Fifteen decimals hold a rate of twelve
# exactly through a shift of three (the widest there is between ISO currencies).
FACTOR: Final = pl.Decimal(38, 15)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_STEP: Final = Decimal(1).scaleb(-15)
_SPAN: Final = 1 << 33  # more days than a column of dates can tell apart
_NOWHERE: Final = -1


@dataclass(frozen=True)
class Rates:
    """The exchange rates of a company, ready to be joined.

    ``table``: currency, day (in force from), factor (into the report's currency), sorted by day.
    """

    home: str
    report: str
    table: pl.DataFrame

    @classmethod
    def of(cls, rates: pl.DataFrame, home: str, report: str) -> Rates:
        """From the canonical ``exchange_rates`` (live rows), the home currency and the report's.

        Where the report is not in the home currency a rate is the quotient of two rates in force on the same
        day, to 15 decimals; without a rate for the report's currency only that currency itself converts.
        """
        known = rates.filter(
            pl.col("rate").is_not_null() & (pl.col("rate") > 0) & (pl.col("currency") != home)
        )
        steps = known.select("currency", day="start_date", rate="rate").sort("day")
        if report == home:
            rows = [
                (currency, day, _factor(currency, report, rate, Decimal(1)))
                for currency, day, rate in steps.iter_rows()
            ]
            rows.append((home, None, Decimal(1)))
        else:
            rows = [*_cross(steps, home, report), (report, None, Decimal(1))]
        table = pl.DataFrame(
            rows, schema={"currency": pl.String, "day": pl.Date, "factor": FACTOR}, orient="row"
        )
        return cls(home, report, table.unique().sort("day", nulls_last=False))

    @property
    def currencies(self) -> list[str]:
        """Every currency that can be converted."""
        return self.table["currency"].unique().sort().to_list()

    def fault(self, used: pl.Series) -> str | None:
        """Why nothing can be said in the report's currency: none of the currencies in use converts into it."""
        mine = used.drop_nulls().unique().sort().to_list()
        if not mine or set(mine) & set(self.currencies):
            return None
        lacking = self.report if self.report != self.home else " or ".join(mine)
        return (
            f"the CRM has no exchange rate for {lacking}, and its deals are in {', '.join(mine)}, so nothing "
            f"can be said in {self.report}; name a currency that the CRM converts into, or enter the rates in the CRM"
        )

    def convert(self, frame: Frame, amount: str, on: str, into: str, currency: str = "currency") -> Frame:
        """``frame`` with the column ``into`` (Int64, report currency minor units) added; row order is kept.

        ``amount``: Int64 minor units in ``currency``; ``on``: the date whose rate counts. Null where the amount
        or the date is null or the currency has no rate.
        """
        product = self.exact(frame, amount, on, into, currency)
        return product.with_columns(pl.col(into).round(0, mode="half_to_even").cast(pl.Int64))

    def exact(self, frame: Frame, amount: str, on: str, into: str, currency: str = "currency") -> Frame:
        """Like ``convert`` without rounding: ``into`` is a decimal, for comparing and for weighting."""
        product = pl.col(amount).cast(pl.Decimal(38, 0)) * self._factor_of(currency, on)
        return frame.with_columns(product.alias(into))

    def _factor_of(self, currency: str, on: str) -> pl.Expr:
        """The factor in force: a look-up in one sorted list of currencies and days, for rows in whatever order."""
        steps, codes = self._steps
        if steps.is_empty():
            return pl.lit(None, dtype=FACTOR)
        code = pl.col(currency).replace_strict(codes, default=None, return_dtype=pl.Int64)
        place = _place(code, pl.col(on))
        found = (
            pl.lit(steps["place"]).search_sorted(place.fill_null(_NOWHERE), side="right").cast(pl.Int64) - 1
        )
        factor = pl.lit(steps["factor"]).gather(pl.max_horizontal(found, pl.lit(0)))
        return pl.when(place.is_not_null()).then(factor)

    @cached_property
    def _steps(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """place (of a currency and the day it has that factor from), factor; and the number of each currency.

        The first factor of a currency is in force from the beginning of time.
        """
        codes = {currency: number for number, currency in enumerate(self.currencies)}
        first = self.table.group_by("currency", maintain_order=True).agg(pl.col("factor").first())
        dated = self.table.filter(pl.col("day").is_not_null())
        code = pl.col("currency").replace_strict(codes, default=None, return_dtype=pl.Int64)
        begun = first.select("factor", place=code * _SPAN)
        every = pl.concat([begun, dated.select("factor", place=_place(code, pl.col("day")))])
        return every.sort("place"), codes


def _place(code: pl.Expr, day: pl.Expr) -> pl.Expr:
    """A currency and a day as one number, in order of both."""
    return code * _SPAN + day.cast(pl.Int64) + _SPAN // 2


def _factor(currency: str, report: str, rate: Decimal, divisor: Decimal) -> Decimal:
    quotient = _EXACT.divide(rate, divisor)
    return quotient.scaleb(exponent(report) - exponent(currency), _EXACT).quantize(_STEP, context=_EXACT)


def _cross(steps: pl.DataFrame, home: str, report: str) -> list[tuple[str, object, Decimal]]:
    """Rates into a report currency that is not the home currency: one step per day on which either changes."""
    days = steps.select("day").unique()
    own = steps.filter(pl.col("currency") == report).sort("day")
    if own.is_empty():
        return []
    others = pl.concat(
        [
            steps.filter(pl.col("currency") != report),
            days.select(pl.lit(home).alias("currency"), "day", rate=_ONE),
        ]
    )
    grid = others.select("currency").unique().join(days, how="cross").sort("day")
    joined = grid.join_asof(
        others.rename({"rate": "_rate"}).sort("day"), on="day", by="currency", check_sortedness=False
    ).join_asof(own.select("day", _own="rate"), on="day", check_sortedness=False)
    firsts = others.sort("day").group_by("currency").agg(_first=pl.col("rate").first())
    filled = joined.join(firsts, on="currency").select(
        "currency", "day", pl.coalesce("_rate", "_first"), pl.col("_own").fill_null(own["rate"][0])
    )
    return [
        (currency, day, _factor(currency, report, rate, base))
        for currency, day, rate, base in filled.iter_rows()
    ]


def in_words(minor: pl.Expr, currency: str) -> pl.Expr:
    """Minor units as exact text for notes, as the report writes money: 20684400 USD -> ``$206,844.00``."""
    digits = exponent(currency)
    size = minor.cast(pl.Int64).abs()
    sign = pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    backwards = (size // 10**digits).cast(pl.String).str.reverse()
    text = backwards.str.replace_all(r"(\d{3})", "$1,").str.reverse().str.strip_prefix(",")
    if digits:
        text = text + "." + (size % 10**digits).cast(pl.String).str.zfill(digits)
    return pl.concat_str(sign, pl.lit(symbol(currency)), text)


def symbol(currency: str) -> str:
    """What stands before an amount: ``$``, or ``CHF `` where there is no sign that everybody knows."""
    return _SYMBOLS.get(currency, f"{currency} ")


_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "CA$", "AUD": "A$", "INR": "₹"}
_ONE: Final = pl.lit(Decimal(1)).cast(pl.Decimal(38, 12))
