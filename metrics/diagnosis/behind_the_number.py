"""The records behind a number, where its own evidence is what to look at: by how much it moved, and the largest of
them.

Source: definition book (the KPI's evidence); the playbook says what to make of it.
"""

from __future__ import annotations

from metrics import compute
from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.render import numbers

_MONTHS = (3, 6)


def find(case: Case) -> Cause | None:
    kpi = compute.registered()[case.value.id]
    records = case.evidence()
    before = {months: case.earlier(months) for months in _MONTHS}
    earlier = ", ".join(
        f"{_text(case, value)} {months} months before"
        for months, value in before.items()
        if value is not None
    )
    words = f"{count(records.height, 'record')} behind it"
    return Cause(
        words=f"it was {earlier}; {words}" if earlier else words,
        parts=tuple(
            CausePart(f"{months} months before", value, kpi.unit)
            for months, value in before.items()
            if value is not None
        ),
        records=records,
        unit=kpi.parts[0] or kpi.unit,
    )


def _text(case: Case, value: float) -> str:
    return numbers.quantity(value, case.value.unit, case.facts.currency)


DIAGNOSIS = Diagnosis("behind_the_number", "The records behind it", find)
