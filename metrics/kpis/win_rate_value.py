"""Win rate by value: how much of the ARR that was decided was won.

Formula: ARR of won deals / ARR of won and lost deals, over the deals of ``win_rate``, each at the rate of its
close date; a deal without ARR counts 0. Null where nothing of value closed. n: deals closed.
Option (`sales.win_rate: narrow`): as for ``win_rate``.
Exclusions: those of ``win_rate``; deals in a currency without rate (listed).
Unit: ratio. Source: definition book, section 3, rulings 5 and 20.
Elsewhere:
- Fivetran (dbt_salesforce): amount won / amount won and lost, of all types, for the month and quarter in which it runs;
  where nothing closed it is 0 in the tables of owners and managers and null in the snapshot.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, outcomes
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return outcomes.win_rate_value(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    won = pl.when("won").then("value").otherwise(0)
    return outcomes.deals_behind(
        facts,
        month,
        won,
        pl.format("{}, {}", "outcome", in_words(pl.col("value").fill_null(0), facts.currency)),
        cut,
    )


KPI = Kpi(
    id="win_rate_value",
    title="Win rate by value",
    unit="ratio",
    higher_is_better=True,
    period="quarter",
    definition="win_rate_value/1: ARR won / ARR won and lost, closed in the quarter to date, qualified new business",
    parts=("currency", "currency"),
    requires=(("deals", "close_date"), ("deals", "type"), ("deals", "arr")),
    reads=("line_items", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=outcomes.stands_on,
    configured=outcomes.configured,
    alternatives=(
        *alternatives.WIN_RATE,
        *alternatives.DEALS,
        *alternatives.QUALIFIED,
        *alternatives.DEAL_VALUE,
    ),
)
