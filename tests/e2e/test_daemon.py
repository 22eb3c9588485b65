"""`boardline run` as a real process: it syncs and reports on schedule, stops cleanly, and goes on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.simulator.faults import FaultPlan
from pipeline.store import Store
from tests.e2e.process import Site, boardline, site, start
from tests.e2e.tables import differences

PATIENCE = 120.0  # seconds for something to happen in another process, on a machine with other work


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    now = datetime.now(UTC).replace(microsecond=0)
    with site("salesforce", tmp_path / "site", now=now, accounts=40, deals=300, months=12) as place:
        yield place


def eventually(what: str, happened: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if happened():
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {PATIENCE:.0f} seconds\n{log.read_text()}")


def reached(served: Site, goal: int) -> bool:
    return served.simulator.requests.total >= goal


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=PATIENCE)


def test_it_syncs_and_reports_on_schedule(served: Site) -> None:
    config = served.configure(
        served.folder, schedule={"sync": "every 2 seconds", "board_report": "every 3 seconds"}
    )
    log = served.folder / "daemon.log"
    process = start("run", "-c", config, err=log)
    try:
        reports = served.folder / "reports"
        eventually("a report", lambda: any(reports.rglob("*.html")), process, log)
        seen = served.simulator.requests.total
        eventually("a further sync", lambda: served.simulator.requests.total > seen + 5, process, log)
    finally:
        status = ended(process)

    assert status == 0, log.read_text()
    assert "daemon stopped" in log.read_text()
    document = boardline("status", "-c", config, "--json").json()
    assert [(item["destination"], item["status"]) for item in document["deliveries"]] == [("board", "posted")]
    statuses = {stream["status"] for stream in document["streams"]}
    assert "ok" in statuses, "the last of many passes may have been stopped after a stream"
    assert statuses <= {"ok", "stopped"}
    assert len(list(reports.rglob("*.html"))) == 1, "one report a month, however often it falls due"


def test_sigterm_in_the_middle_of_a_page_then_resume(served: Site) -> None:
    config = served.configure(served.folder, small_pages=True, schedule={"sync": "every 1 hour"})
    log = served.folder / "daemon.log"
    for requests in (24, 27, 30, 33):
        goal = served.simulator.requests.total + requests
        served.simulator.faults = FaultPlan.parse(f"slow@{requests}+=0.5")  # the stop comes while it reads
        process = start("run", "-c", config, err=log)
        eventually("reading", partial(reached, served, goal), process, log)
        began = time.monotonic()
        assert ended(process) == 0, log.read_text()
        assert time.monotonic() - began < 20
        streams = boardline("status", "-c", config, "--json").json()["streams"]
        assert {stream["status"] for stream in streams} == {"ok", "stopped"}
        assert "was stopped before its end" in boardline("status", "-c", config).out
    served.simulator.faults = FaultPlan()

    assert boardline("sync", "-c", config, "--once").status == 0
    whole = served.configure(served.folder.parent / "whole")
    assert boardline("sync", "-c", whole, "--once").status == 0
    assert differences(served.folder / "boardline.db", served.folder.parent / "whole" / "boardline.db") == []


NEVER = "cron: 0 8 29 2 *"  # no report falls due while a test runs


@pytest.mark.parametrize("left", ["pending", pytest.param("failed", marks=pytest.mark.slow)])
def test_a_report_that_was_begun_is_finished_after_a_restart(served: Site, left: str) -> None:
    """As a kill between the note and the delivery leaves it, two months back; the schedule would not come to it."""
    config = served.configure(served.folder, schedule={"sync": "every 1 hour", "board_report": NEVER})
    assert boardline("sync", "-c", config, "--once").status == 0
    month = f"{(datetime.now(UTC).replace(day=1) - timedelta(days=40)):%Y-%m}"
    key = f"demo:{month}:board:1"
    with Store.open(f"sqlite:///{served.folder / 'boardline.db'}") as store:
        store.begin_delivery("demo", month, "board", 1, key, "{}", datetime.now(UTC))
        if left == "failed":
            store.finish_delivery(key, "failed", datetime.now(UTC), error="the disk was full")
    told = boardline("status", "-c", config).out
    assert f"report {month} to board: {left}" in told
    assert f"--month {month} --post --to board" in told

    first, second = served.folder / "first.log", served.folder / "second.log"
    for log, sign in ((first, "report delivered"), (second, "sync finished")):
        process = start("run", "-c", config, err=log)
        try:
            eventually(sign, lambda log=log, sign=sign: sign in log.read_text(), process, log)  # type: ignore[misc]
        finally:
            assert ended(process) == 0, log.read_text()
    (report,) = (served.folder / "reports").rglob("*.html")
    assert month in report.name
    assert "finishing a report that was not delivered" in first.read_text()
    assert "report" not in second.read_text()
    document = boardline("status", "-c", config, "--json").json()
    assert [(item["month"], item["status"]) for item in document["deliveries"]] == [(month, "posted")]


def test_a_report_that_fell_due_while_nobody_ran_is_made_at_the_start(served: Site) -> None:
    """For every kind of schedule; here one of cron."""
    config = served.configure(served.folder, schedule={"sync": "every 1 hour", "board_report": NEVER})
    assert boardline("sync", "-c", config, "--once").status == 0
    with sqlite3.connect(served.folder / "boardline.db") as connection:
        connection.execute(
            "UPDATE runs SET finished_at = strftime('%Y-%m-%d %H:%M:%f000', finished_at, '-40 days')"
        )
    connection.close()
    due = datetime.now(ZoneInfo(served.world.timezone)) - timedelta(hours=2)
    daily = f"cron: {due.minute} {due.hour} * * *"
    served.configure(served.folder, schedule={"sync": "every 1 hour", "board_report": daily})
    log = served.folder / "daemon.log"
    process = start("run", "-c", config, err=log)
    try:
        eventually("the report", lambda: "report delivered" in log.read_text(), process, log)
    finally:
        assert ended(process) == 0, log.read_text()


def test_a_report_that_fails_is_not_called_a_success(served: Site) -> None:
    (served.folder / "reports").write_text("not a folder")
    config = served.configure(
        served.folder, schedule={"sync": "every 1 second", "board_report": "every 2 seconds"}
    )
    log = served.folder / "daemon.log"
    process = start("run", "-c", config, err=log)
    try:
        eventually("a failure", lambda: "report not delivered" in log.read_text(), process, log)
        eventually("a skipped sync", lambda: "sync skipped" in log.read_text(), process, log)
    finally:
        assert ended(process) == 0, log.read_text()
    assert "is not a folder" in log.read_text()
    assert "executed successfully" not in log.read_text()
    assert "report delivered" not in log.read_text()


def test_status_tells_a_killed_sync_from_a_running_one(served: Site) -> None:
    served.configure(served.folder, small_pages=True)
    log = served.folder / "sync.log"
    goal = served.simulator.requests.total + 24
    served.simulator.faults = FaultPlan.parse("slow@24+=0.5")  # it dies while it reads
    process = start("sync", "-c", served.config, "--once", err=log)
    eventually("reading", partial(reached, served, goal), process, log)
    process.send_signal(signal.SIGSTOP)
    served.simulator.faults = FaultPlan()
    running = served.run("status", "--json").json()
    assert running["last_pass"]["status"] == "running"
    assert not running["overdue"]
    process.kill()
    process.wait(timeout=PATIENCE)

    killed = served.run("status", "--json").json()
    assert killed["last_pass"]["status"] == "interrupted"
    assert killed["last_sync"] is None
    assert "running" not in {stream["status"] for stream in killed["streams"]}
    text = served.run("status").out
    assert "last complete sync never" in text
    assert "was interrupted before its end" in text
    assert served.run("sync", "--once").status == 0
    whole = served.run("status", "--json").json()
    assert whole["last_pass"]["status"] == "complete"
    assert whole["last_sync"] == whole["last_pass"]["at"]


def test_a_crm_that_is_away_does_not_end_the_daemon(served: Site) -> None:
    config = served.configure(served.folder, schedule={"sync": "every 1 second"})
    config.write_text(config.read_text().replace(served.simulator.url, "https://localhost:1"))
    log = served.folder / "daemon.log"
    process = start("run", "-c", config, err=log)
    try:
        eventually("two failures", lambda: log.read_text().count("localhost:1") >= 2, process, log)
    finally:
        status = ended(process)
    assert status == 0
    assert "Traceback" not in log.read_text()


def test_two_syncs_of_one_company_do_not_run_at_once(served: Site) -> None:
    served.configure(served.folder, small_pages=True)
    first = start("sync", "-c", served.config, "--once", err=served.folder / "first.log")
    goal = served.simulator.requests.total + 20
    while served.simulator.requests.total < goal and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    try:
        second = served.run("sync", "--once")
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.status == 1
    assert "another Boardline process" in second.err
    assert first.wait(timeout=PATIENCE) == 0
