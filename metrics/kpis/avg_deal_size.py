"""Average deal size: mean ARR of the new-business deals won in the quarter.

Formula: sum of ARR / number of deals, won in the fiscal quarter of the month from its first day to D, each at the
rate of its close date, the mean rounded half-even only where it is printed. n: deals won with a value. The median
stands beside it, and the same of the trailing four quarters.
Options: the median, with the mean beside it (`sales.deal_size: median`); of the deals won in the trailing four
quarters, with the quarter's beside it (`sales.deal_size_window: four_quarters`); the annual contract value in the place
of ARR (`sales.deal_size_value: acv`), which is the amount a year by `arr.basis` (tcv: x 12 / term, rounded half-even;
without a term as it stands), with what of it is sold once.
Exclusions: wins without ARR or with an ARR of 0 (listed as zero-value wins), other types, unconverted pilots.
Unit: money. Source: definition book, section 3, rulings 5, 20, 21.
Elsewhere:
- ChartMogul: average sale price, new-business MRR / customers that subscribed for the first time in the period, a
  monthly amount.
- Fivetran (dbt_salesforce): mean amount of all opportunities that an owner ever won, of every type.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, deal_size, outcomes
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return deal_size.measure(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return deal_size.behind(facts, month, cut)


KPI = Kpi(
    id="avg_deal_size",
    title="Average deal size",
    unit="currency",
    higher_is_better=True,
    period="quarter",
    definition="avg_deal_size/1: mean ARR of new business won in the quarter to date",
    parts=("currency", "count"),
    requires=(("deals", "close_date"), ("deals", "type"), ("deals", "arr")),
    reads=("line_items", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=deal_size.stands_on,
    configured=deal_size.configured,
    alternatives=(
        *alternatives.DEAL_SIZE,
        *alternatives.DEAL_SIZE_WINDOW,
        *alternatives.DEAL_SIZE_VALUE,
        *alternatives.DEALS,
        *alternatives.DEAL_VALUE,
        *alternatives.QUALIFIED,
    ),
)
