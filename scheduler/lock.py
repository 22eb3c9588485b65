"""One process at a time works on one company: a lock that dies with its holder.

SQLite stores lock a file beside the database, PostgreSQL stores take an advisory lock on a connection of
their own; both are released by the system when the process is killed. That connection is in no transaction: one
would keep PostgreSQL from ever letting go of removed rows, for as long as the work takes.

A connection that is lost takes its lock along. The work goes on: every page is written beside the cursor that the page
before has left, and what is posted is noted first, so a second process at work is found out and not only kept away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import structlog
from sqlalchemy import Connection, text

from connectors.errors import BoardlineError
from pipeline.database import translated
from pipeline.store import Store

log = structlog.get_logger(__name__)


class Busy(BoardlineError):
    """Another process holds the lock; nothing was done."""


def held(store: Store, company: str, work: str) -> bool | None:
    """Whether a process holds the lock now; None: this user may not look.

    On SQLite the lock is taken for a moment to find out, so ask only where there is a reason to think it is held.
    """
    if store.engine.dialect.name == "postgresql":
        key = _key(company, work) % 2**64
        query = text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND classid::bigint = :high AND objid::bigint = :low"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with translated(store.url), store.engine.connect() as connection:
            return bool(connection.execute(query, {"high": key >> 32, "low": key % 2**32}).scalar())
    file = _file(store, company, work)
    if not file.exists():
        return False
    try:
        with filelock.FileLock(file, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return None


def _key(company: str, work: str) -> int:
    digest = hashlib.sha256(f"boardline:{company}:{work}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _file(store: Store, company: str, work: str) -> Path:
    database = Path(store.engine.url.database or "boardline.db")
    return Path(f"{database}.{hashlib.sha256(company.encode()).hexdigest()[:12]}.{work}.lock")


@contextmanager
def exclusive(store: Store, company: str, work: str) -> Iterator[None]:
    """Hold the lock for ``work`` (sync, report) on ``company``.

    Raises ``Busy`` at once when it is taken, ``StoreUnreachableError`` when the server does not answer.
    """
    taken = Busy(
        f"{company}: another Boardline process is busy with its {work}; nothing was done here, try again later"
    )
    if store.engine.dialect.name == "postgresql":
        key = _key(company, work)
        holder = store.again(f"taking the lock of {company}'s {work}", lambda: _locked(store, key))
        if holder is None:
            raise taken
        try:
            yield
        finally:
            _let_go(store, holder, key, f"{company}'s {work}")
    else:
        lock = filelock.FileLock(_file(store, company, work))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise taken from None
        try:
            yield
        finally:
            lock.release()


def _locked(store: Store, key: int) -> Connection | None:
    """A connection that holds the lock, in no transaction; None: another one has it."""
    with translated(store.url):
        connection = store.engine.connect()
        try:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                return connection
        except BaseException:
            connection.invalidate()
            raise
        connection.close()
        return None


def _let_go(store: Store, holder: Connection, key: int, what: str) -> None:
    """Release the lock. Where its connection was lost it is free already, and what the work ended with stands."""
    try:
        with translated(store.url):
            released = holder.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key}).scalar()
    except BoardlineError as error:
        holder.invalidate()
        log.warning("the lock was lost with its connection while it was held", work=what, reason=str(error))
        return
    finally:
        holder.close()
    if not released:
        log.warning("the lock was lost with its connection while it was held", work=what)
