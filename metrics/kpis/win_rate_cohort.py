"""Win rate of a cohort: how many of the qualified deals that were created in the quarter have been won.

Formula: won / all, over the new-business deals created in the fiscal quarter of the month, from its first day to D,
that have reached the qualified stage; outcomes as known now. Honest, and late: a young cohort has open deals, whose
share is in the note. It is never narrow: what was lost without a decision is in it. n: deals of the cohort.
Exclusions: deals that never qualified, deleted and merged records, other and unmapped types.
Unit: ratio. Source: definition book, section 3, rulings 2, 3, 18, 19.
Elsewhere:
- Funnelcast and Varicent: hold against cohorts by creation that they understate until they are mature.
- Salesforce: its help offers won / all opportunities of a report, those still open included, as the alternative win
  rate.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, outcomes
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return outcomes.win_rate_cohort(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return outcomes.cohort_behind(facts, month, cut)


KPI = Kpi(
    id="win_rate_cohort",
    title="Win rate of the cohort",
    unit="ratio",
    higher_is_better=True,
    period="quarter",
    definition="win_rate_cohort/1: won / all qualified new business created in the quarter to date",
    requires=(("deals", "type"),),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=outcomes.cohort_stands_on,
    alternatives=(*alternatives.DEALS, *alternatives.QUALIFIED),
)
