"""Weighted pipeline coverage: what the CRM's own probabilities expect of the early pipeline, against the quota.

Formula: sum of p1 x amount over the deals of ``pipeline_coverage`` (new and expansion, open at the end of the quarter's
21st day, closing from that day to the quarter's end) / quota of the quarter. p1 is the CRM's probability as of that
day: the deal's own, where its value of then is told (from its first logged change on, or as it stands now while the
deal has not left its stage); else what the layout gave the stage then; 0 for a stage that no layout knows. Amounts at
that day's rate, probabilities unrounded, the total rounded once. Null before the snapshot and without a quota.
n: deals in the snapshot.
Beside it: the same by own history (p2, see ``forecast_in_quarter``); 1.0, at which the quarter is expected to bring its
quota; to-go coverage on D = expected of what is open then / (quota - won), or that the target is met; and the expected
landing on D = won + expected. A playbook's 3 to 4 is read literally, though 1.0 breaks even.
Options: weighted by p2, with p1 beside it (`forecast.coverage_odds`); another day (`forecast.snapshot_day`);
what is expected of what is open at D against what is to go of the quota (`forecast.coverage_base: to_go`).
Exclusions: those of ``pipeline_coverage``.
Unit: multiple. Source: definition book, section 4, rulings 5, 6, 26 to 30.
Elsewhere:
- Fivetran (dbt_salesforce): sum of amount x probability of open opportunities of any close date, without those whose
  forecast category is omitted, as of the run.
- HubSpot: weighs by the probability of the pipeline's stage, whose defaults of 20 to 90 % are guesses.
- Salesforce: expected revenue, the amount x probability of an opportunity.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, coverage
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return coverage.weighted(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return coverage.weighed_behind(facts, month, cut)


KPI = Kpi(
    id="pipeline_coverage_weighted",
    title="Weighted pipeline coverage",
    unit="multiple",
    higher_is_better=True,
    period="quarter",
    definition="pipeline_coverage_weighted/1: in-quarter pipeline on day 21 x CRM probability / quota of the quarter",
    parts=("currency", "currency"),
    requires=(("deals", "amount"), ("deals", "close_date"), ("deals", "type")),
    reads=("quotas", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    inputs=("targets",),
    cuts=coverage.CUTS,
    stands_on=coverage.stands_on,
    configured=coverage.configured,
    alternatives=(
        *alternatives.COVERAGE_ODDS,
        *alternatives.COVERAGE_BASE,
        *alternatives.SNAPSHOT,
        *alternatives.OUTCOME,
    ),
)
