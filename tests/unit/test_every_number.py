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
    tables = with_odd_deals(frames(world, clock), truth)
    tables["quotas"] = tables["quotas"].filter(pl.col("start_date") < PLANNED_IN_A_FILE)
    given = files(truth, Segments(truth), MONTHS)
    ids = {account.key: str(account.key) for account in truth.live("account")}
    company = Company(
        name="generated", timezone=world.timezone, inputs=Inputs.model_validate(write(folder, given, ids))
    )
    return Both(Facts(company, months, truth.known_at, tables), months, numbers(truth, given))


def odd_deals(truth: Truth) -> dict[str, dict[int, str | None]]:
    """What the generator never writes: deals unlike their account, unlike their source, and beyond every map."""
    deals = sorted(deal.key for deal in truth.live("deal"))
    motions, sources = ("partner", "Self-Serve", "events", "n/a"), ("Webinar", "Referral", None, " cold call")
    sizes = ("Enterprise", "SMB", "Government", "tbd")
    return {
        "segment": {key: sizes[n % 4] for n, key in enumerate(deals[::5])},
        "motion": {key: motions[n % 4] for n, key in enumerate(deals[1::6])},
        "lead_source": {key: sources[n % 4] for n, key in enumerate(deals[2::7])},
    }


def with_odd_deals(tables: dict[str, pl.DataFrame], truth: Truth) -> dict[str, pl.DataFrame]:
    """Writes them into both."""
    deals = tables["deals"]
    for field, found in odd_deals(truth).items():
        for key, text in found.items():
            truth.records["deal"][key].values[field] = text
        rows = {"external_id": [str(key) for key in found], "_odd": [*found.values()]}
        odd = pl.DataFrame(rows, schema={"external_id": pl.String, "_odd": pl.String})
        there = pl.col("external_id").is_in(odd["external_id"].implode())
        joined = deals.join(odd, on="external_id", how="left", maintain_order="left")
        deals = joined.with_columns(pl.when(there).then("_odd").otherwise(field).alias(field)).drop("_odd")
    return {**tables, "deals": deals}


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
