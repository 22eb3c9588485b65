"""Churned ARR: the ARR movement of the month from customers whose ARR ended: none at the closing.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. A positive amount
that is subtracted.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- Baremetrics: cancellations, a customer more than 30 days delinquent counted among them, and in revenue churn the
  downgrades too.
- ChartMogul: the MRR of a customer whose last subscription is cancelled, on the day that its setting for churn
  recognition says.
- mrr-playbook: writes, as read, one more churn row in the month after its data end.
- SaaSGrid: a late renewal is bridged for as long as is configured, and open deals in named stages are looked at before
  a customer counts as churned.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "churn"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_churn",
    title="Churned ARR",
    unit="currency",
    higher_is_better=False,
    period="month",
    definition="arr_churn/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=alternatives.LEDGER,
)
