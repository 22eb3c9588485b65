"""Backups and restores between both databases: every row, every value, or nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connectors.errors import ConfigurationError
from pipeline import backup, restore
from pipeline.failures import StoreError
from pipeline.store import Store
from pipeline.tables import METADATA
from tests.rows import NOW, frame
from tests.store_contents import contents, fill

TABLES = METADATA.sorted_tables


@pytest.fixture
def filled(store: Store) -> Store:
    with store.transaction() as tx:
        fill(tx.connection, TABLES)
    return store


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.reading() as reader:
        return contents(reader.connection, TABLES)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Another store than ``store``, empty."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'other.db'}"
    else:
        url = request.getfixturevalue("another_postgres_url")
    with Store.open(url) as opened:
        yield opened


def test_every_value_comes_back_on_either_database(filled: Store, empty: Store, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    done = backup.backup(filled, file)
    assert done.rows.pop("alembic_version") == 1
    assert done.rows == {table.name: 21 for table in TABLES}
    with Store.open(f"sqlite:///{file}", upgrade=False) as copy:
        assert everything(copy) == everything(filled)
    assert restore.restore(empty, file).rows == done.rows
    assert everything(empty) == everything(filled)
    with empty.transaction() as tx:
        assert tx.start_run("acme", "fake", "deals", NOW) == 2008  # after the highest that was restored
    with empty.reading() as reader:
        assert reader.connection.execute(text("SELECT COUNT(*) FROM deals_as_of")).scalar_one() >= 0


def test_a_backup_is_one_state_while_others_write(filled: Store, tmp_path: Path) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        """Each transaction adds a deal and the change that belongs to it."""
        number = 0
        try:
            while not stop.is_set():
                number += 1
                change = {"deal_id": f"w{number}", "field": "stage", "changed_at": NOW, "seq": 0}
                with filled.transaction() as tx:
                    tx.upsert("deals", "live", "fake", frame("deals", [{"external_id": f"w{number}"}]), NOW)
                    tx.upsert("deal_changes", "live", "fake", frame("deal_changes", [change]), NOW)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            file = tmp_path / f"{number}.db"
            backup.backup(filled, file)
            with closing(sqlite3.connect(file)) as copy:
                deals, changes = (
                    copy.execute(f"SELECT COUNT(*) FROM {name} WHERE company = 'live'").fetchone()[0]
                    for name in ("deals", "deal_changes")
                )
            assert deals == changes
    finally:
        stop.set()
        writer.join()
    assert failures == []
    assert filled.frame("live", "deals").height > 0


def test_a_file_that_is_there_is_kept_unless_forced(filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_text("my letters")
    with pytest.raises(ConfigurationError, match="is there already; name another one, or use --force"):
        backup.backup(filled, file)
    assert file.read_text() == "my letters"
    backup.backup(filled, file, force=True)
    assert restore.check(file)
    assert list(tmp_path.glob(".boardline-*")) == []


def test_the_store_itself_is_no_place_for_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store:
        with pytest.raises(ConfigurationError, match="this is the store itself"):
            backup.backup(store, path, force=True)
        with pytest.raises(ConfigurationError, match="this is the store itself"):
            restore.restore(store, path, force=True)


def test_places_that_cannot_be_written_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"folder .*missing does not exist"):
        backup.backup(store, tmp_path / "missing" / "b.db")
    with pytest.raises(ConfigurationError, match="this is a folder"):
        backup.backup(store, tmp_path)


def test_a_damaged_store_makes_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store, store.transaction() as tx:
        fill(tx.connection, TABLES, rows=300)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[-4096 * 20 : -4096 * 10] = b"\xff" * 4096 * 10
    path.write_bytes(content)
    with Store.at(f"sqlite:///{path}") as store, pytest.raises(StoreError, match="damaged"):
        backup.backup(store, tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()


def test_a_store_that_holds_rows_is_kept_unless_forced(filled: Store, empty: Store, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    backup.backup(empty, file)
    before = everything(filled)
    with pytest.raises(ConfigurationError, match=r"it holds rows already .*--force"):
        restore.restore(filled, file)
    assert everything(filled) == before
    assert restore.restore(filled, file, force=True).replaced == 21 * len(TABLES)
    assert {name for name, rows in everything(filled).items() if rows} == {
        "erasures"
    }  # still due, of that store


def test_a_restore_that_fails_leaves_everything_as_it_was(filled: Store, tmp_path: Path) -> None:
    """A backup with two deals of one key, as only another program could have written it."""
    file = tmp_path / "backup.db"
    backup.backup(filled, file)
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(
            "DROP VIEW pipeline_today; DROP VIEW deals_as_of; DROP INDEX deals_merged;"
            "ALTER TABLE deals RENAME TO former; CREATE TABLE deals AS SELECT * FROM former;"
            "INSERT INTO deals SELECT * FROM former; DROP TABLE former;"
        )
    before = everything(filled)
    with pytest.raises(StoreError, match="nothing of this step was kept"):
        restore.restore(filled, file, force=True)
    assert everything(filled) == before


@pytest.mark.parametrize(
    "content", [b"", b"a letter to my aunt", b"SQLite format 3\x00 and then nothing sensible"]
)
def test_what_is_no_backup_is_refused(store: Store, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "letter.db"
    file.write_bytes(content)
    with pytest.raises((ConfigurationError, StoreError), match=r"letter\.db"):
        restore.restore(store, file)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        restore.restore(store, tmp_path / "missing.db")


def test_a_foreign_database_and_a_newer_backup_are_refused(store: Store, tmp_path: Path) -> None:
    foreign, newer = tmp_path / "foreign.db", tmp_path / "newer.db"
    with closing(sqlite3.connect(foreign)) as raw:
        raw.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(ConfigurationError, match="is not Boardline's"):
        restore.restore(store, foreign)
    backup.backup(store, newer)
    with closing(sqlite3.connect(newer)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    with pytest.raises(ConfigurationError, match=r"newer Boardline wrote it .*9999.*upgrade Boardline"):
        restore.restore(store, newer)
