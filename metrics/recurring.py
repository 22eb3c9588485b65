"""Measures of recurring revenue, shared by the KPIs: stocks, movements, growth and their evidence.

A customer belongs to one size, industry, motion, owner and pipeline; by product a number is cut row by row, so
retention, which compares customers, has no cut by product.
"""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from metrics import arr, bridge, measures
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import CUTS
from metrics.period import month_last, shift
from metrics.settlement import OPEN_END
from metrics.words import stated

REQUIRES: Final = (
    ("deals", "account_id"),
    ("deals", "type"),
    ("deals", "arr"),
    ("deals", "term_months"),
    ("deals", "start_date"),
)
READS: Final = ("line_items", "exchange_rates")
FEW_CUSTOMERS: Final = 10
CUSTOMER_CUTS: Final = tuple(cut for cut in CUTS if cut != "product")
Window = Literal["year", "quarter", "month"]
MONTHS: Final[dict[Window, int]] = {"year": 12, "quarter": 3, "month": 1}


def stock(facts: Facts, cut: str | None, contracted: bool = False) -> pl.LazyFrame:
    """ARR at D, or CARR; n: customers with ARR above zero."""
    rows = facts.positions.lazy().filter(point="now")
    if contracted:
        rows = pl.concat([rows, facts.pending.lazy()], how="diagonal")
    by_customer = (
        of_customers(facts, rows, cut)
        .group_by("month", "customer", *([cut] if cut else []))
        .agg(pl.col("value").sum())
    )
    totals = measures.summed(
        facts.periods,
        by_customer,
        cut,
        value=pl.col("value").sum(),
        n=(pl.col("value") > 0).sum().cast(pl.Int64),
    )
    return measurable(facts, measures.amounts(totals, "value", "n"))


def movement(facts: Facts, name: str, cut: str | None) -> pl.LazyFrame:
    """One movement of the bridge; n: customers it touched."""
    touched = pl.col("customer").filter(pl.col(name) != 0).n_unique().cast(pl.Int64)
    totals = measures.summed(
        facts.periods,
        of_customers(facts, facts.movements.lazy(), cut),
        cut,
        value=pl.col(name).sum(),
        n=touched,
    )
    return measurable(facts, measures.amounts(totals, "value", "n"))


def escalators(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Other expansion with the part of it that was contracted before as a note (R13)."""
    sums = (
        facts.movements.lazy()
        .group_by("month")
        .agg(pl.col("escalator").sum())
        .filter(pl.col("escalator") > 0)
    )
    amount = in_words(pl.col("escalator"), facts.currency)
    return measures.noted(
        measure, sums.select("month", note=pl.format("of it contracted before (escalator): {}", amount))
    )


def growth(facts: Facts, point: str, cut: str | None) -> pl.LazyFrame:
    """(now - then) / then at the rate of D; n: customers with ARR then."""
    keys = ["month", "customer", *([cut] if cut else [])]
    by_customer = (
        of_customers(facts, facts.movements.lazy(), cut)
        .group_by(keys)
        .agg(pl.col("now").sum(), then=pl.col(point).sum())
    )
    totals = measures.summed(
        facts.periods,
        by_customer,
        cut,
        change=(pl.col("now") - pl.col("then")).sum(),
        then=pl.col("then").sum(),
        n=(pl.col("then") > 0).sum().cast(pl.Int64),
    )
    what = "at the end of the month before" if point == "prev" else "a year before"
    return measurable(facts, measures.ratios(totals, "change", "then", "n", f"there was no ARR {what}"))


def cohort(facts: Facts, window: Window = "year") -> pl.DataFrame:
    """Customers with ARR at the opening of the window, per month; everything at the rate of D.

    Columns: month, customer, then, retained (ARR at D), kept (the lesser of the two), lost (1 where none is left).
    """
    placed = facts.positions
    if window == "quarter":
        opening = [month_last(shift(month, -MONTHS[window])) for month in facts.months]
        periods = facts.periods.with_columns(year_day=pl.Series(opening, dtype=pl.Date))
        placed = bridge.positions(facts.arr_rows, periods, facts.rates, ("now", "year"))
    point = "prev" if window == "month" else "year"
    return (
        placed.group_by("month", "customer")
        .agg(
            pl.col("value").filter(point=point).sum().alias("then"),
            pl.col("value").filter(point="now").sum().alias("retained"),
        )
        .filter(pl.col("then") > 0)
        .with_columns(
            kept=pl.min_horizontal("retained", "then"), lost=(pl.col("retained") <= 0).cast(pl.Int64)
        )
    )


def stands_on(facts: Facts) -> pl.DataFrame:
    """The won deals by D of a mapped type, or of none at all, that ARR may count: month, external_id."""
    recurring = pl.col("deal_type").is_not_null() | stated(pl.col("type")).is_null()
    counted = (pl.col("outcome") == "won") & recurring & arr.counts(facts.company.arr)
    won = facts.deals.filter(counted).select("external_id", "outcome_day")
    return (
        facts.periods.select("month", "day")
        .join(won, how="cross")
        .filter(pl.col("outcome_day") <= pl.col("day"))
        .select("month", "external_id")
    )


def contracts_behind(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Evidence: the contracts behind rows of ARR, each with its term and what is special about it."""
    deals = facts.deals.select(deal_id="external_id", _deal="name")
    listed = facts.opening_list.select("contract", "line", "customer_key")
    named = facts.contracts.join(deals, on="deal_id", how="left").join(
        listed, left_on="made_of", right_on="contract", how="left"
    )
    until = (
        pl.when(pl.col("expires") == OPEN_END)
        .then(pl.lit("open"))
        .otherwise(pl.col("expires").cast(pl.String))
    )
    flags = {
        "start_assumed": "start assumed: close date",
        "term_assumed": "term assumed: 12 months",
        "auto_renewed": "renewed by itself",
        "goes_on": "goes on under its renewal",
        "unresolved": "expired, unresolved",
    }
    note = pl.concat_str(
        [pl.format("{} to {}", "start", until)]
        + [pl.when(flag).then(pl.lit(words)) for flag, words in flags.items()],
        separator="; ",
        ignore_nulls=True,
    )
    of_list = pl.col("deal_id").is_null()
    return measures.opened(
        rows.group_by("contract")
        .agg(contribution=pl.col("value").sum())
        .join(named, on="contract")
        .with_columns(goes_on=pl.col("contract") != pl.col("made_of"))
        .with_columns(
            object=pl.when(of_list).then(pl.lit("opening_arr")).otherwise(pl.lit("deals")),
            external_id=pl.coalesce("deal_id", pl.format("line {}", "line")),
            name=pl.coalesce("_deal", "customer_key"),
            note=note,
        )
    )


def customers_behind(facts: Facts, name: str, month: str) -> pl.DataFrame:
    """Evidence: the customers and products behind one movement."""
    rows = facts.movements.filter((pl.col("month") == month) & (pl.col(name) != 0))
    product = pl.col("product_name").fill_null("no product")
    note = pl.format("{}: {} -> {}", product, *both_in_words(facts, "prev", "now"))
    return accounts_behind(facts, rows.with_columns(contribution=name, note=note))


def change_behind(facts: Facts, point: str, month: str) -> pl.DataFrame:
    """Evidence: every customer whose ARR changed since."""
    rows = (
        facts.movements.filter(pl.col("month") == month)
        .group_by("customer")
        .agg(pl.col("now").sum(), then=pl.col(point).sum())
        .with_columns(contribution=pl.col("now") - pl.col("then"))
        .filter(pl.col("contribution") != 0)
    )
    return accounts_behind(
        facts, rows.with_columns(note=pl.format("{} -> {}", *both_in_words(facts, "then", "now")))
    )


def both_in_words(facts: Facts, *columns: str) -> list[pl.Expr]:
    """Columns of money as text."""
    return [in_words(pl.col(column), facts.currency) for column in columns]


def accounts_behind(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Evidence: rows with customer, contribution and note as the accounts behind them."""
    named = rows.join(facts.customers.select("customer", "name"), on="customer", how="left")
    return measures.opened(named.with_columns(object=pl.lit("accounts"), external_id="customer"))


def of_customers(facts: Facts, rows: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    """The rows with the column that they are cut by."""
    if cut is None:
        return rows
    if cut == "product":
        return rows.with_columns(product="product_name")
    return rows.join(facts.customers.lazy().select("customer", cut), on="customer", how="left")


def measurable(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Undefined where the CRM cannot know."""
    joined = measure.join(facts.unmeasurable.lazy(), on="month", how="left", maintain_order="left")
    return measures.undefined(joined, pl.col("why").is_not_null(), pl.col("why")).drop("why")
