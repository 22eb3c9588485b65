"""Cost per lead: what the programmes of a month cost for each lead that came in.

Formula: spend of the kind ``program`` in the month / leads created in it, up to D. Needs the spend file; a month
without programme spend in it is not computable. Each row of spend at the rate of its month's last day, rounded half-
even.
By motion: spend of the channel that stands for it; spend without a channel is the row ``unallocated``, in the total and
spread over nobody. A channel without spend has no cost, which is not 0. Null where no lead came in. n: leads.
Option (`acquisition.cost_per: mql`): over the leads that became MQLs in the month.
Exclusions: leads deleted or merged by now; people's pay.
Unit: money. Source: definition book, section 5, rulings 2, 5, 6.
Elsewhere:
- Fivetran (dbt_salesforce): a campaign's actual cost per opportunity and per won opportunity, and none per lead.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, spend
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return spend.cost_per_lead(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return spend.spend_behind(facts, month, cut)


KPI = Kpi(
    id="cost_per_lead",
    title="Cost per lead",
    unit="currency",
    higher_is_better=False,
    period="month",
    definition="cost_per_lead/1: programme spend of the month / leads created in it",
    parts=("currency", "count"),
    requires=(),
    reads=("leads", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    inputs=("spend",),
    cuts=("motion",),
    configured=spend.configured,
    alternatives=alternatives.COST_PER,
)
