"""Forecast error: how far the quarter's forecast of day 21 was from what the quarter brought.

Formula: |F - A| / A, of the quarter the month lies in. F: ``forecast_in_quarter`` as it was on the quarter's 21st day
(won to then + own-history share x open, all as known then). A: amount of the new and expansion deals won in the
quarter, each at the rate of its close date, as known at the end of the fifth Monday-to-Friday day after the quarter;
before that day it is preliminary and says so. 100 % where something was forecast and nothing won; null while the
quarter is open, and where there was neither forecast nor win. n: deals won in the quarter.
Beside it: the signed error (A - F) / F, above 0 where the quarter brought more; the error of days 1, 21, 45 and 75; and
the mean error and bias (mean signed error) of the last four quarters.
Options: divided by F (`forecast.error_over: forecast`), then null where nothing was forecast; F of another day
(`forecast.snapshot_day`) or another method (`forecast.method`).
Exclusions: those of ``forecast_in_quarter``. Deals created after day 21 are in A and not in F.
Unit: ratio. Source: definition book, section 4, rulings 26, 29 to 31.
Elsewhere:
- ClariLayer: asks that grain, time of the snapshot, basis of the actuals and sign be fixed and kept with the number.
- Salesforce: its forecast trend charts compare quarters at equal days to their end.
"""

from __future__ import annotations

import polars as pl

from metrics import accuracy, alternatives
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return accuracy.measure(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return accuracy.deals_behind(facts, month, cut)


KPI = Kpi(
    id="forecast_accuracy_error",
    title="Forecast error",
    unit="ratio",
    higher_is_better=False,
    period="quarter",
    definition="forecast_accuracy_error/1: |forecast of day 21 - won in the quarter| / won in the quarter",
    parts=("currency", "currency"),
    requires=(("deals", "amount"), ("deals", "close_date"), ("deals", "type")),
    reads=("exchange_rates",),
    compute=compute,
    evidence=evidence,
    cuts=accuracy.CUTS,
    stands_on=accuracy.stands_on,
    configured=accuracy.configured,
    alternatives=(*alternatives.ERROR, *alternatives.FORECAST, *alternatives.SNAPSHOT),
)
