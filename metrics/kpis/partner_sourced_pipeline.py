"""Partner-sourced pipeline: what partners brought in of the pipeline created in the quarter.

Formula: amount of the new and expansion deals created in the fiscal quarter of the month, from its first day to D, that
partners sourced: in any stage, at the amount known now and the rate of D; a blank amount counts 0.
The value is the money; the denominator is that of all such deals, and the reason tells the share. n: deals sourced.
A deal's source is its lead source as it stood first, later edits are counted in a note; it is partner when
``channels: partner:`` (default: partner) names the source or the motion it stands for. Without any source the
deal's motion field decides. A deal that names a partner on the day of its creation (`fields: deals: partner`) is
partner too; who names one later was influenced, and is counted in a note. What partners only influenced is another
number.
Options: by the source alone, or by the partner field alone (`acquisition.partner_rule`).
Exclusions: renewals, downgrades, churn and unmapped types; deals deleted since; a currency without rate (counted in a
note).
Unit: money. Source: definition book, section 5, rulings 2, 3, 5, 6, 20, 33.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, sourcing
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return sourcing.sourced(facts, sourcing.created, "partner", cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return sourcing.deals_behind(facts, sourcing.created, "partner", month, cut)


def stands_on(facts: Facts) -> pl.DataFrame:
    return sourcing.stands_on(facts, sourcing.created)


KPI = Kpi(
    id="partner_sourced_pipeline",
    title="Partner-sourced pipeline",
    unit="currency",
    higher_is_better=True,
    period="quarter",
    definition="partner_sourced_pipeline/1: amount of its new and expansion deals created in the quarter to date",
    parts=("currency", "currency"),
    requires=sourcing.REQUIRES,
    reads=("exchange_rates",),
    compute=compute,
    evidence=evidence,
    cuts=sourcing.CUTS,
    stands_on=stands_on,
    configured=sourcing.configured,
    alternatives=alternatives.PARTNER,
)
