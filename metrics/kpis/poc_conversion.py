"""Conversion of pilots: how many of the pilots that were decided became customers.

Formula: converted / (converted + failed), pilots (POC, trial) of new-business deals decided in the fiscal quarter of
the month, from its first day to D, with the results known now. Converted: on the conversion date (the day the deal was
won where it has none), unless the deal is lost. Failed: on the day the deal was lost, or on the pilot's end date once
that is past without conversion, whichever came first. A pilot in a won stage is no win before it converts. The note has
the age of the pilots still running. n: pilots decided.
Exclusions: pilots still running, deleted and merged records, other types.
Unit: ratio. Source: definition book, section 3, R8, rulings 2, 3, 21.
Elsewhere:
- GitLab: closes a proof of concept as successful or unsuccessful, the result of the test and not of the deal.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, outcomes, pilots
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return pilots.conversion(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return pilots.conversions_behind(facts, month, cut)


KPI = Kpi(
    id="poc_conversion",
    title="Pilot conversion",
    unit="ratio",
    higher_is_better=True,
    period="quarter",
    definition="poc_conversion/1: converted / (converted + failed) pilots, decided in the quarter to date",
    requires=(("deals", "close_date"), ("deals", "type")),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=pilots.stands_on,
    alternatives=(*alternatives.PILOT_STAGES, *alternatives.DEALS, *alternatives.QUALIFIED),
)
