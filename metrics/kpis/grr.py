"""GRR: gross revenue retention over twelve months.

Formula: sum over the cohort of min(ARR at D, ARR a year before) / sum of the ARR a year before; both at the rate
of D. The cohort is that of NRR. At most 1 by construction, and never above NRR. Null where the cohort's ARR is 0.
Options (retention: grr, window, beside): (opening - contraction - churn) / opening, harsher where customers dip and
recover; three months or one. The definition printed beside the number says which.
Unit: ratio. Source: definition book, section 2 (the min rule), rulings 5 and 17.
Elsewhere:
- Baremetrics: revenue churn, its complement as a flow, is MRR lost to downgrades and cancellations in 30 days / MRR 30
  days ago.
- ChartMogul: gross MRR churn rate, its complement as a flow, is (churn + contraction) / MRR at the start of the period.
- GitLab: the lesser of now and 12 months ago per customer, as here.
- SaaSGrid: by cohorts of the sign-up period, expansion left out.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring, retention
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return retention.measure(facts, "grr", cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return retention.behind(facts, "grr", month, cut)


KPI = Kpi(
    id="grr",
    title="Gross revenue retention",
    unit="ratio",
    higher_is_better=True,
    period="trailing_year",
    definition="grr/1: trailing 12 months, min rule per customer, constant rate",
    parts=("currency", "currency"),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    counted=True,
    cuts=recurring.CUSTOMER_CUTS,
    stands_on=recurring.stands_on,
    configured=retention.configured,
    alternatives=alternatives.GRR,
)
