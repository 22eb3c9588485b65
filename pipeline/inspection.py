"""``db check``: is the store whole? Reads only; says what is wrong and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline import backup, erase, guards, invariants, migrate, snapshots, views
from pipeline.reader import Reader
from pipeline.store import Store
from pipeline.tables import METADATA

LEAST_FREE: Final = 50_000_000  # bytes below which a sync may fail
_ANEW: Final = "run `boardline db upgrade`, which makes it anew"
_SCHEMA: Final = (
    "back up, then `boardline db restore` the backup into an empty store, which makes the schema anew"
)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what a person should do."""

    what: str
    remedy: str


@dataclass
class Inspection:
    """What was found. ``rows``: table -> company -> rows. ``notes`` are worth knowing and nothing to repair."""

    place: str
    database: str
    revision: str
    expected: str
    size: int
    free: int | None
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_store(store: Store) -> Inspection:
    """Look at everything that can be wrong with a store. Raises ``ConfigurationError`` where there is none of ours."""
    with store.reading() as reader:
        connection = reader.connection
        revision = migrate.require(connection, store.place)
        free = _free(store)
        found = Inspection(
            place=store.place,
            database=_database(connection),
            revision=revision,
            expected=migrate.HEAD,
            size=_size(connection),
            free=free,
        )
        found.faults += _space(free)
        if connection.dialect.name == "sqlite":
            problem = backup.damage(connection)
            if problem is not None:
                found.faults.append(
                    Fault(
                        f"the database is damaged ({problem})",
                        "move it away, then `boardline db restore` a backup or `boardline sync --once --full`",
                    )
                )
                return found
        if revision != migrate.HEAD:
            found.faults.append(
                Fault(
                    f"its schema {revision} is older than this program's {migrate.HEAD}",
                    "run `boardline db backup`, then `boardline db upgrade`",
                )
            )
            return found
        found.faults += _schema(connection)
        if not found.faults:
            found.faults += _views(store, found)
            _content(reader, found)
    return found


def _content(reader: Reader, found: Inspection) -> None:
    connection = reader.connection
    for name in METADATA.tables:
        if "company" not in METADATA.tables[name].c:
            continue
        query = f"SELECT company, COUNT(*) FROM {name} GROUP BY company ORDER BY company"  # noqa: S608
        found.rows[name] = {str(company): int(rows) for company, rows in connection.execute(text(query))}
    for what, remedy in invariants.broken(connection):
        found.faults.append(Fault(what, remedy))
    for company, month, one in snapshots.altered(reader):
        what = f"{company}: the published numbers of {month} ({one[:12]}) were altered after they were frozen"
        found.faults.append(Fault(what, "restore the last backup that passes this check"))
    found.notes += invariants.worth_knowing(connection)
    if due := erase.due(reader):
        found.notes.append(
            f"rows were removed from {', '.join(sorted(due))} whose bytes are still in the files; the next sync, or "
            "`boardline forget`, takes them out"
        )


def _space(free: int | None) -> Iterator[Fault]:
    if free is not None and free < LEAST_FREE:
        yield Fault(f"only {free:,} bytes are free on its disk", "free some space before the next sync")


def _database(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar_one()}"
    return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"


def _size(connection: Connection) -> int:
    """Bytes that the database takes on its disk."""
    if connection.dialect.name == "sqlite":
        pages, size = (
            int(connection.execute(text(f"PRAGMA {name}")).scalar_one())
            for name in ("page_count", "page_size")
        )
        return pages * size
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _free(store: Store) -> int | None:
    """Bytes free where the store lies; None: on a server, which does not tell."""
    if store.url.drivername != "sqlite" or not store.url.database:
        return None
    return shutil.disk_usage(Path(store.url.database).resolve().parent).free


def _schema(connection: Connection) -> list[Fault]:
    """What is there, beside what the models say."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _ours})
    faults = [
        Fault(what, _SCHEMA) for change in compare_metadata(context, METADATA) for what in _in_words(change)
    ]
    there = set(inspect(connection).get_view_names())
    faults += [Fault(f"the view {name} is missing", _ANEW) for name in views.VIEWS if name not in there]
    faults += [
        Fault(f"the guard {name}, which keeps what is there from being altered, is missing or another", _ANEW)
        for name in guards.different(connection)
    ]
    return faults


def _views(store: Store, found: Inspection) -> list[Fault]:
    """Views that ask something else than they should. PostgreSQL is asked in a transaction that is then undone."""
    with store.engine.connect() as connection, connection.begin() as undone:
        try:
            different = views.different(connection)
        except SQLAlchemyError as error:
            cause = " ".join(str(getattr(error, "orig", error)).split())
            found.notes.append(f"what the views ask could not be compared ({cause})")
            different = []
        undone.rollback()
    return [Fault(f"the view {name} asks something else than it should", _ANEW) for name in different]


def _ours(thing: Any, name: str | None, kind: str, reflected: bool, _partner: Any) -> bool:
    """A person's own tables in the same database are none of our business."""
    return not (kind == "table" and reflected and name not in METADATA.tables)


def _in_words(change: Any) -> Iterator[str]:
    """Alembic's difference between the database and the models, for a person."""
    if isinstance(change, list):
        for part in change:
            yield from _in_words(part)
        return
    kind, *rest = change
    if kind == "add_table":
        yield f"the table {rest[0].name} is missing"
    elif kind == "add_column":
        yield f"the column {rest[1]}.{rest[2].name} is missing"
    elif kind == "remove_column":
        yield f"the column {rest[1]}.{rest[2].name} is none of Boardline's"
    elif kind == "modify_type":
        yield f"the column {rest[1]}.{rest[2]} is {rest[4]} instead of {rest[5]}"
    elif kind == "modify_nullable":
        yield f"the column {rest[1]}.{rest[2]} {'must' if rest[4] else 'must not'} hold a value"
    elif kind in ("add_index", "add_constraint", "add_fk"):
        yield f"{kind.removeprefix('add_')} {rest[0].name or ''} of {rest[0].table.name} is missing"
    elif kind in ("remove_index", "remove_constraint", "remove_fk"):
        yield f"{kind.removeprefix('remove_')} {rest[0].name or ''} of {rest[0].table.name} is none of Boardline's"
    elif "comment" not in kind:
        yield f"{kind} {' '.join(str(part) for part in rest if isinstance(part, str))}"
