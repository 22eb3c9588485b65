"""Targets of the client's own: the rows of the targets file whose metric is a KPI.

A row counts for the fiscal quarter its period lies in, and for the segment it names (``size=Enterprise``) or for the
whole company; of several in one quarter the last of the file. The value is in the unit that ``boardline kpis``
prints: shares as fractions (0.25), money in major units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi import Kpi

_Key = tuple[str, date, str | None, str | None]  # KPI, first day of the quarter, cut, segment in lower case


def target(facts: Facts, kpi: Kpi, month: str, cut: str | None, segment: str | None) -> float | None:
    """The client's target of a KPI in the quarter of a month, in the KPI's unit (money in minor units of the report's
    currency); None where there is none, or where its currency has no rate (``lacking`` says so)."""
    found = _found(facts, kpi, month, cut, segment)
    return None if found is None else found.value if kpi.unit == "currency" else found.number


def lacking(facts: Facts, kpi: Kpi, month: str, cut: str | None, segment: str | None) -> str | None:
    """Why a target that the file names is none: the rate that it needs. None where it is one, or there is none."""
    found = _found(facts, kpi, month, cut, segment)
    if found is None or kpi.unit != "currency" or found.value is not None:
        return None
    return needs_rate(found.currency)


def needs_rate(currency: str) -> str:
    """Why an amount of a file has no value in the report's currency."""
    return f"not computable: needs {currency} rate"


@dataclass(frozen=True)
class _Target:
    """``number`` as written; ``value``: the same as an amount in the report's currency, null without a rate."""

    number: float
    value: float | None
    currency: str


def _found(facts: Facts, kpi: Kpi, month: str, cut: str | None, segment: str | None) -> _Target | None:
    first = facts.once(_quarters)[month]
    return facts.once(_targets).get((kpi.id, first, cut, None if segment is None else segment.lower()))


def _quarters(facts: Facts) -> Mapping[str, date]:
    return dict(facts.periods.select("month", "quarter_first").iter_rows())


def _targets(facts: Facts) -> Mapping[_Key, _Target]:
    """Every target of a KPI; amounts are converted at the rate of the quarter's first day.

    A file with a fault gives none: the faults are told where a number needs it, and by ``boardline check``.
    """
    try:
        filed = facts.input("targets")
    except InputFault:
        return {}
    rows = facts.rates.convert(filed, "amount", "quarter_first", "value").sort("line")
    segment = pl.col("segment").str.to_lowercase()
    keys = rows.select("metric", "quarter_first", "cut", segment).iter_rows()
    values = rows.select("number", "value", "currency").iter_rows()
    return {
        key: _Target(float(number), value, currency)
        for key, (number, value, currency) in zip(keys, values, strict=True)
    }
