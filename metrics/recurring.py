"""Measures of recurring revenue, shared by the KPIs: stocks, movements, growth, retention and their evidence.

A customer belongs to one size, industry, motion, owner and pipeline; by product a number is cut row by row, so
retention, which compares customers, has no cut by product.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import CUTS
from metrics.settlement import OPEN_END
from metrics.words import stated

REQUIRES: Final = (
    ("deals", "account_id"),
    ("deals", "type"),
    ("deals", "arr"),
    ("deals", "term_months"),
    ("deals", "start_date"),
)
FEW_CUSTOMERS: Final = 10
CUSTOMER_CUTS: Final = tuple(cut for cut in CUTS if cut != "product")


def stock(facts: Facts, cut: str | None, contracted: bool = False) -> pl.LazyFrame:
    """ARR at D, or CARR; n: customers with ARR above zero."""
    rows = facts.positions.lazy().filter(point="now")
    if contracted:
        rows = pl.concat([rows, facts.pending.lazy()], how="diagonal")
    by_customer = (
        _cut(facts, rows, cut)
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
    return _measurable(facts, measures.amounts(totals, "value", "n"))


def movement(facts: Facts, name: str, cut: str | None) -> pl.LazyFrame:
    """One movement of the bridge; n: customers it touched."""
    touched = pl.col("customer").filter(pl.col(name) != 0).n_unique().cast(pl.Int64)
    totals = measures.summed(
        facts.periods, _cut(facts, facts.movements.lazy(), cut), cut, value=pl.col(name).sum(), n=touched
    )
    return _measurable(facts, measures.amounts(totals, "value", "n"))


def growth(facts: Facts, point: str, cut: str | None) -> pl.LazyFrame:
    """(now - then) / then at the rate of D; n: customers with ARR then."""
    keys = ["month", "customer", *([cut] if cut else [])]
    by_customer = (
        _cut(facts, facts.movements.lazy(), cut)
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
    return _measurable(facts, measures.ratios(totals, "change", "then", "n", f"there was no ARR {what}"))


def cohort(facts: Facts) -> pl.DataFrame:
    """Customers with ARR a year before, per month.

    Columns: month, customer, then, retained (ARR at D), kept (the lesser of the two), lost (1 where none is left).
    """
    return _cohort(facts).collect()


def _cohort(facts: Facts) -> pl.LazyFrame:
    per_customer = (
        facts.movements.lazy()
        .group_by("month", "customer")
        .agg(pl.col("now").sum(), then=pl.col("year").sum())
    )
    return per_customer.filter(pl.col("then") > 0).select(
        "month",
        "customer",
        "then",
        retained="now",
        kept=pl.min_horizontal("now", "then"),
        lost=(pl.col("now") <= 0).cast(pl.Int64),
    )


def retention(facts: Facts, part: str, cut: str | None) -> pl.LazyFrame:
    """``part`` (retained | kept) of the cohort over its ARR a year before; n: customers of the cohort."""
    if cut == "product":
        return measures.nothing()
    totals = measures.summed(
        facts.periods,
        _cut(facts, _cohort(facts), cut),
        cut,
        part=pl.col(part).sum(),
        then=pl.col("then").sum(),
        n=pl.len().cast(pl.Int64),
    )
    return _measurable(
        facts, measures.ratios(totals, "part", "then", "n", "no customer had ARR a year before")
    )


def logo_churn(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Customers of the cohort without ARR at D over all of it."""
    if cut == "product":
        return measures.nothing()
    totals = measures.summed(
        facts.periods,
        _cut(facts, _cohort(facts), cut),
        cut,
        lost=pl.col("lost").sum(),
        n=pl.len().cast(pl.Int64),
    )
    return _measurable(facts, measures.ratios(totals, "lost", "n", "n", "no customer had ARR a year before"))


def stands_on(facts: Facts) -> pl.DataFrame:
    """The won deals by D of a mapped type, or of none at all: month, external_id."""
    recurring = pl.col("deal_type").is_not_null() | stated(pl.col("type")).is_null()
    won = facts.deals.filter((pl.col("outcome") == "won") & recurring).select("external_id", "outcome_day")
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
    until = pl.when(pl.col("expires") == OPEN_END).then(pl.lit("open")).otherwise(pl.col("expires").cast(pl.String))
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
    note = pl.format("{}: {} -> {}", product, *_in_words(facts, "prev", "now"))
    return _accounts(facts, rows.with_columns(contribution=name, note=note))


def change_behind(facts: Facts, point: str, month: str) -> pl.DataFrame:
    """Evidence: every customer whose ARR changed since."""
    rows = (
        facts.movements.filter(pl.col("month") == month)
        .group_by("customer")
        .agg(pl.col("now").sum(), then=pl.col(point).sum())
        .with_columns(contribution=pl.col("now") - pl.col("then"))
        .filter(pl.col("contribution") != 0)
    )
    return _accounts(facts, rows.with_columns(note=pl.format("{} -> {}", *_in_words(facts, "then", "now"))))


def cohort_behind(facts: Facts, part: str, month: str) -> pl.DataFrame:
    """Evidence: the cohort, customer by customer."""
    rows = cohort(facts).filter(pl.col("month") == month)
    note = pl.format("{} a year before, {} now", *_in_words(facts, "then", "retained"))
    return _accounts(facts, rows.with_columns(contribution=part, note=note))


def _in_words(facts: Facts, *columns: str) -> list[pl.Expr]:
    return [in_words(pl.col(column), facts.currency) for column in columns]


def _accounts(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    named = rows.join(facts.customers.select("customer", "name"), on="customer", how="left")
    return measures.opened(named.with_columns(object=pl.lit("accounts"), external_id="customer"))


def _cut(facts: Facts, rows: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    if cut is None:
        return rows
    if cut == "product":
        return rows.with_columns(product="product_name")
    return rows.join(facts.customers.lazy().select("customer", cut), on="customer", how="left")


def _measurable(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Undefined where the CRM cannot know."""
    joined = measure.join(facts.unmeasurable.lazy(), on="month", how="left", maintain_order="left")
    return measures.undefined(joined, pl.col("why").is_not_null(), pl.col("why")).drop("why")
