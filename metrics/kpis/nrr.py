"""NRR: net revenue retention over twelve months, cohort point to point.

Formula: sum of the ARR at D of the customers that had ARR a year before / sum of their ARR then; both at the rate
of D.
Cohort: customers with ARR > 0 at the end of the same month a year before. New logos and customers that had left
before are out; one that left and came back counts at today's ARR. Null where the cohort's ARR is 0.
Beside it: the points that seats, modules, other expansion, reactivation, contraction and churn add; they sum to NRR
less 100. They are the movements of every month, so a customer that left and came back is in churn and in reactivation;
the diagnosis of a leak compares the two ends of the year, where it is in neither, so its churn may be less.
Options (retention: nrr, window, beside): (opening + expansion - contraction - churn) / opening, with or without
reactivation; what became of the ARR that was up for renewal, over it (`renewal_base`: contracts whose term ended in the
window, the escalators of the others stripped); three months or one. See metrics.retention and metrics.renewal_base. The
definition printed beside the number says which.
Unit: ratio (1.05 is 105 %). Source: definition book, section 2, rulings 5 and 17.
Elsewhere:
- Baremetrics: 100 % - (churned MRR - expansion MRR) / MRR 30 days ago, a flow over 30 days and no cohort of a year.
- ChartMogul: net MRR retention follows the customers that first subscribed in one interval, reactivation included; its
  net MRR churn rate is a flow over the period.
- GitLab: MRR now of the customers of 12 months ago / their MRR then, as here; since 2023 under another account
  hierarchy, which raised it.
- ICONIQ: the share of last year's ARR that the customers of a year ago spend today, as here.
- KeyBanc: once counted 110 public variants, so that no two compare without their definition.
- SaaSGrid: by cohorts of the sign-up period, against their revenue at sign-up, and the weighted average of these.
- SMSB: a flow formula, opening and movements of the period over the opening.
- Tidemill: two of its documents disagree on whether reactivation counts.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring, retention
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return retention.measure(facts, "nrr", cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return retention.behind(facts, "nrr", month, cut)


KPI = Kpi(
    id="nrr",
    title="Net revenue retention",
    unit="ratio",
    higher_is_better=True,
    period="trailing_year",
    definition="nrr/1: trailing 12 months, cohort point to point, constant rate",
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
    alternatives=alternatives.NRR,
)
