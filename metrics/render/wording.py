"""The sentences of the board report, made from its numbers and nothing else.

Each function takes the report and gives words; a number that is not computable is said to be so, with its
reason. The status words follow the playbook's rules, never mood.
"""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from metrics.board import BoardReport, Bridge, Movement, Point, ScoreRow, StageRow
from metrics.kpi import KpiValue, Status
from metrics.render import numbers
from metrics.render.safe import plain
from metrics.words import segment_name

STATUS: Final[dict[Status, str]] = {
    "on_target": "On target",
    "watch": "Watch",
    "off_target": "Off target",
    "no_target": "No target",
    "unreliable": "Unreliable",
    "low_sample": "Low sample",
    "not_computable": "Not computable",
}
_LOSSES: Final = ("arr_contraction", "arr_churn")


def status(row: ScoreRow) -> str:
    """The status of a scorecard line in words. A line that is only drawn below or above says when it is kept."""
    if row.now.status == "no_target" and row.now.target:
        return "Within limits" if row.edges else "Not judged"
    return STATUS[row.now.status]


def headline(report: BoardReport) -> tuple[str, ...]:
    """Three sentences: where we stand, what moved most, what comes next. One, if the CRM is empty."""
    if report.empty:
        return (
            f"{report.crm} holds no accounts and no deals that Boardline can see: there is nothing to report.",
        )
    return (_position(report), _biggest_change(report), _next(report))


def _position(report: BoardReport) -> str:
    row = next((row for row in report.scorecard if row.now.id == "arr"), None)
    if row is None or row.now.value is None:
        return f"ARR is {_undefined(row.now if row else None)}."
    text = f"{_lead(report)} {numbers.money_short(row.now.value, report.currency)}"
    text += f" on {numbers.day(report.state_on)}"
    parts = [
        f"{_direction(growth.value)} on {name}"
        for growth, name in ((report.growth_month, "the month before"), (report.growth_year, "a year before"))
        if growth is not None and growth.value is not None
    ]
    changes = f", {' and '.join(parts)}{_constant(report)}" if parts else ""
    return f"{text}{changes}{_marked(row.now)}."


def _lead(report: BoardReport) -> str:
    """``ARR was``, after the contracted ARR where that leads the scorecard."""
    first = report.scorecard[0].now
    if first.id != "carr" or first.value is None:
        return "ARR was"
    return f"Contracted ARR was {numbers.money_short(first.value, report.currency)} and live ARR"


def _direction(growth: float) -> str:
    text = numbers.percent(abs(growth), edges=(0.0,))
    return "unchanged" if not growth else f"{'up' if growth > 0 else 'down'} {text}"


def _constant(report: BoardReport) -> str:
    return " at constant exchange rates" if report.exchange_moved else ""


def _biggest_change(report: BoardReport) -> str:
    nrr = next((row for row in report.scorecard if row.now.id == "nrr"), None)
    tail = f"; NRR is {judged(nrr)}" if nrr else ""
    bridge = report.bridge_month
    if bridge is None:
        return f"The movements of {numbers.month_name(report.month)} are not computable{tail}."
    moved = [step for step in bridge.movements if step.amount]
    if not moved:
        return f"No ARR moved in {numbers.month_name(report.month)}{tail}."
    largest = max(moved, key=lambda step: abs(step.amount))
    return (
        f"The biggest movement of {numbers.month_name(report.month)} was {_lower(largest.label)}"
        f" ({_signed(largest.amount, report.currency)}) in a net change of"
        f" {_signed(bridge.closing - bridge.opening, report.currency)}{tail}."
    )


def _next(report: BoardReport) -> str:
    rows = open_stages(report)
    deals, amount = sum(row.deals for row in rows), sum(row.amount for row in rows)
    today = numbers.day(report.known_at.astimezone(ZoneInfo(report.timezone)).date())
    text = (
        f"{deals:,} open deal{'s hold' if deals > 1 else ' holds'} {numbers.money_short(amount, report.currency)}"
        if deals
        else "No deal is open"
    )
    text += f" on {today}"
    coverage = next((row for row in report.scorecard if row.now.id == "pipeline_coverage"), None)
    return (
        f"{text}; coverage of the {coverage.now.period} quota is {judged(coverage)}."
        if coverage
        else f"{text}."
    )


def judged(row: ScoreRow) -> str:
    """A number with its status and target: ``95.5% (within limits; target: red below 80%)``."""
    text = numbers.value_text(row.now, row.edges)
    if text is None:
        return _undefined(row.now)
    target = f"; target: {row.now.target}" if row.now.target else ""
    return f"{text} ({status(row).lower()}{target})"


def _marked(value: KpiValue) -> str:
    return f" ({STATUS[value.status].lower()})" if value.status in ("unreliable", "low_sample") else ""


def _undefined(value: KpiValue | None) -> str:
    return numbers.undefined_text(value) if value else "not part of this report"


def open_stages(report: BoardReport) -> tuple[StageRow, ...]:
    """The stages that count as open; one we do not know is open (definition book, ruling 35)."""
    return tuple(row for row in report.pipeline if row.open is not False)


def bridge_title(bridge: Bridge, currency: str) -> str:
    """What the waterfall shows: the net change and what drove it."""
    net = bridge.closing - bridge.opening
    gained = [step for step in bridge.movements if step.amount > 0]
    lost = -sum(step.amount for step in bridge.movements if step.id in _LOSSES)
    parts = []
    if gained:
        best = max(gained, key=lambda step: step.amount)
        parts.append(f"{_lower(best.label)} brought {numbers.money_short(best.amount, currency)}")
    if lost:
        parts.append(f"contraction and churn took {numbers.money_short(lost, currency)}")
    return f"{bridge.label}: {_signed(net, currency)} net{'; ' + ', '.join(parts) if parts else ''}"


def trend_title(report: BoardReport) -> str:
    known = [point for point in report.arr_trend if point.value is not None]
    if not known:
        return "ARR is not computable for any month"
    now = numbers.money_short(known[-1].value or 0, report.currency)
    growth = report.growth_year.value if report.growth_year else None
    if growth is None or known[-1].month != report.month:
        return f"ARR stands at {now}"
    if not growth:
        return f"ARR stands at {now}, unchanged in twelve months{_constant(report)}"
    verb = "grew" if growth > 0 else "fell"
    return f"ARR {verb} {numbers.percent(abs(growth), edges=(0.0,))} in twelve months{_constant(report)}, to {now}"


def retention_title(report: BoardReport) -> str:
    nrr, grr = _last(report.nrr_trend), _last(report.grr_trend)
    if nrr is None:
        return "Retention is not computable for this month"
    verb = "grew" if nrr > 1 else "shrank" if nrr < 1 else "held"
    kept = f"; {numbers.percent(grr, edges=(1.0,))} was kept before any expansion" if grr is not None else ""
    return f"The base of a year ago {verb}: NRR {numbers.percent(nrr, edges=(1.0,))}{kept}"


def points_title(report: BoardReport) -> str:
    """Which part took most from NRR, and which brought most."""
    parts = report.nrr_points[0].parts
    least, most = min(parts, key=lambda part: part[1]), max(parts, key=lambda part: part[1])
    told = [
        f"{name} {verb} {points(abs(tenths)).lstrip('+')} points"
        for (name, tenths), verb, there in (
            (least, "took", least[1] < 0),
            (most, "brought", most[1] > 0),
        )
        if there
    ]
    sentence = "; ".join(told) or "nothing moved"
    return f"What made NRR: {sentence}"


def points(tenths: int) -> str:
    """Tenths of a percentage point, signed: ``+6.7``, ``-26.7``, ``0``."""
    return f"{tenths / 10:+.1f}" if tenths else "0"


def _last(points: tuple[Point, ...]) -> float | None:
    return points[-1].value if points else None


def win_title(report: BoardReport) -> str:
    """Which segment wins least and most. Those of few deals are left out, and the sentence says so."""
    fewest = report.low_sample
    judged = [value for value in report.win_rates if value.value is not None and (value.n or 0) >= fewest]
    if not any(value.n for value in report.win_rates):
        return "No new-business deal closed in the quarter to date"
    few = f"fewer than {fewest} closed deals"
    if not judged:
        return f"Every segment has {few}: too few to name one"
    worst = min(judged, key=lambda value: value.value or 0)
    name, rate = _segment(worst), numbers.percent(worst.value or 0)
    others = len(judged) < len(report.win_rates)
    if len(judged) == 1:
        rest = f"; every other segment has {few}, too few to judge" if others else ""
        return f"{name} wins {rate} (n={worst.n or 0}){rest}"
    best = max(judged, key=lambda value: value.value or 0)
    among = f"Of the segments with at least {fewest} closed deals, " if others else ""
    if best.value == worst.value:
        return f"{among or 'Of the segments, '}each wins {rate}"
    top = f"{_segment(best)} {numbers.percent(best.value or 0)} (n={best.n or 0})"
    return f"{among}{name} wins least, {rate} (n={worst.n or 0}); {top} most"


def _segment(value: KpiValue) -> str:
    return plain("".join(segment_name(cut, name) for cut, name in value.segment.items()) or "All", 40)


def pipeline_title(report: BoardReport) -> str:
    rows = open_stages(report)
    if not any(row.deals for row in rows):
        return "No deal is open"
    largest = max(rows, key=lambda row: row.amount)
    amount, deals = sum(row.amount for row in rows), sum(row.deals for row in rows)
    return (
        f"{numbers.money_short(amount, report.currency)} is open in {deals:,} deal{'s' if deals > 1 else ''},"
        f" the largest part in {plain(largest.label)} ({numbers.money_short(largest.amount, report.currency)})"
    )


def owners_sentence(report: BoardReport) -> str | None:
    """How the findings spread over owners, without a name: the board sees the altitude, not the person."""
    owners = report.quality.owners if report.quality else ()
    total = sum(owner.findings for owner in owners)
    if not total:
        return None
    most = max(owner.findings for owner in owners)
    return (
        f"The findings belong to {len(owners):,} owners; the one with most has"
        f" {most:,} of {total:,}. The operator's quality list names the records to mend."
    )


def movement(step: Movement, currency: str, exact: bool = False) -> str:
    """A signed amount: ``+$90K``, ``-$54K``, ``$0``."""
    return _signed(step.amount, currency, exact)


def _signed(amount: int, currency: str, exact: bool = False) -> str:
    text = numbers.money(amount, currency) if exact else numbers.money_short(amount, currency)
    return f"+{text}" if amount > 0 else text


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:] if not label[:2].isupper() else label
