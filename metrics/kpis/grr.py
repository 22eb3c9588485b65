"""GRR: gross revenue retention over twelve months.

Formula: sum over the cohort of min(ARR at D, ARR a year before) / sum of the ARR a year before; both at the rate
of D. The cohort is that of NRR. At most 1 by construction, and never above NRR. Null where the cohort's ARR is 0.
Unit: ratio. Source: definition book, section 2 (the min rule), rulings 5 and 17.
"""

from __future__ import annotations

import polars as pl

from metrics import recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.retention(facts, "kept", cut)


def evidence(facts: Facts, month: str) -> pl.DataFrame:
    return recurring.cohort_behind(facts, "kept", month)


KPI = Kpi(
    id="grr",
    title="Gross revenue retention",
    unit="ratio",
    higher_is_better=True,
    period="trailing_year",
    definition="grr/1: trailing 12 months, min rule per customer, constant rate",
    parts=("currency", "currency"),
    requires=recurring.REQUIRES,
    compute=compute,
    evidence=evidence,
    low_sample=recurring.FEW_CUSTOMERS,
    cuts=recurring.CUSTOMER_CUTS,
    stands_on=recurring.stands_on,
)
