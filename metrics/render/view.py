"""The board report with every number written out: what the three forms share, before any markup.

All texts are plain; those that come from the CRM went through ``safe.plain``. Each form escapes on top of that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from metrics.board import BoardReport, Bridge, Point, ScoreRow, StageRow
from metrics.kpi import KpiValue, Status, Unit
from metrics.render import numbers, wording
from metrics.render.safe import plain

NONE = "–"  # a month that was not asked for; never a number
PIPELINE = "Pipeline and coverage"
EXCHANGE = (
    "Changes beside ARR include exchange rates; ARR growth, the bridge's other lines, NRR and GRR do not."
)
ESCALATOR = "of it contracted before (escalator)"  # a part of the line above it, no step of its own
_SERIES = 13
_UNDEFINED = "not computable"


@dataclass(frozen=True)
class Score:
    """One scorecard line; ``now`` null: read ``undefined`` instead."""

    id: str
    title: str
    period: str
    n: str | None
    now: str | None
    undefined: str
    last_month: str
    month_change: str | None
    year_ago: str
    year_change: str | None
    target: str
    status: Status
    verdict: str  # the status in words
    notes: tuple[int, ...]

    @property
    def marks(self) -> str | None:
        """``notes 1, 2``: which of the notes under the scorecard speak of this line."""
        words = "notes" if len(self.notes) > 1 else "note"
        return f"{words} {', '.join(map(str, self.notes))}" if self.notes else None


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first column names the row."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str | None = None


def local(report: BoardReport, moment: datetime) -> str:
    """An instant in the company's time zone."""
    return numbers.instant(moment.astimezone(ZoneInfo(report.timezone)))


def scores(report: BoardReport) -> tuple[Score, ...]:
    notes = score_notes(report)
    return tuple(_score(row, report.currency, notes) for row in report.scorecard)


def score_notes(report: BoardReport) -> tuple[str, ...]:
    """Why numbers of the scorecard are marked, each reason once, in the order in which they first occur."""
    reasons = (reason for row in report.scorecard for reason in _reasons(row.now))
    general = (EXCHANGE,) if report.exchange_moved and report.score("arr") else ()
    return (*dict.fromkeys(reasons), *general)


def _reasons(value: KpiValue) -> tuple[str, ...]:
    """An undefined number prints its reason in its own place."""
    return () if value.value is None else tuple(plain(reason, 300) for reason in value.reasons)


def _score(row: ScoreRow, currency: str, notes: tuple[str, ...]) -> Score:
    now = row.now
    return Score(
        id=now.id,
        title=now.title,
        period=_period(now.period),
        n=f"n={now.n:,}" if now.n is not None else None,
        now=numbers.value_text(now, row.edges),
        undefined=plain(numbers.undefined_text(now), 400),
        last_month=_earlier(row.last_month, row),
        month_change=_change(now, row.last_month, currency),
        year_ago=_earlier(row.year_ago, row),
        year_change=_change(now, row.year_ago, currency),
        target=now.target or "none given",
        status=now.status,
        verdict=wording.status(row),
        notes=tuple(notes.index(reason) + 1 for reason in _reasons(now)),
    )


def _earlier(value: KpiValue | None, row: ScoreRow) -> str:
    if value is None:
        return NONE
    return numbers.value_text(value, row.edges) or _UNDEFINED


def _change(now: KpiValue, before: KpiValue | None, currency: str) -> str | None:
    return numbers.change(now.value, before.value, now.unit, currency) if before else None


def _period(period: str) -> str:
    """``2026-05`` -> May 2026, ``2025-06..2026-05`` -> 12 months to May 2026; others stand as they are."""
    first, dots, last = period.partition("..")
    if dots:
        return (
            f"12 months to {numbers.month_name(last)}"
            if last.count("-") == 1 and last[-2:].isdigit()
            else period
        )
    return numbers.month_name(first) if len(first) == 7 and first[5:].isdigit() else first


def bridges(report: BoardReport) -> tuple[tuple[Bridge, Table], ...]:
    """The month's bridge and the year's, each with its table; one without any ARR has nothing to show."""
    return tuple(
        (bridge, _bridge(bridge, report.currency))
        for bridge in (report.bridge_month, report.bridge_year)
        if bridge is not None
        and any((bridge.opening, bridge.closing, *(step.amount for step in bridge.movements)))
    )


def _bridge(bridge: Bridge, currency: str) -> Table:
    rows = [("Opening ARR", numbers.money(bridge.opening, currency))]
    for step in bridge.movements:
        rows.append((step.label, wording.movement(step, currency, exact=True)))
        if step.id == "arr_expansion_other" and bridge.escalator:
            rows.append((ESCALATOR, numbers.money(bridge.escalator, currency)))
    rows.append(("Closing ARR", numbers.money(bridge.closing, currency)))
    return Table(
        title=wording.bridge_title(bridge, currency),
        caption=f"ARR bridge, {bridge.label}; it ties to the cent",
        columns=("Step", "ARR"),
        rows=tuple(rows),
    )


def trend(report: BoardReport) -> Table | None:
    if not any(point.value is not None for point in report.arr_trend):
        return None
    return Table(
        title=wording.trend_title(report),
        caption="ARR at each month's end",
        columns=("Month", "ARR"),
        rows=tuple(
            (numbers.month_name(point.month), _point(point, "currency", report.currency))
            for point in report.arr_trend
        ),
    )


def retention(report: BoardReport) -> Table | None:
    both = (*report.nrr_trend, *report.grr_trend)
    if not any(point.value is not None for point in both):
        return None
    nrr = {point.month: point for point in report.nrr_trend}
    grr = {point.month: point for point in report.grr_trend}
    return Table(
        title=wording.retention_title(report),
        caption="Net and gross revenue retention over the twelve months that end with each month",
        columns=("Month", "NRR", "GRR"),
        rows=tuple(
            (
                numbers.month_name(month),
                _point(nrr.get(month), "ratio", report.currency),
                _point(grr.get(month), "ratio", report.currency),
            )
            for month in sorted({point.month for point in both})
        ),
    )


def points(report: BoardReport) -> Table | None:
    """What made NRR, in points; each line adds up to NRR less 100."""
    if not report.nrr_points:
        return None
    names = [name.capitalize() for name, _ in report.nrr_points[0].parts]
    return Table(
        title=wording.points_title(report),
        caption=f"Points that make NRR of {numbers.month_name(report.month)}, by size; they add up to NRR less 100."
        " They are the movements of every month: who left and came back is in churn and in reactivation, but not among"
        " the lost where a year ago is compared with now",
        columns=("Customers", *names, "Sum"),
        rows=tuple(
            (
                f"{plain(row.segment, 40) if row.segment else 'All'} (n={row.customers:,})",
                *(wording.points(tenths) for _, tenths in row.parts),
                wording.points(row.total),
            )
            for row in report.nrr_points
        ),
    )


def _point(point: Point | None, unit: Unit, currency: str) -> str:
    if point is None:
        return NONE
    return (
        _UNDEFINED
        if point.value is None
        else numbers.quantity(point.value, unit, currency, (1.0,), exact=unit == "currency")
    )


def wins(report: BoardReport) -> Table | None:
    if not report.win_rates:
        return None
    low = any(value.status == "low_sample" for value in report.win_rates)
    by = next((cut for value in report.win_rates for cut in value.segment), "segment")
    return Table(
        title=wording.win_title(report),
        caption=f"Win rate of new business by {by}, deals closed in the quarter to date",
        columns=(by.capitalize(), "Win rate", "Won", "Closed", "Status"),
        rows=tuple(
            (
                plain(next(iter(value.segment.values()), "All"), 40),
                numbers.value_text(value) or _UNDEFINED,
                _count(value.numerator),
                _count(value.denominator if value.denominator is not None else value.n),
                wording.STATUS[value.status],
            )
            for value in report.win_rates
        ),
        note="Faint bars stand on few deals." if low else None,
    )


def _count(value: float | None) -> str:
    return NONE if value is None else numbers.quantity(value, "count", "")


def stages(report: BoardReport) -> Table | None:
    if not report.pipeline:
        return None
    total = (sum(row.deals for row in report.pipeline), sum(row.amount for row in report.pipeline))
    rows = [
        (stage_label(row), f"{row.deals:,}", numbers.money(row.amount, report.currency))
        for row in report.pipeline
    ]
    rows.append(("All deals", f"{total[0]:,}", numbers.money(total[1], report.currency)))
    return Table(
        title=wording.pipeline_title(report),
        caption=f"All deals by stage, open and closed, as known at {local(report, report.known_at)}",
        columns=("Stage", "Deals", "Amount"),
        rows=tuple(rows),
    )


def stage_label(row: StageRow) -> str:
    missing = f" ({row.unconverted:,} without an exchange rate not in the amount)" if row.unconverted else ""
    return plain(row.label, 80) + missing


def coverage(report: BoardReport) -> str | None:
    """One sentence on coverage; None where the playbook's scorecard has no such line."""
    row = next((row for row in report.scorecard if row.now.id == "pipeline_coverage"), None)
    if row is None:
        return None
    return f"Pipeline coverage of {row.now.period} is {plain(wording.judged(row), 400)}."


def _latest(table: Table) -> Table:
    """At most thirteen months: a year and the month it is compared with. The page's charts show all."""
    if table.columns[0] != "Month" or len(table.rows) <= _SERIES:
        return table
    return replace(
        table,
        rows=table.rows[-_SERIES:],
        caption=f"{table.caption}, last {_SERIES} of {len(table.rows)} months",
    )


def sections(report: BoardReport) -> tuple[tuple[str, tuple[Table, ...]], ...]:
    """The chapters between scorecard and data confidence, in their fixed order; those without content are left out."""
    chapters = (
        ("ARR bridge", tuple(table for _, table in bridges(report))),
        ("Growth and retention", (trend(report), retention(report), points(report))),
        (PIPELINE, (stages(report),)),
        ("Win rate by segment", (wins(report),)),
    )
    kept = (
        (name, tuple(_latest(table) for table in tables if table is not None)) for name, tables in chapters
    )
    return tuple((name, tables) for name, tables in kept if tables or (name == PIPELINE and coverage(report)))
