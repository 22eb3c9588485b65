"""The sales motion of generated companies against the second computation, stage by stage and pilot by pilot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from statistics import median

import polars as pl
import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import outcomes, pilots, stage_table, stays, velocity
from metrics.compute import compute
from metrics.facts import Facts
from metrics.period import months_between
from pipeline.company import Company
from tests.oracle.motion import Motion
from tests.oracle.record import Truth
from tests.unit.generated import frames

VERTICALS = ("supply_chain", "hr_tech", "dev_tools")
MONTHS = months_between("2024-01", "2026-06")
KPIS = (
    "win_rate_cohort", "cycle_days_median", "cycle_days_weighted", "sales_velocity", "stage_days", "poc_days",
    "poc_conversion",
)  # fmt: skip


@cache
def both(vertical: str) -> tuple[Facts, Motion]:
    """Thirty months of a generated company, seen from its present, by us and by the oracle."""
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    facts = Facts(Company(name="generated", timezone=world.timezone), MONTHS, now, frames(world, world.as_of))
    return facts, Motion(Truth(world, now))


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_days_of_every_deal_in_every_stage(vertical: str) -> None:
    facts, motion = both(vertical)
    rows = facts.once(stays.passages).group_by("month", "stage").agg(pl.col("days").sort())
    got = {(month, stage): days for month, stage, days in rows.iter_rows()}
    wanted = {
        (month, stage): sorted(days)
        for month in MONTHS
        for stage, days in motion.stage_days(month).items()
        if days
    }
    assert got == wanted
    assert any(len(set(days)) > 20 for days in wanted.values())


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_stages_side_by_side(vertical: str) -> None:
    facts, motion = both(vertical)
    table = stage_table.table(facts)
    for month in (MONTHS[-1], MONTHS[-8]):
        for row in table.filter(month=month).iter_rows(named=True):
            days = motion.stage_days(month)[row["stage"]]
            went = motion.went_on(month, row["stage"])
            assert (row["n"], row["median_days"]) == (len(days), median(days))
            assert (row["went_on"], row["left"]) == went
            assert (row["skips"], row["back_moves"]) == motion.moves(month, row["stage"])
            assert row["conversion"] == (went[0] / went[1] if went[1] else None)
            assert (row["older"], row["older_value"]) == motion.older(month, row["stage"])
    assert (table["skips"] > 0).any()
    assert (table["back_moves"] > 0).any()
    assert (table["older_value"] > 0).any()


@pytest.mark.parametrize("vertical", VERTICALS)
def test_stale_deals_and_the_rate_they_would_make(vertical: str) -> None:
    facts, motion = both(vertical)
    for row in outcomes.adjusted(facts, None).collect().iter_rows(named=True):
        assert row["stale"] == motion.stale(row["month"])
        if row["stale"]:
            assert row["adjusted"] == row["won"] / (row["decided"] + row["stale"])
    by_size = outcomes.adjusted(facts, "size").group_by("month").agg(pl.col("stale").sum()).collect()
    whole = outcomes.adjusted(facts, None).select("month", pl.col("stale").fill_null(0)).collect()
    assert dict(by_size.iter_rows()) == dict(whole.iter_rows())


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_levers_add_up_to_the_change(vertical: str) -> None:
    facts, _ = both(vertical)
    values = {value.month: value.value for value in compute(facts, ["sales_velocity"])}
    seen = 0
    for now, before in zip(MONTHS[3:], MONTHS, strict=False):
        after, was = values[now], values[before]
        if after is None or was is None:
            continue
        table = velocity.levers(facts, now, before)
        assert table["lever"].to_list() == [*velocity.LEVERS, "cells"]
        assert table["change"].sum() == pytest.approx(after - was, abs=1), "both are rounded"
        assert table["share"].sum() == pytest.approx(1)
        seen += 1
    assert seen > 5


@pytest.mark.parametrize("vertical", VERTICALS)
def test_parts_of_a_cut_make_the_whole(vertical: str) -> None:
    facts, _ = both(vertical)
    whole = {(value.id, value.month): value for value in compute(facts, KPIS)}
    for cut in ("size", "motion"):
        parts: dict[tuple[str, str], float] = {}
        counts: dict[tuple[str, str], int] = {}
        for value in compute(facts, KPIS, cuts=(cut,)):
            key = (value.id, value.month)
            counted = value.value if value.id == "sales_velocity" else value.numerator
            parts[key] = parts.get(key, 0) + (counted or 0)
            counts[key] = counts.get(key, 0) + (value.n or 0)
        for month in MONTHS:
            for kpi in ("sales_velocity", "win_rate_cohort", "poc_conversion", "cycle_days_weighted"):
                value = whole[kpi, month]
                total = value.value if kpi == "sales_velocity" else value.numerator
                assert parts[kpi, month] == pytest.approx(total or 0, rel=1e-9), (kpi, month, cut)
            for kpi in ("cycle_days_median", "poc_days", "win_rate_cohort"):
                assert counts[kpi, month] == whole[kpi, month].n


@pytest.mark.parametrize("vertical", VERTICALS)
def test_running_pilots_are_aged(vertical: str) -> None:
    facts, motion = both(vertical)
    table = pilots.table(facts).collect()
    for row in table.iter_rows(named=True):
        ages = motion.running(row["month"])
        assert row["open"] == len(ages)
        assert row["open_days"] == (median(ages) if ages else None)
        assert row["open_beyond"] == sum(age > 30 for age in ages)
    assert (table["open_beyond"] > 0).any()
