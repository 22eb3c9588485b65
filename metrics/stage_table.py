"""The stages side by side: days, conversion, skips, back-moves and what has grown old in them.

Definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 5, 20 and 25.
"""

from __future__ import annotations

import polars as pl

from metrics import deals, sales, stages, stays
from metrics.currency import in_words
from metrics.facts import Facts
from pipeline import asof

_PLACE = ["month", "segment", "stage_pipeline", "stage", "stage_label", "sort_order"]
_COUNTS = ("n", "left", "went_on", "left_of_quarter", "went_on_of_quarter", "open", "older", "older_value")


def table(facts: Facts, cut: str | None = None) -> pl.DataFrame:
    """Every stage in use, month by month and segment by segment, in the order of the process.

    Columns: month, segment, stage_pipeline, stage, stage_label, sort_order; n (deals that left it for the last time in
    the trailing four quarters (`sales.stage_quarters`), or sit in it at D), median_days, p75_days (linear), target_days
    (of the targets file), norm_days (the target, else the median of five deals or more); left and went_on (of those
    that left: that then got to a later stage or were won), conversion; left_of_quarter, went_on_of_quarter,
    conversion_of_quarter (the same of those that left in the quarter to date, to be held against the four quarters'
    own); skips (moves from before it to behind it), back_moves (from it to an earlier stage), both in the four
    quarters; open (deals in it at D), older (of them, for more than 1.5 times the norm, `sales.stage_old`), older_value
    (their amount at D, at the rate of D, minor units; a blank amount counts 0, one in a currency without rate is not in
    it). A ratio of nothing is null. A pilot's stage is a row like any other, so its days are in the way of the deal and
    can be seen apart.
    """
    sums = stages.by_stage(facts, cut)
    norm = pl.coalesce("target", pl.when(pl.col("n") >= facts.company.sales.stage_deals).then("median"))
    known = sums.with_columns(norm_days=norm).collect()
    rows = (
        known.join(_older(facts, cut, known), on=_PLACE, how="left", nulls_equal=True)
        .join(_moves(facts, cut), on=_PLACE, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(*_COUNTS, "skips", "back_moves").fill_null(0))
    )
    return rows.select(
        *_PLACE,
        "n",
        median_days="median",
        p75_days="p75",
        target_days="target",
        norm_days="norm_days",
        left="left",
        went_on="went_on",
        conversion=_share("went_on", "left"),
        left_of_quarter="left_of_quarter",
        went_on_of_quarter="went_on_of_quarter",
        conversion_of_quarter=_share("went_on_of_quarter", "left_of_quarter"),
        skips="skips",
        back_moves="back_moves",
        open="open",
        older="older",
        older_value="older_value",
    ).sort("month", "segment", "stage_pipeline", "sort_order", "stage", nulls_last=True)


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))


def _older(facts: Facts, cut: str | None, known: pl.DataFrame) -> pl.DataFrame:
    """The place, older and older_value."""
    sitting = stages.named(facts, stays.sitting(facts).lazy(), cut).collect()
    late = sitting.join(known.select(*_PLACE, "norm_days"), on=_PLACE, nulls_equal=True).filter(
        pl.col("days") > pl.col("norm_days") * facts.company.sales.stage_old
    )
    amounts = facts.raw_deals.select("external_id", "amount", "currency")
    at = pl.col("month").replace_strict(facts.moments, return_dtype=pl.Datetime("us", "UTC"))
    dated = late.join(amounts, on="external_id").with_columns(at=at)
    then = asof.set_back(dated, facts.changes, deals.MONEY).join(
        facts.periods.select("month", "day"), on="month"
    )
    blank = deals.in_some_currency(then, facts.home_currency).with_columns(pl.col("amount").fill_null(0))
    return (
        facts.rates.convert(blank, "amount", "day", "value")
        .group_by(_PLACE)
        .agg(older=pl.len().cast(pl.Int64), older_value=pl.col("value").sum())
    )


def _moves(facts: Facts, cut: str | None) -> pl.DataFrame:
    """The place, skips and back_moves of the trailing four quarters."""
    moved = (
        stays.visits(facts).lazy().filter(pl.col("rank").is_not_null() & pl.col("next_rank").is_not_null())
    )
    back = moved.filter(
        stays.in_use() & (pl.col("next_outcome") == "open") & (pl.col("next_rank") < pl.col("rank"))
    ).select("external_id", "pipeline", "stage", "label", "sort_order", on="left", back=pl.lit(value=True))
    used = facts.stages.lazy().filter(stays.in_use()).select("pipeline", "stage", "label", "sort_order")
    over = (
        moved.filter(pl.col("outcome") == "open")
        .select("external_id", "pipeline", "rank", "next_rank", on="left")
        .join(used, on="pipeline", nulls_equal=True)
        .filter((pl.col("sort_order") > pl.col("rank")) & (pl.col("sort_order") < pl.col("next_rank")))
        .select("external_id", "pipeline", "stage", "label", "sort_order", "on", back=pl.lit(value=False))
    )
    both = pl.concat([back, over]).rename({"pipeline": "stage_pipeline", "label": "stage_label"})
    window = facts.company.sales.stage_quarters
    months = sales.trailing(both, pl.col("on"), facts.periods, facts.calendar, window)
    traits = facts.deals.lazy().select("external_id", *stays.TRAITS)
    return (
        stages.named(facts, months.join(traits, on="external_id"), cut)
        .group_by(_PLACE)
        .agg(
            skips=(~pl.col("back")).sum().cast(pl.Int64),
            back_moves=pl.col("back").sum().cast(pl.Int64),
        )
        .collect()
    )


def grown_old(facts: Facts) -> pl.LazyFrame:
    """month, note: how many deals of the bottleneck have been in it for more than 1.5 times its norm, and their amount.

    Of the whole company: its target, or the median itself, is the norm.
    """
    known = stages.bottlenecks(facts, None).filter(pl.col("stage").is_not_null()).collect()
    told = _older(facts, None, known.with_columns(norm_days=pl.coalesce("target", "median")))
    factor = f"{facts.company.sales.stage_old:g}"
    return told.lazy().select(
        "month",
        note=pl.format(
            f"{{}} in it at D for more than {factor} times the norm ({{}})",
            "older",
            in_words(pl.col("older_value"), facts.currency),
        ),
    )
