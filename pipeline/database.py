"""The connection to the store's database, and its errors in words for a person.

Everything that SQLite and PostgreSQL do differently on the way in lies here and in ``bulk``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from connectors.errors import BoardlineError, ConfigurationError
from pipeline.failures import StoreBusyError, StoreError, StoreUnreachableError, in_words
from pipeline.store_url import parse

__all__ = ["StoreBusyError", "StoreError", "StoreUnreachableError", "parse"]

BUSY_SECONDS = (
    30  # how long to wait for another writer before giving up; ?timeout= of an SQLite URL says otherwise
)
_ROOM = 64 * 1024  # bytes; SQLite's index of its log takes half of it
WRITE = "boardline_write"  # execution option of a connection: take the write lock at BEGIN


def connect(url: URL, *, mode: str | None = None) -> Engine:
    """An engine with our settings; opens no connection yet. ``mode``: see ``reading_mode``."""
    try:
        if mode is not None:
            address = f"file:{quote(str(url.database))}?{mode}"
            engine = create_engine(
                url, creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False)
            )
            event.listen(engine, "connect", _configure_reading)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if url.drivername == "sqlite":
            waits = {"timeout": float(str(url.query.get("timeout", BUSY_SECONDS)))}
            engine = create_engine(url, connect_args={**waits, "check_same_thread": False})
            event.listen(engine, "connect", configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        defaults = {"connect_timeout": "10", "application_name": "boardline"}
        given = dict(url.query)
        return create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                **{name: value for name, value in defaults.items() if name not in given},
                "options": f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s {given.get('options', '')}".strip(),
            },
        )
    except (ArgumentError, NoSuchModuleError) as error:
        why = " ".join(str(error).split())
        raise ConfigurationError(f"store.url cannot be used: {why}; correct it") from error


def reading_mode(url: URL, *, unwritable: bool = False) -> str | None:
    """How to open an SQLite file that cannot be written, as the query of its URI; None: as usual.

    SQLite wants to write beside even a file that it only reads, unless it is told that nobody changes it. That is
    true as long as nobody has left writes in the ``-wal`` file beside it. ``unwritable``: opening as usual has failed.
    """
    if url.drivername != "sqlite" or url.database is None:
        return None
    path = Path(url.database)
    if not unwritable and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return None
    log = path.with_name(path.name + "-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def unwritable(error: BaseException) -> bool:
    """Whether SQLite failed because it could not write: no permission, no space, or a disk that refuses."""
    cause = error.__cause__
    code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", 0) & 0xFF
    return code in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )


def _configure_reading(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA temp_store = MEMORY")


def configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that DDL and reads are in transactions too
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a committed page survives a power cut, not only a kill
    cursor.execute("PRAGMA cache_size = -65536")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class OneFile:
    """Keeps an engine to the SQLite file that it first opened.

    A file that is moved away or replaced lives on without a name as long as somebody has it open, and what is written
    there is lost; and a pass that went on in a file put in its place would leave out what it had written before.
    """

    def __init__(self, engine: Engine) -> None:
        self.path = Path(engine.url.database or "")
        self.first: tuple[int, int] | None = None
        for moment in ("do_connect", "checkout", "commit"):
            event.listen(engine, moment, self._look)
        event.listen(engine, "connect", self._note)

    def same(self) -> bool:
        """Whether the name still stands for that file."""
        return self.first is None or self._found() == self.first

    def _note(self, *_: object) -> None:
        self.first = self.first or self._found()

    def _look(self, *_: object) -> None:
        if not self.same():
            raise StoreError(
                f"store {self.path}: the file was moved, deleted or replaced while it was in use; nothing of this "
                "step was kept, put the right file there and start again"
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def check_file(url: URL, *, create: bool, writes: bool = True) -> None:
    """Say what is wrong with an SQLite file before the driver does, in fewer words than we need."""
    if url.drivername != "sqlite" or url.database is None:
        return
    path = Path(url.database)
    folder = path.parent
    _look_into(path)
    if not folder.is_dir():
        raise ConfigurationError(
            f"store {path}: the folder {folder} does not exist; create it, or correct store.url"
        )
    if path.is_dir():
        raise ConfigurationError(f"store {path}: this is a folder, not a file; correct store.url")
    if not path.exists():
        if not create:
            raise ConfigurationError(
                f"store {path}: there is no such file yet; run `boardline sync --once` first"
            )
        if not os.access(folder, os.W_OK):
            raise ConfigurationError(
                f"store {path}: the folder {folder} is not writable; change its permissions"
            )
        return
    if not os.access(path, os.R_OK):
        raise ConfigurationError(
            f"store {path}: the file cannot be read; change its permissions or store.url"
        )
    if writes and not os.access(path, os.W_OK):
        raise ConfigurationError(f"store {path}: the file is read-only; make it writable or name another one")


def _look_into(path: Path) -> None:
    """Raise ``ConfigurationError`` where this user may not even see whether the file is there."""
    try:
        path.stat()
    except PermissionError as error:
        raise ConfigurationError(
            f"store {path}: this user may not look into its folder; change the permissions or store.url"
        ) from error
    except OSError:
        return  # what is wrong with it is told by those who ask for more


def missing_file(url: str) -> Path | None:
    """The SQLite file of a store that does not exist yet, in a folder where it could; else None."""
    parsed = parse(url)
    if parsed.drivername != "sqlite" or parsed.database is None:
        return None
    _look_into(Path(parsed.database))
    if Path(parsed.database).exists():
        return None
    check_file(parsed, create=True)
    return Path(parsed.database)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn a database driver's exception into one of ours, naming the file or host, never the password."""
    try:
        yield
    except DBAPIError as error:
        raise _in_words(url, error.orig if error.orig is not None else error) from error
    except (sqlite3.Error, psycopg.Error, SQLAlchemyError) as error:
        raise _in_words(url, error) from error


def _in_words(url: URL, error: BaseException) -> BoardlineError:
    full = url.drivername == "sqlite" and _full(url)
    return in_words(where(url), error, url.password or url.query.get("password"), disk_full=full)


def where(url: URL) -> str:
    """How messages name the store: the file, or host and database."""
    if url.drivername == "sqlite":
        return f"store {url.database}"
    host = url.host or url.query.get("host") or "localhost"
    return f"store {url.database} on {host}{f':{url.port}' if url.port else ''}"


def _full(url: URL) -> bool:
    """Whether the disk of an SQLite file has no room left for what SQLite keeps beside it."""
    try:
        return shutil.disk_usage(Path(str(url.database)).parent).free < _ROOM
    except OSError:
        return False
