"""Expansion, other: the month's ARR from existing customers through price, escalators or deals without lines.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. Negative in a
month in which quantities rose at lower prices. What contracts had stepping up from the start (a later line of the same
product) is told beside it as escalator: the part of the rise that was contracted before.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), R13, rulings 2, 5, 15.
Elsewhere:
- ChartMogul: a discount that expires is expansion, in one movement with higher quantities and further subscriptions.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "expansion_other"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    measure = recurring.movement(facts, MOVEMENT, cut)
    return measure if cut else recurring.escalators(facts, measure)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_expansion_other",
    title="Expansion: price and other",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr_expansion_other/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=(*alternatives.PRICE, *alternatives.LEDGER),
)
