"""What became of the ARR that was up for renewal: NRR over the renewal base (definition book, R13, a second view).

The exact reading, for a window from its opening to D, at the rate of D:

1. Up for renewal is the ARR at the opening of every contract whose term ended by D: on its own end, that of an
   expansion or a contraction with what it runs along with (ruling 9). What had ended before the opening and was still
   counted, because its renewal was late, is up as well. A contract that renews by itself is up at the end of each term.
2. What became of it: all ARR at D of the customers that had any up, without the contracts of the opening that were not
   up. So a step that such a contract had agreed on before (the escalator) counts on neither side.
3. A churn deal that ends a contract within its term takes away no ARR that was up; the cohort's NRR has it.
"""

from __future__ import annotations

import polars as pl

from metrics.basis import after
from metrics.facts import Facts
from metrics.period import month_last, shift
from metrics.recurring import MONTHS, Window, ends_of


def renewal_base(facts: Facts, window: Window = "year") -> pl.DataFrame:
    """Customers with ARR up for renewal in the window, per month.

    Columns: month, customer (a number, as in ``Facts.coded``), then (ARR up for renewal), retained (what became of it).
    """
    opening = [month_last(shift(month, -MONTHS[window])) for month in facts.months]
    days = facts.periods.select("month", "day", opening=pl.Series(opening, dtype=pl.Date))
    terms = facts.contracts.select("contract", "due", "term", "auto_renewed")
    rows = ends_of(facts, window).select("month", "customer", "contract", "point", "value")
    opened = (
        rows.filter(point="then").join(terms, on="contract").join(days, on="month").with_columns(up=_is_up())
    )
    locked = opened.filter(~pl.col("up")).select("month", "contract").unique()
    by_customer = ["month", "customer"]
    up = opened.filter("up").group_by(by_customer).agg(then=pl.col("value").sum())
    now = (
        rows.filter(point="now")
        .join(locked, on=["month", "contract"], how="anti")
        .group_by(by_customer)
        .agg(retained=pl.col("value").sum())
    )
    found = up.filter(pl.col("then") > 0).join(now, on=by_customer, how="left")
    return found.with_columns(
        pl.col("retained").fill_null(0), customer=facts.coded.customer_codes(found["customer"])
    )


def _is_up() -> pl.Expr:
    """Whether a contract of the opening came to the end of its term by D."""
    due, opening, term = pl.col("due"), pl.col("opening"), pl.col("term").cast(pl.Int64)
    renews = (pl.col("auto_renewed") & (term > 0)).fill_null(value=False)
    passed = (opening.dt.year() - due.dt.year()) * 12 + opening.dt.month().cast(pl.Int32) - due.dt.month()
    terms = pl.max_horizontal(pl.lit(0, pl.Int64), passed.cast(pl.Int64) // term)
    ends = [after(due, (terms + more) * term) for more in (0, 1)]
    in_window = pl.any_horizontal((opening < end) & (end <= pl.col("day")) for end in ends)
    return pl.when(renews).then(in_window).otherwise(due <= pl.col("day")).fill_null(value=False)
