"""Days in the bottleneck: how long deals stay in the stage of the sales process that holds them up most.

Formula: per stage, the median of the days that new-business deals spent in it, over all their visits; in are deals that
left the stage for the last time in the fiscal quarter of the month and the three before it, up to D, and those that sit
in it at D, with their age so far. The value is the largest of these medians; where the targets file gives days for
stages (metric `stage_days:` and the stage), it is the median of the stage with the largest median / target. The note
names the stage, its 75th percentile, how many went on from it, the medians of all stages, and how many deals have been
in it for more than 1.5 times its norm (the target, else the median) with their amount at D. n: deals in that stage.
Options: another number of deals than five (`sales.stage_deals`); another number of quarters than four, the month's own
the last of them, for the days, the conversions and the norms of stages (`sales.stage_quarters`); a deal in a stage has
grown old beyond another multiple of the stage's norm than 1.5 (`sales.stage_old`, in the table of stages).
Exclusions: stages no longer in use, and those with fewer than five deals, cannot be the bottleneck; deals without stage
history (counted).
Unit: days. Source: definition book, section 3 (pipeline velocity and bottlenecks), rulings 2, 4, 25.
Elsewhere:
- Fivetran (dbt_hubspot): a row for every stage that a deal was in, with the times it entered and left, and no figure
  over them.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, measures, outcomes, stage_table, stages
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    days = stages.stage_days(facts, cut)
    return days if cut else measures.explained(days, stage_table.grown_old(facts), by=("month",))


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return stages.bottleneck_behind(facts, month, cut)


KPI = Kpi(
    id="stage_days",
    title="Days in the bottleneck stage",
    unit="days",
    higher_is_better=False,
    period="trailing_quarters",
    definition="stage_days/1: median days in the slowest stage in use (against its target where given), four quarters",
    parts=(None, None),
    requires=(("deals", "stage"), ("deals", "type")),
    compute=compute,
    evidence=evidence,
    inputs=("targets",),
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=stages.stands_on,
    configured=stages.configured,
    alternatives=(*alternatives.STAGE_DEALS, *alternatives.STAGE_NORM, *alternatives.DEALS),
)
