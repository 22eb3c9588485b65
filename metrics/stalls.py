"""Where deals stand still: their visits to stages, how long these usually take, and how long a sale does.

Shared by the diagnoses. New-business deals and active open stages only (definition book, ruling 25); days are whole
local days; a visit that has not ended has its age at D.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from metrics.facts import Facts

_TRAITS = ("external_id", "name", "size", "industry", "motion")


def visits(facts: Facts) -> pl.DataFrame:
    """Every stay of a deal in a stage.

    Columns: external_id, name, size, industry, motion, stage, label, sort_order, entered, left (days; null: still
    there).
    """
    goes_on = pl.col("deal") == pl.col("deal").shift(-1)
    entries = facts.stage_entries.with_columns(left=pl.when(goes_on).then(pl.col("entered_at").shift(-1)))
    traits = facts.deals.filter(pl.col("deal_type") == "new").select(*_TRAITS, "outcome_day")
    stays = entries.filter((pl.col("outcome") == "open") & pl.col("active")).join(traits, on="external_id")
    return stays.select(
        *_TRAITS,
        "stage",
        "label",
        "sort_order",
        entered=facts.calendar.local_day(pl.col("entered_at")),
        left=pl.coalesce(facts.calendar.local_day(pl.col("left")), "outcome_day"),
    ).filter(pl.col("entered").is_not_null())


def stage_times(facts: Facts, first: date, last: date) -> pl.DataFrame:
    """How long deals stayed that left a stage for the last time in a span of days, summed over their visits.

    Columns: external_id, name, size, industry, motion, stage, label, sort_order, days, left.
    """
    done = facts.once(visits).filter(pl.col("left").is_not_null())
    return (
        done.group_by(*_TRAITS, "stage", "label", "sort_order")
        .agg(days=(pl.col("left") - pl.col("entered")).dt.total_days().sum(), left=pl.col("left").max())
        .filter(pl.col("left").is_between(first, last) & (pl.col("days") >= 0))
    )


def medians(times: pl.DataFrame) -> pl.DataFrame:
    """stage, label, sort_order, days (the median), n: in the order of the process."""
    return (
        times.group_by("stage", "label", "sort_order")
        .agg(pl.col("days").median(), n=pl.len())
        .sort("sort_order", "stage")
    )


def standing(facts: Facts, day: date) -> pl.DataFrame:
    """The visits that go on at the end of a day: external_id, name, size, stage, label, age (days)."""
    there = (pl.col("entered") <= day) & (pl.col("left").is_null() | (pl.col("left") > day))
    return (
        facts.once(visits)
        .filter(there)
        .sort("entered")
        .unique("external_id", keep="last", maintain_order=True)
        .select(
            "external_id", "name", "size", "stage", "label",
            age=(pl.lit(day) - pl.col("entered")).dt.total_days(),
        )
    )  # fmt: skip


def cycles(facts: Facts, first: date, last: date) -> pl.DataFrame:
    """New-business deals won in a span of days and how long they took from qualification (ruling 22).

    Columns: external_id, name, size, industry, motion, days, won_on. Same-day entries and negative spans are left out.
    """
    won = facts.deals.filter(
        (pl.col("deal_type") == "new")
        & (pl.col("outcome") == "won")
        & pl.col("outcome_day").is_between(first, last)
    )
    dated = won.select(
        *_TRAITS,
        days=(pl.col("outcome_day") - pl.col("qualified_day")).dt.total_days(),
        since_creation=(pl.col("outcome_day") - pl.col("created_day")).dt.total_days(),
        won_on="outcome_day",
    )
    return dated.filter((pl.col("days") >= 0) & (pl.col("since_creation") > 1)).drop("since_creation")


def median_cycle(facts: Facts, first: date, last: date) -> float | None:
    """The median of ``cycles``; None where nothing was won."""
    found = cycles(facts, first, last)["days"].median()
    return float(found) if isinstance(found, (int, float)) else None
