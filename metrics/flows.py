"""The movements of the ARR bridge over a window, customer by customer, at the rate of the window's end.

Source: definition book, section 2 (the flow variants of retention), rulings 5 and 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import polars as pl

from metrics import bridge, coded
from metrics.facts import Facts
from metrics.period import month_last, shift
from metrics.recurring import MONTHS, Window


def flows(facts: Facts, window: Window) -> pl.DataFrame:
    """The movements of every month of the window, summed per month asked for and customer, at the rate of its D.

    Columns: month (a category), customer (a number), the movements of the bridge, left (in how many months the
    customer churned).
    """
    moved = _moved(facts, _months_of(facts, window))
    per_month = moved.group_by("month", "within", "customer").agg(
        *(pl.col(name).sum() for name in bridge.MOVEMENTS)
    )
    summed = per_month.group_by("month", "customer").agg(
        *(pl.col(name).sum() for name in bridge.MOVEMENTS), left=(pl.col("churn") > 0).sum().cast(pl.Int64)
    )
    return summed.collect()


def _moved(facts: Facts, spans: pl.DataFrame) -> pl.LazyFrame:
    """``bridge.moved`` of all customers. Whose rows are all in the report's currency moves alike at any day's rate:
    each month of theirs is looked at once, and not once for every window that it lies in."""
    rows, first, price = facts.coded.rows, facts.first_live, facts.company.arr.price
    strange = rows.filter(pl.col("currency") != facts.currency)["customer"].unique()
    abroad = pl.col("customer").is_in(strange.implode())
    months = spans.select("within", "prev_day", "day").unique()
    once = bridge.moved(
        rows.filter(~abroad), months.with_columns(month="within", rate_day="day"), facts.rates, first, price
    )
    home = once.drop("month").join(spans.lazy().select("month", "within"), on="within")
    foreign = bridge.moved(rows.filter(abroad), spans, facts.rates, first, price)
    return pl.concat([home.select(foreign.collect_schema().names()), foreign])


def _months_of(facts: Facts, window: Window) -> pl.DataFrame:
    """month (asked for, a category), within (a month of its window), prev_day, day (both ends of it), rate_day (D)."""

    def steps() -> Iterator[dict[str, object]]:
        for month, day in facts.periods.select("month", "day").iter_rows():
            for back in range(MONTHS[window]):
                within = shift(month, -back)
                yield {
                    "month": month,
                    "within": within,
                    "prev_day": month_last(shift(within, -1)),
                    "day": min(month_last(within), day),
                    "rate_day": day,
                }

    schema = {
        "month": pl.String,
        "within": pl.String,
        "prev_day": pl.Date,
        "day": pl.Date,
        "rate_day": pl.Date,
    }
    return coded.months(pl.DataFrame(list(steps()), schema=schema), facts.months)


FLOWS: Final = {window: partial(flows, window=window) for window in MONTHS}
