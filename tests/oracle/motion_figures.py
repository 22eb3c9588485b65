"""The KPIs of the sales motion from its deals (section 3, rulings 20 to 23 and 25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from statistics import median

from tests.oracle.motion import Motion, Row
from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.record import Truth
from tests.oracle.segments import DEAL_CUTS, Segments

# (first day of a quarter, cut, segment, stage) -> days that a deal should spend in it
StageTargets = Mapping[tuple[date, str | None, str | None, str], int]


def numbers(motion: Motion, of: Segments, targets: StageTargets) -> dict[str, Number]:
    """All of them by id."""
    ways: dict[str, tuple[Callable[[str], list[Row]], Callable[[Cell], Figure]]] = {
        "win_rate_cohort": (motion.created, _cohort),
        "cycle_days_median": (motion.closed, _median_cycle),
        "cycle_days_weighted": (motion.won_in_a_year, _weighted_cycle),
        "sales_velocity": (lambda month: motion.entering(month) + motion.closed(month), _velocity),
        "stage_days": (motion.passages, lambda cell: _bottleneck(cell, motion.truth, motion.used, targets)),
        "poc_days": (motion.pilots, _pilot_days),
        "poc_conversion": (motion.pilots, _conversion),
    }
    return {
        kpi: Number(
            rows,
            lambda cut, row: of.deal(cut, row.deal.record),
            figure,
            DEAL_CUTS,
            adding=(None, "size", "motion") if kpi == "sales_velocity" else None,
        )
        for kpi, (rows, figure) in ways.items()
    }


def _cohort(cell: Cell) -> Figure:
    return ratio(sum(row.what == "won" for row in cell.rows), len(cell.rows), len(cell.rows))


def _median_cycle(cell: Cell) -> Figure:
    days = [row.days for row in cell.rows if row.what == "won" and row.days is not None]
    return Figure(median(days) if days else None, n=len(days))


def _weighted_cycle(cell: Cell) -> Figure:
    counted = [row for row in cell.rows if row.days is not None and row.deal.weight]
    top = sum(row.days * row.deal.weight for row in counted)
    return ratio(top, sum(row.deal.weight for row in counted), len(counted))


def _velocity(cell: Cell) -> Figure:
    """Ruling 23: the sum of the cells of size and motion that have everything, inside the segment."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in cell.rows:
        cells.setdefault((row.deal.size, row.deal.motion), []).append(row)
    speeds, counted = [], 0
    for rows in cells.values():
        closed = [row for row in rows if row.what != "entered"]
        won = [row for row in closed if row.what == "won"]
        values = [row.deal.arr for row in won if row.deal.arr]
        days = [row.days for row in won if row.days is not None]
        if values and days and median(days) > 0:
            size, rate = Fraction(sum(values), len(values)), Fraction(len(won), len(closed))
            speeds.append((len(rows) - len(closed)) * size * rate / Fraction(median(days)))
            counted += len(closed)
    return Figure(sum(speeds, Fraction(0)) if speeds else None, n=counted)


def _pilot_days(cell: Cell) -> Figure:
    days = [row.days for row in cell.rows if row.days is not None]
    return Figure(median(days) if days else None, n=len(days))


def _conversion(cell: Cell) -> Figure:
    converted = sum(row.what == "converted" for row in cell.rows)
    decided = sum(row.what != "running" for row in cell.rows)
    return ratio(converted, decided, decided)


def _bottleneck(cell: Cell, truth: Truth, used: Mapping[str, int], targets: StageTargets) -> Figure:
    """The slowest stage of five deals or more: against its target where one of them has one."""
    fewest = truth.ways["sales.stage_deals"]
    days: dict[str, list[int]] = {stage: [] for stage in sorted(used, key=lambda name: used[name])}
    for row in cell.rows:
        days[row.what].append(row.days)
    medians = {stage: median(each) for stage, each in days.items() if len(each) >= fewest}
    first = truth.quarter(cell.month)
    given = {
        stage: targets[first, cell.cut, cell.segment, stage]
        for stage in medians
        if (first, cell.cut, cell.segment, stage) in targets
    }
    slow = {stage: Fraction(medians[stage]) / given[stage] for stage in given} or medians
    if not slow:
        return Figure(None, n=0)
    worst = max(slow, key=lambda stage: slow[stage])
    return Figure(medians[worst], n=len(days[worst]))
