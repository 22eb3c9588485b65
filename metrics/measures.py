"""How a KPI's columns become rows of ``MEASURE``: sums and quotients per month, whole or cut, with reasons.

An absent or zero denominator is null with a reason, never 0 (definition book, R2). A cut lists every segment that
occurs in any of the months, be it only in what the rows are measured against (``also``: its column ``segment``), and
always the bucket ``unknown``, so that the parts reconcile to the total (R15).

Everything here is lazy: a step costs more than its rows, so a KPI is one plan, run by ``metrics.compute``.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metrics import sales
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, MEASURE
from metrics.words import UNKNOWN

_UNCUT = pl.lit(None, dtype=pl.String)


def grid(
    months: pl.LazyFrame, rows: pl.LazyFrame, cut: str | None, also: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """month, segment: every row that a measure must have."""
    if cut is None:
        return months.select("month", segment=_UNCUT)
    named = [
        rows.select(segment=segment_of(cut, rows)).unique().cast(pl.String),
        pl.LazyFrame({"segment": [UNKNOWN]}),
    ]
    if also is not None:
        named.append(also.select("segment"))
    segments = pl.concat(named).unique().sort("segment")
    return months.select("month").join(segments, how="cross").sort("month", "segment")


def gathered(
    months: pl.DataFrame,
    rows: pl.DataFrame | pl.LazyFrame,
    cut: str | None,
    also: pl.LazyFrame | None = None,
    /,
    **aggregates: pl.Expr,
) -> pl.LazyFrame:
    """month, segment and one column per expression, aggregated; null where a month or segment has no rows.

    Months and segments of ``rows`` may be categories; those that come back are texts.
    """
    totals = (
        rows.lazy()
        .with_columns(segment=segment_of(cut, rows))
        .group_by("month", "segment")
        .agg(**aggregates)
        .with_columns(pl.col("month", "segment").cast(pl.String))
    )
    return grid(months.lazy(), rows.lazy(), cut, also).join(
        totals, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left"
    )


def summed(
    months: pl.DataFrame,
    rows: pl.DataFrame | pl.LazyFrame,
    cut: str | None,
    also: pl.LazyFrame | None = None,
    /,
    **sums: pl.Expr,
) -> pl.LazyFrame:
    """``gathered`` with 0 where a month or segment has no rows."""
    return gathered(months, rows, cut, also, **sums).with_columns(pl.col(name).fill_null(0) for name in sums)


def segment_of(cut: str | None, rows: pl.DataFrame | pl.LazyFrame | None = None) -> pl.Expr:
    """The segment of a row: null for the whole company, ``unknown`` where the row has none.

    ``rows``: those of it, where the cut may be a category.
    """
    if cut is None:
        return _UNCUT
    dtype = pl.String() if rows is None else rows.lazy().collect_schema()[cut]
    return pl.col(cut).fill_null(
        pl.lit(UNKNOWN, dtype=pl.String) if dtype == pl.String else pl.lit(UNKNOWN, dtype)
    )


def amounts(totals: pl.LazyFrame, value: str, n: str) -> pl.LazyFrame:
    """Sums as a measure: value and numerator are the sum; no denominator."""
    return measure(
        totals.with_columns(
            value=pl.col(value).cast(pl.Float64),
            numerator=pl.col(value).cast(pl.Float64),
            denominator=pl.lit(None, dtype=pl.Float64),
            n=pl.col(n),
            reason=_UNCUT,
        )
    )


def ratios(totals: pl.LazyFrame, numerator: str, denominator: str, n: str, reason: str) -> pl.LazyFrame:
    """Quotients as a measure; null with ``reason`` where the denominator is not above 0."""
    top, bottom = pl.col(numerator).cast(pl.Float64), pl.col(denominator).cast(pl.Float64)
    defined = bottom > 0
    return measure(
        totals.with_columns(
            value=pl.when(defined).then(top / bottom),
            numerator=top,
            denominator=bottom,
            n=pl.col(n),
            reason=pl.when(~defined).then(pl.lit(reason)),
        )
    )


def undefined(frame: pl.LazyFrame, when: pl.Expr, reason: pl.Expr) -> pl.LazyFrame:
    """The measure with the value taken away and a reason given where ``when`` holds."""
    return frame.with_columns(
        value=pl.when(when).then(None).otherwise("value"),
        reason=pl.when(when).then(reason).otherwise("reason"),
    )


def unknown(frame: pl.LazyFrame, faults: pl.LazyFrame) -> pl.LazyFrame:
    """The measure without value and numerator in the months of ``faults`` (month, why), with that reason."""
    joined = frame.join(faults, on="month", how="left", maintain_order="left")
    faulty = pl.col("why").is_not_null()
    numerator = pl.when(~faulty).then("numerator")
    return undefined(joined, faulty, pl.col("why")).with_columns(numerator=numerator).drop("why")


def notes(*parts: pl.Expr) -> pl.Expr:
    """Several notes as one, in their order; null parts are left out, and without any there is none."""
    text = pl.concat_str(parts, separator="; ", ignore_nulls=True)
    return pl.when(text != "").then(text)


def noted(frame: pl.LazyFrame, notes: pl.LazyFrame) -> pl.LazyFrame:
    """The measure with a note (month, note) as the reason of values that are defined and have none."""
    joined = frame.join(notes, on="month", how="left", maintain_order="left")
    return joined.with_columns(reason=pl.coalesce("reason", "note")).drop("note")


def joined(notes: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Notes (month, note) of several kinds as one per month, in the order given."""
    every = pl.concat([note.select("month", "note", rank=pl.lit(rank)) for rank, note in enumerate(notes)])
    return every.sort("rank").group_by("month", maintain_order=True).agg(pl.col("note").str.join("; "))


def explained(
    frame: pl.LazyFrame, notes: pl.LazyFrame, by: Sequence[str] = ("month", "segment")
) -> pl.LazyFrame:
    """The measure with a note (the columns ``by``, note) behind the reason that a value has, if any."""
    joined = frame.join(notes, on=list(by), how="left", nulls_equal=True, maintain_order="left")
    text = pl.concat_str("reason", "note", separator="; ", ignore_nulls=True)
    return joined.with_columns(reason=pl.when(text != "").then(text)).drop("note")


def whole(exact: pl.Expr, over: str | Sequence[str] = "month", digits: int | None = None) -> pl.Expr:
    """Exact amounts (decimals) in minor units, rounded so that those of a month add up to its rounded total (R15).

    Each is the step that the rounded running sum takes with it, so it is less than one unit from its exact amount.
    ``digits``: of amounts that are quotients, to how many digits a sum of them is exact: three thirds are one.
    """
    running = exact.fill_null(0).cum_sum()
    if digits is not None:
        running = running.round(digits, mode="half_to_even")
    total = running.round(0, mode="half_to_even").cast(pl.Int64)
    return (total - total.shift(1, fill_value=0)).over(over)


def nothing() -> pl.LazyFrame:
    """No rows: this KPI cannot be cut that way."""
    return pl.LazyFrame(schema=MEASURE)


def measure(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of ``MEASURE`` in their types and order, sorted by month and segment."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in MEASURE.items()).sort(
        "month", "segment", nulls_last=False
    )


def opened(frame: pl.DataFrame, cut: str | None = None) -> pl.DataFrame:
    """The columns of ``EVIDENCE`` in their types and order, the largest contribution first.

    With a ``cut``, a column of the frame, also ``segment``.
    """
    columns = [pl.col(name).cast(dtype) for name, dtype in EVIDENCE.items()]
    if cut is not None:
        columns.append(segment_of(cut).alias("segment"))
    return frame.select(columns).sort(
        pl.col("contribution").abs(), "external_id", descending=[True, False], nulls_last=True
    )


def of_deals(facts: Facts, rows: pl.DataFrame, cut: str | None) -> pl.DataFrame:
    """Rows of deals with the column that they are cut by, as it is printed, in the order in which segments are."""
    if cut is None:
        return rows
    named = sales.named(rows.lazy(), facts.owner_names, facts.pipelines, cut)
    return named.sort(pl.col(cut).fill_null(UNKNOWN), maintain_order=True).collect()
