"""One file that holds the whole store: made while others write, checked before it counts.

A backup is itself a complete Boardline store on SQLite, of the revision the store had. It is written beside its
place (``pipeline.partial``) and renamed when it is whole, on the disk, and found equal to what was read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, MetaData, Table, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from connectors.errors import ConfigurationError
from pipeline import database, migrate, partial, slices
from pipeline.failures import StoreError
from pipeline.store import Store
from pipeline.tables import METADATA

OnProgress = Callable[[str, int, int | None], None]
_PAGES: Final = 2_000  # of SQLite, copied in one step
_HEADER: Final = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Backup:
    """A backup that is there: where, of which revision, table -> rows, bytes."""

    path: Path
    revision: str
    rows: dict[str, int]
    size: int


def backup(
    store: Store, target: Path, *, force: bool = False, on_progress: OnProgress | None = None
) -> Backup:
    """Write one consistent state of ``store`` (any revision that is known) to the SQLite file ``target``.

    Raises ``ConfigurationError`` (no such folder, the file is there and not ``force``, nothing to back up) and
    ``StoreError`` (no space, damaged, or the copy is not equal to what was read: then there is no new file).
    """
    _check_target(store, target, force=force)
    with _on_disk(target), partial.folder(target.parent, "backup") as place:
        copy = place / target.name
        with store.reading() as reader:
            revision = migrate.require(reader.connection, store.place)
            counted = counts(reader.connection, reader.connection)
            write = _copy_sqlite if reader.connection.dialect.name == "sqlite" else _copy_postgres
            with _writing(target):
                write(reader.connection, copy, revision, on_progress or (lambda *_: None))
            check_copy(copy, counted, target)
        _publish(copy, target, force=force)
    rows = {name: columns[""] for name, columns in counted.items()}
    return Backup(target, revision, rows, target.stat().st_size)


def _check_target(store: Store, target: Path, *, force: bool) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise ConfigurationError(
            f"{target}: the folder {folder} does not exist; create it, or name another one"
        )
    if target.is_dir():
        raise ConfigurationError(f"{target}: this is a folder; name a file in it")
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(f"{target}: the folder {folder} is not writable; name another one")
    if target.exists():
        if is_file_of(store, target):
            raise ConfigurationError(f"{target}: this is the store itself; name another file")
        if not force:
            raise ConfigurationError(f"{target}: the file is there already; name another one, or use --force")


def is_file_of(store: Store, path: Path) -> bool:
    """Whether ``path`` is the SQLite file of that store."""
    if store.url.drivername != "sqlite" or not store.url.database:
        return False
    own = Path(store.url.database)
    return own.exists() and path.exists() and own.samefile(path)


# What SQLite says where it cannot write; while pages are copied that is about the copy, for the store is only read.
_NOT_WRITTEN: Final = (
    *("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE"),
    *("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_CLOSE", "SQLITE_IOERR_DELETE"),
)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """What hinders the copy is said of the backup, not of the store that is read."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, sqlite3.Error) or not cause.sqlite_errorname.startswith(_NOT_WRITTEN):
            raise
        raise StoreError(_unwritten(target, cause)) from error


def _unwritten(target: Path, why: object) -> str:
    return f"{target}: it cannot be written ({why}), so no backup was made; check the disk and its space"


def _copy_sqlite(connection: Connection, path: Path, revision: str, on_progress: OnProgress) -> None:
    """Page by page, all from the state that this connection's transaction sees, however much others write."""
    del revision
    pages = int(connection.execute(text("PRAGMA page_count")).scalar_one())
    size = pages * int(connection.execute(text("PRAGMA page_size")).scalar_one())
    place = path.parent.parent  # where the backup goes to
    free = shutil.disk_usage(place).free
    if free < size:
        raise StoreError(
            f"{place}: {size:,} bytes are needed and {free:,} are free; "
            "free some space, or name another folder"
        )
    source: Any = connection.connection.driver_connection
    copy = sqlite3.connect(path)
    try:
        source.backup(
            copy,
            pages=_PAGES,
            progress=lambda _status, left, total: on_progress("pages", total - left, total),
        )
        if _due(connection):  # pages are copied with what was removed from them
            copy.execute("VACUUM")
        copy.execute("PRAGMA journal_mode = DELETE")  # a file that can be read where nothing can be written
    finally:
        copy.close()


def _due(connection: Connection) -> bool:
    """Whether the store's file still holds what was removed (see ``pipeline.erase``)."""
    if not inspect(connection).has_table("erasures"):
        return False
    return connection.execute(text("SELECT 1 FROM erasures LIMIT 1")).first() is not None


def _copy_postgres(connection: Connection, path: Path, revision: str, on_progress: OnProgress) -> None:
    """Table by table in slices, all from the state of this connection's transaction."""
    engine = database.connect(database.parse(f"sqlite:///{path}"))
    try:
        with engine.connect() as copy:
            raw: Any = copy.connection.driver_connection
            raw.execute("PRAGMA journal_mode = OFF")  # a file half written is thrown away, never repaired
            raw.execute("PRAGMA synchronous = OFF")
            with copy.begin():
                migrate.upgrade(copy, f"store {path}", revision)
                for table in tables_of(copy):
                    transfer(connection, copy, table, on_progress)
    finally:
        engine.dispose()


def tables_of(connection: Connection) -> list[Table]:
    """Our tables as they are in an SQLite store, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def transfer(source: Connection, target: Connection, table: Table, on_progress: OnProgress) -> int:
    """All rows of ``table`` (as an SQLite store has it) into the empty one of the same name; returns how many."""
    total = int(source.execute(text(f"SELECT COUNT(*) FROM {table.name}")).scalar_one())  # noqa: S608

    def reported(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        done = 0
        for frame in frames:
            done += frame.height
            on_progress(table.name, done, total)
            yield frame

    with closing(slices.read(source, table.name, _schema(table))) as frames:
        return slices.write(target, table.name, reported(frames))


def _schema(table: Table) -> pl.Schema:
    """The models' kinds for the columns of a table; its own where a later revision did away with the table."""
    known = METADATA.tables.get(table.name, table)
    return slices.schema_of(known, [column.name for column in table.columns if column.name in known.columns])


def counts(shape: Connection, connection: Connection) -> dict[str, dict[str, int]]:
    """Table -> column -> how many values it holds ('' counts rows), for the tables that ``shape`` has."""
    found = MetaData()
    found.reflect(shape)
    result = {}
    for table in sorted(found.tables.values(), key=lambda table: str(table.name)):
        names = [column.name for column in table.columns]
        values = ", ".join(f'COUNT("{name}")' for name in names)
        row = connection.execute(text(f"SELECT COUNT(*), {values} FROM {table.name}")).one()  # noqa: S608
        result[str(table.name)] = dict(zip(("", *names), row, strict=True))
    return result


def check_copy(path: Path, expected: dict[str, dict[str, int]], target: Path) -> None:
    """Raise ``StoreError`` unless the file is sound and holds as many values in every column as ``expected``."""
    with reading_file(path) as connection:
        problem = damage(connection)
        if problem is not None:
            raise StoreError(
                f"{target}: the copy is damaged ({problem}), so no backup was made; "
                "run `boardline db check`, and check the disk"
            )
        found = counts(connection, connection)
    if found != expected:
        names = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        raise StoreError(
            f"{target}: the copy differs from the store in {', '.join(names)}, so no backup was made; try again"
        )


def damage(connection: Connection) -> str | None:
    """What SQLite itself finds wrong with a file; None: nothing."""
    found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(5)"))]
    if found != ["ok"]:
        return "; ".join(" ".join(line.split()) for line in found)
    orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    return f"{len(orphans)} rows of {orphans[0][0]} refer to nothing" if orphans else None


@contextmanager
def reading_file(path: Path) -> Iterator[Connection]:
    """A connection to an SQLite file that cannot change it; errors name the file."""
    url = URL.create("sqlite", database=str(path))
    engine = database.connect(url, mode="mode=ro")
    try:
        with (
            database.translated(url),
            engine.connect() as connection,
            connection.begin(),
        ):
            yield connection
    finally:
        engine.dispose()


def check_header(path: Path) -> None:
    """Raise ``ConfigurationError`` where ``path`` cannot be a backup at all."""
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: there is no such file; name a file that `boardline db backup` wrote"
        )
    try:
        with path.open("rb") as file:
            start = file.read(len(_HEADER))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: it cannot be read ({error.strerror}); change its permissions"
        ) from error
    if start != _HEADER:
        raise ConfigurationError(
            f"{path}: this is not a backup; name a file that `boardline db backup` wrote"
        )


@contextmanager
def _on_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(_unwritten(target, error.strerror)) from error


def _publish(made: Path, target: Path, *, force: bool) -> None:
    """Give the finished file its name once it is on the disk."""
    sync_file(made)
    if target.exists() and not force:
        raise ConfigurationError(f"{target}: the file is there already; name another one, or use --force")
    made.replace(target)
    sync_folder(target.parent)


def sync_file(path: Path) -> None:
    """Have a file's content on the disk, not only on its way there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
    with suppress(OSError):
        handle: Any = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
