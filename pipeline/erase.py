"""Makes removed bytes truly gone: a database keeps them in its files until it writes its pages anew.

That it is due is noted with the removal, in the same transaction (``Transaction.note_erasure``), and the note goes when
it is done: a command that was killed or found others in its way leaves the rest to the next one.

What lies outside the database (backups, WAL archives, replicas, a file system's own copies) is not reached.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, delete, select, text

from connectors.errors import BoardlineError
from pipeline.database import BUSY_SECONDS, translated
from pipeline.failures import StoreError
from pipeline.reader import Reader
from pipeline.store import Store
from pipeline.tables import table

log = structlog.get_logger(__name__)
_POLL: Final = 0.2
_MEMORY: Final = 2  # of SQLite's temp_store

# Whoever may still look at rows as they were before transaction :before began; PostgreSQL keeps the rows for them.
_HOLDERS: Final = """
SELECT 'session ' || pid || COALESCE(' (' || NULLIF(application_name, '') || ')', '')
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
  AND (datid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR backend_type = 'walsender')
  AND (age(backend_xmin) > age(CAST(CAST(:before AS xid8) AS xid))
       OR age(backend_xid) > age(CAST(CAST(:before AS xid8) AS xid)))
UNION ALL
SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
WHERE database = current_database() AND age(transaction) > age(CAST(CAST(:before AS xid8) AS xid))
UNION ALL
SELECT 'replication slot ' || slot_name FROM pg_replication_slots
WHERE age(xmin) > age(CAST(CAST(:before AS xid8) AS xid))
"""
# The owner of a database, or a superuser, may write the server's own tables of it anew.
_OWNER: Final = "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()"
_LOCK_TIMEOUT: Final = (
    "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'"  # milliseconds; 0: no end
)


def due(reader: Reader) -> dict[str, datetime]:
    """Tables whose removed rows the files may still hold, and since when."""
    erasures = table("erasures")
    rows = reader.connection.execute(select(erasures.c.table, erasures.c.due_since))
    return {str(name): since for name, since in rows}


def erase(store: Store, wait: float | None = None) -> str | None:
    """Do what is due; returns what a person should know where it could not be done, None: all is gone.

    Failing undoes nothing: what was removed stays removed, and stays due. ``wait``: see ``scrub``.
    """
    try:
        with store.reading() as reader:
            noted = due(reader)
        if not noted:
            return None
        scrub(store, noted, wait)
        with store.transaction() as tx:
            erasures = table("erasures")
            for name, since in noted.items():  # what was removed meanwhile is due anew
                tx.connection.execute(
                    delete(erasures).where(erasures.c.table == name, erasures.c.due_since == since)
                )
    except BoardlineError as error:
        log.warning("removed rows may still be found in the database's files", reason=str(error))
        return str(error)
    return None


def scrub(store: Store, tables: Iterable[str], wait: float | None = None) -> None:
    """Write these tables (SQLite: the whole file) anew, without what was removed from them.

    Raises ``StoreError`` where others can still see the old rows after ``wait`` seconds; None: as long as for a lock.
    """
    with translated(store.url):
        if store.engine.dialect.name == "sqlite":
            _scrub_sqlite(store)
            return
        with store.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            _wait_for_others(connection, store.place, wait)
            for name in sorted(set(tables)):
                _write_anew(connection, store.place, name)
            if connection.execute(text(_OWNER)).scalar():  # samples of columns, from before none were taken
                connection.exec_driver_sql("VACUUM (FULL) pg_catalog.pg_statistic")


def _write_anew(connection: Connection, place: str, name: str) -> None:
    """A table into a new file. The server passes over one that is not ours to write, with no more than a warning."""
    file = text("SELECT pg_relation_filenode(CAST(:name AS regclass))")
    before = connection.execute(file, {"name": name}).scalar_one()
    connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {name}")
    if connection.execute(file, {"name": name}).scalar_one() == before:
        raise StoreError(
            f"{place}: its user may not write the table {name} anew; have the tables' owner run VACUUM (FULL) on "
            "them, or make that user their owner and run the command again"
        )


def _wait_for_others(connection: Connection, place: str, wait: float | None) -> None:
    """Until nobody can see rows that were removed before now. ``connection`` must be in no transaction itself."""
    before = str(connection.execute(text("SELECT pg_snapshot_xmax(pg_current_snapshot())")).scalar_one())
    patience = int(connection.execute(text(_LOCK_TIMEOUT)).scalar_one()) / 1000 or BUSY_SECONDS
    deadline = time.monotonic() + (patience if wait is None else wait)
    while holders := [str(one) for one in connection.execute(text(_HOLDERS), {"before": before}).scalars()]:
        if time.monotonic() >= deadline:
            raise StoreError(
                f"{place}: {', '.join(sorted(holders))} began before the removal and can still see the rows, so the "
                "server keeps their bytes; end it, and run the command again"
            )
        time.sleep(_POLL)


def _scrub_sqlite(store: Store) -> None:
    pooled = store.engine.raw_connection()
    try:
        driver: Any = pooled.driver_connection
        cursor = driver.cursor()
        cursor.execute("PRAGMA temp_store = FILE")  # the copy may be larger than the memory
        cursor.execute("VACUUM")
        busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA temp_store = {_MEMORY}")
        cursor.close()
    finally:
        pooled.close()
    if busy:
        raise StoreError(
            f"{store.place}: another process is reading, so its log could not be emptied; run the command again later"
        )
