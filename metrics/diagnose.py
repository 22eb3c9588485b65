"""What to look at when a number is off: the diagnoses a playbook calls for, evaluated on the data.

Which diagnosis is called for, on which condition and what to do next stands in the playbook; what the records say is
found by ``metrics.diagnosis``. A playbook's calls reach only the companies that use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, cast

import polars as pl

from connectors.registry import units
from metrics import client_targets, compute
from metrics.case import Case, Cause, Diagnosis
from metrics.condition import When
from metrics.facts import Facts
from metrics.finding import Finding
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.links import records
from metrics.playbook import Playbook
from metrics.playbook_parts import Call
from metrics.render import numbers
from metrics.scope import hidden_kpis, holds
from metrics.words import by_segment

SHOWN: Final = 10  # records of one finding
_DOUBTFUL: Final = {"unreliable": "the number is unreliable", "low_sample": "low sample"}


def registered() -> dict[str, Diagnosis]:
    """Every diagnosis by name."""
    return cast(dict[str, Diagnosis], units("metrics.diagnosis", "DIAGNOSIS"))


def diagnose(
    facts: Facts, month: str, book: Playbook, links: Mapping[str, str] = MappingProxyType({})
) -> tuple[Finding, ...]:
    """The findings of one of the facts' months, in the order of the playbook's calls; pure.

    Conditions that compare with earlier months hold only where the facts cover these (``Playbook.looks_back``). A KPI
    that is not there, hidden, or undefined is not diagnosed. Every finding carries the records it rests on. ``links``:
    table -> address of its records with {id}.
    """
    hidden = hidden_kpis(facts, month, book)
    found: list[Finding] = []
    for name, call in book.diagnoses.items():
        if call.kpi in hidden or call.kpi not in compute.registered():
            continue
        for value, compared in _called(facts, month, book, call):
            case = Case(facts, month, value, call, book)
            cause = registered()[call.rule].find(case)
            if cause is not None:
                found.append(_finding(name, call, value, compared, _with_records(case, cause), links))
    return tuple(found)


def _with_records(case: Case, cause: Cause) -> Cause:
    """A cause that names no records of its own rests on those of the number: no sentence is without."""
    if not cause.records.is_empty():
        return cause
    return replace(cause, records=case.evidence(), unit=case.value.parts[0] or case.value.unit)


def _called(facts: Facts, month: str, book: Playbook, call: Call) -> Iterator[tuple[KpiValue, When | float]]:
    """The values of the call's KPI that it is about, each with the conditions that hold, or the client's target."""
    cut = book.segments[call.segment].cut if call.segment else None
    cuts: Sequence[str | None] = (None, "size") if call.off_client_target else (cut,)
    for value in compute.compute(facts, [call.kpi], cuts, Judge(book)):
        if value.month != month or value.value is None:
            continue
        if call.off_client_target:
            missed = _missed_target(facts, value)
            if missed is not None:
                yield value, missed
            continue
        segment = value.segment.get(cut) if cut else None
        if call.segment and not (cut and book.in_segment(call.segment, cut, segment or "")):
            continue
        when = next((one for one in call.sets if holds(facts, month, one, cut, segment)), None)
        if when is not None:
            yield value, when


def _missed_target(facts: Facts, value: KpiValue) -> float | None:
    """The client's own target, where there is one and the value misses it."""
    kpi = compute.registered()[value.id]
    cut, segment = next(iter(value.segment.items()), (None, None))
    wanted = client_targets.target(facts, kpi, value.month, cut, segment)
    if wanted is None or value.value is None or kpi.higher_is_better is None:
        return None
    missed = value.value < wanted if kpi.higher_is_better else value.value > wanted
    return float(wanted) if missed else None


def _finding(
    name: str, call: Call, value: KpiValue, compared: When | float, cause: Cause, links: Mapping[str, str]
) -> Finding:
    doubt = _DOUBTFUL.get(value.status)
    tail = f" ({doubt})" if doubt else ""
    number = _number(value, {}, compared) if isinstance(compared, float) else _number(value, compared, None)
    says = f"; {call.says}" if call.says else ""
    return Finding(
        call=name,
        rule=call.rule,
        kpi=value.id,
        title=value.title,
        month=value.month,
        segment=value.segment,
        sentence=f"{number}: {cause.words}{says}{tail}.",
        next=call.next,
        parts=cause.parts,
        records=records(_first(cause), links, SHOWN),
        total=cause.records.height,
        unit=cause.unit,
        currency=value.currency,
        known_at=value.known_at,
    )


def _first(cause: Cause) -> pl.DataFrame:
    if cause.ordered:
        return cause.records
    size = pl.col("contribution").abs()
    return cause.records.sort(size, "external_id", descending=[True, False], nulls_last=True)


def _number(value: KpiValue, when: When, client: float | None) -> str:
    """``Win rate (2026-Q2) is 15.0%, below 20%``: the number and what it is compared with."""
    test = when.get(value.id)
    edges = [bound.value for _, bound in test.bounds if bound.currency is None] if test else []
    text = f"{value.title}{by_segment(value.segment)} ({value.period}) is {numbers.value_text(value, edges)}"
    if client is not None:
        return (
            f"{text}, against the client's target of {numbers.quantity(client, value.unit, value.currency)}"
        )
    words = test.words(value.unit, value.currency) if test else ""
    return f"{text}, {words}" if words else text
