"""The drivers' own connections, counting every statement that goes through them; at one of them something happens.

Counted are: before each statement (also each executemany), before and after each COMMIT, and before, inside and after
each COPY. They are put in place by SQLAlchemy's ``do_connect``, so nothing of the drivers is changed.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Engine, event


def die() -> None:
    """End like a process whose power is cut: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Boundaries:
    """Counts; ``act`` happens at the ``at``-th (1 is the first; 0: never)."""

    at: int = 0
    act: Callable[[], None] = die
    names: list[str] = field(default_factory=list)

    def cross(self, name: str) -> None:
        """One more; ``name`` says where."""
        self.names.append(" ".join(name.split())[:60])
        if len(self.names) == self.at:
            self.act()

    def watch(self, engine: Engine | type[Engine]) -> None:
        """Have the engine, or every engine from now on, make connections that count here."""
        event.listen(engine, "do_connect", self._connect)

    def _connect(self, dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        if dialect.name == "sqlite":
            options["factory"] = type("Counting", (_SqliteConnection,), {"boundaries": self})
            return None
        made: Any = type("Counting", (_PostgresConnection,), {"boundaries": self})
        connection = made.connect(*arguments, **options)
        connection.cursor_factory = _PostgresCursor
        return connection


class _SqliteCursor(sqlite3.Cursor):
    def execute(self, sql: str, *rest: Any) -> Any:
        self._count(sql)
        return super().execute(sql, *rest)

    def executemany(self, sql: str, rows: Any, /) -> Any:
        self._count(sql)
        return super().executemany(sql, rows)

    def _count(self, sql: str) -> None:
        connection: Any = self.connection
        connection.boundaries.cross(sql)


class _SqliteConnection(sqlite3.Connection):
    boundaries: Boundaries

    def cursor(self, *_: Any) -> Any:
        return super().cursor(_SqliteCursor)

    def commit(self) -> None:
        self.boundaries.cross("before COMMIT")
        super().commit()
        self.boundaries.cross("after COMMIT")


class _PostgresCursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
        self._count(str(query))
        return super().execute(query, *rest, **options)

    @contextmanager
    def copy(self, statement: Any, *rest: Any, **options: Any) -> Iterator[Any]:
        self._count(f"before {statement}")
        with super().copy(statement, *rest, **options) as stream:
            yield stream
            self._count(f"inside {statement}")
        self._count(f"after {statement}")

    def _count(self, name: str) -> None:
        connection: Any = self.connection
        connection.boundaries.cross(name)


class _PostgresConnection(psycopg.Connection[Any]):
    boundaries: Boundaries

    def commit(self) -> None:
        self.boundaries.cross("before COMMIT")
        super().commit()
        self.boundaries.cross("after COMMIT")
