"""The way of the deals through the stages: how long they stay, where they go on, and where they are stuck.

Definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 4, 5, 20 and 25.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts
from metrics.words import in_days, when_any

FEWEST: Final = 5  # deals that a stage needs to be called a bottleneck, or to have a norm of its own
OLD: Final = 1.5  # times the norm
TARGET: Final = "stage_days:"  # metric of the targets file, followed by the stage
_STAGE: Final = ("stage_pipeline", "stage", "stage_label", "sort_order")
TRAITS: Final = ("name", "size", "industry", "motion", "owner_id", "pipeline")
_AHEAD: Final = 1 << 40  # rank of a won stage: after every open one


def visits(facts: Facts) -> pl.DataFrame:
    """Every visit of a deal of the sales motion to a stage, deal by deal in order of time (kept by ``Facts.once``).

    Columns: deal (its row in ``Facts.deals``), external_id, pipeline, stage, label, sort_order, outcome, active, rank (a
    won stage is after all open ones; null for lost and unknown stages), entered_at, left_at, entered, left (local
    days), next_rank, next_outcome (null where it still sits there). Deals without any stage history are left out:
    nobody knows where they have been.
    """
    mine = pl.col("deal_type").is_in(facts.company.sales.types) & ~pl.col("unlogged")
    motion = facts.deals.select(mine=mine)["mine"]
    rank = (
        pl.when(pl.col("outcome") == "open").then("sort_order").when(pl.col("outcome") == "won").then(_AHEAD)
    )
    local = facts.calendar.local_day
    goes_on = pl.col("deal") == pl.col("deal").shift(-1)
    entries = facts.stage_entries
    return (
        entries.filter(motion.gather(entries["deal"]), pl.col("entered_at").is_not_null())
        .with_columns(rank=rank)
        .with_columns(
            pl.when(goes_on).then(pl.col(name).shift(-1)).alias(after)
            for name, after in (("entered_at", "left_at"), ("rank", "next_rank"), ("outcome", "next_outcome"))
        )
        .with_columns(entered=local(pl.col("entered_at")), left=local(pl.col("left_at")))
        .drop("known", "qualified")
    )


def in_use() -> pl.Expr:
    return (pl.col("outcome") == "open") & pl.col("active")


def passages(facts: Facts) -> pl.DataFrame:
    """The deals of every stage in use, month by month (kept by ``Facts.once``).

    A deal is in a stage's row of a month if it left the stage for the last time in the trailing four quarters up to D,
    or sits in it at D. Columns: month, external_id, stage_pipeline, stage, stage_label, sort_order, days (over all its
    visits, up to D), sits, since (day of the last entry), left (day of the last exit, null while it sits), went_on
    (whether it then got to a later stage, or was won, by D), of_quarter (it left in the quarter to date); name, size,
    industry, motion, owner_id, pipeline of the deal.
    """
    all_visits = facts.once(visits).lazy()
    of_deal, of_stage = "external_id", ["external_id", "pipeline", "stage"]
    own = (pl.col("left") - pl.col("entered")).dt.total_days().fill_null(0)
    later = all_visits.select(of_deal, _later="entered_at", _rank="rank")
    forward = (
        all_visits.filter(in_use())
        .join(later, on=of_deal)
        .filter((pl.col("_later") >= pl.col("left_at")) & (pl.col("_rank") > pl.col("rank")))
        .group_by(*of_stage, "entered_at")
        .agg(forward_at=pl.col("_later").min())
    )
    used = (
        all_visits.filter(in_use())
        .with_columns(
            before=(own.cum_sum() - own).over(of_stage),
            again_at=pl.col("entered_at").shift(-1).over(of_stage),
        )
        .join(forward, on=[*of_stage, "entered_at"], how="left", nulls_equal=True)
        .rename({"pipeline": "stage_pipeline", "label": "stage_label"})
    )
    traits = facts.deals.lazy().select(of_deal, *TRAITS)
    return _last_visits(used, _moments(facts)).join(traits, on=of_deal).collect()


def _moments(facts: Facts) -> pl.LazyFrame:
    """The months in their order: number, month, day, at (last known instant of D), quarter_first, trailing_first."""
    at = pl.col("month").replace_strict(facts.moments, return_dtype=pl.Datetime("us", "UTC"))
    dated = facts.periods.lazy().sort("month").with_columns(at=at)
    days = ("month", "day", "at", "quarter_first", "trailing_first")
    return dated.select(*days).with_row_index("number")


def _last_visits(used: pl.LazyFrame, moments: pl.LazyFrame) -> pl.LazyFrame:
    """Each deal's last visit to a stage as of each moment, if it ended in the window or goes on.

    These months are neighbours: from the first that ends after the entry, to the last before the next entry in whose
    window the exit still lies.
    """
    windows = moments.group_by("trailing_first").agg(_until=pl.col("number").max()).sort("trailing_first")
    begun = moments.select("at", _from="number")
    again = moments.select("at", _before="number")
    last = moments.select(pl.col("number").max()).collect().item()
    spans = (
        used.sort("entered_at")
        .join_asof(begun, left_on="entered_at", right_on="at", strategy="forward")
        .sort("again_at")
        .join_asof(again, left_on="again_at", right_on="at", allow_exact_matches=False)
        .sort("left")
        .join_asof(windows, left_on="left", right_on="trailing_first")
        .with_columns(
            _before=pl.when(pl.col("again_at").is_null()).then(last).otherwise("_before"),
            _until=pl.when(pl.col("left").is_null()).then(last).otherwise("_until"),
        )
    )
    until = pl.min_horizontal(
        pl.when(pl.col(end).is_null()).then(-1).otherwise(pl.col(end).cast(pl.Int64))
        for end in ("_before", "_until")
    )
    rows = (
        spans.with_columns(number=pl.int_ranges("_from", until + 1))
        .drop("at", "trailing_first", strict=False)
        .explode("number")
        .join(moments.with_columns(pl.col("number").cast(pl.Int64)), on="number")
    )
    sits = (pl.col("left_at") > pl.col("at")).fill_null(value=True)
    ends = pl.when(sits).then("day").otherwise("left")
    return rows.select(
        "month",
        "external_id",
        *_STAGE,
        days=pl.col("before") + (ends - pl.col("entered")).dt.total_days(),
        sits=sits,
        since="entered",
        left=pl.when(~sits).then("left"),
        went_on=(~sits & (pl.col("forward_at") <= pl.col("at"))).fill_null(value=False),
        of_quarter=~sits & (pl.col("left") >= pl.col("quarter_first")),
    )


def targets(facts: Facts) -> pl.DataFrame:
    """Days that a stage should take, from the targets file: quarter_first, cut, segment, key (the stage's name or
    label in lower case), target. The metric is ``stage_days:`` and the stage, for example ``stage_days:Discovery``."""
    metric = pl.col("metric")
    return (
        facts.input("targets")
        .filter(metric.str.starts_with(TARGET))
        .with_columns(
            key=metric.str.strip_prefix(TARGET).str.strip_chars().str.to_lowercase(),
            target=pl.col("number").cast(pl.Float64),
        )
        .sort("line")
        .unique(["quarter_first", "cut", "segment", "key"], keep="last", maintain_order=True)
        .select("quarter_first", "cut", "segment", "key", "target")
    )


def named(facts: Facts, rows: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    named = rows if cut is None else sales.named(rows, facts.owner_names, facts.pipelines)
    return named.with_columns(segment=measures.segment_of(cut))


def by_stage(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """month, segment, the stage, n, median and target: what a bottleneck is found by."""
    sums = (
        named(facts, facts.once(passages).lazy(), cut)
        .group_by("month", "segment", *_STAGE)
        .agg(
            n=pl.len().cast(pl.Int64),
            median=pl.col("days").median(),
            p75=pl.col("days").quantile(0.75, "linear"),
            left=pl.col("left").is_not_null().sum().cast(pl.Int64),
            went_on=pl.col("went_on").sum().cast(pl.Int64),
            left_of_quarter=pl.col("of_quarter").sum().cast(pl.Int64),
            went_on_of_quarter=(pl.col("of_quarter") & pl.col("went_on")).sum().cast(pl.Int64),
            open=pl.col("sits").sum().cast(pl.Int64),
        )
    )
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
    median ÷ target among those; only stages with at least five deals. Stage columns are null where there is none.
    """
    place = ["month", "segment"]
    found = by_stage(facts, cut).sort("sort_order", "stage", "stage_pipeline", nulls_last=True)
    told = pl.format("{} {}", "stage_label", in_days(pl.col("median")))
    medians = found.group_by(place, maintain_order=True).agg(medians=told.str.join(", "))
    enough = found.filter(pl.col("n") >= FEWEST)
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
    rows = named(facts, facts.once(passages).lazy(), cut).with_columns(_logged=pl.lit(value=True))
    blind = named(facts, _unlogged(facts), cut).with_columns(_logged=pl.lit(value=False))
    both = pl.concat([rows, blind], how="diagonal")
    totals = measures.gathered(facts.periods, both, cut, blind=(~pl.col("_logged")).sum()).join(
        bottlenecks(facts, cut), on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left"
    )
    none = (
        pl.when(pl.col("medians").is_null())
        .then(pl.lit("no new-business deal was in a stage in use in four quarters"))
        .when(pl.col("median").is_null())
        .then(pl.lit(f"no stage had {FEWEST} deals in four quarters"))
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
        .join(blind.select("external_id", "created_day", *TRAITS), how="cross")
        .filter((pl.col("created_day") <= pl.col("day")).fill_null(value=True))
        .drop("created_day", "day")
    )


def bottleneck_behind(facts: Facts, month: str) -> pl.DataFrame:
    """Evidence: the deals of the bottleneck, the longest first."""
    worst = bottlenecks(facts, None).filter(pl.col("stage").is_not_null()).select("month", *_STAGE[:2])
    rows = (
        facts.once(passages)
        .lazy()
        .filter(pl.col("month") == month)
        .join(worst, on=["month", *_STAGE[:2]], how="semi", nulls_equal=True)
        .collect()
    )
    gone = pl.when("went_on").then(pl.lit("went on")).otherwise(pl.lit("did not go on"))
    note = (
        pl.when("sits")
        .then(pl.format("in {} since {}", "stage_label", "since"))
        .otherwise(pl.format("left {} {}, {}", "stage_label", "left", gone))
    )
    return measures.opened(rows.with_columns(object=pl.lit("deals"), contribution="days", note=note))


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals of all stages in use: month, external_id."""
    return facts.once(passages).select("month", "external_id").unique()
