"""The way of the deals through the stages: how long they stay, where they go on, and where they are stuck.

Definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 4, 5, 20 and 25.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl

from metrics import measures, sales, stays
from metrics.facts import Facts
from metrics.inputs.targets import STAGE_DAYS
from metrics.kpi import Kpi
from metrics.runs import counted, written_out
from metrics.words import CUTS, in_days, when_any
from pipeline.company import Company, SalesSettings

_MANY: Final = {
    1: "one quarter",
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
}


def span(company: Company) -> str:
    """The quarters that a stage is read over, in words: ``four quarters``."""
    words = _MANY[company.sales.stage_quarters]
    return words if words.endswith("quarter") else f"{words} quarters"


def configured(kpi: Kpi, company: Company) -> Kpi:
    """The days in the bottleneck as the company's settings make them: other quarters are another definition."""
    quarters = company.sales.stage_quarters
    if quarters == SalesSettings().stage_quarters:
        return kpi
    formula = kpi.definition.removeprefix(f"{kpi.id}/1: ").replace("four quarters", span(company))
    return replace(kpi, definition=f"{kpi.id}/1 {quarters}q: {formula}", quarters=quarters)


def targets(facts: Facts) -> pl.DataFrame:
    """Days that a stage should take, from the targets file: quarter_first, cut, segment, key (the stage's name or
    label in lower case), target. The metric is ``stage_days:`` and the stage, for example ``stage_days:Discovery``."""
    metric = pl.col("metric")
    return (
        facts.input("targets")
        .filter(metric.str.starts_with(STAGE_DAYS))
        .with_columns(
            key=metric.str.strip_prefix(STAGE_DAYS).str.strip_chars().str.to_lowercase(),
            target=pl.col("number").cast(pl.Float64),
        )
        .sort("line")
        .unique(["quarter_first", "cut", "segment", "key"], keep="last", maintain_order=True)
        .select("quarter_first", "cut", "segment", "key", "target")
    )


def named(facts: Facts, rows: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    named = rows if cut is None else sales.named(rows, facts.owner_names, facts.pipelines, cut)
    return named.with_columns(segment=measures.segment_of(cut))


def by_stage(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """month, segment, the stage, n, median and target: what a bottleneck is found by."""
    sums = facts.once(_TALLIES[cut]).lazy()
    mine = pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.String))
    given = facts.once(targets).lazy().filter(mine).drop("cut")
    dated = sums.join(facts.periods.lazy().select("month", "quarter_first"), on="month")
    for name in ("stage", "stage_label"):
        dated = dated.with_columns(key=pl.col(name).str.to_lowercase()).join(
            given.rename({"target": f"_{name}"}),
            on=["quarter_first", "segment", "key"],
            how="left",
            nulls_equal=True,
        )
    return dated.with_columns(target=pl.coalesce("_stage", "_stage_label")).drop(
        "_stage", "_stage_label", "key", "quarter_first"
    )


def bottlenecks(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """The bottleneck of every month and segment: the columns of ``by_stage``, medians (all stages in words).

    The stage with the largest median, or, where the targets file gives days for stages of the segment, with the largest
    median ÷ target among those; only stages with at least five deals (`sales.stage_deals`). Stage columns are null
    where there is none.
    """
    place = ["month", "segment"]
    found = by_stage(facts, cut).sort("sort_order", "stage", "stage_pipeline", nulls_last=True)
    told = pl.format("{} {}", "stage_label", in_days(pl.col("median")))
    medians = found.group_by(place, maintain_order=True).agg(medians=told.str.join(", "))
    enough = found.filter(pl.col("n") >= facts.company.sales.stage_deals)
    aimed = pl.col("target").is_not_null().any().over(place)
    score = pl.when(aimed).then(pl.col("median") / pl.col("target")).otherwise("median")
    worst = (
        enough.with_columns(_score=score)
        .filter(pl.col("_score").is_not_null())
        .sort("_score", descending=True, maintain_order=True)
        .group_by(place, maintain_order=True)
        .first()
        .drop("_score")
    )
    return medians.join(worst, on=place, how="left", nulls_equal=True)


def stage_days(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Median days in the bottleneck; n: its deals; which stage it is and the other medians in the note."""
    if cut == "product":
        return measures.nothing()
    there = facts.once(_TALLIES[cut]).lazy().select("month", pl.col("segment").alias(cut or "segment"))
    rows = there.with_columns(_logged=pl.lit(value=True))
    blind = named(facts, _unlogged(facts), cut).with_columns(_logged=pl.lit(value=False))
    both = pl.concat([rows, blind], how="diagonal")
    totals = measures.gathered(facts.periods, both, cut, blind=(~pl.col("_logged")).sum()).join(
        bottlenecks(facts, cut), on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left"
    )
    none = (
        pl.when(pl.col("medians").is_null())
        .then(pl.lit(f"no new-business deal was in a stage in use in {span(facts.company)}"))
        .when(pl.col("median").is_null())
        .then(pl.lit(f"no stage had {facts.company.sales.stage_deals} deals in {span(facts.company)}"))
    )
    note = measures.notes(
        none,
        pl.format(
            "bottleneck {} (p75 {}; {})",
            "stage_label",
            in_days(pl.col("p75")),
            pl.when(pl.col("left") > 0)
            .then(pl.format("{} of the {} that left it went on", "went_on", "left"))
            .otherwise(pl.lit("none has left it")),
        ),
        pl.format("target {}", in_days(pl.col("target"))),
        pl.format("medians: {}", "medians"),
        when_any(pl.col("blind"), pl.format("{} deals without stage history left out", "blind")),
    )
    empty = pl.lit(None, dtype=pl.Float64)
    counted = pl.col("n").fill_null(0)
    return measures.measure(
        totals.with_columns(value="median", numerator=empty, denominator=empty, n=counted, reason=note)
    )


def _tally(facts: Facts, cut: str | None) -> pl.DataFrame:
    """The deals of the stages in use, month by month and segment by segment, counted.

    Columns: month, segment, the stage, n, median, p75 (of their days), left, went_on, left_of_quarter,
    went_on_of_quarter, open.
    """
    segments, names = sales.segments(facts.deals, facts.owner_names, facts.pipelines, cut)
    held = facts.once(stays.runs)
    held = held.with_columns(n=pl.lit(1, pl.Int64), segment=segments.gather(held["deal"]))
    months = len(facts.months)
    done = held.with_columns(first=pl.max_horizontal("first", "gone"))
    waiting = held.with_columns(last=pl.min_horizontal("last", pl.col("gone") - 1))
    days = _days(facts, done, waiting)
    until = (
        pl.lit(facts.periods["quarter_first"]).search_sorted(pl.col("left"), side="right").cast(pl.Int64) - 1
    )
    further = pl.max_horizontal("first", "forward")
    of_quarter = pl.min_horizontal("last", until)
    counts = {
        "left": done,
        "went_on": done.with_columns(first=further),
        "left_of_quarter": done.with_columns(last=of_quarter),
        "went_on_of_quarter": done.with_columns(first=further, last=of_quarter),
        "open": waiting,
    }
    place = ["segment", "place", "number"]
    tally = days
    for name, rows in counts.items():
        found = counted(rows, months, ("segment", "place"), "n").rename({"n": name})
        tally = tally.join(found, on=place, how="left", maintain_order="left")
    month = pl.Series("month", facts.months)
    return (
        tally.with_columns(pl.col(*counts).fill_null(0), month=month.gather(tally["number"]))
        .drop("segment", "number")
        .with_columns(segment=names.gather(tally["segment"]))
        .join(facts.once(stays.places), on="place")
        .select("month", "segment", *stays.STAGE, "n", "median", "p75", *counts)
    )


def _days(facts: Facts, done: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
    """segment, place, number (of the month), n, median and p75 of the days.

    Both are read from how often each number of days occurs: days are whole, so these are few.
    """
    group = ["segment", "place", "number"]
    day = facts.periods["day"]
    aged = written_out(waiting)
    sits = aged.select(
        *group, days=pl.col("before") + (day.gather(aged["number"]) - aged["entered"]).dt.total_days(), n="n"
    )
    known = counted(done, len(facts.months), ("segment", "place", "days"), "n").select(sits.columns)
    often = pl.concat([known, sits]).group_by(*group, "days").agg(pl.col("n").sum()).sort(*group, "days")
    upto, n = pl.col("n").cum_sum().over(group), pl.col("n").sum().over(group)
    placed = often.with_columns(upto=upto, total=n)
    # The places that a median and a quartile are read at, counted from 0; one row holds each.
    quartile = 0.75 * (pl.col("total") - 1).cast(pl.Float64)
    spots = {
        "low": (pl.col("total") - 1) // 2,
        "high": pl.col("total") // 2,
        "under": quartile.floor().cast(pl.Int64),
        "over": quartile.ceil().cast(pl.Int64),
    }
    at = {
        name: pl.col("days").filter((pl.col("upto") > spot) & (pl.col("upto") - pl.col("n") <= spot)).first()
        for name, spot in spots.items()
    }
    found = placed.group_by(group, maintain_order=True).agg(pl.col("total").first(), **at)
    share = 0.75 * (pl.col("total") - 1).cast(pl.Float64)
    return found.select(
        *group,
        n="total",
        median=(pl.col("low") + pl.col("high")) / 2,
        p75=pl.col("under") + (pl.col("over") - pl.col("under")) * (share - share.floor()),
    )


_TALLIES: Final = {cut: partial(_tally, cut=cut) for cut in (None, *CUTS)}


def _unlogged(facts: Facts) -> pl.LazyFrame:
    """month and traits of the open deals created by D of which nobody knows where they have been."""
    blind = facts.deals.lazy().filter(
        pl.col("deal_type").is_in(facts.company.sales.types)
        & pl.col("unlogged")
        & (pl.col("outcome") == "open")
    )
    return (
        facts.periods.lazy()
        .select("month", "day")
        .join(blind.select("external_id", "created_day", *stays.TRAITS), how="cross")
        .filter((pl.col("created_day") <= pl.col("day")).fill_null(value=True))
        .drop("created_day", "day")
    )


def bottleneck_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals of the bottleneck, the longest first; each segment has a bottleneck of its own."""
    place = ["month", "segment", *stays.STAGE[:2]]
    worst = bottlenecks(facts, cut).filter(pl.col("stage").is_not_null()).select(place)
    rows = (
        named(facts, stays.passages_of(facts, month).lazy(), cut)
        .join(worst, on=place, how="semi", nulls_equal=True)
        .collect()
    )
    gone = pl.when("went_on").then(pl.lit("went on")).otherwise(pl.lit("did not go on"))
    note = (
        pl.when("sits")
        .then(pl.format("in {} since {}", "stage_label", "since"))
        .otherwise(pl.format("left {} {}, {}", "stage_label", "left", gone))
    )
    return measures.opened(rows.with_columns(object=pl.lit("deals"), contribution="days", note=note), cut)


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals of all stages in use, each once in a month: deal, first, last (see ``metrics.runs``)."""
    held = facts.once(stays.runs).select("deal", "first", "last").sort("deal", "first", "last")
    # A run begins where all the earlier ones of its deal have ended: months are counted once.
    upto = pl.col("last").cum_max().shift(1).over("deal")
    return held.select("deal", "last", first=pl.max_horizontal("first", upto + 1))
