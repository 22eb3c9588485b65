"""Incomplete fields: which of the required ones, and on how many open deals. Source: supply-chain document ("if less
than 80 % of pipeline fields are complete, fix that before chasing revenue targets"); definition book, section 6."""

from __future__ import annotations

from metrics import compute
from metrics.case import Case, Cause, Diagnosis
from metrics.finding import CausePart
from metrics.render import numbers

_NAMED = 3


def find(case: Case) -> Cause | None:
    measured = [
        field
        for field in case.facts.completeness[case.month].fields
        if field.measurable and field.ratio is not None
    ]
    worst = sorted(measured, key=lambda field: (field.ratio or 0, field.field))
    named = [field for field in worst[:_NAMED] if field.filled < field.required]
    if not named:
        return None
    kpi = compute.registered()[case.value.id]
    words = ", ".join(
        f"{field.field.replace('_', ' ')} on {numbers.percent(field.ratio or 0)} of {field.required:,} deals"
        for field in named
    )
    return Cause(
        words=f"least filled are {words}",
        parts=tuple(
            CausePart(
                field.field.replace("_", " ").capitalize(), field.ratio, "ratio",
                f"{field.filled:,} of {field.required:,}",
            )
            for field in worst
        ),
        records=case.evidence(),
        unit=kpi.parts[0] or kpi.unit,
    )  # fmt: skip


DIAGNOSIS = Diagnosis("incomplete_fields", "Incomplete fields", find)
