"""Reactivated ARR: the month's ARR from customers that had none at the opening but some on an earlier day.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. All of their
closing ARR counts here.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- ChartMogul: the MRR of a customer that had churned and moves back onto a paid plan.
- mrr-playbook: one of its five movements too, apart from new business.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "reactivation"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_reactivation",
    title="Reactivated ARR",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr_reactivation/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=alternatives.LEDGER,
)
