"""The stays of deals in the stages of the sales process: visit by visit, and in which months each stands.

Definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 4 and 25.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.facts import Facts
from metrics.runs import written_out

STAGE: Final = ("stage_pipeline", "stage", "stage_label", "sort_order")
TRAITS: Final = ("name", "size", "industry", "motion", "owner_id", "pipeline")
_AHEAD: Final = 1 << 40  # rank of a won stage: after every open one


def visits(facts: Facts) -> pl.DataFrame:
    """Every visit of a deal of the sales motion to a stage, deal by deal in order of time.

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

    A deal is in a stage's row of a month if it left the stage for the last time in the trailing four quarters up to D
    (or as many as `sales.stage_quarters` says), or sits in it at D. Columns: month, external_id, stage_pipeline, stage,
    stage_label, sort_order, days (over all its visits, up to D), sits, since (day of the last entry), left (day of the
    last exit, null while it sits), went_on (whether it then got to a later stage, or was won, by D), of_quarter (it
    left in the quarter to date); name, size, industry, motion, owner_id, pipeline of the deal.
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
            *STAGE,
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
    entered = facts.stage_entries.lazy().filter(in_use())
    found = entered.select("pipeline", "stage", "label", "sort_order").unique().collect()
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
    used = _with_further(visits(facts)).filter(in_use())
    stage = {"stage_pipeline": "pipeline", "stage_label": "label"}
    place = facts.once(places).rename(stage).select("place", "pipeline", "stage")
    placed = used.join(place, on=["pipeline", "stage"], nulls_equal=True, maintain_order="left")
    own = (pl.col("left") - pl.col("entered")).dt.total_days().fill_null(0)
    same = [(pl.col("deal").cast(pl.Int64) * place.height + pl.col("place")).alias("_same")]
    at = facts.periods.select(
        at=pl.col("month").replace_strict(facts.moments, return_dtype=pl.Datetime("us", "UTC"))
    )["at"]
    end = at.len()
    back = 3 * (facts.company.sales.stage_quarters - 1)
    since = facts.periods.select(pl.col("quarter_first").dt.offset_by(f"-{back}mo"))["quarter_first"]
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
