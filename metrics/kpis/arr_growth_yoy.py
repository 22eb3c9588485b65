"""ARR growth, year over year.

Formula: (ARR at D - ARR at the end of the same month a year before) / ARR at the end of the same month a year
before, both at the rate of D, so that exchange rates are never growth. Null where the opening ARR is 0. n:
customers at the opening. The growth over three months stands beside it.
Exclusions: those of ARR. Unit: ratio (0.05 is 5 %). Source: definition book, section 2, rulings 2 and 5.
Elsewhere:
- ICONIQ: the rise of ending ARR over that of the same period a year before, as here.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    measure = recurring.growth(facts, "year", cut)
    return measure if cut else recurring.with_quarter(facts, measure)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.change_behind(facts, "year", month, cut)


KPI = Kpi(
    id="arr_growth_yoy",
    title="ARR growth, year over year",
    unit="ratio",
    higher_is_better=True,
    period="trailing_year",
    definition="arr_growth_yoy/1: constant rate of the closing day",
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
