"""Makes removed bytes truly gone: a database keeps them in its files until it writes its pages anew.

What lies outside the database (backups, WAL archives, replicas, a file system's own copies) is not reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import structlog

from connectors.errors import BoardlineError
from pipeline.database import translated
from pipeline.failures import StoreError
from pipeline.store import Store

log = structlog.get_logger(__name__)
_MEMORY: Final = 2  # of SQLite's temp_store


def scrub(store: Store, tables: Iterable[str]) -> None:
    """Write these tables (SQLite: the whole file) anew, without what was removed from them.

    Raises ``StoreError`` where another process kept the old pages open; what was removed stays removed.
    """
    with translated(store.url):
        if store.engine.dialect.name == "sqlite":
            _scrub_sqlite(store)
            return
        with store.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for name in sorted(set(tables)):
                connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {name}")


def scrub_or_say(store: Store, tables: Iterable[str]) -> str | None:
    """``scrub`` where failing must not undo what was done; returns what a person should know, None: all is gone."""
    try:
        scrub(store, tables)
    except BoardlineError as error:
        log.warning("removed rows may still be found in the database's files", reason=str(error))
        return str(error)
    return None


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
