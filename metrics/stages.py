"""The way of the deals through the stages: how long they stay, where they go on, and where they are stuck.

Definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 4, 5, 20 and 25.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts
from metrics.inputs.targets import STAGE_DAYS
from metrics.runs import counted, written_out
from metrics.words import CUTS, in_days, when_any

OLD: Final = 1.5  # times the norm
_STAGE: Final = ("stage_pipeline", "stage", "stage_label", "sort_order")
TRAITS: Final = ("name", "size", "industry", "motion", "owner_id", "pipeline")
_AHEAD: Final = 1 << 40  # rank of a won stage: after every open one


def visits(facts: Facts) -> pl.DataFrame:
    """Every visit of a deal of the sales motion to a stage, deal by deal in order of time (kept by ``Facts.once``).

    Columns: deal (its row in ``Facts.deals``), external_id, pipeline, stage, label, sort_order, outcome, active, rank
    (a won stage is after all open ones; null for lost and unknown stages), entered_at, left_at, entered, left (local
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
    """The deals of every stage in use, month by month: ``runs`` written out (kept by ``Facts.once``).

    A deal is in a stage's row of a month if it left the stage for the last time in the trailing four quarters up to D,
    or sits in it at D. Columns: month, external_id, stage_pipeline, stage, stage_label, sort_order, days (over all its
    visits, up to D), sits, since (day of the last entry), left (day of the last exit, null while it sits), went_on
    (whether it then got to a later stage, or was won, by D), of_quarter (it left in the quarter to date); name, size,
    industry, motion, owner_id, pipeline of the deal.
    """
    return _passages(facts, facts.once(runs))


def passages_of(facts: Facts, month: str) -> pl.DataFrame:
    """``passages`` of one month."""
    number = facts.months.index(month)
    held = facts.once(runs).filter(pl.col("first") <= number, pl.col("last") >= number)
    return _passages(facts, held.with_columns(first=pl.lit(number), last=pl.lit(number)))


def sitting(facts: Facts) -> pl.DataFrame:
    """``passages`` of the deals that sit in a stage at D."""
    last = pl.min_horizontal("last", pl.col("gone") - 1)
    return _passages(facts, facts.once(runs).with_columns(last=last))


def _passages(facts: Facts, held: pl.DataFrame) -> pl.DataFrame:
    """The columns of ``passages`` of some of the ``runs``."""
    days = facts.periods.select("month", "day", "quarter_first").with_row_index("number")
    rows = written_out(held).join(days.with_columns(pl.col("number").cast(pl.Int64)), on="number")
    number, left, deal = pl.col("number"), pl.col("left"), rows["deal"]
    sits = number < pl.col("gone")
    traits = [facts.deals[name].gather(deal) for name in ("external_id", *TRAITS)]
    return (
        rows.drop("first", "last", strict=False)
        .with_columns(traits)
        .join(facts.once(places), on="place")
        .select(
            "month",
            "external_id",
            *_STAGE,
            days=pl.when(sits)
            .then(pl.col("before") + (pl.col("day") - pl.col("entered")).dt.total_days())
            .otherwise("days"),
            sits=sits,
            since="entered",
            left=pl.when(~sits).then(left),
            went_on=~sits & (number >= pl.col("forward")),
            of_quarter=~sits & (left >= pl.col("quarter_first")).fill_null(value=False),
            **{name: pl.col(name) for name in TRAITS},
        )
    )


def places(facts: Facts) -> pl.DataFrame:
    """Every stage in use that a deal has been in: place (its number), stage_pipeline, stage, stage_label, sort_order.

    The pipeline is that of the deal.
    """
    found = facts.once(visits).filter(in_use()).select("pipeline", "stage", "label", "sort_order").unique()
    ordered = found.sort("sort_order", "stage", "pipeline", nulls_last=True).with_row_index("place")
    return ordered.rename({"pipeline": "stage_pipeline", "label": "stage_label"})


def runs(facts: Facts) -> pl.DataFrame:
    """The visits to stages in use, each with the months in whose rows it is its deal's last one (see ``passages``).

    Those of a visit are neighbours: from the first that ends after the entry, to the last before the next entry in
    whose window the exit still lies. Months are numbered from 0 in their order. Columns: deal (its row in
    ``Facts.deals``), place, before (days of earlier visits), entered, left, days (with this visit; null while it goes
    on), first and last (month of the run), gone and forward (first month at whose end it had left, and had got further;
    the number of months where it has not).
    """
    used = _with_further(facts.once(visits)).filter(in_use())
    stage = {"stage_pipeline": "pipeline", "stage_label": "label"}
    place = facts.once(places).rename(stage).select("place", "pipeline", "stage")
    placed = used.join(place, on=["pipeline", "stage"], nulls_equal=True, maintain_order="left")
    own = (pl.col("left") - pl.col("entered")).dt.total_days().fill_null(0)
    same = [(pl.col("deal").cast(pl.Int64) * place.height + pl.col("place")).alias("_same")]
    at = facts.periods.select(
        at=pl.col("month").replace_strict(facts.moments, return_dtype=pl.Datetime("us", "UTC"))
    )["at"]
    end = at.len()
    since = facts.periods["trailing_first"]
    return (
        placed.with_columns(same)
        .with_columns(
            before=(own.cum_sum() - own).over("_same"), again=pl.col("entered_at").shift(-1).over("_same")
        )
        .with_columns(
            first=_first_from(at, "entered_at"),
            gone=pl.when(pl.col("left_at").is_null()).then(end).otherwise(_first_from(at, "left_at")),
            forward=pl.when(pl.col("forward_at").is_null()).then(end).otherwise(_first_from(at, "forward_at")),
            last=pl.min_horizontal(
                pl.when(pl.col("again").is_null()).then(end).otherwise(_first_from(at, "again")),
                pl.when(pl.col("left").is_null())
                .then(end)
                .otherwise(pl.lit(since).search_sorted(pl.col("left"), side="right").cast(pl.Int64)),
            )
            - 1,
        )
        .filter(pl.col("first") <= pl.col("last"))
        .select(
            "deal", "place", "before", "entered", "left", "first", "last", "gone", "forward",
            days=pl.when(pl.col("left").is_not_null()).then(pl.col("before") + own),
        )
    )  # fmt: skip


def _first_from(at: pl.Series, instant: str) -> pl.Expr:
    """The number of the first moment that is not before an instant."""
    return pl.lit(at).search_sorted(pl.col(instant), side="left").cast(pl.Int64)


def _with_further(visited: pl.DataFrame) -> pl.DataFrame:
    """``visits`` with forward_at: when the deal, having left, got to a later stage or was won; null: never."""
    at_once = pl.col("next_rank") > pl.col("rank")
    goes_on = pl.col("deal") == pl.col("deal").shift(-1)
    numbered = visited.with_row_index("visit").with_columns(
        forward_at=pl.when(at_once).then("left_at"),
        after_next=pl.when(goes_on).then(pl.col("left_at").shift(-1)),
    )
    # Few deals go back and then on: only theirs are compared with each other.
    back = numbered.filter(pl.col("forward_at").is_null() & pl.col("after_next").is_not_null())
    later = numbered.join(back.select("deal"), on="deal", how="semi").select(
        "deal", _at="entered_at", _rank="rank"
    )
    found = (
        back.join(later, on="deal")
        .filter((pl.col("_at") >= pl.col("left_at")) & (pl.col("_rank") > pl.col("rank")))
        .group_by("visit")
        .agg(_later=pl.col("_at").min())
    )
    return (
        numbered.join(found, on="visit", how="left", maintain_order="left")
        .with_columns(forward_at=pl.coalesce("forward_at", "_later"))
        .drop("visit", "after_next", "_later")
    )


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
        .then(pl.lit("no new-business deal was in a stage in use in four quarters"))
        .when(pl.col("median").is_null())
        .then(pl.lit(f"no stage had {facts.company.sales.stage_deals} deals in four quarters"))
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
    held = facts.once(runs)
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
        .join(facts.once(places), on="place")
        .select("month", "segment", *_STAGE, "n", "median", "p75", *counts)
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
        .join(blind.select("external_id", "created_day", *TRAITS), how="cross")
        .filter((pl.col("created_day") <= pl.col("day")).fill_null(value=True))
        .drop("created_day", "day")
    )


def bottleneck_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals of the bottleneck, the longest first; each segment has a bottleneck of its own."""
    place = ["month", "segment", *_STAGE[:2]]
    worst = bottlenecks(facts, cut).filter(pl.col("stage").is_not_null()).select(place)
    rows = (
        named(facts, passages_of(facts, month).lazy(), cut)
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
    held = facts.once(runs).select("deal", "first", "last").sort("deal", "first", "last")
    # A run begins where all the earlier ones of its deal have ended: months are counted once.
    upto = pl.col("last").cum_max().shift(1).over("deal")
    return held.select("deal", "last", first=pl.max_horizontal("first", upto + 1))
