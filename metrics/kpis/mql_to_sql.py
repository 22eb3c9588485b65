"""MQL to SQL: how many of the marketing-qualified leads sales accepted within 60 days.

Formula: leads with an SQL date within 60 days of their MQL date, both ends included / leads with an MQL date in the
month, up to D. Where a lead skipped the MQL stage its SQL date stands for the MQL date, and such leads are counted in a
note. The first entry into each stage counts. Computed and marked immature until 60 days have passed since the month's
end. n: MQLs. By motion it is the lead's source through the source map.
Option (`acquisition.sql_days`): another number of days.
Exclusions: leads deleted or merged by now; dates that were not known yet. An SQL date before the MQL date does not
count as reached, and is counted in a note.
Unit: ratio. Source: definition book, section 5, rulings 2, 3, 32.
Elsewhere:
- GitLab: MQL to SAO, the rate at which MQLs become sales-accepted opportunities.
- HubSpot: a contact's lifecycle stage normally only moves forward, and going back needs rules of its own.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, leads
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return leads.mql_to_sql(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return leads.leads_behind(facts, facts.once(leads.qualified), month, "MQL", "SQL", cut)


KPI = Kpi(
    id="mql_to_sql",
    title="MQL to SQL",
    unit="ratio",
    higher_is_better=True,
    period="month",
    definition="mql_to_sql/1: SQL within 60 days / MQLs of the month",
    requires=(("leads", "mql_at"), ("leads", "sql_at")),
    reads=("leads",),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=leads.CUTS,
    configured=leads.configured,
    alternatives=alternatives.SQL_DAYS,
)
