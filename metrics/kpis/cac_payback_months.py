"""CAC payback: the months of gross margin from new customers that pay back what winning them cost.

Formula: sales and marketing spend of the four quarters one quarter earlier / sum over the fiscal quarter of the month
up to D and the three before of (new-logo ARR / 12 x that quarter's subscription margin). New-logo ARR is that of the
ARR bridge, month by month. Spend is fully loaded, people and program; rows of the channel ``expansion`` are left out,
and where there are none the number says so. Each row of spend at the rate of its month's last day.
Needs the spend and the margin file: a missing month or quarter is named and nothing is computed; without margin the
payback of ungrossed ARR stands in the reason. No new-logo ARR: no payback. n: customers won.
By motion: the spend of the channel that stands for it over the customers whose first contract came that way; spend
without a channel is the row ``unallocated``, in the total and spread over nobody.
By size: the spend whose segment names the size over the customers of that size; null where the spend file has no such
rows, or a month of the window has none ("needs spend by size"). What names no size is told, and spread over nobody.
Options: spend one median sales cycle earlier (`acquisition.cac_lag: cycle`), or programme spend alone
(`acquisition.cac_load: program`).
Exclusions: expansion, reactivation. Unit: months. Source: definition book, section 5, rulings 2, 5, 6, 15, 16, 34.
Elsewhere:
- Kellblog: CAC ratio, last period's sales and marketing / this period's new ARR, without margin and not in months.
- SaaS CFO: the margin of the same revenue stream, and new, expansion and blended ratios as different KPIs.
- SaaSGrid: spend of the month or quarter before, and not by channel.
- SMSB: new, expansion and blended ratios as different KPIs.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, payback, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return payback.cac_payback(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return payback.behind(facts, month, cut)


KPI = Kpi(
    id="cac_payback_months",
    title="CAC payback",
    unit="months",
    higher_is_better=False,
    period="trailing_quarters",
    definition="cac_payback_months/1: spend one quarter earlier / (new-logo ARR / 12 x margin), four quarters",
    parts=("currency", "currency"),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("spend", "margin", "opening_arr"),
    counted=True,
    cuts=payback.CUTS,
    stands_on=recurring.stands_on,
    configured=payback.configured,
    alternatives=(*alternatives.CAC, *alternatives.CYCLE, *alternatives.LEDGER),
)
