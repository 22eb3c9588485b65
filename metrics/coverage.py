"""Pipeline against quota (definition book, section 4, rulings 26 and 27)."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")


def coverage(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Snapshot value over quota; n: deals in the snapshot."""
    if cut == "product":
        return measures.nothing()
    rows = facts.snapshots.lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines)
    totals = measures.summed(
        facts.periods, rows, cut, pipeline=pl.col("value").sum(), n=pl.len().cast(pl.Int64)
    )
    of_quarter = facts.quotas.lazy().filter(pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.String)))
    joined = totals.join(
        facts.periods.lazy().select("month", "quarter_first", "snapshot_known", "quarter", "snapshot_day"),
        on="month",
    ).join(
        of_quarter.select("quarter_first", "segment", quota="value", known=pl.lit(True)),
        on=["quarter_first", "segment"],
        how="left",
        nulls_equal=True,
    )
    given = joined.with_columns(quota=pl.when(pl.col("quota") != 0).then("quota"))
    by = "" if cut is None else f" by {cut}"
    reason = (
        pl.when(~pl.col("snapshot_known"))
        .then(pl.format("the snapshot of {} lies in the future", "snapshot_day"))
        .when(pl.col("known") & pl.col("quota").is_null())
        .then(pl.format("a quota of {} is zero or in a currency without an exchange rate", "quarter"))
        .when(pl.col("quota").is_null())
        .then(pl.format("needs a quota{} of {}: in the CRM or in the targets file", pl.lit(by), "quarter"))
    )
    measure = measures.measure(
        given.with_columns(
            reason=reason,
            n=pl.when("snapshot_known").then("n"),
            numerator=pl.when("snapshot_known").then("pipeline"),
            denominator=pl.col("quota"),
            value=pl.when(reason.is_null()).then(
                pl.col("pipeline").cast(pl.Float64) / pl.col("quota").cast(pl.Float64)
            ),
        )
    )
    unlogged = facts.snapshots.lazy().filter("unlogged").group_by("month").agg(n=pl.len())
    note = pl.format("{} deals of the snapshot have no stage history: not reconstructed", "n")
    return measures.noted(measure, unlogged.select("month", note=note))


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals of the snapshot: month, external_id."""
    return facts.snapshots.select("month", "external_id")


def deals_behind(facts: Facts, month: str) -> pl.DataFrame:
    """Evidence: the deals of the snapshot with their state on that day."""
    rows = facts.snapshots.filter(pl.col("month") == month)
    note = pl.format("{}, closing {}", pl.col("stage").fill_null("no stage"), "close_date")
    return measures.opened(rows.with_columns(object=pl.lit("deals"), contribution="value", note=note))
