"""From the store to the board report: which numbers, over which months, with which records behind them.

Nothing is computed here: every number comes from ``metrics.compute`` and every sentence from ``metrics.wording``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import polars as pl

from metrics import caveats, compute, documentation, nrr_points, restatement, scope, snapshot, trust
from metrics.board import (
    BoardReport,
    Bridge,
    Definition,
    Evidence,
    LeftOut,
    Movement,
    NrrPoints,
    Point,
    ScoreRow,
    StageRow,
)
from metrics.diagnose import diagnose
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.kpi import Kpi, KpiValue
from metrics.left_out import left_out
from metrics.links import records
from metrics.period import shift
from metrics.playbook import Playbook, load
from metrics.render import wording
from metrics.render.numbers import month_name
from metrics.render.safe import record_url
from pipeline.company import Company
from pipeline.recorded import Recorded, recorded
from pipeline.records import Published, SourceInfo
from pipeline.store import Store

__all__ = ["BoardReport", "build_report"]

MONTHS: Final = 36  # of the trends
EVIDENCE_SHOWN: Final = 25
LEFT_OUT_SHOWN: Final = 50
_BOARD: Final = ("arr", "arr_growth_mom", "arr_growth_yoy", "nrr", "grr")  # always computed
_MOVEMENTS: Final = (
    ("arr_new_logo", "new_logo", "New logo", 1),
    ("arr_expansion_seat", "expansion_seat", "Seat expansion", 1),
    ("arr_expansion_module", "expansion_module", "Module expansion", 1),
    ("arr_expansion_other", "expansion_other", "Other expansion", 1),
    ("arr_reactivation", "reactivation", "Reactivation", 1),
    ("arr_contraction", "contraction", "Contraction", -1),
    ("arr_churn", "churn", "Churn", -1),
    ("fx", "fx", "Exchange rates", 1),
)
_CRM: Final = {"salesforce": "Salesforce", "hubspot": "HubSpot"}
_Values = Mapping[tuple[str, str], KpiValue]  # (KPI, month) -> value


def build_report(
    store: Store, company: Company, month: str, as_of: datetime, playbook: Playbook | None = None
) -> BoardReport:
    """The board report of a month as known at ``as_of`` (aware), from the store alone.

    ``playbook``: the company's own where not given. An empty or never synced CRM gives a report that says so.
    Raises ``ConfigurationError`` for a malformed month, one in the future, or a bad playbook.
    """
    book = playbook or load(company.playbook)
    months = [shift(month, back) for back in range(1 - MONTHS, 1)]
    with store.reading() as reader:
        facts = Facts.load(reader, company, months, as_of)
        info = reader.source_info(company.name)
        synced_at = reader.last_sync(company.name)
        published = reader.published(company.name)
        heard = None
        if published and info is not None:
            since = min(one.taken_at for one in published)
            heard = recorded(reader, company.name, info.source, since)
    return report_of(facts, month, book, info, synced_at, published, heard)


def report_of(
    facts: Facts,
    month: str,
    book: Playbook,
    info: SourceInfo | None = None,
    synced_at: datetime | None = None,
    published: Sequence[Published] = (),
    heard: Recorded | None = None,
) -> BoardReport:
    """The board report of the last of the facts' months; pure.

    ``published``: what boards were told before; ``heard``: what the store was told since.
    """
    report = BoardReport(
        company=facts.company.name,
        playbook=book.title,
        month=month,
        period=month,
        state_on=facts.calendar.day(month),
        known_at=facts.known_at,
        currency=facts.currency,
        crm=_CRM.get(info.source, info.source.title()) if info else "The CRM",
        records=_records(facts),
        timezone=facts.company.timezone,
        low_sample=facts.company.low_sample,
        synced_at=synced_at,
        quality=trust.quality(facts, month) if info and _records(facts) else None,
        caveats=caveats.of(facts, info, []),
    )
    if not report.empty:
        report = _filled(report, facts, book, info)
        report = replace(
            report,
            restatements=restatement.restatements(published, facts, info.links if info else {}, heard),
            frozen=snapshot.freeze(facts, month, Judge(book), book.name),
        )
    return replace(report, headline=_headline(report, info))


def _headline(report: BoardReport, info: SourceInfo | None) -> tuple[str, ...]:
    """The three sentences; a CRM that was read in part says so first, and is never called empty."""
    if info is None or not info.incomplete:
        return wording.headline(report)
    partly = f"{report.crm} has not been read to its end yet: every number counts only what was read so far."
    return (partly, *(() if report.empty else wording.headline(report)))


def _records(facts: Facts) -> int:
    return facts.live("accounts").height + facts.live("deals").height


def _filled(report: BoardReport, facts: Facts, book: Playbook, info: SourceInfo | None) -> BoardReport:
    known = compute.registered()
    judge = Judge(book)
    headline, role = scope.scorecard(facts, report.month, book)
    wanted = [*headline, *(name for name in _BOARD if name not in headline)]
    values = {(value.id, value.month): value for value in compute.compute(facts, wanted, judge=judge)}
    scorecard = tuple(_row(name, report.month, values, book, known[name]) for name in headline)
    links = info.links if info else {}
    uncounted = left_out(facts)
    defined = values["arr", report.month].value is not None
    of_month, of_year = _bridges(compute.bridge(facts), report.month) if defined else (None, None)
    return replace(
        report,
        scorecard=scorecard,
        growth_month=values["arr_growth_mom", report.month],
        growth_year=values["arr_growth_yoy", report.month],
        bridge_month=of_month,
        bridge_year=of_year,
        arr_trend=_begun(_series("arr", facts.months, values)),
        nrr_trend=_begun(_series("nrr", facts.months, values)),
        grr_trend=_begun(_series("grr", facts.months, values)),
        nrr_points=_nrr_points(facts, report.month) if values["nrr", report.month].value is not None else (),
        win_rates=_win_rates(facts, report.month, judge),
        pipeline=_pipeline(compute.pipeline_by_stage(facts)),
        left_out=_left_out(uncounted, links),
        left_out_total=uncounted.height,
        caveats=caveats.of(facts, info, [row.now for row in scorecard]),
        definitions=tuple(_definition(known[name].under(facts.company)) for name in wanted),
        evidence=tuple(_evidence(known[name], facts, report.month, links) for name in wanted),
        findings=diagnose(facts, report.month, book, links),
        role=role,
    )


def _row(name: str, month: str, values: _Values, book: Playbook, kpi: Kpi) -> ScoreRow:
    return ScoreRow(
        now=values[name, month],
        last_month=values.get((name, shift(month, -1))),
        year_ago=values.get((name, shift(month, -12))),
        series=_series(name, [shift(month, back) for back in range(-11, 1)], values),
        edges=book.edges(name),
        higher_is_better=kpi.higher_is_better,
    )


def _series(name: str, months: Sequence[str], values: _Values) -> tuple[Point, ...]:
    found = ((month, values.get((name, month))) for month in months)
    return tuple(Point(month, value.value if value else None) for month, value in found)


def _begun(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """From the first month on that has a value above nought: before it there was no business to speak of."""
    first = next((index for index, point in enumerate(points) if point.value), len(points))
    return points[first:]


def _bridges(table: pl.DataFrame, month: str) -> tuple[Bridge, Bridge]:
    """The month's bridge, and that of the twelve months which end with it (a chain, so it ties too)."""
    year = table.filter(pl.col("month") > shift(month, -12), pl.col("month") <= month).sort("month")
    name = month_name(month)
    return _bridge(name, year.filter(month=month)), _bridge(f"12 months to {name}", year)


def _bridge(label: str, rows: pl.DataFrame) -> Bridge:
    sums = rows.select(pl.col(column).sum() for _, column, _, _ in _MOVEMENTS).row(0, named=True)
    return Bridge(
        label=label,
        opening=rows["opening"][0],
        movements=tuple(
            Movement(name, title, sign * sums[column]) for name, column, title, sign in _MOVEMENTS
        ),
        closing=rows["closing"][-1],
        escalator=int(rows["escalator"].sum()),
    )


def _nrr_points(facts: Facts, month: str) -> tuple[NrrPoints, ...]:
    """What made NRR: of all customers, then by size; none for a way of it that has no points."""
    settings = facts.company.retention
    if settings.nrr not in nrr_points.WAYS:
        return ()
    frames = [
        nrr_points.points(facts, settings.nrr, settings.window, cut)
        .filter(pl.col("month") == month)
        .select("segment", "n", *nrr_points.tenths())
        .collect()
        for cut in (None, "size")
    ]
    return tuple(
        NrrPoints(row["segment"], row["n"], tuple((part, row[part]) for part in nrr_points.PARTS))
        for frame in frames
        for row in frame.iter_rows(named=True)
    )


def _win_rates(facts: Facts, month: str, judge: Judge) -> tuple[KpiValue, ...]:
    """By size segment, the largest sample first; the bucket ``unknown`` is always among them."""
    values = compute.compute(facts, ["win_rate"], ("size",), judge=judge)
    rates = [value for value in values if value.month == month]
    return tuple(sorted(rates, key=lambda value: (-(value.n or 0), *value.segment.values())))


def _pipeline(table: pl.DataFrame) -> tuple[StageRow, ...]:
    """Stages in the order of the process; the pipeline is named where there are several."""
    several = table["pipeline"].n_unique() > 1
    return tuple(
        StageRow(
            stage=row["stage"] or "",
            label=f"{row['label']} ({row['pipeline']})" if several and row["pipeline"] else row["label"],
            deals=row["deals"],
            amount=row["amount"],
            open=None if row["outcome"] is None else row["outcome"] == "open",
            unconverted=row["unconverted"],
        )
        for row in table.iter_rows(named=True)
    )


def _left_out(table: pl.DataFrame, links: Mapping[str, str]) -> tuple[LeftOut, ...]:
    """The largest first: what is missing most."""
    largest = table.sort(pl.col("value").abs(), "external_id", descending=[True, False], nulls_last=True)
    return tuple(
        LeftOut(
            external_id=row["external_id"],
            name=row["name"] or "",
            reason=f"{row['reason']}; not in {row['kpis']}",
            url=record_url(links.get(row["object"]), row["external_id"]),
        )
        for row in largest.head(LEFT_OUT_SHOWN).iter_rows(named=True)
    )


def _definition(kpi: Kpi) -> Definition:
    """The documentation of the KPI's module."""
    told = documentation.of(kpi.id)
    return Definition(kpi.id, kpi.title, kpi.definition, told.text, told.elsewhere)


def _evidence(kpi: Kpi, facts: Facts, month: str, links: Mapping[str, str]) -> Evidence:
    frame = compute.evidence(facts, kpi, month)
    return Evidence(
        kpi=kpi.id,
        title=kpi.title,
        total=frame.height,
        unit=kpi.parts[0] or kpi.unit,
        records=records(frame, links, EVIDENCE_SHOWN),
    )
