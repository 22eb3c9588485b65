"""Cycle length: how many days a won deal took, by the median.

Formula: median of (close date - day of the qualified stage) over the new-business deals won in the fiscal quarter of
the month, from its first day to D; whole days between local dates, a pilot to its conversion date. A deal won
without the qualified stage runs from its creation, a reopened one over the whole span. The mean and the median of the
lost deals stand beside it. n: deals measured.
Exclusions: deals closed at most a day after their creation, and those closed before they start (both counted in the
note); unconverted pilots, other types. The start can be the creation or the first meeting (`sales.cycle_start`).
Unit: days. Source: definition book, section 3, rulings 2, 4, 18, 21, 22.
Elsewhere:
- Fivetran (dbt_salesforce): mean of the days between creation and close date, taken, as read, in the order that makes
  them negative.
- HubSpot: its report named deal velocity is the days to close.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, cycles, outcomes
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return cycles.median(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return cycles.wins_behind(facts, month, cut)


KPI = Kpi(
    id="cycle_days_median",
    title="Sales cycle",
    unit="days",
    higher_is_better=False,
    period="quarter",
    definition="cycle_days_median/1: median days from the qualified stage to won, new business won in the quarter",
    parts=(None, None),
    requires=(("deals", "close_date"), ("deals", "type")),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=outcomes.wins,
    configured=cycles.configured,
    alternatives=(*alternatives.CYCLE, *alternatives.DEALS, *alternatives.QUALIFIED),
)
