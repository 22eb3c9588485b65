"""Targets of the client's own: the rows of the targets file whose metric is a KPI.

A row counts for the fiscal quarter its period lies in, and for the segment it names (``size=Enterprise``) or for the
whole company; of several in one quarter the last of the file. The value is in the unit that ``boardline kpis``
prints: shares as fractions (0.25), money in major units.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi import Kpi

_Key = tuple[str, date, str | None, str | None]  # KPI, first day of the quarter, cut, segment in lower case


def target(facts: Facts, kpi: Kpi, month: str, cut: str | None, segment: str | None) -> float | None:
    """The client's target of a KPI in the quarter of a month, in the KPI's unit (money in minor units of the report's
    currency); None where there is none, or where its currency has no rate."""
    first = facts.once(_quarters)[month]
    money = kpi.unit == "currency"
    found = facts.once(_targets).get((kpi.id, first, cut, None if segment is None else segment.lower()))
    return None if found is None else found[1] if money else found[0]


def _quarters(facts: Facts) -> Mapping[str, date]:
    return dict(facts.periods.select("month", "quarter_first").iter_rows())


def _targets(facts: Facts) -> Mapping[_Key, tuple[float, float | None]]:
    """The number as written, and the same as an amount in the report's currency at the rate of the quarter's first day.

    A file with a fault gives none: the faults are told where a number needs it, and by ``boardline check``.
    """
    try:
        filed = facts.input("targets")
    except InputFault:
        return {}
    rows = facts.rates.convert(filed, "amount", "quarter_first", "value").sort("line")
    columns = ("metric", "quarter_first", "cut", pl.col("segment").str.to_lowercase(), "number", "value")
    return {
        (metric, first, cut, segment): (float(number), value)
        for metric, first, cut, segment, number, value in rows.select(columns).iter_rows()
    }
