"""Field completeness: how many of the required cells of open deals are filled.

Formula: filled cells / required cells over all open deals of every type at D (unknown stages are open), of the
company's required fields (default: amount, close date, stage, owner, account, next step). Amount, close date and
stage as of D, the others as known now. Empty: null, 0, placeholders such as tbd or n/a, and a close date that the CRM
filled in and nobody changed. n: required cells. By size: the deal's own segment, else its account's (ruling 24). Beside
it the same by value: each deal's cells weigh as much as its amount at D, at the rate of D; a blank or negative amount,
or one in a currency without a rate, weighs nothing.
Options: a field is required of deals in a stage or beyond it only (`quality.required_from`); some fields weigh more
than others, numerator and denominator are then sums of weights (`quality.field_weights`); by value, with the cells
alike beside it, null where no open deal has an amount (`quality.completeness_by: amount`).
Exclusions: fields that the CRM hides or the company has not mapped. Unit: ratio. Source: definition book,
section 6, ruling 35.
Elsewhere:
- Elementary: the share of nulls in a column of a table, of whatever record.
- HubSpot: its data-quality screen counts empty properties, and does not say what they cost.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, data_quality
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return data_quality.filled_cells(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return data_quality.cells_behind(facts, month, cut)


KPI = Kpi(
    id="field_completeness",
    title="Field completeness",
    unit="ratio",
    higher_is_better=True,
    period="month",
    definition="field_completeness/1: filled / required cells of open deals",
    requires=(),
    compute=compute,
    evidence=evidence,
    cuts=("size", "owner"),
    configured=data_quality.completed,
    alternatives=(*alternatives.COMPLETENESS_BY, *alternatives.REQUIRED_FIELDS, *alternatives.PAID_PILOT),
)
