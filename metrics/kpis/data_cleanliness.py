"""Data cleanliness: a score from 0 to 100 for how far the CRM's records can be trusted.

Formula: 35 x completeness + 25 x (1 - duplicate share of accounts and contacts) + 20 x (1 - share of open deals with a
blank, unknown, retired or overdue stage or close date) + 20 x (1 - share of contacts that bounced or show no activity
for twelve months). Deals at D as known now; duplicates and contacts always as known now. Null where a part has no base.
Options (`quality:`): other weights, and another number of months.
Exclusions: probable duplicates that only fuzzy matching finds. Unit: points. Source: definition book,
section 6, rulings 36, 37.
Elsewhere:
- HubSpot: its data-quality screen counts duplicates, faults of format and empty properties, and does not say what they
  cost.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, data_quality
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return data_quality.scores(facts)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return data_quality.parts_behind(facts, month)


KPI = Kpi(
    id="data_cleanliness",
    title="Data cleanliness",
    unit="points",
    higher_is_better=True,
    period="month",
    definition="data_cleanliness/1: 35 completeness, 25 duplicates, 20 stages, 20 contacts",
    requires=(),
    reads=("contacts",),
    compute=compute,
    evidence=evidence,
    parts=(None, None),
    cuts=(),
    configured=data_quality.configured,
    alternatives=(*alternatives.CLEANLINESS, *alternatives.REQUIRED_FIELDS, *alternatives.PAID_PILOT),
)
