"""Win rate: how many of the qualified new-business deals that closed were won.

Formula: won / (won + lost), closed in the fiscal quarter of the month, from its first day to D, by close date (a
pilot by its conversion date), with the outcomes known now. Only new-business deals that reached the qualified
stage; a deal won without it counts. Lost without a decision is lost. n: deals closed. Deals that nobody marks lost
flatter it: the note counts the open ones older than twice the median cycle and tells the rate if they were lost.
The rate of the trailing four quarters stands beside it.
Option (`sales.win_rate: narrow`): competitive deals only; whose loss reason is one of `sales.no_decision` is left out
and counted, a lost deal without a reason stays. Null where no lost deal of the quarter names a reason.
Exclusions: deals that never qualified, deleted and merged records, other and unmapped types.
Unit: ratio. Source: definition book, section 3, rulings 2, 3, 18, 19, 21.
Elsewhere:
- Fivetran (dbt_salesforce): by amount and of all types, for the month and quarter in which it runs.
- Funnelcast and Varicent: hold against such a rate that leaving out open deals overstates it.
- Salesforce: its help divides the won by the closed opportunities of a report, of whatever type and qualified or not.
- Sourcegraph: also only of deals that reached the qualified stage.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, outcomes
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return outcomes.win_rate(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return outcomes.deals_behind(facts, month, pl.col("won").cast(pl.Float64), pl.col("outcome"), cut)


KPI = Kpi(
    id="win_rate",
    title="Win rate",
    unit="ratio",
    higher_is_better=True,
    period="quarter",
    definition="win_rate/1: won / (won + lost) by count, closed in the quarter to date, qualified new business",
    requires=(("deals", "close_date"), ("deals", "type")),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=outcomes.stands_on,
    configured=outcomes.configured,
    alternatives=(*alternatives.WIN_RATE, *alternatives.DEALS, *alternatives.QUALIFIED),
)
