"""Syncing through the installed command against a served company: repeatable, incremental, crash-proof."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.schema import TABLES
from tests.e2e import launch
from tests.e2e.process import Site, boardline, clean_environment, site, start
from tests.e2e.tables import differences, rows, snapshot

LATER = datetime(2026, 8, 1, 4, 0, tzinfo=UTC)


KILLS = 22
ONE_IN_THE_GATE = pytest.mark.parametrize(
    "served", ["salesforce", pytest.param("hubspot", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=["salesforce", "hubspot"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path / "site") as place:
        yield place


def test_a_second_sync_changes_nothing(served: Site) -> None:
    first = served.run("sync", "--once", "--json")
    assert first.status == 0, first.err
    assert sum(run["changed"] for run in first.json()["runs"]) > 1000
    before = snapshot(served.folder / "boardline.db")

    second = served.run("sync", "--once", "--json")

    assert second.status == 0, second.err
    assert [run for run in second.json()["runs"] if run["changed"] or run["deleted"]] == []
    assert snapshot(served.folder / "boardline.db") == before


def test_after_a_month_only_what_changed_is_fetched_and_the_store_equals_a_fresh_one(served: Site) -> None:
    first = served.run("sync", "--once", "--json")
    assert first.status == 0, first.err
    served.simulator.advance(LATER)

    increment = served.run("sync", "--once", "--json")
    assert increment.status == 0, increment.err
    fresh_folder = served.folder.parent / "fresh"
    fresh = boardline("sync", "-c", served.configure(fresh_folder), "--once", "--json")
    assert fresh.status == 0, fresh.err

    fetched = {run["stream"]: run["rows"] for run in increment.json()["runs"]}
    everything = {run["stream"]: run["rows"] for run in fresh.json()["runs"]}
    for stream in ("accounts", "contacts", "deals"):
        assert fetched[stream] < 0.6 * everything[stream], (stream, fetched, everything)
    assert fetched["deals"] > 0
    incremental = served.folder / "boardline.db"
    forgotten = forget_what_a_fresh_sync_cannot_see(incremental, fresh_folder / "boardline.db")
    assert differences(incremental, fresh_folder / "boardline.db") == []
    assert forgotten < 100


def forget_what_a_fresh_sync_cannot_see(kept: Path, fresh: Path) -> int:
    """Drop from ``kept`` the tombstones of records that left the CRM's recycle bin before the fresh sync.

    The older store remembers them, as it should; a CRM shows a new reader only what its bin still holds. Nor can a new
    reader know what changed of fields without a history. Returns how many tombstones there were.
    """
    dropped = 0
    with sqlite3.connect(kept) as connection:
        noticed = connection.execute("DELETE FROM deal_changes WHERE origin = 'comparison'").rowcount
        assert noticed > 0
        for table in ("accounts", "contacts", "leads", "deals", "line_items", "meetings", "owners", "quotas"):
            known = {key[-1] for key in rows(fresh, table)}
            for key, row in rows(kept, table).items():
                if row["deleted_at"] is not None and key[-1] not in known:
                    connection.execute(f'DELETE FROM "{table}" WHERE external_id = ?', (key[-1],))
                    if table == "deals":
                        connection.execute("DELETE FROM deal_changes WHERE deal_id = ?", (key[-1],))
                    dropped += 1
    return dropped


def whole_sync(served: Site) -> int:
    """Sync once without disturbance into a store of its own; returns how many requests that took."""
    before = served.simulator.requests.total
    done = boardline(
        "sync", "-c", served.configure(served.folder.parent / "whole", small_pages=True), "--once"
    )
    assert done.status == 0, done.err
    return served.simulator.requests.total - before


def kill_after(served: Site, requests: int, pause: float) -> bool:
    """Start a sync and kill it a moment after it has sent so many requests; False when it ended before."""
    goal = served.simulator.requests.total + requests
    log = served.folder / "killed.log"
    arguments = ("sync", "-c", str(served.config), "--once")
    process = launch.begin(arguments, clean_environment(), served.folder, log, log)
    while process.exitcode is None and served.simulator.requests.total < goal:
        time.sleep(0.001)
    time.sleep(pause)
    if process.exitcode is not None:
        return False
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_a_sync_killed_at_many_moments_ends_like_one_never_killed(served: Site) -> None:
    served.configure(served.folder, small_pages=True)
    total = whole_sync(served)
    chance = random.Random(11)
    hits, reached = 0, set()
    database = served.folder / "boardline.db"
    while hits < KILLS:
        if kill_after(served, 1 + hits * (total - 1) // KILLS, chance.uniform(0, 0.12)):
            hits += 1
            reached.add(committed(database))
        else:  # it came to its end: begin a new store, so that there is something left to interrupt
            for file in served.folder.glob("boardline.db*"):
                file.unlink()
    assert len(reached) > 5, f"the kills must find the store in different states, not only {reached}"

    last = served.run("sync", "--once")

    assert last.status == 0, last.err
    assert differences(database, served.folder.parent / "whole" / "boardline.db") == []


def committed(database: Path) -> int:
    """Rows of history that are durable; 0 before there is a store."""
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        try:
            counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
        except sqlite3.OperationalError:
            return 0  # killed before the schema was there
    return int(sum(counts))


@pytest.mark.slow
def test_an_increment_killed_ends_like_one_never_killed(served: Site) -> None:
    first = served.run("sync", "--once")
    assert first.status == 0, first.err
    other = served.folder.parent / "other"
    config = served.configure(other)
    shutil.copy(served.folder / "boardline.db", other / "boardline.db")
    served.simulator.advance(LATER)
    for moment in range(6):
        process = start("sync", "-c", served.config, "--once", err=served.folder / "killed.log")
        try:
            process.wait(timeout=1.2 + moment * 0.4)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    assert served.run("sync", "--once").status == 0
    assert boardline("sync", "-c", config, "--once").status == 0
    assert differences(served.folder / "boardline.db", other / "boardline.db") == []


@ONE_IN_THE_GATE
def test_half_a_company_is_marked_everywhere_and_never_posted(served: Site) -> None:
    part = served.run("sync", "--once", "--only", "owners,stages,accounts,deals")
    assert part.status == 0, part.err

    values = served.run("kpis", "--json").json()["kpis"]
    assert {value["status"] for value in values} <= {"unreliable", "not_computable"}
    page = " ".join(served.run("report").out.split())
    assert (
        "1. Salesforce has not been read to its end" in page
        or "1. HubSpot has not been read to its end" in page
    )
    assert "Not read to the end" in page
    refused = served.run("report", "--post")
    assert refused.status == 1
    assert "nothing was posted" in refused.err

    assert served.run("sync", "--once").status == 0
    whole = {value["id"]: value["status"] for value in served.run("kpis", "--json").json()["kpis"]}
    assert whole["arr"] == "no_target"
    assert served.run("report", "--post").status == 0
