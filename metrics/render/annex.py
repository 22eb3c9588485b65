"""The second half of the board report with every number written out: data confidence and evidence.

As in ``view``, all texts are plain and each form escapes on top of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics.board import BoardReport, Evidence, Quality
from metrics.evidence import Record
from metrics.finding import Finding
from metrics.kpi import Unit
from metrics.kpi_ids import MONEY
from metrics.render import numbers, wording
from metrics.render.safe import link, plain

UNDEFINED = "not computable"
LOOK_AT = "What to look at"
_RECORDS = 5  # of a finding
_NONE = "–"


@dataclass(frozen=True)
class Confidence:
    """Data confidence in words. ``fields``: name, filled of required, share, whether below the gate."""

    completeness: str
    cleanliness: str
    findings: str
    left_out: str
    owners: str | None
    fields: tuple[tuple[str, str, str, bool], ...]
    parts: tuple[tuple[str, str, str], ...]
    rules: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class RecordLine:
    """One record behind a number."""

    name: str
    external_id: str
    contribution: str
    note: str
    url: str | None


@dataclass(frozen=True)
class EvidenceList:
    """The records behind one number; ``shown``: how many of how many."""

    kpi: str
    title: str
    shown: str
    caption: str
    records: tuple[RecordLine, ...]


@dataclass(frozen=True)
class FindingLine:
    """What to look at because of one number; ``shown``: how many of its records are listed."""

    sentence: str
    next: str
    title: str
    parts: tuple[tuple[str, str, str], ...]
    shown: str
    records: tuple[RecordLine, ...]


def findings(report: BoardReport) -> tuple[FindingLine, ...]:
    """What to look at, in the playbook's order, with the largest records behind each."""
    return tuple(_finding(item) for item in report.findings)


def _finding(item: Finding) -> FindingLine:
    records = item.records[:_RECORDS]
    return FindingLine(
        sentence=plain(item.sentence, 800),
        next=plain(item.next, 400),
        title=item.title,
        parts=tuple(
            (plain(part.label, 80), _exactly(part.value, part.unit, item.currency), plain(part.note, 160))
            for part in item.parts
        ),
        shown=shown(len(records), item.total),
        records=tuple(_record(one, item.unit, item.currency) for one in records),
    )


def _record(record: Record, unit: Unit, currency: str) -> RecordLine:
    return RecordLine(
        name=plain(record.name) or "(no name)",
        external_id=plain(record.external_id, 60),
        contribution=_exactly(record.contribution, unit, currency),
        note=plain(record.note, 200),
        url=link(record.url),
    )


def _exactly(value: float | None, unit: Unit, currency: str) -> str:
    return _NONE if value is None else numbers.quantity(value, unit, currency, exact=unit in MONEY)


def quality(report: BoardReport) -> Confidence | None:
    """What the forms say of the data; None without a quality run."""
    found = report.quality
    if found is None:
        return None
    complete, clean = found.completeness, found.cleanliness
    undefined = plain(": ".join([UNDEFINED, "; ".join(found.reasons)] if found.reasons else [UNDEFINED]), 300)
    return Confidence(
        completeness=undefined
        if complete is None
        else f"{numbers.percent(complete, edges=(found.threshold,))} ({_gate(found)})",
        cleanliness=undefined if clean is None else f"{numbers.quantity(clean, 'points', '')} of 100",
        findings=f"{sum(rule.findings for rule in found.rules):,}",
        left_out=f"{left_out_total(report):,}",
        owners=wording.owners_sentence(report),
        fields=tuple(_field_rows(found)),
        parts=tuple(_part_rows(found)),
        rules=tuple(
            (plain(rule.rule.replace("_", " "), 60), plain(rule.severity, 20), f"{rule.findings:,}")
            for rule in found.rules
        ),
    )


def _gate(quality: Quality) -> str:
    """``passes the gate of 80%``; exactly the threshold passes."""
    passed = quality.completeness is not None and quality.completeness >= quality.threshold
    gate = numbers.percent(quality.threshold, 0, (quality.threshold,))
    return f"{'passes' if passed else 'fails'} the gate of {gate}"


def left_out_total(report: BoardReport) -> int:
    """How many deals are left out, listed or not."""
    return max(report.left_out_total, len(report.left_out))


def shown(count: int, total: int) -> str:
    """``25 of 1,204``, ``all 12``, ``none``."""
    if not total:
        return "none"
    return f"{count:,} of {total:,}" if count < total else f"all {total:,}"


def evidence(report: BoardReport) -> tuple[EvidenceList, ...]:
    """Every number's records."""
    return tuple(_evidence(item, report.currency) for item in report.evidence)


def _evidence(item: Evidence, currency: str) -> EvidenceList:
    share = shown(len(item.records), item.total)
    return EvidenceList(
        kpi=item.kpi,
        title=item.title,
        shown=share,
        caption=f"Records behind {item.title}: {share}"
        + (", the largest" if len(item.records) < item.total else ""),
        records=tuple(_record(one, item.unit, currency) for one in item.records),
    )


def _field_rows(quality: Quality) -> Iterator[tuple[str, str, str, bool]]:
    """Field, filled of required, share, whether it is below the gate."""
    for field in quality.fields:
        name = plain(f"{field.object}: {field.field.removesuffix('_id')}".replace("_", " "), 60)
        if not field.measurable:
            yield name, _NONE, "not visible in the CRM", False
        elif field.ratio is None:
            yield name, _NONE, "nothing to measure", False
        else:
            share = numbers.percent(field.ratio, edges=(quality.threshold,))
            yield name, f"{field.filled:,} of {field.required:,}", share, field.ratio < quality.threshold


def _part_rows(quality: Quality) -> Iterator[tuple[str, str, str]]:
    for part in quality.parts:
        share = (
            numbers.percent(part.share) if part.share is not None else f"{UNDEFINED}: {plain(part.reason)}"
        )
        yield part.label, share, numbers.quantity(part.weight, "count", "")
