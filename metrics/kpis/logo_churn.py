"""Logo churn over twelve months: the share of customers that left.

Formula: customers of the cohort without ARR at D / customers of the cohort. The cohort is that of NRR; who left
and came back by D has not churned. Null where the cohort is empty.
Options (retention: logo_churn, window, beside): every time one of them left, also those that came back since; three
months or one. The definition printed beside the number says which.
Unit: ratio. Source: definition book, section 2, ruling 17.
Elsewhere:
- Baremetrics: customers cancelled in the last 30 days (365 for annual plans) / those active at their start, a customer
  more than 30 days delinquent counted as cancelled.
- SaaSGrid: logo retention, its complement, is the share of a sign-up cohort that still pays.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring, retention
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return retention.measure(facts, "logo_churn", cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return retention.behind(facts, "logo_churn", month, cut)


KPI = Kpi(
    id="logo_churn",
    title="Logo churn",
    unit="ratio",
    higher_is_better=False,
    period="trailing_year",
    definition="logo_churn/1: trailing 12 months, point to point",
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    counted=True,
    cuts=recurring.CUSTOMER_CUTS,
    stands_on=recurring.stands_on,
    configured=retention.configured,
    alternatives=alternatives.LOGO_CHURN,
)
