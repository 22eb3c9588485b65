"""Expansion, modules: the month's ARR from existing customers that bought a new module or more of one.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. A newly owned
product counts in full; else added quantity x new unit price.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- ChartMogul: a further subscription of a customer is expansion, in one movement with higher quantities and prices.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "expansion_module"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_expansion_module",
    title="Expansion: modules",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr_expansion_module/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=(*alternatives.PRICE, *alternatives.LEDGER),
)
