"""One process at a time works on one company: a lock that dies with its holder.

SQLite stores lock a file beside the database, PostgreSQL stores take an advisory lock on a connection of
their own; both are released by the system when the process is killed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
from sqlalchemy import text

from connectors.errors import BoardlineError
from pipeline.store import Store


class Busy(BoardlineError):
    """Another process holds the lock; nothing was done."""


@contextmanager
def exclusive(store: Store, company: str, work: str) -> Iterator[None]:
    """Hold the lock for ``work`` (sync, report) on ``company``. Raises ``Busy`` at once when it is taken."""
    taken = Busy(
        f"{company}: another Boardline process is busy with its {work}; nothing was done here, try again later"
    )
    if store.engine.dialect.name == "postgresql":
        key = int.from_bytes(
            hashlib.sha256(f"boardline:{company}:{work}".encode()).digest()[:8], "big", signed=True
        )
        with store.engine.connect() as connection:
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                raise taken
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
    else:
        database = Path(store.engine.url.database or "boardline.db")
        name = hashlib.sha256(company.encode()).hexdigest()[:12]
        lock = filelock.FileLock(f"{database}.{name}.{work}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise taken from None
        try:
            yield
        finally:
            lock.release()
