"""In-quarter forecast: what the quarter of the month is going to bring, seen from D.

Formula: amount of new and expansion deals won in the quarter up to D + sum of p2 x amount over those open at D with a
close date from D to the quarter's end. p2 is the company's own history: of the deals in that stage on day 21 of the
last eight quarters (four at least), the share of value won within the quarter; by size segment with 20 deals there,
else of all with 20, else p1, the CRM's probability as of D. Stage, amount, close date, outcomes and history are those
known on D, so the forecast of a past month is the one it would have shown. Wins at the rate of their close date,
open deals at the rate of D, a blank amount counts 0; the total is rounded once. Segments are rounded so that they add
up to it. Beside it: the forecast by p1, and the sellers' categories rolled up (commit; commit and best case), wins
included. n: deals won and open.
Options (`forecast.method`): open deals by p1, or the whole amount of those in the sellers' category commit, or in
commit and best case. `forecast.snapshot_day`: the day that p2 reads the past quarters on.
Exclusions: renewals, downgrades, churn; overdue close dates; deals still to be created; deals deleted since; a
currency without rate (counted).
Unit: money. Source: definition book, section 4, rulings 5, 6, 20, 21, 26, 28 to 30.
Elsewhere:
- Clari: keeps the forecasts that were submitted, and its history drops users who have left.
- HubSpot: its forecast tool shows amounts weighted by stage unless set otherwise, in categories that follow the stage
  or the seller.
- Salesforce: adds opportunities up by forecast category; weighted, its expected revenue is amount x probability.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, forecast
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return forecast.measure(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return forecast.deals_behind(facts, month, cut)


KPI = Kpi(
    id="forecast_in_quarter",
    title="In-quarter forecast",
    unit="currency",
    higher_is_better=True,
    period="quarter",
    definition="forecast_in_quarter/1: won to date + own-history share x open in-quarter pipeline, as known on the day",
    parts=("currency", None),
    requires=(("deals", "amount"), ("deals", "close_date"), ("deals", "type")),
    reads=("exchange_rates",),
    compute=compute,
    evidence=evidence,
    cuts=forecast.CUTS,
    stands_on=forecast.stands_on,
    configured=forecast.configured,
    alternatives=(*alternatives.FORECAST, *alternatives.SNAPSHOT),
)
