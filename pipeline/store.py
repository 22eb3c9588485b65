"""The store: open it, read it, write it in transactions.

``Store.open("sqlite:///boardline.db")`` or ``Store.open("postgresql://user@host/name")`` gives the same thing. Reads
named here each see one state of the database; ``reading`` holds one state for several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from connectors.errors import BoardlineError, ConfigurationError
from pipeline import database, migrate
from pipeline.patience import Patience
from pipeline.reader import FINDINGS, QUARANTINE, Reader
from pipeline.records import CursorState, DeliveryRecord, DeliveryStatus, RunRecord, SourceInfo
from pipeline.transaction import Transaction

__all__ = ["FINDINGS", "QUARANTINE", "Reader", "SourceInfo", "Store", "Transaction"]

T = TypeVar("T")


class Store:
    """One database of ours. Safe to use from several threads."""

    def __init__(self, engine: Engine, patience: Patience | None = None) -> None:
        self.engine = engine
        self.url = engine.url
        self._file = database.OneFile(engine) if self.url.drivername == "sqlite" else None
        self.patience = patience or Patience()

    @classmethod
    def open(cls, url: str, *, upgrade: bool = True, writes: bool = True) -> Store:
        """Connect, and bring the schema to this program's (``upgrade`` false: only accept it as it is).

        ``writes`` False: it will only be read, so an SQLite file that cannot be written will do (no permission, a full
        disk), if its schema is this program's.

        Raises ``ConfigurationError`` (no such folder or file, not a database, read-only, written by a newer
        Boardline), ``CredentialError`` (wrong password), ``UnreachableError`` (server does not answer).
        """
        parsed = database.parse(url)
        database.check_file(parsed, create=upgrade and writes, writes=writes)
        if not writes and (mode := database.reading_mode(parsed)):
            return cls._opened(parsed, mode, upgrade=upgrade)
        try:
            return cls._opened(parsed, None, upgrade=upgrade)
        except BoardlineError as error:
            if writes or not database.unwritable(error):
                raise
        return cls._opened(parsed, database.reading_mode(parsed, unwritable=True), upgrade=upgrade)

    @classmethod
    def _opened(cls, url: URL, mode: str | None, *, upgrade: bool) -> Store:
        store = cls(database.connect(url, mode=mode))
        try:
            store._bring_up(upgrade=upgrade, writable=mode is None)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def at(cls, url: str, *, writes: bool = True) -> Store:
        """Connect to a store that is there, at whatever revision it is; nothing is changed or checked yet.

        ``writes`` False: one that cannot be written will do. Raises ``ConfigurationError`` (no such file, not a
        database URL).
        """
        parsed = database.parse(url)
        database.check_file(parsed, create=False, writes=writes)
        return cls(database.connect(parsed, mode=None if writes else database.reading_mode(parsed)))

    def _bring_up(self, *, upgrade: bool, writable: bool) -> None:
        with self.reading() as reader:
            current = migrate.check(reader.connection, self.place)
        if current:
            return
        if not writable:
            raise ConfigurationError(
                f"{self.place}: its schema is older than this program's and it cannot be written; "
                "make it writable and run `boardline sync --once`, which upgrades it"
            )
        if not upgrade:
            raise ConfigurationError(
                f"{self.place}: its schema is older than this program's; "
                "run `boardline db upgrade`, or `boardline sync --once`, which does that first"
            )
        self.upgrade()

    @property
    def place(self) -> str:
        """How messages name this store: the file, or host and database; no secret."""
        return database.where(self.url)

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema to this program's; nothing happens where it is there already.

        Returns the revision it was at (None: there were no tables) and the one it is at.
        """
        with self.transaction() as tx:
            return migrate.upgrade(tx.connection, self.place)

    def mend(self) -> list[str]:
        """Make the views and guards anew that are missing or not this program's; returns their names."""
        with self.transaction() as tx:
            return migrate.mend(tx.connection)

    def close(self) -> None:
        """Give up all connections."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Several reads that see one and the same state of the store."""
        with database.translated(self.url), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield Reader(connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Writes that are kept together at the end of the block, or not at all when it raises."""
        with database.translated(self.url), self.engine.connect() as connection:
            connection.execution_options(**{database.WRITE: True})
            with connection.begin():
                yield Transaction(connection)

    def again(self, what: str, work: Callable[[], T]) -> T:
        """Run ``work`` until it returns or fails for a lasting reason; it must be fit to happen twice.

        A transaction's commit may have reached the server although its answer was lost. See ``Patience``.
        """
        return self.patience.call(f"{self.place}: {what}", work)

    def renew(self) -> None:
        """Between two passes: accept a file that was put in the place of an SQLite store's, and look at its schema.

        Raises ``ConfigurationError`` when it is gone: its history cannot be read again, so no empty one is made.
        """
        if self._file is None:
            return
        database.check_file(self.url, create=False)
        if self._file.same():
            return
        self.engine.dispose()
        self.engine = database.connect(self.url)
        self._file = database.OneFile(self.engine)
        self._bring_up(upgrade=True, writable=True)

    # -- reads, each from one state of the store

    def frame(self, company: str, table: str, source: str | None = None) -> pl.DataFrame:
        """See ``Reader.frame``."""
        with self.reading() as reader:
            return reader.frame(company, table, source)

    def frames(
        self, company: str, tables: Iterable[str], source: str | None = None
    ) -> dict[str, pl.DataFrame]:
        """See ``Reader.frames``."""
        with self.reading() as reader:
            return reader.frames(company, tables, source)

    def source_info(self, company: str, source: str | None = None) -> SourceInfo | None:
        """See ``Reader.source_info``."""
        with self.reading() as reader:
            return reader.source_info(company, source)

    def rewritten(self, company: str, at: datetime, source: str | None = None) -> frozenset[str]:
        """See ``Reader.rewritten``."""
        with self.reading() as reader:
            return reader.rewritten(company, at, source)

    def findings(self, company: str, *, open_only: bool = True) -> pl.DataFrame:
        """See ``Reader.findings``."""
        with self.reading() as reader:
            return reader.findings(company, open_only=open_only)

    def quarantine(self, company: str) -> pl.DataFrame:
        """See ``Reader.quarantine``."""
        with self.reading() as reader:
            return reader.quarantine(company)

    def runs(self, company: str | None = None, limit: int = 50) -> list[RunRecord]:
        """See ``Reader.runs``."""
        with self.reading() as reader:
            return reader.runs(company, limit)

    def cursors(self, company: str) -> dict[str, CursorState]:
        """See ``Reader.cursors``."""
        with self.reading() as reader:
            return reader.cursors(company)

    def last_sync(self, company: str) -> datetime | None:
        """See ``Reader.last_sync``."""
        with self.reading() as reader:
            return reader.last_sync(company)

    def first_sync(self, company: str) -> datetime | None:
        """See ``Reader.first_sync``."""
        with self.reading() as reader:
            return reader.first_sync(company)

    def deliveries(self, company: str | None = None, month: str | None = None) -> list[DeliveryRecord]:
        """See ``Reader.deliveries``."""
        with self.reading() as reader:
            return reader.deliveries(company, month)

    def delivery(self, key: str) -> DeliveryRecord | None:
        """See ``Reader.delivery``."""
        with self.reading() as reader:
            return reader.delivery(key)

    # -- deliveries, each note in a transaction of its own

    def begin_delivery(
        self,
        company: str,
        month: str,
        destination: str,
        version: int,
        key: str,
        content_hash: str,
        now: datetime,
        keep: Callable[[Transaction], str] | None = None,
    ) -> DeliveryRecord:
        """See ``Transaction.begin_delivery``; durable when this returns.

        ``keep`` saves the numbers that are about to be posted, and gives their digest. Nothing is posted yet, and an
        earlier note with this key stands: so it may be tried again.
        """

        def begin() -> DeliveryRecord:
            with self.transaction() as tx:
                snapshot = keep(tx) if keep is not None else None
                return tx.begin_delivery(
                    company, month, destination, version, key, content_hash, now, snapshot
                )

        return self.again("noting a delivery", begin)

    def finish_delivery(
        self,
        key: str,
        status: DeliveryStatus,
        now: datetime,
        *,
        location: str | None = None,
        error: str | None = None,
        content_hash: str | None = None,
        snapshot: str | None = None,
    ) -> None:
        """See ``Transaction.finish_delivery``; durable when this returns.

        The note alone is tried again, never the posting; and it never turns posted into anything else.
        """

        def finish() -> None:
            with self.transaction() as tx:
                tx.finish_delivery(
                    key,
                    status,
                    now,
                    location=location,
                    error=error,
                    content_hash=content_hash,
                    snapshot=snapshot,
                )

        self.again("noting how a delivery ended", finish)
