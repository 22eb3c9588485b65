"""ARR from new logos: the ARR movement of the month from customers that had no ARR on any day up to the opening.

Formula: month-end to month-end at the rate of D, netted per customer and product, then summed. All of their
closing ARR counts here, whatever they bought.
Exclusions: those of ARR; exchange-rate changes, which are the bridge's own line.
Unit: money. Source: definition book, section 2 (bridge), rulings 2, 5, 15.
Elsewhere:
- ChartMogul: new business, the MRR at the moment in which a lead first becomes a paying customer.
- GitLab: first order, the first subscription of a whole account family; a further account of the family is new to
  marketing and growth to finance.
- SaaSGrid: a new contract, which may also be a further, independent one of an existing customer.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi

MOVEMENT = "new_logo"


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.movement(facts, MOVEMENT, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.customers_behind(facts, MOVEMENT, month, cut)


KPI = Kpi(
    id="arr_new_logo",
    title="ARR from new logos",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr_new_logo/1: bridge per customer and product, rate of month-end",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=alternatives.LEDGER,
)
