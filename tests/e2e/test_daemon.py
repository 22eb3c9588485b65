"""`boardline run` as a real process: it syncs and reports on schedule, stops cleanly, and goes on."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.process import Site, boardline, site, start
from tests.e2e.tables import differences

PATIENCE = 60.0  # seconds for something to happen in another process


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
    assert {stream["status"] for stream in document["streams"]} == {"ok"}
    assert len(list(reports.rglob("*.html"))) == 1, "one report a month, however often it falls due"


def test_sigterm_in_the_middle_of_a_page_then_resume(served: Site) -> None:
    config = served.configure(served.folder, small_pages=True, schedule={"sync": "every 1 hour"})
    log = served.folder / "daemon.log"
    stopped_early = 0
    for requests in (24, 27, 30, 33):
        goal = served.simulator.requests.total + requests
        process = start("run", "-c", config, err=log)
        eventually("reading", partial(reached, served, goal), process, log)
        began = time.monotonic()
        assert ended(process) == 0, log.read_text()
        assert time.monotonic() - began < 20
        streams = boardline("status", "-c", config, "--json").json()["streams"]
        stopped_early += any(stream["status"] in ("stopped", "running") for stream in streams)
        assert not any(stream["status"] == "failed" for stream in streams)
    assert stopped_early, "at least one stop must have found a sync under way"

    assert boardline("sync", "-c", config, "--once").status == 0
    whole = served.configure(served.folder.parent / "whole")
    assert boardline("sync", "-c", whole, "--once").status == 0
    assert differences(served.folder / "boardline.db", served.folder.parent / "whole" / "boardline.db") == []


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
