"""``boardline db`` and ``forget`` while ``boardline run`` syncs all the time: neither is in the other's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import psycopg
import pytest
from sqlalchemy import text

from pipeline.store import Store
from tests.e2e.process import Done, Site, boardline, site, start
from tests.e2e.test_daemon import PATIENCE, ended, eventually, reached


def again_while_busy(run: Callable[[], Done]) -> Done:
    """``forget`` steps back while a sync holds the company, and says so: a person tries again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = run()
        if done.status != 1 or "busy with its sync" not in done.err or time.monotonic() > deadline:
            return done
        time.sleep(0.1)


def somebody(address: str) -> str:
    with Store.at(address) as store, store.reading() as reader:
        query = text("SELECT MIN(email) FROM contacts WHERE email LIKE '%@%'")
        return str(reader.connection.execute(query).scalar_one())


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_both_go_on(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with site("salesforce", tmp_path / "site", now=now, accounts=30, deals=200, months=10) as served:
        address = f"sqlite:///{served.folder / 'boardline.db'}"
        if kind == "postgresql":
            address = request.getfixturevalue("postgres_url")
        beside(served, served.configure(served.folder, address, schedule={"sync": "every 1 second"}), address)


def beside(served: Site, config: Path, address: str) -> None:
    log = served.folder / "daemon.log"
    process = start("run", "-c", config, err=log)
    try:
        eventually("a sync", lambda: "sync finished" in log.read_text(), process, log)
        for turn in range(2):
            for words in (
                ("db", "check"),
                ("db", "upgrade"),
                ("db", "backup", "--to", str(served.folder / "b.db"), "--force"),
                ("db", "export", "--out", str(served.folder / "out"), "--force"),
            ):
                done = boardline(*words, "-c", config)
                assert done.status == 0, (words, done.out, done.err)
            email = somebody(address)
            command = ("forget", "-c", config, "--company", "demo", "--person", email, "--yes")
            gone = again_while_busy(lambda command=command: boardline(*command))  # type: ignore[misc]
            assert gone.status == 0, gone.err
            assert somebody(address) != email
            seen = served.simulator.requests.total
            eventually(
                f"a sync after turn {turn}",
                lambda seen=seen: served.simulator.requests.total > seen + 10,  # type: ignore[misc]
                process,
                log,
            )
    finally:
        status = ended(process)
    assert status == 0, log.read_text()
    told = [orjson.loads(line) for line in log.read_text().splitlines()]
    errors = [entry["error"] for entry in told if entry["level"] == "error"]
    stepped_back = "demo: another Boardline process is busy with its sync; "  # while somebody was forgotten
    assert [error for error in errors if not error.startswith(stepped_back)] == []
    assert boardline("db", "check", "-c", config).status == 0
    assert not [path for path in served.folder.iterdir() if path.name.startswith(".boardline")]


def test_a_server_that_drops_all_connections_while_a_sync_runs(tmp_path: Path, postgres_url: str) -> None:
    with site("salesforce", tmp_path / "site", accounts=30, deals=200, months=10) as served:
        config = served.configure(served.folder, postgres_url, small_pages=True)
        log = served.folder / "sync.log"
        process = start("sync", "--once", "-v", "-c", config, err=log)
        dropped = 0
        for goal in (20, 30, 40):
            eventually("reading", lambda goal=goal: reached(served, goal), process, log)  # type: ignore[misc]
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                ended_now = admin.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
            dropped += len(ended_now)
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()
        told = log.read_text()
        assert dropped > 3
        assert "bug in Boardline" not in told
        assert "the lock was lost with its connection" in told
        again = boardline("sync", "--once", "--json", "-c", config)
        assert [run for run in again.json()["runs"] if run["changed"]] == []
        assert boardline("db", "check", "-c", config).status == 0
