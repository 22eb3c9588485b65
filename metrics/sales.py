"""New-business outcomes month by month, and the quotas of the quarters.

Source: definition book, section 3 and 4, rulings 2, 3, 5, 6, 18 to 21, 27.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metrics.currency import Rates
from metrics.period import Calendar
from metrics.words import UNKNOWN

PIPELINE_TYPES = ("new", "expansion")
# What the KPIs of the sales motion, and the evidence behind them, ask of a deal: every column is written once for each
# month that a deal counts in, so no other one is taken along.
ASKED = (
    *(
        "external_id",
        "name",
        "owner_id",
        "pipeline",
        "size",
        "industry",
        "motion",
        "loss_reason",
        "deal_type",
    ),
    *(
        "outcome",
        "outcome_day",
        "created_day",
        "qualified_day",
        "unlogged",
        "amount",
        "arr_value",
        "currency",
    ),
)


def named(
    frame: pl.LazyFrame, owners: pl.DataFrame, pipelines: pl.DataFrame, cut: str | None = None
) -> pl.LazyFrame:
    """``frame`` with owner_id and pipeline replaced by ``owner`` and ``pipeline`` as they are printed.

    With a ``cut``, only where that is one of the two: the names of the others are not asked for.
    """
    named = frame
    if cut in (None, "owner"):
        named = named.join(owners.lazy(), on="owner_id", how="left", maintain_order="left").with_columns(
            owner=pl.coalesce("owner", "owner_id")
        )
    if cut in (None, "pipeline"):
        labelled = named.join(pipelines.lazy(), on="pipeline", how="left", maintain_order="left")
        named = labelled.with_columns(pipeline=pl.coalesce("label", "pipeline")).drop("label")
    return named


def segments(
    deals: pl.DataFrame, owners: pl.DataFrame, pipelines: pl.DataFrame, cut: str | None
) -> tuple[pl.Series, pl.Series]:
    """The segment of each deal as a number, and the names of these: one that is null for the whole company."""
    if cut is None:
        return pl.repeat(0, deals.height, dtype=pl.UInt32, eager=True), pl.Series(
            "segment", [None], dtype=pl.String
        )
    own = named(
        deals.lazy().select("owner_id", "pipeline", "size", "industry", "motion"), owners, pipelines, cut
    )
    given = own.select(segment=pl.col(cut).fill_null(UNKNOWN)).collect()
    names = given.unique().sort("segment").with_row_index("number")
    found = given.join(names, on="segment", maintain_order="left")
    return found["number"], names["segment"]


def closed(
    deals: pl.DataFrame,
    periods: pl.DataFrame,
    calendar: Calendar,
    rates: Rates,
    types: Sequence[str] = ("new",),
) -> pl.DataFrame:
    """Qualified deals of ``types`` won or lost in each month's fiscal quarter, from its first day to D.

    ``deals``: from ``metrics.deals.describe``. Columns: those of ``ASKED``, month, won, value (ARR at the rate of the
    outcome day in the report's currency; null where the deal has no ARR or its currency no rate).
    """
    decided = (
        deals.lazy()
        .filter(
            pl.col("deal_type").is_in(types)
            & pl.col("outcome").is_in(["won", "lost"])
            & pl.col("qualified_day").is_not_null()
        )
        .select(ASKED)
        .collect()
    )
    valued = rates.convert(decided, "arr_value", "outcome_day", "value")
    months = periods.select("month", "day", "quarter_first")
    return (
        valued.with_columns(quarter_first=calendar.quarter_first(pl.col("outcome_day")))
        .join(months, on="quarter_first")
        .filter(pl.col("outcome_day") <= pl.col("day"))
        .with_columns(won=pl.col("outcome") == "won")
        .drop("quarter_first", "day")
        .sort("month", "outcome_day", "external_id")
    )


def trailing(
    rows: pl.LazyFrame, on: pl.Expr, periods: pl.DataFrame, calendar: Calendar, quarters: int = 4
) -> pl.LazyFrame:
    """``rows`` once for every month in whose trailing (four) quarters, up to D, their day ``on`` lies (ruling 2)."""
    first = calendar.quarter_first(pl.col("_on"))
    dated = rows.with_columns(_on=on).with_columns(_first=first)
    years = pl.concat(
        [dated.with_columns(pl.col("_first").dt.offset_by(f"{3 * n}mo")) for n in range(quarters)]
    )
    months = periods.lazy().select("month", "day", _first="quarter_first")
    return years.join(months, on="_first").filter(pl.col("_on") <= pl.col("day")).drop("_on", "_first", "day")


def quotas(
    crm: pl.DataFrame, filed: pl.DataFrame, owners: pl.DataFrame, calendar: Calendar, rates: Rates
) -> pl.DataFrame:
    """Quotas in the report's currency: quarter_first, cut, segment (null: the whole company), value (minor units; null
    where one of them is in a currency without rate, for part of a quota is none), lacking (that currency).

    Those of the CRM (``crm``: its live rows, currency filled) where a quarter has any, else those of the targets file
    (``filed``: its rows of the metric ``quota``); each row at the rate of the quarter's first day. The CRM's are given
    by owner as well; the file's by whatever segment it names. The whole company's quota of the file is its row without
    segment, never the sum of segments.
    """
    none = pl.lit(None, dtype=pl.String)
    dated = crm.with_columns(quarter_first=calendar.quarter_first(pl.col("start_date")))
    valued = rates.convert(dated, "amount", "quarter_first", "value").join(owners, on="owner_id", how="left")
    whole = valued.group_by("quarter_first").agg(*_whole_sum()).with_columns(cut=none, segment=none)
    owned = (
        valued.with_columns(segment=pl.coalesce("owner", "owner_id", pl.lit(UNKNOWN)))
        .group_by("quarter_first", "segment")
        .agg(*_whole_sum())
        .with_columns(cut=pl.lit("owner"))
    )
    given = (
        rates.convert(filed, "amount", "quarter_first", "value")
        .join(whole.select("quarter_first"), on="quarter_first", how="anti")
        .group_by("quarter_first", "cut", "segment")
        .agg(*_whole_sum())
    )
    columns = ("quarter_first", "cut", "segment", "value", "lacking")
    return pl.concat([whole.select(columns), owned.select(columns), given.select(columns)])


def _whole_sum() -> tuple[pl.Expr, pl.Expr]:
    value, unvalued = pl.col("value"), pl.col("value").is_null()
    return (
        pl.when(unvalued.any()).then(None).otherwise(value.sum()).alias("value"),
        pl.col("currency").filter(unvalued).min().alias("lacking"),
    )
