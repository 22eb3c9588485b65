"""Pipeline against quota (definition book, section 4, rulings 26 and 27)."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts
from metrics.words import UNKNOWN

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")


def quotas(facts: Facts) -> pl.DataFrame:
    """Quotas in the report's currency: quarter_first, cut, segment (null: the whole company), value (minor units; null
    where one of them is in a currency without rate, for part of a quota is none).

    Those of the CRM where a quarter has any, else those of the targets file; each row at the rate of the quarter's
    first day. The CRM's are given by owner as well; the file's by whatever segment it names. The whole company's quota
    of the file is its row without segment, never the sum of segments.
    """
    from_crm = facts.live("quotas").with_columns(
        pl.col("currency").fill_null(facts.home_currency),
        quarter_first=facts.calendar.quarter_first(pl.col("start_date")),
    )
    crm = facts.rates.convert(from_crm, "amount", "quarter_first", "value").join(
        facts.owner_names, on="owner_id", how="left"
    )
    whole = crm.group_by("quarter_first").agg(_whole_sum()).with_columns(cut=_NONE, segment=_NONE)
    owned = (
        crm.with_columns(segment=pl.coalesce("owner", "owner_id", pl.lit(UNKNOWN)))
        .group_by("quarter_first", "segment")
        .agg(_whole_sum())
        .with_columns(cut=pl.lit("owner"))
    )
    filed = facts.rates.convert(facts.targets.quotas(), "amount", "quarter_first", "value")
    given = (
        filed.join(whole.select("quarter_first"), on="quarter_first", how="anti")
        .group_by("quarter_first", "cut", "segment")
        .agg(_whole_sum())
    )
    columns = ("quarter_first", "cut", "segment", "value")
    return pl.concat([whole.select(columns), owned.select(columns), given.select(columns)])


_NONE: Final = pl.lit(None, dtype=pl.String)


def _whole_sum() -> pl.Expr:
    value = pl.col("value")
    return pl.when(value.is_null().any()).then(None).otherwise(value.sum()).alias("value")


def coverage(facts: Facts, cut: str | None) -> pl.DataFrame:
    """Snapshot value over quota; n: deals in the snapshot."""
    if cut == "product":
        return measures.nothing()
    rows = (
        facts.snapshots if cut is None else sales.named(facts.snapshots, facts.owner_names, facts.pipelines)
    )
    totals = measures.summed(
        facts.periods, rows, cut, pipeline=pl.col("value").sum(), n=pl.len().cast(pl.Int64)
    )
    of_quarter = quotas(facts).filter(pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.String)))
    joined = totals.join(
        facts.periods.select("month", "quarter_first", "snapshot_known", "quarter", "snapshot_day"),
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
    unlogged = facts.snapshots.filter("unlogged").group_by("month").agg(n=pl.len())
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
