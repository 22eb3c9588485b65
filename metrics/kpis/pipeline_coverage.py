"""Pipeline coverage: open pipeline early in the quarter against the quarter's quota.

Formula: amount of new and expansion deals that were open at the end of the quarter's 21st day with a close date
from that day to the quarter's end / quota of the quarter. Stage, amount and close date as they stood that day;
amounts at that day's rate, a blank amount counts 0. Quota: all quotas whose start lies in the quarter, at the
rate of its first day; where the CRM holds none, the targets file's. Null before the snapshot and without a quota.
Cut, a segment with a quota is there though nothing is open for it. n: deals in the snapshot.
Beside it: to-go coverage on D = open then, closing from D on / (quota - won to D), or that the target is met; the
coverage of the next two quarters as they stand on D; how many overdue deals are left out (the evidence names them).
Options: another day of the quarter than the 21st (`forecast.snapshot_day`); what is open at D, closing from D on,
against what is to go of the quota, with the quota's own coverage beside it (`forecast.coverage_base: to_go`), null with
"target met" where nothing is.
Exclusions: renewals, downgrades, churn; overdue close dates; deals deleted since; a currency without rate
(listed).
Unit: multiple. Source: definition book, section 4, rulings 3, 5, 26, 27, 30.
Elsewhere:
- Battery: read on day 3 of the quarter.
- GitLab: net ARR of the pipeline that closes in the quarter / net ARR target, on day 5, and once more for later stages
  alone.
- Kellblog: pipeline of week 3 / new-ARR target, new business and expansion apart.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, coverage
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return coverage.coverage(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return coverage.deals_behind(facts, month, cut)


KPI = Kpi(
    id="pipeline_coverage",
    title="Pipeline coverage",
    unit="multiple",
    higher_is_better=True,
    period="quarter",
    definition="pipeline_coverage/1: open in-quarter pipeline on day 21 / quota of the quarter",
    parts=("currency", "currency"),
    requires=(("deals", "amount"), ("deals", "close_date"), ("deals", "type")),
    reads=("quotas", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    inputs=("targets",),
    cuts=coverage.CUTS,
    stands_on=coverage.stands_on,
    configured=coverage.configured,
    alternatives=(*alternatives.COVERAGE_BASE, *alternatives.SNAPSHOT, *alternatives.OUTCOME),
)
