"""How likely an open deal is won in the quarter it should close in: the CRM's word for it (p1), and own history (p2).

Source: definition book, section 4, rulings 6, 28, 29. Probabilities are decimals, so that amounts weighed with them are
rounded once, in total.

p1 is what the CRM said on that day. The deal's own probability counts where its value of then is told: from the first
logged change of it on, or as it stands now where the deal has not left its stage since. Else the probability that the
layout gave the stage then: a seller's own estimate in another stage says nothing about this one, and a CRM that
calculates the probability (HubSpot) keeps no past of it. A stage that no layout knows has p1 0, and so has one without
a probability.

p2 is the share of value that was won within the quarter, of the deals in that stage on day 21 of the eight full
quarters before (four at least, each after the first deal was created), as known on the day of the forecast: of the
deal's size segment where it had 20 deals there, else of all where they were 20, else p1 stands in. The deals without
a size are a segment of their own.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import standing, timeline
from metrics.facts import Facts
from pipeline import asof

ODDS: Final = pl.Decimal(38, 15)
FEWEST: Final = 20  # deals that make a share worth believing
QUARTERS: Final = 4  # of history that p2 needs at least
_CELL: Final = ("pipeline", "stage")
_DAY: Final = ("quarter_first", "at")


def weighed(facts: Facts) -> pl.DataFrame:
    """The open in-quarter pipeline on each of ``standing.moments``, weighed: see ``weigh``."""
    return facts.once(_weighed)


def _weighed(facts: Facts) -> pl.DataFrame:
    return weigh(facts, standing.pipeline(facts))


def weigh(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` (from ``standing.open_at``) with both probabilities, and value times each.

    Adds p1, p2 and expected_p1, expected_p2 (decimals; null where ``value`` is), basis (of p2: segment | pooled | p1)
    and category (the forecast category of then: the deal's own, else its stage's).
    """
    said = _as_said(facts, rows)
    shares = history(facts, rows.select(_DAY).unique())
    pooled = shares.filter("pooled").select(*_DAY, *_CELL, _all="share")
    own = shares.filter(~pl.col("pooled")).select(*_DAY, *_CELL, "size", _own="share")
    joined = said.join(
        own, on=[*_DAY, *_CELL, "size"], how="left", nulls_equal=True, maintain_order="left"
    ).join(pooled, on=[*_DAY, *_CELL], how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(
        p2=pl.coalesce("_own", "_all", "p1"),
        basis=pl.when(pl.col("_own").is_not_null())
        .then(pl.lit("segment"))
        .when(pl.col("_all").is_not_null())
        .then(pl.lit("pooled"))
        .otherwise(pl.lit("p1")),
    ).select(
        *rows.columns,
        "category",
        "p1",
        "p2",
        "basis",
        expected_p1=_times("p1"),
        expected_p2=_times("p2"),
    )


def _times(odds: str) -> pl.Expr:
    return pl.col("value").cast(pl.Decimal(38, 0)) * pl.col(odds)


def _as_said(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Adds p1 and category."""
    present = facts.raw_deals.select("external_id", "probability", "forecast_category")
    told = facts.changes.filter(pl.col("field") == "probability").group_by(external_id="deal_id")
    own = asof.set_back(
        rows.join(present, on="external_id", how="left", maintain_order="left"),
        facts.changes,
        ("probability", "forecast_category"),
    ).join(told.agg(_told=pl.col("changed_at").min()), on="external_id", how="left", maintain_order="left")
    there = pl.col("stage_moved").is_null() | (pl.col("at") >= pl.col("stage_moved"))
    sure = pl.when(pl.col("_told").is_null()).then(there).otherwise(pl.col("_told") <= pl.col("at"))
    placed = own.join(
        _layout(facts, rows), on=[*_CELL, "at"], how="left", nulls_equal=True, maintain_order="left"
    )
    said = pl.coalesce(pl.when(sure).then("probability"), "_odds", pl.lit(0.0))
    return placed.with_columns(
        p1=pl.when("stage_known").then(said).otherwise(0.0).cast(ODDS),
        category=pl.coalesce("forecast_category", "_category"),
    )


def _layout(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """pipeline, stage, at, and what the sales process of then said of the stage: _odds, _category."""
    table = facts.raw("stages").select(
        *_CELL, home="pipeline", probability="probability", forecast_category="forecast_category"
    )
    keys = timeline.with_stage(rows.select(*_CELL, "at").unique(), table)
    then = asof.set_back(
        keys.filter(pl.col("home").is_not_null())
        .select(pl.col("home").alias("pipeline"), "stage", "at", "probability", "forecast_category")
        .unique(),
        facts.raw("stage_changes"),
        ("probability", "forecast_category"),
        "stages",
    )
    return keys.select(*_CELL, "at", "home").join(
        then.select("stage", "at", home="pipeline", _odds="probability", _category="forecast_category"),
        on=["home", "stage", "at"],
        how="left",
    ).drop("home")  # fmt: skip


def quarters_known(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """The quarters of own history behind each of ``days`` (quarter_first, at): with of, the first day of each.

    None where there are fewer than four.
    """
    begun = facts.calendar.local_day(pl.col("created_at"))
    first = facts.raw_deals.select(begun.min()).item()
    if first is None:
        return pl.DataFrame(schema={**{name: days.schema[name] for name in _DAY}, "of": pl.Date})
    back = pl.DataFrame({"back": range(1, standing.PAST + 1)})
    return (
        days.select(_DAY)
        .join(back, how="cross")
        .with_columns(of=pl.col("quarter_first").dt.offset_by(pl.format("-{}mo", pl.col("back") * 3)))
        .filter(pl.col("of") > first)
        .filter(pl.len().over(_DAY) >= QUARTERS)
        .drop("back")
    )


def history(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """p2 as known at the end of each of ``days`` (quarter_first, at).

    Columns: those of ``days``, pipeline, stage, size, pooled (of all sizes: size is null), n (deals), total, won (minor
    units), share. Only cells of 20 deals and more with a value above 0.
    """
    known = quarters_known(facts, days)
    cell = [*_CELL, "size"]
    before = _population(facts)
    cells = before.group_by("of", *cell).agg(n=pl.len().cast(pl.Int64), total=pl.col("value").sum())
    sums = known.join(cells, on="of").group_by(*_DAY, *cell).agg(pl.col("n", "total").sum())
    then = pl.col("at")
    won = (
        known.join(_won_in_time(facts, before), on="of")
        .filter(pl.col("since") <= then, pl.col("until").is_null() | (pl.col("until") > then))
        .group_by(*_DAY, *cell)
        .agg(won=pl.col("value").sum())
    )
    by_size = sums.join(won, on=[*_DAY, *cell], how="left", nulls_equal=True).with_columns(
        pl.col("won").fill_null(0), pooled=pl.lit(value=False)
    )
    together = by_size.group_by(*_DAY, *_CELL).agg(pl.col("n", "total", "won").sum())
    pooled = together.with_columns(pooled=pl.lit(value=True), size=pl.lit(None, dtype=pl.String))
    found = pl.concat([by_size, pooled.select(by_size.columns)]).filter(
        pl.col("n") >= FEWEST, pl.col("total") > 0
    )
    return found.with_columns(share=pl.col("won").cast(ODDS) / pl.col("total").cast(ODDS))


def _population(facts: Facts) -> pl.DataFrame:
    """The snapshots of all quarters that history is read from: of (their quarter), deal, place, size, value."""
    rows = standing.pipeline(facts)
    day = pl.col("day") == pl.col("quarter_first").dt.offset_by(f"{facts.calendar.snapshot_day - 1}d")
    return rows.filter(day, pl.col("value").is_not_null()).select(
        "external_id", *_CELL, "size", "value", of="quarter_first"
    )


def _won_in_time(facts: Facts, before: pl.DataFrame) -> pl.DataFrame:
    """``before``, once for each stretch of time in which the deal counts as won within its quarter (since, until)."""
    held = standing.stretches(facts).filter(pl.col("outcome") == "won")
    end = pl.col("of").dt.offset_by("3mo")
    return before.join(held.select("external_id", "since", "until", "outcome_day"), on="external_id").filter(
        pl.col("outcome_day") >= pl.col("of"), pl.col("outcome_day") < end
    )
