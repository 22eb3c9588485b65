"""Lead to opportunity: how many of the leads that came in became an opportunity within 90 days.

Formula: leads converted within 90 days of their creation, both ends included / leads created in the month, up to D.
Several leads that led to one deal are converted each; whether the deal survives does not matter. HubSpot: contacts
that entered the lead stage, converted when they entered the opportunity stage. Computed and marked immature until 90
days have passed since the month's end. n: leads created. By motion it is the lead's source through the source map.
Option (`acquisition.lead_days`): another number of days.
Exclusions: leads deleted or merged by now; dates that were not known yet. A conversion dated before the creation does
not count, and is counted in a note.
Unit: ratio. Source: definition book, section 5, rulings 2, 3, 32.
Elsewhere:
- Fivetran (dbt_salesforce): leads created and leads converted per day, each by its own date, and no rate.
- Salesforce: converted / all leads, without a cohort.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, leads
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return leads.lead_to_opportunity(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return leads.leads_behind(facts, facts.once(leads.created), month, "created", "converted", cut)


KPI = Kpi(
    id="lead_to_opportunity",
    title="Lead to opportunity",
    unit="ratio",
    higher_is_better=True,
    period="month",
    definition="lead_to_opportunity/1: leads converted within 90 days / leads created in the month",
    requires=(("leads", "converted_at"),),
    reads=("leads",),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=leads.CUTS,
    configured=leads.configured,
    alternatives=alternatives.LEAD_DAYS,
)
