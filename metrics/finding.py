"""What a diagnosis found, as plain data: the sentence, the parts of the cause, the next check, the records behind
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metrics.evidence import Record
from metrics.kpi import Unit


@dataclass(frozen=True)
class CausePart:
    """One part of a cause. ``value`` in ``unit``; ``note``: what it is compared with, or what stands behind it."""

    label: str
    value: float | None
    unit: Unit
    note: str | None = None


@dataclass(frozen=True)
class Finding:
    """What to look at because of one KPI.

    ``call``: the playbook's name for it; ``sentence``: number, comparison and cause; ``next``: what to check or do
    next;
    ``records``: the largest contributions first, of ``total``. Money is in minor units of ``currency``.
    """

    call: str
    rule: str
    kpi: str
    title: str
    month: str
    segment: Mapping[str, str]
    sentence: str
    next: str
    parts: tuple[CausePart, ...]
    records: tuple[Record, ...]
    total: int
    unit: Unit
    currency: str
    known_at: datetime

    def as_json(self, printed: Callable[[float | None, Unit, str], Any]) -> dict[str, Any]:
        """For ``kpis --diagnose --json``. ``printed`` writes a value of a unit in a currency."""
        return {
            "diagnosis": self.call,
            "rule": self.rule,
            "kpi": self.kpi,
            "month": self.month,
            "segment": dict(self.segment),
            "sentence": self.sentence,
            "next": self.next,
            "parts": [
                {
                    "label": part.label,
                    "value": printed(part.value, part.unit, self.currency),
                    "unit": part.unit,
                    "note": part.note,
                }
                for part in self.parts
            ],
            "records": [
                {
                    "object": record.object,
                    "external_id": record.external_id,
                    "name": record.name,
                    "contribution": printed(record.contribution, self.unit, self.currency),
                    "note": record.note,
                    "url": record.url,
                }
                for record in self.records
            ],
            "records_total": self.total,
            "unit": self.unit,
        }
