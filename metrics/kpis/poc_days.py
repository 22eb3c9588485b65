"""Days of a pilot: from its start to the decision, by the median.

Formula: median of (decision - start) over the pilots (POC, trial) of new-business deals decided in the fiscal quarter
of the month, from its first day to D; whole days between local dates. Start: first entry into a pilot stage
(`sales.poc_stages`; by default the stages from the qualified one on that are named so), else the pilot's start date.
Decision: the conversion date (the day the deal was won where it has none), or the day the deal was lost, or the pilot's
end date once that is past without conversion, whichever came first. The note has the mean, the share beyond the limit
(`sales.poc_limit_days`: 30 days with the playbook hr_tech, else 45) and the age of the pilots still running. n: pilots
measured.
Exclusions: pilots without a known start, and those decided before they began (both counted); other types.
Unit: days. Source: definition book, section 3, R8, rulings 2, 3, 4, 21.
Elsewhere:
- GitLab: its handbook aims at 1 to 8 weeks, by the complexity of the test.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, outcomes, pilots
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return pilots.days(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return pilots.days_behind(facts, month, cut)


KPI = Kpi(
    id="poc_days",
    title="Days of a pilot",
    unit="days",
    higher_is_better=False,
    period="quarter",
    definition="poc_days/1: median days from pilot start to decision, decided in the quarter to date",
    parts=(None, None),
    requires=(("deals", "close_date"), ("deals", "type")),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=pilots.stands_on,
    alternatives=(
        *alternatives.PILOT_STAGES,
        *alternatives.PILOT_LIMIT,
        *alternatives.DEALS,
        *alternatives.QUALIFIED,
    ),
)
