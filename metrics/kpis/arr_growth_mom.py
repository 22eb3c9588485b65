"""ARR growth, month over month.

Formula: (ARR at D - ARR at the end of the month before) / ARR at the end of the month before, both at the rate of
D, so that exchange rates are never growth. Null where the opening ARR is 0. n: customers at the opening.
Exclusions: those of ARR. Unit: ratio (0.05 is 5 %). Source: definition book, section 2, rulings 2 and 5.
Elsewhere:
- Baremetrics: MRR growth rate, MRR today / MRR 30 days ago - 1, over 30 days and not a calendar month.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.growth(facts, "prev", cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.change_behind(facts, "prev", month, cut)


KPI = Kpi(
    id="arr_growth_mom",
    title="ARR growth, month over month",
    unit="ratio",
    higher_is_better=True,
    period="month",
    definition="arr_growth_mom/1: constant rate of the closing day",
    parts=("currency", "currency"),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    counted=True,
    stands_on=recurring.stands_on,
    alternatives=alternatives.LEDGER,
)
