"""Measures over closed new-business deals, shared by the KPIs of the sales motion (definition book, section 3)."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts
from metrics.words import stated

FEW_DEALS: Final = 10
CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")


def win_rate(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won over won and lost, by count."""
    if cut == "product":
        return measures.nothing()
    totals = _totals(
        facts, facts.closed.lazy(), cut, won=pl.col("won").sum().cast(pl.Int64), n=pl.len().cast(pl.Int64)
    )
    rates = measures.ratios(totals, "won", "n", "n", "no qualified new-business deal closed in the quarter")
    return measures.noted(rates, _unlogged(facts))


def win_rate_value(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won over won and lost, by ARR; a deal without ARR counts 0."""
    if cut == "product":
        return measures.nothing()
    value = pl.col("value").fill_null(0)
    totals = _totals(
        facts,
        facts.closed.lazy(),
        cut,
        won=value.filter("won").sum(),
        decided=value.sum(),
        n=pl.len().cast(pl.Int64),
    )
    rates = measures.ratios(
        totals, "won", "decided", "n", "no qualified new-business deal with a value closed in the quarter"
    )
    return measures.noted(rates, _unlogged(facts))


def deal_size(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Mean ARR of the deals won, in minor units and not rounded; wins without a value stay out."""
    if cut == "product":
        return measures.nothing()
    totals = _totals(facts, _sized(facts).lazy(), cut, value=pl.col("value").sum(), n=pl.len().cast(pl.Int64))
    return measures.ratios(
        totals, "value", "n", "n", "no new-business deal with a value was won in the quarter"
    )


def stands_on(facts: Facts) -> pl.DataFrame:
    """The closed deals and those that would be among them if they had a type: month, external_id."""
    untyped = sales.closed(
        facts.deals.filter(stated(pl.col("type")).is_null()).with_columns(deal_type=pl.lit("new")),
        facts.periods,
        facts.calendar,
        facts.rates,
    )
    return pl.concat([frame.select("month", "external_id") for frame in (facts.closed, untyped)])


def wins(facts: Facts) -> pl.DataFrame:
    """The deals won: month, external_id."""
    return facts.closed.filter("won").select("month", "external_id")


def deals_behind(facts: Facts, month: str, contribution: pl.Expr, note: pl.Expr) -> pl.DataFrame:
    """Evidence: the deals closed in the month's quarter to date, won and lost."""
    return _opened(facts.closed.filter(pl.col("month") == month), contribution, note)


def sized_behind(facts: Facts, month: str) -> pl.DataFrame:
    """Evidence: the deals whose ARR is averaged."""
    note = pl.format("won {}", "outcome_day")
    return _opened(_sized(facts).filter(pl.col("month") == month), pl.col("value"), note)


def _unlogged(facts: Facts) -> pl.LazyFrame:
    """month, note: lost deals of which nobody can tell how far they had come."""
    lost = facts.closed.lazy().filter(pl.col("unlogged") & ~pl.col("won")).group_by("month").agg(n=pl.len())
    return lost.select("month", note=pl.format("{} lost deals without stage history count as qualified", "n"))


def _sized(facts: Facts) -> pl.DataFrame:
    return facts.closed.filter(pl.col("won") & (pl.col("value") != 0).fill_null(False))


def _totals(facts: Facts, rows: pl.LazyFrame, cut: str | None, **sums: pl.Expr) -> pl.LazyFrame:
    named = rows if cut is None else sales.named(rows, facts.owner_names, facts.pipelines)
    return measures.summed(facts.periods, named, cut, **sums)


def _opened(rows: pl.DataFrame, contribution: pl.Expr, note: pl.Expr) -> pl.DataFrame:
    return measures.opened(rows.with_columns(object=pl.lit("deals"), contribution=contribution, note=note))
