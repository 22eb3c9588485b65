"""Health score: how well the paying customers are, from 0 to 100.

Formula: mean over the customers with ARR at D of 50% usage + 25% tickets + 25% NPS. Usage: active / licensed seats of
the last four full weeks, at most 100. Tickets: 100 - 10 for each that is open and severe, or open for more than 30
days. NPS: (score + 100) / 2, of surveys at most 180 days old. Parts that are missing leave their weight to the
others; with less than half of the weight a customer's health is unknown, which is never green. n: customers with a
score.
The reason gives ARR by band (red below 40, amber, green from 70, unknown) and who fell by 15 or more in 30 days; the
evidence every customer. Weights, bands and what counts as severe or old are settings (``health:``).
Needs input files: usage, or tickets and NPS. Customers of the files that match no account are named.
Unit: points. Source: definition book, section 6, rulings 1, 16.
Elsewhere:
- HubSpot: points up to 100 from groups that each account sets up, by default engagement, calls, tickets, the success
  manager's sentiment and NPS.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, health, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return health.health(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return health.customers_behind(facts, month, cut)


KPI = Kpi(
    id="health_score",
    title="Customer health",
    unit="points",
    higher_is_better=True,
    period="month",
    definition="health_score/1: mean of 50% usage, 25% tickets, 25% NPS over customers with ARR at D",
    parts=("points", "count"),
    requires=(),
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("usage", "tickets", "nps", "opening_arr"),
    counted=True,
    cuts=health.CUTS,
    alternatives=(*alternatives.HEALTH, *alternatives.LEDGER),
)
