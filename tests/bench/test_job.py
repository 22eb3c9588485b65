"""What the job costs, as ratios measured in one run; printed by `make bench`. Results are asserted, never a time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import orjson
import pytest

from connectors.schema import TABLES
from metrics.compute import compute
from metrics.facts import Facts
from metrics.kpi import KpiValue
from pipeline.load import LoadCounts
from pipeline.sync import sync_company
from scheduler.app import App
from tests.e2e.process import NOW, site

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1200)]

MONTHS = tuple(f"{2023 + n // 12}-{n % 12 + 1:02d}" for n in range(6, 42))  # 36 months up to June 2026
ROUNDS = 2  # each side is measured so often, in turns; its best time counts
T = TypeVar("T")

_BUILD = """
import json, resource, sys, time
from datetime import date
from pathlib import Path
from connectors.simulator.company import Company, Parameters
from connectors.simulator.salesforce import SalesforceOrg

deals = int(sys.argv[1])
company = Company(Parameters("hr_tech", date(2026, 7, 1), accounts=deals // 10, deals=deals))
begun = time.perf_counter()
born = sum(
    life.kind == "deal" and life.events[0].at <= company.as_of
    and not any(event.op == "purge" and event.at <= company.as_of for event in life.events)
    for life in company.lives()
)
generated = time.perf_counter()
org = SalesforceOrg(company, now=company.as_of, directory=Path(sys.argv[2]))
loaded = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
import sqlite3
with sqlite3.connect(Path(sys.argv[2]) / "salesforce.db") as file:
    served = file.execute('SELECT count(*) FROM "Opportunity"').fetchone()[0]
org.close()
print(json.dumps({"born": born, "served": served, "peak": peak,
                  "generate": generated - begun, "both": loaded - generated}))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The default generated company, served as Salesforce, with an empty store on SQLite."""
    folder = tmp_path_factory.mktemp("bench")
    with site("salesforce", folder, accounts=300, deals=3000, months=36) as place:
        yield App.load(place.config)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def named(value: KpiValue) -> tuple[str, str]:
    return value.id, value.month


def fetch(app: App) -> dict[str, int]:
    """Read every stream and keep nothing but the number of records in it."""
    source = app.open_source(app.companies()[0])
    source.capabilities()
    rows = {}
    for stream in source.streams():
        rows[stream.name] = sum(
            frame.height
            for page in source.read(stream, None)
            for table, frame in page.frames.items()
            if table == stream.tables[0] or table != "deal_changes"
        )
    source.close()
    return rows


def sync(app: App) -> dict[str, LoadCounts]:
    """A full pass into the store."""
    company = app.companies()[0]
    source = app.open_source(company)
    summary = sync_company(app.store, source, company, full=True)
    source.close()
    assert summary.error is None, summary.error
    return {run.stream: run.counts for run in summary.runs}


def test_sync_beside_fetching_alone(app: App) -> None:
    fetched, alone = timed(lambda: fetch(app))
    synced, loaded = timed(lambda: sync(app))
    again, unchanged = timed(lambda: sync(app))
    fetched = min(fetched, timed(lambda: fetch(app))[0])
    rows = sum(alone.values())
    print(
        f"\nsync of {rows:,} rows into an empty store {synced:.1f} s, into a full one {again:.1f} s, fetching alone "
        f"{fetched:.1f} s: {synced / fetched:.2f} and {again / fetched:.2f} times as long"
    )
    assert {stream: counts.rows for stream, counts in loaded.items()} == alone
    assert {stream: counts.rows for stream, counts in unchanged.items()} == alone
    assert sum(counts.changed for counts in unchanged.values()) == 0
    assert app.store.frame(app.companies()[0].name, "deals").height == alone["deals"]


def test_all_months_in_one_pass_beside_one_pass_each(app: App) -> None:
    company = app.companies()[0]
    if app.store.source_info(company.name) is None:
        sync(app)
    info = app.store.source_info(company.name)
    frames = {table: app.store.frame(company.name, table) for table in TABLES}

    def values(*months: str) -> list[KpiValue]:
        return compute(Facts(company, months, NOW, frames, info))

    def one_by_one() -> list[KpiValue]:
        return [value for month in MONTHS for value in values(month)]

    together, singly = float("inf"), float("inf")
    for _ in range(ROUNDS):
        seconds, at_once = timed(lambda: values(*MONTHS))
        together = min(together, seconds)
        seconds, each = timed(one_by_one)
        singly = min(singly, seconds)
    print(
        f"\nall KPIs over {len(MONTHS)} months {together:.2f} s in one pass, {singly:.2f} s in {len(MONTHS)} passes: "
        f"{singly / together:.1f} times as long"
    )
    assert sorted(at_once, key=named) == sorted(each, key=named)
    assert len(at_once) >= len(MONTHS) * 15


def test_a_hundred_thousand_deals_are_made_and_served(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, "100000", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1100,
    )
    found = orjson.loads(done.stdout)
    print(
        f"\n{found['served']:,} deals in a simulated Salesforce: {found['both']:.0f} s to make and load, "
        f"{found['both'] / found['generate']:.2f} times making them alone; peak memory {found['peak']:.0f} MiB"
    )
    assert found["served"] == found["born"]
    assert found["served"] == pytest.approx(100_000, rel=0.1)
