"""The months that CAC payback holds against each other: whose new logos, and whose spend.

Source: definition book, section 5 ("S&M of prior quarter; lag option = median cycle"), rulings 2 and 34; the exact
reading stands in ``metrics.payback``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import cycles, sales
from metrics.facts import Facts
from metrics.period import month_first, month_of, months_between, shift

MONTH_DAYS: Final = 365 / 12


def lags(facts: Facts) -> pl.DataFrame:
    """month, cycle (median days of the new business won in its window, null where none has one), lag (that in whole
    months, half-even)."""
    won = facts.deals.lazy().filter((pl.col("deal_type") == "new") & (pl.col("outcome") == "won"))
    started = won.join(facts.once(cycles.starts).lazy().select("external_id", "start"), on="external_id")
    rows = sales.trailing(
        cycles.timed(started, pl.col("start")), pl.col("outcome_day"), facts.periods, facts.calendar
    )
    found = (
        rows.filter(pl.col("left_out").is_null()).group_by("month").agg(cycle=pl.col("days").median())
    ).collect()
    lag = (pl.col("cycle") / MONTH_DAYS).round(0, mode="half_to_even").cast(pl.Int64)
    return facts.periods.select("month").join(found, on="month", how="left").with_columns(lag=lag)


def spent_in(facts: Facts) -> pl.DataFrame:
    """month, spent (first of a month): whose spend each window answers for, the four quarters one quarter earlier, or
    the window's own months one median cycle earlier."""
    if facts.company.acquisition.cac_lag == "cycle":
        shifted = facts.once(arrived_in).join(facts.once(lags).drop_nulls(), on="month")
        back = pl.format("-{}mo", "lag")
        return shifted.select("month", spent=pl.format("{}-01", "arrived").str.to_date().dt.offset_by(back))
    rows = [
        (month, month_first(spent))
        for month, since, quarter in facts.periods.select(
            "month", "trailing_first", "quarter_first"
        ).iter_rows()
        for spent in months_between(shift(month_of(since), -3), shift(month_of(quarter), -1))
    ]
    return pl.DataFrame(rows, schema={"month": pl.String, "spent": pl.Date}, orient="row")


def arrived_in(facts: Facts) -> pl.DataFrame:
    """month, arrived (YYYY-MM), quarter_first: whose new logos each window counts."""
    rows = [
        (month, arrived, facts.calendar.quarter(month_first(arrived)).first)
        for month, since in facts.periods.select("month", "trailing_first").iter_rows()
        for arrived in months_between(month_of(since), month)
    ]
    schema = {"month": pl.String, "arrived": pl.String, "quarter_first": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")
