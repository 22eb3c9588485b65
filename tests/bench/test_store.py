"""What the store costs, as ratios measured in one run, on both databases; printed by `make bench`.

Each way of writing works in a process of its own on tables of its own, in turns with the driver's own fastest way;
of each the best time counts. ``BOARDLINE_BENCH_DEALS`` sets the size (100,000; each deal has ten changes).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import orjson
import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from pipeline import asof
from pipeline.company import Company
from pipeline.states import deals_at, open_deals, open_over
from pipeline.store import Store
from pipeline.tables import SCHEMAS
from tests.bench.store_writing import NOW, STAGES, made
from tests.contract.fake_source import CAPABILITIES
from tests.databases import postgres_server
from tests.rows import frame

__all__ = ["postgres_server"]
pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

DEALS = int(os.environ.get("BOARDLINE_BENCH_DEALS", "100000"))
ROUNDS = 2
LIMIT = 2.0  # times the driver's own fastest way
ACME = Company(name="acme", timezone="America/New_York")
LIVES = frame(
    "stages",
    [
        {"pipeline": "default", "stage": name, "label": name, "sort_order": at, "active": True}
        | {"is_closed": name == "won", "is_won": name == "won"}
        for at, name in enumerate(STAGES)
    ],
)
NO_CHANGES = pl.DataFrame(schema=SCHEMAS["stage_changes"])
MOMENTS = [
    datetime(2023 + n // 12, n % 12 + 1, 1, 4, tzinfo=UTC) - timedelta(seconds=1) for n in range(6, 42)
]
T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives the address of a new store of that name."""
    if request.param == "sqlite":
        yield lambda name: f"sqlite:///{tmp_path / name}.db"
        return
    server: str = request.getfixturevalue("postgres_server")
    names: list[str] = []

    def create(name: str) -> str:
        names.append(name)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return server.replace("/postgres?", f"/{name}?")

    yield create
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def company() -> dict[str, pl.DataFrame]:
    """The deals with their changes."""
    return made(DEALS)


@pytest.fixture(scope="module")
def folder(company: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files."""
    place = tmp_path_factory.mktemp("company")
    for name, rows in company.items():
        rows.write_ipc(place / f"{name}.arrow")
    return place


def write(way: str, url: str, folder: Path) -> dict[str, float]:
    """What one way of writing took, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.store_writing", way, url, str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=1800)
    result: dict[str, float] = orjson.loads(done.stdout)
    return result


def timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def test_writing(fresh: Callable[[str], str], folder: Path) -> None:
    """Rows a second beside executemany of tuples or COPY of ready text, and the memory it takes."""
    best: dict[str, dict[str, float]] = {}
    for turn in range(ROUNDS):
        pages = fresh(f"pages_{turn}")
        places = {"driver": fresh(f"driver_{turn}"), "whole": fresh(f"whole_{turn}")}
        for way in ("driver", "whole", "pages", "again", "few"):
            found = write(way, places.get(way, pages), folder)
            if way not in best or found["seconds"] < best[way]["seconds"]:
                best[way] = found
    rows, least = best["driver"]["rows"], best["driver"]["seconds"]
    print(
        f"\n{rows:,.0f} rows, {pages.split(':')[0]}, {load()}; times of the driver's own; memory beyond the rows"
    )
    for way, found in best.items():
        seconds, memory = found["seconds"], found["peak"] - found["before"]
        print(
            f"  {way:8}{seconds:7.1f} s {rows / seconds:10,.0f} rows/s {seconds / least:6.2f} times"
            f"   peak {found['peak']:5.0f} MiB, {memory:4.0f} of it to write"
        )
    assert best["whole"]["changed"] == best["pages"]["changed"] == rows
    assert best["again"]["changed"] == 0
    assert best["few"]["changed"] == rows // 100
    for way in ("whole", "pages"):
        assert best[way]["seconds"] <= LIMIT * best["driver"]["seconds"], (
            f"{way} takes more than {LIMIT} times as long"
        )


def test_open_deals_of_36_months(company: dict[str, pl.DataFrame]) -> None:
    """The deals open at each month end, in one pass and in 36."""
    deals, changes = company["deals"], company["deal_changes"]

    def one_by_one() -> pl.DataFrame:
        each = [
            open_deals(deals_at(deals, changes, at, NOW), LIVES, ACME, at).with_columns(at=pl.lit(at))
            for at in MOMENTS
        ]
        return pl.concat(each)

    slow, separate = min((timed(one_by_one) for _ in range(ROUNDS)), key=lambda pair: pair[0])
    fast, at_once = min(
        (
            timed(lambda: open_over(deals, changes, LIVES, NO_CHANGES, ACME, MOMENTS, NOW))
            for _ in range(ROUNDS)
        ),
        key=lambda pair: pair[0],
    )
    print(
        f"\n{at_once.height:,} open deals at 36 moments: {fast:.1f} s at once, {slow:.1f} s one by one: "
        f"{slow / fast:.1f} times, {load()}"
    )
    columns = ["at", "external_id", "stage", "amount", "close_date"]
    assert_frame_equal(
        at_once.select(columns), separate.select(columns), check_row_order=False, check_dtypes=False
    )
    assert fast < slow


def states(deals: pl.DataFrame, changes: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    """The deals that were there at each moment, with their stage of then."""
    there = pl.col("created_at").is_null() | (pl.col("created_at") <= pl.col("at"))
    return asof.set_back(at.join(deals, how="cross").filter(there), changes, ("stage",))


def test_stages_of_36_months(company: dict[str, pl.DataFrame]) -> None:
    """Where every deal stood at each month end, in one pass and in 36."""
    deals, changes = company["deals"].select("external_id", "created_at", "stage"), company["deal_changes"]
    at = pl.DataFrame({"at": MOMENTS}, schema={"at": pl.Datetime("us", "UTC")})

    def one_by_one() -> pl.DataFrame:
        return pl.concat([states(deals, changes, one) for one in at.iter_slices(1)])

    slow, separate = timed(one_by_one)
    fast, at_once = min(
        (timed(lambda: states(deals, changes, at)) for _ in range(ROUNDS)),
        key=lambda pair: pair[0],
    )
    print(
        f"\n{at_once.height:,} stages at 36 moments: {fast:.1f} s at once, {slow:.1f} s one by one: "
        f"{slow / fast:.1f} times, {load()}"
    )
    assert_frame_equal(at_once, separate, check_row_order=False)
    assert fast < slow


def test_the_views(fresh: Callable[[str], str], company: dict[str, pl.DataFrame], folder: Path) -> None:
    """One day of ``deals_as_of`` and today's pipeline, as a BI tool asks for them."""
    url = fresh("views")
    write("whole", url, folder)
    days = [date(2025, 6, 30), date(2026, 6, 30), NOW.date()]
    calendar = pl.DataFrame(
        {
            "day": days,
            "ends_at": [datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, UTC) for day in days],
        }
    ).with_columns(pl.col("ends_at").cast(pl.Datetime("us", "UTC")))
    with Store.open(url) as store:
        with store.transaction() as tx:
            tx.save_source("acme", "fake", CAPABILITIES, "-", NOW)
            tx.upsert("stages", "acme", "fake", LIVES, NOW)
            tx.replace("calendar_days", "acme", calendar)
        print(f"\n{url.split(':')[0]}, {load()}")
        found: list[int] = []
        for query in (
            "SELECT * FROM deals_as_of WHERE company = 'acme' AND day = '2025-06-30'",
            "SELECT stage, count(*), sum(amount_minor) FROM deals_as_of "
            "WHERE company = 'acme' AND day = '2025-06-30' AND is_open GROUP BY stage",
            "SELECT * FROM pipeline_today WHERE company = 'acme'",
        ):
            with store.reading() as reader:
                connection = reader.connection
                seconds, rows = timed(lambda: connection.exec_driver_sql(query).fetchall())  # noqa: B023
            print(f"  {seconds:6.1f} s {len(rows):8,} rows  {query}")
            found.append(len(rows))
    then = datetime(2025, 7, 1, tzinfo=UTC)
    assert found[0] == company["deals"].filter(pl.col("created_at") < then).height
    assert found[2] == company["deals"].filter(pl.col("stage") != "won").height
