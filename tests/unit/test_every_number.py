"""Every KPI, cut, segment and month of generated companies of all verticals, against the second computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics.compute import compute, registered
from metrics.facts import Facts
from metrics.period import months_between
from pipeline.company import Company, Inputs
from tests.equal_numbers import compared
from tests.input_files import files, write
from tests.oracle.kpis import numbers
from tests.oracle.number import Number
from tests.oracle.record import Truth
from tests.oracle.segments import CUTS, Segments
from tests.unit.generated import frames
from tests.unit.odd_records import with_odd_records

VERTICALS = ("supply_chain", "hr_tech", "dev_tools")
MONTHS = months_between("2024-01", "2026-06")
PLANNED_IN_A_FILE = date(2025, 7, 1)  # from this quarter on the CRM holds no quotas any more


# One day in the middle of a quarter for each: before day 21, after it, and between D and a quarter's last day.
EARLIER = {
    "supply_chain": datetime(2026, 4, 10, 15, tzinfo=UTC),
    "hr_tech": datetime(2026, 5, 20, 15, tzinfo=UTC),
    "dev_tools": datetime(2026, 3, 1, 3, tzinfo=UTC),  # the evening of 28 February in New York
}


@dataclass
class Both:
    """Some months of one company, seen from a moment, by us and by the second computation."""

    facts: Facts
    months: tuple[str, ...]
    second: Mapping[str, Number]


def both_ways(vertical: str, folder: Path, months: tuple[str, ...], now: datetime | None = None) -> Both:
    """``now`` None: the end of the company's history."""
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    clock = world.as_of if now is None else int(now.timestamp())
    truth = Truth(world, datetime.fromtimestamp(clock, UTC))
    truth.records["quota"] = {
        key: quota
        for key, quota in truth.records["quota"].items()
        if date.fromisoformat(quota["start_date"]) < PLANNED_IN_A_FILE
    }
    tables = with_odd_records(frames(world, clock), truth)
    tables["quotas"] = tables["quotas"].filter(pl.col("start_date") < PLANNED_IN_A_FILE)
    given = files(truth, Segments(truth), MONTHS)
    ids = {account.key: str(account.key) for account in truth.live("account")}
    company = Company(
        name="generated", timezone=world.timezone, inputs=Inputs.model_validate(write(folder, given, ids))
    )
    return Both(Facts(company, months, truth.known_at, tables), months, numbers(truth, given))


@pytest.fixture(scope="module", params=VERTICALS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both_ways(request.param, tmp_path_factory.mktemp(request.param), tuple(MONTHS))


def test_no_number_and_no_cut_is_left_out(both: Both) -> None:
    ours = {(kpi.id, cut) for kpi in registered().values() for cut in (None, *kpi.cuts)}
    assert {(kpi, cut) for kpi, number in both.second.items() for cut in (None, *number.cuts)} == ours
    assert {cut for _, cut in ours} == {None, *CUTS}


@pytest.mark.parametrize("cut", [None, *CUTS])
def test_every_number(both: Both, cut: str | None) -> None:
    done = compared(compute(both.facts, cuts=(cut,)), both.second, both.months, cut)
    assert done.wrong == []
    assert done.silent == set(), "a number that is never there proves nothing"


@pytest.mark.parametrize("vertical", VERTICALS)
def test_one_month_alone_in_the_middle_of_its_quarter(vertical: str, tmp_path: Path) -> None:
    now = EARLIER[vertical]
    month = f"{now.astimezone(ZoneInfo('America/New_York')):%Y-%m}"
    both = both_ways(vertical, tmp_path, (month,), now)
    wrong = []
    for cut in (None, *CUTS):
        done = compared(compute(both.facts, cuts=(cut,)), both.second, both.months, cut)
        wrong += done.wrong
    assert wrong == []
