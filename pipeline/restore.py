"""A backup back into a store, on either database: all of it, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, select, text

from connectors.errors import ConfigurationError
from pipeline import backup, erase, migrate, partial
from pipeline.backup import OnProgress
from pipeline.failures import StoreError
from pipeline.store import Store
from pipeline.tables import METADATA, table


@dataclass(frozen=True)
class Restored:
    """What was put back: the revision the backup had, table -> rows, and how many rows had stood there before."""

    revision: str
    rows: dict[str, int]
    replaced: int


def restore(
    store: Store, file: Path, *, force: bool = False, on_progress: OnProgress | None = None
) -> Restored:
    """Put the backup ``file`` into ``store`` (at this program's revision), which must be empty unless ``force``.

    Raises ``ConfigurationError`` (not a backup, a newer one, the store holds rows, the backup is the store itself) and
    ``StoreError`` (the backup is damaged, the store failed: it holds what it held before).
    """
    revision = check(file)
    if backup.is_file_of(store, file):
        raise ConfigurationError(f"{file}: this is the store itself; name a backup of it")
    report = on_progress or (lambda *_: None)
    with (
        _current(file, revision, store) as path,
        backup.reading_file(path) as source,
        store.transaction() as tx,
    ):
        target = tx.connection
        _alone(target)
        held = _held(target)
        if held and not force:
            raise ConfigurationError(
                f"{store.place}: it holds rows already ({', '.join(held)}); "
                "restore into an empty store, or replace all of it with --force"
            )
        due = erase.due(tx)  # a restore takes no bytes out of the files
        replaced = _clear(target) if held else 0
        rows = {
            each.name: backup.transfer(source, target, each, report)
            for each in backup.tables_of(source)
            if each.name in METADATA.tables
        }
        _compare(source, target, store.place)
        if target.dialect.name == "postgresql":
            _continue_numbers(target)
        if due:
            tx.note_erasure(due, max(due.values()))
    return Restored(revision, rows, replaced)


def check(file: Path) -> str:
    """The revision of a backup that this program can restore.

    Raises ``ConfigurationError`` (not a backup, or a newer Boardline's) and ``StoreError`` (damaged).
    """
    backup.check_header(file)
    with backup.reading_file(file) as connection:
        revision = migrate.revision(connection)
        if revision is None:
            raise ConfigurationError(
                f"{file}: this database is not Boardline's; name a file that `boardline db backup` wrote"
            )
        migrate.check(connection, str(file))
        problem = backup.damage(connection)
    if problem is not None:
        raise StoreError(f"{file}: the backup is damaged ({problem}); nothing was restored, take another one")
    return revision


@contextmanager
def _current(file: Path, revision: str, store: Store) -> Iterator[Path]:
    """The backup at this program's revision: itself, or an upgraded copy of it. The file is never changed."""
    if revision == migrate.HEAD:
        yield file
        return
    own = store.url.database if store.url.drivername == "sqlite" else None
    # Where there is room for the store itself.
    folder = Path(own).resolve().parent if own else Path(tempfile.gettempdir())
    with partial.folder(folder, "restore") as place:
        copy = place / "backup.db"
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise StoreError(
                f"{file}: it is of schema {revision} and there is no room to upgrade a copy ({error.strerror}); "
                "nothing was restored, free some space"
            ) from error
        Store.open(f"sqlite:///{copy}").close()
        yield copy


def _alone(connection: Connection) -> None:
    """Nobody writes while a store is replaced (SQLite: the transaction sees to that)."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(sorted(METADATA.tables))
        connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


def _held(connection: Connection) -> list[str]:
    return [
        each.name
        for each in METADATA.sorted_tables
        if connection.execute(select(text("1")).select_from(each).limit(1)).first() is not None
    ]


def _clear(connection: Connection) -> int:
    """Delete all rows; returns how many."""
    return sum(connection.execute(delete(each)).rowcount for each in reversed(METADATA.sorted_tables))


def _compare(source: Connection, target: Connection, place: str) -> None:
    expected = backup.counts(source, source)
    found = backup.counts(source, target)
    different = sorted(name for name in expected if name in METADATA.tables and found[name] != expected[name])
    if different:
        raise StoreError(
            f"{place}: {', '.join(different)} came out unequal to the backup; nothing was restored"
        )


def _continue_numbers(connection: Connection) -> None:
    """New runs get numbers after the restored ones."""
    runs = table("runs").name
    connection.execute(
        text(
            f"SELECT setval(pg_get_serial_sequence('{runs}', 'id'), "  # noqa: S608
            f"COALESCE((SELECT MAX(id) FROM {runs}), 1), EXISTS (SELECT 1 FROM {runs}))"
        )
    )
