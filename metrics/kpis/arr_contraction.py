"""Contraction: the ARR movement of the month from existing customers, per product, whose ARR fell but did not end.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. A positive amount
that is subtracted.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- Baremetrics: downgrades stand in revenue churn, together with cancellations.
- ChartMogul: any fall of a customer's MRR, the end of one of several subscriptions included.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "contraction"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_contraction",
    title="Contraction",
    unit="currency",
    higher_is_better=False,
    period="month",
    definition="arr_contraction/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=alternatives.LEDGER,
)
