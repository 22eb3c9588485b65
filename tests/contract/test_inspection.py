"""``db check`` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from connectors.errors import ConfigurationError
from connectors.source import Capabilities
from pipeline import migrate
from pipeline.inspection import Fault, Inspection, inspect_store
from pipeline.store import Store
from pipeline.tables import table
from tests.contract.test_migrations import make_old
from tests.rows import NOW, frame


def faults(store: Store) -> list[Fault]:
    return inspect_store(store).faults


def run(store: Store, *statements: str) -> None:
    with store.transaction() as tx:
        for statement in statements:
            tx.connection.execute(text(statement))


def synced(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_source("acme", "fake", Capabilities("USD", {}, {}, frozenset()), "f", NOW)
        tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "a", "custom": "{}"}]), NOW)
        tx.save_cursor("acme", "fake", "deals", {"at": 1}, complete=True, now=NOW)
        tx.start_run("acme", "fake", "deals", NOW)


def test_a_whole_store_has_no_fault(store: Store) -> None:
    synced(store)
    found = inspect_store(store)
    assert found.faults == []
    assert found.rows["deals"] == {"acme": 1}
    assert found.rows["accounts"] == {}
    assert (found.revision, found.expected) == (migrate.HEAD, migrate.HEAD)
    assert found.size > 0
    assert found.notes == ["acme: 1 runs are under way, or were killed"]
    assert found.database.split()[0] in ("SQLite", "PostgreSQL")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP VIEW pipeline_today", "the view pipeline_today is missing"),
        ("DROP TABLE quotas", "the table quotas is missing"),
        ("DROP INDEX runs_by_company", "index runs_by_company of runs is missing"),
        ("ALTER TABLE owners DROP COLUMN manager_id", "the column owners.manager_id is missing"),
        ("ALTER TABLE owners ADD COLUMN nickname TEXT", "the column owners.nickname is none of Boardline's"),
    ],
)
def test_what_is_missing_from_the_schema_is_named(store: Store, statement: str, what: str) -> None:
    run(store, statement)
    (fault,) = faults(store)
    assert fault.what == what
    assert "boardline db" in fault.remedy


def test_a_missing_guard_of_published_numbers_is_named(store: Store) -> None:
    on = " ON snapshots" if store.engine.dialect.name == "postgresql" else ""
    run(store, f"DROP TRIGGER snapshots_frozen{on}")
    assert [fault.what.split(",")[0] for fault in faults(store)] == ["the trigger snapshots_frozen"]


def test_a_wrong_type_is_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        run(store, "ALTER TABLE quotas ALTER COLUMN amount TYPE TEXT")
        assert [fault.what for fault in faults(store)] == [
            "the column quotas.amount is TEXT instead of BIGINT"
        ]


def test_a_persons_own_table_is_none_of_our_business(store: Store) -> None:
    run(store, "CREATE TABLE my_notes (words TEXT)")
    assert faults(store) == []


def test_rows_that_cannot_be_true_are_named(store: Store) -> None:
    synced(store)
    with store.transaction() as tx:
        tx.save_cursor("acme", "other", "deals", {"at": 1}, complete=True, now=NOW)
        tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "m", "merged_into": "a"}]), NOW)
        tx.upsert(
            "deal_changes",
            "acme",
            "fake",
            frame("deal_changes", [{"deal_id": "zz", "field": "stage", "changed_at": NOW, "seq": 0}]),
            NOW,
        )
        finding = dict.fromkeys(("rule", "other_id", "severity", "message"), "x")
        stamps = {"first_seen": NOW, "last_seen": NOW}
        tx.connection.execute(
            insert(table("findings")).values(
                company="acme", crm="fake", object="deals", external_id="zz", **finding, **stamps
            )
        )
        tx.begin_delivery("acme", "2026-10", "board", 1, "key", "hash", NOW)
        tx.connection.execute(text("UPDATE deliveries SET snapshot = 'nowhere'"))
        tx.connection.execute(
            insert(table("snapshots")).values(
                company="acme",
                month="2026-10",
                digest="d",
                known_at=NOW,
                taken_at=NOW,
                currency="USD",
                playbook="p",
                definitions="{}",
                program="0",
            )
        )
    found = inspect_store(store)
    assert [fault.what for fault in found.faults] == [
        "acme: 1 cursors belong to no CRM that was ever read",
        "acme: 1 deliveries name published numbers that are not there",
        "acme: 1 snapshots of published numbers hold no number",
        "acme: 1 deals were merged away and are not marked as gone",
        "acme: 1 open findings are about deals that are not there",
    ]
    assert all("boardline" in fault.remedy or "restore" in fault.remedy for fault in found.faults)
    assert "acme: the history of 1 deals is kept whose record the CRM does not show" in found.notes


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount", "'a lot'"),
        ("amount", "12.5"),
        ("name", "7.0"),
        ("is_won", "2"),
        ("probability", "'half'"),
        ("close_date", "'tomorrow'"),
        ("close_date", "'2026-02-30'"),
        ("created_at", "'2026-01-01'"),
    ],
)
def test_values_of_the_wrong_kind_are_named(tmp_path: Path, column: str, value: str) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as store:
        synced(store)
        with closing(sqlite3.connect(tmp_path / "boardline.db")) as raw:
            blob = "CAST('x' AS BLOB)" if column == "name" else value
            raw.execute(f"UPDATE deals SET {column} = {blob}")
            raw.commit()
        (fault,) = faults(store)
        assert f"deals.{column} are not of its kind" in fault.what


def test_run_numbers_that_would_come_twice_are_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        synced(store)
        run(
            store,
            "INSERT INTO runs SELECT 900, company, crm, stream, started_at, finished_at, status, rows, "
            "changed, deleted, quarantined, requests, seconds, error, remedy FROM runs",
        )
        (fault,) = faults(store)
        assert "runs up to 900 are there" in fault.what
        run(store, fault.remedy.split(": ", 1)[1])
        assert faults(store) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store, store.transaction() as tx:
        tx.upsert(
            "deals",
            "acme",
            "fake",
            frame("deals", [{"external_id": f"{n}", "name": "x" * 200} for n in range(2000)]),
            NOW,
        )
    content = bytearray(path.read_bytes())
    content[-4096 * 20 : -4096 * 10] = b"\xff" * 4096 * 10
    path.write_bytes(content)
    with Store.at(f"sqlite:///{path}") as store:
        (fault,) = faults(store)
    assert "the database is damaged" in fault.what
    assert "boardline db restore" in fault.remedy


def test_an_older_store_is_a_fault_and_not_upgraded(store_url: str) -> None:
    make_old(store_url)
    with Store.at(store_url) as store:
        found = inspect_store(store)
        assert isinstance(found, Inspection)
        assert [fault.remedy for fault in found.faults] == [
            "run `boardline db backup`, then `boardline db upgrade`"
        ]
        with store.reading() as reader:
            assert migrate.revision(reader.connection) == "0001"


def test_checking_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store:
        synced(store)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with Store.at(f"sqlite:///{path}") as store:
        assert faults(store) == []
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_there_must_be_a_store(store_url: str, postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        Store.at(f"sqlite:///{tmp_path / 'nothing.db'}")
    with (
        Store.at(postgres_url) as store,
        pytest.raises(ConfigurationError, match="there is no store in it yet"),
    ):
        inspect_store(store)
