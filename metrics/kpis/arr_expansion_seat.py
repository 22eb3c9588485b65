"""Expansion, seats: the month's ARR from existing customers that bought more seats or a new product by the seat.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. The part is added
quantity x new unit price, per customer and product; the rest of a rise is expansion_other.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- ChartMogul: expansion is one movement, be it a higher quantity, a higher plan, a further subscription or a discount
  that expires.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "expansion_seat"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_expansion_seat",
    title="Expansion: seats",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr_expansion_seat/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=(*alternatives.PRICE, *alternatives.LEDGER),
)
