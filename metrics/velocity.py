"""Sales velocity: what the sales motion brings in a day, cell by cell, and what moved it.

Definition book, section 3 (sales velocity), rulings 2, 5, 18 to 23.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import cycles, measures, sales
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.words import UNKNOWN, when_any

LEVERS: Final = ("opportunities", "deal_size", "win_rate", "cycle_days")
_CELL: Final = ("size", "motion")
_ADDING: Final = (None, *_CELL)  # ways to cut it whose segments make the whole (ruling 23)
_EXACT: Final = pl.Decimal(38, 15)
_TRUSTED: Final = 8  # digits of a sum of quotients that are cut off after 15
_MISSING: Final = {  # input -> what a cell without it lacks
    "win_rate": "no deal closed",
    "deal_size": "no win with a value",
    "cycle_days": "no cycle",
}


def opportunities(facts: Facts) -> pl.DataFrame:
    """The opportunities of each month's quarter: month, the columns of ``sales.ASKED`` (kept by ``Facts.once``).

    Deals that got to the qualified stage from the quarter's first day to D; or, where the company says so, those
    qualified before that day and not decided before it.
    """
    mine = pl.col("deal_type").is_in(facts.company.sales.types) & pl.col("qualified_day").is_not_null()
    deals = facts.deals.lazy().filter(mine).select(sales.ASKED)
    qualified, months = pl.col("qualified_day"), facts.periods.lazy()
    if facts.company.sales.velocity_opportunities == "open":
        first = pl.col("quarter_first")
        undecided = pl.col("outcome_day").is_null() | (pl.col("outcome_day") >= first)
        rows = (
            months.select("month", "quarter_first")
            .join(deals, how="cross")
            .filter((qualified < first) & undecided)
            .drop("quarter_first")
        )
    else:
        rows = (
            deals.with_columns(quarter_first=facts.calendar.quarter_first(qualified))
            .join(months.select("month", "day", "quarter_first"), on="quarter_first")
            .filter(qualified <= pl.col("day"))
            .drop("quarter_first", "day")
        )
    return rows.sort("month", "external_id").collect()


def _rows(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Opportunities and closed deals one below the other, each in its segment and its cell."""
    entering = facts.once(opportunities).lazy().with_columns(_opportunity=pl.lit(value=True))
    decided = facts.once(cycles.closed).lazy().with_columns(_opportunity=pl.lit(value=False))
    rows = pl.concat([entering, decided], how="diagonal")
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    return rows.with_columns(segment=measures.segment_of(cut)).with_columns(
        pl.col(name).fill_null(UNKNOWN) for name in _CELL
    )


def cells(facts: Facts, cut: str | None = None) -> pl.LazyFrame:
    """The cells of size and motion, within each segment of the cut.

    Columns: month, segment, size, motion, opportunities, deal_size (mean ARR of the wins, minor units), won, closed,
    win_rate, cycle_days (median), per_opportunity (deal_size x win_rate / cycle_days: currency a day), velocity
    (opportunities times that), each (per_opportunity as an exact decimal), missing (the inputs it lacks, in words; null
    where it has all). An input that the quarter does not give is null, and so is the velocity.
    """
    won, sized = pl.col("won"), pl.col("won") & (pl.col("value") != 0)
    totals = (
        _rows(facts, cut)
        .group_by("month", "segment", *_CELL)
        .agg(
            opportunities=pl.col("_opportunity").sum().cast(pl.Int64),
            deal_size=pl.col("value").filter(sized).mean(),
            sold=pl.col("value").filter(sized).sum(),
            sized=sized.sum(),
            won=won.sum().cast(pl.Int64),
            closed=(~pl.col("_opportunity")).sum().cast(pl.Int64),
            cycle_days=pl.col("days").filter(won & pl.col("left_out").is_null()).median(),
        )
    )
    rates = totals.with_columns(win_rate=pl.when(pl.col("closed") > 0).then(pl.col("won") / pl.col("closed")))
    # A cycle of no days is a division by zero, and no cycle.
    days = pl.when(pl.col("cycle_days") > 0).then("cycle_days")
    lacks = [pl.when(pl.col(name).is_null()).then(pl.lit(text)) for name, text in _MISSING.items()]
    return (
        rates.with_columns(cycle_days=days)
        .with_columns(
            per_opportunity=pl.col("deal_size") * pl.col("win_rate") / pl.col("cycle_days"),
            missing=measures.notes(*lacks),
        )
        .with_columns(
            velocity=pl.col("opportunities") * pl.col("per_opportunity"),
            each=pl.when(pl.col("missing").is_null()).then(_each()),
        )
        .drop("sold", "sized")
        .sort("month", "segment", *_CELL)
    )


def _each() -> pl.Expr:
    """What an opportunity brings, of whole numbers: floating point would move the cent on which a sum is rounded."""
    twice_days = (pl.col("cycle_days") * 2).cast(pl.Int64)  # a median may end on a half
    top = pl.col("sold").cast(_EXACT) * (pl.col("won") * 2).cast(pl.Decimal(38, 0))
    parts = pl.col("sized").cast(pl.Int64) * pl.col("closed") * twice_days
    return top / pl.when(parts > 0).then(parts).cast(pl.Decimal(38, 0))


def _rounded(exact: pl.Expr, cut: str | None) -> pl.Expr:
    """Rounded once (ruling 6): the total, or, where the segments do not make it, each segment of its own."""
    return measures.whole(exact, ["month"] if cut in _ADDING else ["month", "segment"], _TRUSTED)


def _cell_name() -> pl.Expr:
    """``SMB x inbound``, ``size unknown x partner``."""
    known = [pl.when(pl.col(one) == UNKNOWN).then(pl.lit(f"{one} {UNKNOWN}")).otherwise(one) for one in _CELL]
    return pl.format("{} x {}", *known)


def velocity(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """The sum of the cells that have all inputs; n: their closed deals. Beside it the yield of an opportunity."""
    if cut == "product":
        return measures.nothing()
    found = cells(facts, cut)
    whole = pl.col("missing").is_null()
    name = pl.format("{} ({})", _cell_name(), "missing")
    sums = found.group_by("month", "segment").agg(
        velocity=(pl.col("each") * pl.col("opportunities").cast(pl.Decimal(38, 0))).filter(whole).sum(),
        opportunities=pl.col("opportunities").filter(whole).sum(),
        n=pl.col("closed").filter(whole).sum().cast(pl.Int64),
        cells=whole.sum(),
        lacking=name.filter(~whole).str.join(", "),
    )
    totals = measures.grid(facts.periods.lazy(), _rows(facts, cut), cut).join(
        sums, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left"
    )
    counted = pl.col("cells").fill_null(0) > 0
    some = pl.when(pl.col("opportunities") > 0).then("opportunities")
    each = (pl.col("velocity").cast(pl.Float64) / some).round(0, mode="half_to_even")
    note = measures.notes(
        pl.when(~counted).then(
            pl.lit("no size and motion has a closed deal, a win with a value and a cycle in the quarter")
        ),
        when_any(
            pl.col("opportunities"),
            pl.format("{} a day per opportunity (n={})", in_words(each, facts.currency), "opportunities"),
        ),
        pl.when(pl.col("lacking") != "").then(pl.format("adding nothing: {}", "lacking")),
    )
    empty = pl.lit(None, dtype=pl.Float64)
    return measures.measure(
        totals.with_columns(
            value=pl.when(counted).then(_rounded(pl.col("velocity"), cut)),
            numerator=empty,
            denominator=empty,
            n=pl.col("n").fill_null(0),
            reason=note,
        )
    )


def levers(facts: Facts, month: str, before: str) -> pl.DataFrame:
    """What changed the velocity from one month's quarter to another's, by lever.

    Columns: lever (opportunities, deal_size, win_rate, cycle_days, cells), change (minor units a day), share (of the
    whole change; null where there is none). Log shares: in a cell with a velocity above 0 in both, a lever's part of
    the change is ln(its ratio) / ln(ratio of the velocities), a cycle's with its sign turned; they add up to the change
    of the cell. ``cells`` is what cells bring or take that have a velocity in one of the two only. All five add up to
    the change of the KPI, but for its rounding. A quarter to date has fewer opportunities than a whole one: compare
    like with like.
    Raises ``KeyError`` for a month that the facts do not cover. Source: definition book, section 3.
    """
    for one in (month, before):
        if one not in facts.months:
            raise KeyError(f"the facts do not cover {one}")
    found = cells(facts).filter(pl.col("missing").is_null()).select("month", *_CELL, *LEVERS, "velocity")
    now, then = (found.filter(pl.col("month") == one).drop("month") for one in (month, before))
    both = now.join(then, on=list(_CELL), how="full", coalesce=True, suffix="_then").with_columns(
        pl.col("velocity", "velocity_then").fill_null(0)
    )
    v1, v0 = pl.col("velocity"), pl.col("velocity_then")
    lasting = (v1 > 0) & (v0 > 0)
    # The logarithmic mean of the two, which is their common value where they are equal.
    mean = pl.when(v1 == v0).then(v1).otherwise((v1 - v0) / (v1 / v0).log())
    parts = [
        pl.when(lasting)
        .then(mean * (pl.col(name) / pl.col(f"{name}_then")).log() * (-1 if name == "cycle_days" else 1))
        .sum()
        .alias(name)
        for name in LEVERS
    ]
    entered = pl.when(~lasting).then(v1 - v0).sum().alias("cells")
    table = both.select(*parts, entered).unpivot(variable_name="lever", value_name="change").collect()
    total = table["change"].sum()
    share = pl.col("change") / total if total else pl.lit(None, dtype=pl.Float64)
    return table.with_columns(share=share)


def deals_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: every opportunity brings its cell's yield; the deals closed, which make that yield, stand with 0.

    The yields are rounded so that they add up to the value: of two opportunities in a cell one may bring a cent more.
    """
    place = ["segment", *_CELL]
    yields = cells(facts, cut).filter(pl.col("month") == month).select(*place, "each")
    rows = _rows(facts, cut).filter(pl.col("month") == month).join(yields, on=place, nulls_equal=True)
    # In the order in which the segments are rounded, so that each record's step adds up to that of its segment.
    rows = rows.sort("segment", "external_id", "_opportunity")
    entered = pl.col("_opportunity")
    days = pl.when(pl.col("left_out").is_null()).then(pl.format(", {} days", "days"))
    value = pl.when(pl.col("won") & (pl.col("value") != 0)).then(
        pl.format(", {}", in_words(pl.col("value"), facts.currency))
    )
    closed = pl.concat_str(
        pl.format("{} {}", "outcome", "outcome_day"),
        pl.when("won").then(value).fill_null(""),
        pl.when("won").then(days).fill_null(""),
    )
    notes = (
        rows.with_columns(
            contribution=_rounded(pl.when(entered).then("each"), cut),
            note=pl.when(entered).then(pl.format("qualified {}", "qualified_day")).otherwise(closed),
            cell=_cell_name(),
        )
        .group_by("external_id", "segment")
        .agg(
            pl.col("name", "cell").first(),
            pl.col("contribution").sum(),
            pl.col("note").sort_by("_opportunity", descending=True).str.join("; "),
        )
        .with_columns(object=pl.lit("deals"), note=pl.format("{}: {}", "cell", "note"))
    )
    return measures.opened(notes.collect(), "segment" if cut else None)
