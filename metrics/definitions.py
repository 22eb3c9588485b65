"""Every KPI as a company defines it, and the ways it has not chosen, side by side (``boardline kpis --definitions``).

The ways themselves stand beside the KPIs (``Kpi.alternatives``). What a company wants printed next to a number
(``retention: beside``) has a value here too, for the same month.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from metrics import compute, documentation, retention
from metrics.alternatives import Alternative, setting
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi import Kpi, KpiValue
from metrics.period import Calendar
from pipeline.company import Company

UNSYNCED = "nothing was synced yet"


@dataclass(frozen=True)
class Way:
    """One of a KPI's alternatives at a company.

    ``beside``: the company wants its value next to the number. ``value``: that value, None where it is undefined (then
    ``reason`` says why) or not wanted.
    """

    alternative: Alternative
    in_force: bool
    beside: bool = False
    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Defined:
    """A KPI under a company's settings. ``value``: that of the month, None where nothing was synced.

    ``settings``: what is in force under each setting it depends on. ``changed``: those that are not the default.
    """

    kpi: Kpi
    covers: str
    settings: dict[str, Any]
    changed: tuple[str, ...]
    ways: tuple[Way, ...]
    value: KpiValue | None

    @property
    def definition(self) -> str:
        """The definition in force, with the settings that are not the default."""
        told = "; ".join(f"{path}: {words(self.settings[path])}" for path in self.changed)
        return f"{self.kpi.definition}; with {told}" if told else self.kpi.definition


def defined(
    company: Company, kpis: Sequence[str], month: str, known_at: datetime, facts: Facts | None = None
) -> list[Defined]:
    """The KPIs in that order. ``facts``: the company's, with the month; None where nothing was synced."""
    calendar = Calendar(company.zone, known_at, company.fiscal_year_start_month)
    values = {value.id: value for value in compute.compute(facts, kpis)} if facts else {}
    beside = _beside(facts, month) if facts else {}
    usual = Company()

    def one(name: str) -> Defined:
        kpi = compute.registered()[name].under(company)
        paths = dict.fromkeys(way.setting for way in kpi.alternatives)
        return Defined(
            kpi=kpi,
            covers=calendar.label(month, kpi.period, kpi.quarters),
            settings={path: setting(company, path) for path in paths},
            changed=tuple(path for path in paths if setting(company, path) != setting(usual, path)),
            ways=tuple(_way(company, name, way, beside) for way in kpi.alternatives),
            value=values.get(name),
        )

    return [one(name) for name in kpis]


_Beside = dict[tuple[str, str, str], tuple[float | None, str | None]]


def _way(company: Company, kpi: str, alternative: Alternative, beside: _Beside) -> Way:
    found = beside.get((kpi, alternative.setting, str(alternative.value)))
    value, reason = found or (None, None)
    return Way(alternative, alternative.in_force(company), found is not None, value, reason)


def _beside(facts: Facts, month: str) -> _Beside:
    """(KPI, setting, what is written there) -> value and reason of what the company wants beside the number."""
    try:
        rows = retention.variants(facts).filter((pl.col("month") == month) & ~pl.col("chosen"))
    except InputFault:  # the number itself names the fault
        return {}
    found: _Beside = {}
    for row in rows.iter_rows(named=True):
        # Each differs from the company's own way in one thing.
        own = setting(facts.company, f"retention.{row['kpi']}")
        path, written = (
            ("retention.window", row["window"])
            if row["how"] == own
            else (f"retention.{row['kpi']}", row["how"])
        )
        found[row["kpi"], path, written] = (row["value"], row["reason"])
    return found


def by_setting(kpis: Iterable[Kpi]) -> dict[str, dict[Alternative, list[str]]]:
    """Setting -> each way it offers -> the KPIs of which that makes another number; in the order of the KPIs."""
    found: dict[str, dict[Alternative, list[str]]] = {}
    for kpi in kpis:
        for way in kpi.alternatives:
            found.setdefault(way.setting, {}).setdefault(way, []).append(kpi.id)
    return found


def words(value: Any) -> str:
    """A setting as it is written in the configuration: ``cohort``, ``30``, ``true``, ``null``, ``[inbound, web]``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(words(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    return value.isoformat() if isinstance(value, date) else str(value)


def as_json(found: Sequence[Defined], company: str, month: str, facts: Facts | None) -> dict[str, Any]:
    """The document of ``kpis --definitions --json``: values as in ``kpis --json``, undefined is null with a reason."""
    return {
        "company": company,
        "month": month,
        "known_at": facts.known_at.isoformat() if facts else None,
        "currency": facts.currency if facts else None,
        "kpis": [_document(one, facts.currency if facts else "") for one in found],
    }


def _document(one: Defined, currency: str) -> dict[str, Any]:
    value = one.value
    return {
        "id": one.kpi.id,
        "title": one.kpi.title,
        "unit": one.kpi.unit,
        "covers": one.kpi.period,
        "period": one.covers,
        "definition": one.kpi.definition,
        "settings": {path: _plain(value) for path, value in one.settings.items()},
        "changed": list(one.changed),
        "value": compute.printed(value.value, value.unit, currency) if value else None,
        "status": value.status if value else "not_computable",
        "reasons": list(value.reasons) if value else [UNSYNCED],
        "alternatives": [
            {
                "setting": way.alternative.setting,
                "to": way.alternative.value,
                "means": way.alternative.means,
                "in_force": way.in_force,
                "beside": way.beside,
                "value": way.value,
                "reason": way.reason,
            }
            for way in one.ways
        ],
        "elsewhere": dict(documentation.of(one.kpi.id).elsewhere),
    }


def _plain(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
