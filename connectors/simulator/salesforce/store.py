"""The org's disk: one typed SQLite table per object, and the events that have not happened yet.

Rows are never removed when they leave the recycle bin; what may still be seen is decided at query time from
``_deleted_at`` and the clock. Only a purge removes a row.
"""
# ruff: noqa: S608  # statements are put together from the catalogue's names; values are bound

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import orjson

from connectors.simulator.salesforce.fields import Table
from connectors.simulator.salesforce.mapping import Row
from connectors.simulator.world import Event

DAY: Final = 86_400
RECYCLE_BIN: Final = 15 * DAY
_ARCHIVED_AFTER: Final = 365 * DAY  # events a year old are seen by queryAll only
_FIELD_HISTORY_QUERY: Final = 548 * DAY  # 18 months
_FIELD_HISTORY_KEPT: Final = 730 * DAY  # 24 months
_CHILDREN: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Account": (
        ("Contact", "AccountId"),
        ("Opportunity", "AccountId"),
        ("Contract", "AccountId"),
        ("Event", "WhatId"),
    ),
    "Contact": (("OpportunityContactRole", "ContactId"),),
    "Contract": (("SBQQ__Subscription__c", "SBQQ__Contract__c"),),
    "Opportunity": (
        ("OpportunityLineItem", "OpportunityId"),
        ("OpportunityContactRole", "OpportunityId"),
        ("OpportunityHistory", "OpportunityId"),
        ("OpportunityFieldHistory", "OpportunityId"),
        ("Event", "WhatId"),
    ),
}


class Store:
    """One SQLite file. ``lock`` is held by whoever reads or writes, so that a request sees one moment."""

    def __init__(self, path: Path, tables: Mapping[str, Table]) -> None:
        self.lock = threading.RLock()
        self.tables = tables
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA cache_size=-65536")
        self._columns: dict[str, list[str]] = {}
        for table in tables.values():
            self._create(table)
        self._db.execute(
            "CREATE TABLE _pending (at INTEGER, kind TEXT, key INTEGER, number INTEGER, op TEXT, body BLOB)"
        )

    def _create(self, table: Table) -> None:
        columns = [spec.column for spec in table.fields.values() if spec.column]
        hidden = ['"_deleted_at" INTEGER', '"_by" TEXT']
        self._db.execute(
            f'CREATE TABLE "{table.name}" (_key INTEGER PRIMARY KEY, {", ".join(columns + hidden)})'
        )
        names = [spec.name for spec in table.fields.values() if spec.column]
        self._columns[table.name] = ["_key", *names, "_deleted_at", "_by"]

    def index(self) -> None:
        """Make the indexes; after the first load, because that is faster."""
        for table in self.tables.values():
            wanted = {
                "Id",
                "SystemModstamp",
                "OpportunityId",
                "AccountId",
                "ContactId",
                "WhatId",
                "SBQQ__Contract__c",
            }
            for name in wanted & set(table.fields):
                unique = "UNIQUE" if name == "Id" else ""
                self._db.execute(
                    f'CREATE {unique} INDEX IF NOT EXISTS "{table.name}_{name}" ON "{table.name}" ("{name}")'
                )
        self._db.execute("CREATE INDEX IF NOT EXISTS _pending_at ON _pending (at)")

    def close(self) -> None:
        with self.lock:
            self._db.close()

    # reading

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._db.execute(sql, parameters).fetchall()

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows one by one; hold ``lock`` while iterating."""
        return iter(self._db.execute(sql, parameters))

    def keys(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[int]:
        return (row[0] for row in self.stream(sql, parameters))

    # writing

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        """Write whole rows; each has ``_key``; columns it lacks are null."""
        batch = list(rows)
        used = set().union(*batch)
        names = [name for name in self._columns[table] if name in used]
        if not names:
            return
        blank = dict.fromkeys(names)
        pick = itemgetter(*names)
        marks = ", ".join("?" * len(names))
        quoted = ", ".join(f'"{name}"' for name in names)
        self._db.executemany(
            f'INSERT OR REPLACE INTO "{table}" ({quoted}) VALUES ({marks})',
            [pick({**blank, **row}) for row in batch],
        )

    def read(self, table: str, key: int) -> Row | None:
        """One whole row, or None."""
        names = self._columns[table]
        quoted = ", ".join(f'"{name}"' for name in names)
        found = self._db.execute(f'SELECT {quoted} FROM "{table}" WHERE _key = ?', (key,)).fetchone()
        return dict(zip(names, found, strict=True)) if found else None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._db.execute(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and write in one go."""
        with self.lock:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")  # without a journal there is nothing to roll back to

    def supersede(self, opportunity: str, at: int) -> None:
        """Stamp the newest history row of a deal with the moment that the next one replaces it."""
        self._db.execute(
            "UPDATE OpportunityHistory SET SystemModstamp = ? WHERE _key ="
            " (SELECT max(_key) FROM OpportunityHistory WHERE OpportunityId = ?)",
            (at, opportunity),
        )

    def postpone(self, events: Iterable[tuple[str, int, int, Event]]) -> None:
        self._db.executemany(
            "INSERT INTO _pending VALUES (?, ?, ?, ?, ?, ?)",
            (
                (e.at, kind, key, number, e.op, orjson.dumps(dict(e.values)))
                for kind, key, number, e in events
            ),
        )

    def due(self, now: int) -> list[tuple[str, int, int, Event]]:
        """The events up to ``now`` that have not been applied, in order; they are forgotten here."""
        found = self._db.execute(
            "SELECT kind, key, number, at, op, body FROM _pending WHERE at <= ? ORDER BY at, rowid", (now,)
        ).fetchall()
        self._db.execute("DELETE FROM _pending WHERE at <= ?", (now,))
        return [
            (kind, key, number, Event(at, op, orjson.loads(body)))
            for kind, key, number, at, op, body in found
        ]

    # deletions

    def cascade(self, name: str, identifier: str, event: Event) -> None:
        """Take along, or bring back, what belongs to a record that is deleted or restored."""
        for child, column in _CHILDREN.get(name, ()):
            if event.op == "restore":
                where = f'"{column}" = ? AND IsDeleted = 1 AND _by IS NOT NULL AND _by = ?'
                new = "IsDeleted = 0, _deleted_at = NULL, _by = NULL"
                more: list[str | int] = [identifier, identifier]
            else:
                where = f'"{column}" = ? AND IsDeleted = 0 AND CreatedDate <= ?'
                new, more = f"IsDeleted = 1, _deleted_at = {event.at}, _by = ?", [identifier, event.at]
            touched = self._db.execute(f'SELECT Id FROM "{child}" WHERE {where}', more).fetchall()
            stamps = [
                f'"{stamp}" = max("{stamp}", {event.at})'
                for stamp in ("SystemModstamp", "LastModifiedDate")
                if stamp in self.tables[child].fields
            ]
            owner = [] if event.op == "restore" else [identifier]
            self._db.executemany(
                f'UPDATE "{child}" SET {", ".join([new, *stamps])} WHERE Id = ?',
                ([*owner, row[0]] for row in touched),
            )
            for row in touched:
                self.cascade(child, row[0], event)

    def purge(self, name: str, identifier: str) -> None:
        """Remove a record and what belongs to it, without a trace."""
        for child, column in _CHILDREN.get(name, ()):
            for row in self._db.execute(
                f'SELECT Id FROM "{child}" WHERE "{column}" = ?', (identifier,)
            ).fetchall():
                self.purge(child, row[0])
        self._db.execute(f'DELETE FROM "{name}" WHERE Id = ?', (identifier,))


def visible(table: Table, now: int, *, everything: bool, alias: str = "t") -> str:
    """The condition for what a query, or with ``everything`` a queryAll, may see at ``now``."""
    conditions = []
    if "IsDeleted" in table.fields:
        if not everything:
            conditions.append(f"{alias}.IsDeleted = 0")
        else:
            own = f"{alias}._deleted_at > {now - RECYCLE_BIN}"
            if table.name == "OpportunityContactRole":
                own += f" AND {alias}._by IS NOT NULL"  # deleted directly, they vanish
            conditions.append(f"({alias}.IsDeleted = 0 OR ({own}))")
    if table.name == "Event" and not everything:
        conditions.append(f"coalesce({alias}.EndDateTime, {now}) >= {now - _ARCHIVED_AFTER}")
    if table.name == "OpportunityFieldHistory":
        kept = _FIELD_HISTORY_KEPT if everything else _FIELD_HISTORY_QUERY
        conditions.append(f"{alias}.CreatedDate > {now - kept}")
    return " AND ".join(conditions) or "1"


def column_sql(table: str, name: str, alias: str, now: int) -> str:
    """The expression of a field's value; plain for all but what depends on the clock."""
    if (table, name) == ("Event", "IsArchived"):
        return f"(coalesce({alias}.EndDateTime, {now}) < {now - _ARCHIVED_AFTER})"
    return f'{alias}."{name}"'
