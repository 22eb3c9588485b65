"""CAC payback by channel: inbound, outbound, partner, the slowest first.

Channels whose payback is not computable are named with their reason. Records are those behind the number. Source:
HR-tech document ("segmented by sales channel"); supply-chain document; definition book, section 5.
"""

from __future__ import annotations

from metrics import compute
from metrics.case import Case, Cause, Diagnosis
from metrics.finding import CausePart
from metrics.kpi import KpiValue
from metrics.render import numbers
from metrics.words import segment_name


def find(case: Case) -> Cause | None:
    kpi = compute.registered()[case.value.id]
    channels = case.by(kpi.id, "motion")
    known = sorted(
        (value for value in channels if value.value is not None), key=lambda value: -(value.value or 0)
    )
    named = ", ".join(f"{_name(value)} {numbers.value_text(value)}" for value in known)
    return Cause(
        words=f"by channel: {named}" if named else "no channel's payback is computable",
        parts=tuple(
            CausePart(_name(value).capitalize(), value.value, value.unit, "; ".join(value.reasons) or None)
            for value in (*known, *(value for value in channels if value.value is None))
        ),
        records=case.evidence(),
        unit=kpi.parts[0] or kpi.unit,
    )


def _name(value: KpiValue) -> str:
    return "".join(segment_name("channel", name) for name in value.segment.values())


DIAGNOSIS = Diagnosis("payback_by_channel", "CAC payback by channel", find)
