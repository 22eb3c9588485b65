"""Weighted cycle: days from the first meeting to the win, each deal weighing as much as its ARR.

Formula: sum of (days from first meeting to won x ARR) / sum of ARR, over the new-business deals won in the fiscal
quarter of the month and the three before it, up to D; ARR at the rate of the close date. First meeting: the deal's own
field, else the earliest meeting held for the deal or its contacts by the day it was won, else the qualified stage (the
share of these is in the note). n: deals weighed.
Option (`sales.cycle_weight: amount`): weighed with the deals' amounts.
Exclusions: self-serve deals (they run from their creation and stand apart in the note); deals without ARR or with an
ARR of 0; deals closed at most a day after their creation, and those closed before they start (counted).
Unit: days. Source: definition book, section 3, rulings 2, 4, 5, 20, 21, 22.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, cycles, outcomes
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return cycles.weighted(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return cycles.weights_behind(facts, month, cut)


KPI = Kpi(
    id="cycle_days_weighted",
    title="Weighted sales cycle",
    unit="days",
    higher_is_better=False,
    period="trailing_quarters",
    definition="cycle_days_weighted/1: days from first meeting to won x ARR / ARR, new business won in four quarters, "
    "without self-serve",
    parts=("currency_days", "currency"),
    requires=(("deals", "close_date"), ("deals", "type"), ("deals", "arr")),
    reads=(*cycles.READS, "line_items", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=cycles.trailing_stands_on,
    configured=cycles.weighed,
    alternatives=(
        *alternatives.CYCLE_WEIGHT,
        *alternatives.DEALS,
        *alternatives.QUALIFIED,
        *alternatives.DEAL_VALUE,
    ),
)
