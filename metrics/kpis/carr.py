"""CARR: contracted ARR, live and signed.

Formula: ARR + ARR of won deals with close date <= D < start. A renewal adds its total less the ARR that expires
on its start, so it may take away; a churn deal signed but not yet effective takes off what it will end. Known
lost renewals are not taken off before their end. Converted at the rate of D.
Exclusions: those of ARR. Unit: money. Source: definition book, R4, ruling 14.
Elsewhere:
- KeyBanc: its 2019 survey of private SaaS companies calls the committed annual run rate ARR.
- SaaSGrid: contracted ARR, in which a contract counts from its close date on.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return recurring.stock(facts, cut, contracted=True)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    live = facts.positions_of(month)
    return recurring.contracts_behind(facts, pl.concat([live, facts.pending_of(month)], how="diagonal"), cut)


KPI = Kpi(
    id="carr",
    title="Contracted ARR",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="carr/1: ARR plus signed, not started",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=(*alternatives.HEADLINE, *alternatives.LEDGER),
)
