"""Stale pipeline: how much of the coverage are deals that have been open far longer than a sale takes.

Stale is a deal with an amount of the coverage's snapshot that on its day had been open since creation for longer than
``times_the_median_cycle`` (option of the call, 2) times the median cycle of the deals won in the trailing four
quarters. Source: definition book, section 4 ("above 5x suggests stale pipe") and section 3 (stale-open).
"""

from __future__ import annotations

import polars as pl

from metrics import stalls
from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.kpi import EVIDENCE
from metrics.render import numbers


def find(case: Case) -> Cause | None:
    times = case.option("times_the_median_cycle")
    cycle = stalls.median_cycle(case.facts, case.period["trailing_first"], case.day)
    day = case.period["snapshot_day"]
    deals = case.deals_behind().join(case.facts.deals.select("external_id", "created_day"), on="external_id")
    if cycle is None:
        return Cause(
            "no deal was won in four quarters, so how long a sale takes is not known",
            records=deals.select(list(EVIDENCE)),
            unit="currency",
        )
    aged = deals.with_columns(age=(pl.lit(day) - pl.col("created_day")).dt.total_days())
    stale = aged.filter(pl.col("age") > times * cycle)
    value, whole = float(stale["contribution"].sum()), float(aged["contribution"].sum())
    quota = case.value.denominator
    part = f" ({numbers.quantity(value / quota, 'multiple', '')} of the coverage)" if quota else ""
    limit = numbers.quantity(times * cycle, "days", "")
    return Cause(
        words=(
            f"{stale.height:,} of {count(aged.height, 'deal')}, {case.money(value)}{part}, are open longer than"
            f" {limit}, {times:g} times the median cycle"
        ),
        parts=(
            CausePart("Stale", value, "currency", count(stale.height, "deal")),
            CausePart("Not stale", whole - value, "currency", count(aged.height - stale.height, "deal")),
            CausePart("Median cycle", cycle, "days"),
        ),
        records=stale.with_columns(
            note=pl.format("open for {} days on {}; {}", "age", pl.lit(str(day)), "note")
        ).select(list(EVIDENCE)),
        unit="currency",
    )


DIAGNOSIS = Diagnosis("stale_pipeline", "Stale pipeline", find, {"times_the_median_cycle": 2})
