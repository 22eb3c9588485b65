"""Frames into tables and back, as fast as each database's own way of moving rows.

SQLite: one prepared statement over the rows of a frame. PostgreSQL: COPY of polars' CSV into a staging table and one
merge. Both count only rows that truly changed. Reading builds a frame from what the driver fetches in bulk.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
from sqlalchemy import Connection, Table, exists, or_, select

_WORTH_TRYING = 500  # rows; fewer are merged as quickly
_AT_ONCE = 25_000  # rows turned into tuples or text
_ASKED_FOR = 20  # rows of a frame, to guess whether all are new
_TEXT_INSTANT = "%Y-%m-%d %H:%M:%S%.6f"  # how SQLite keeps an instant
_READ_INSTANT = "%Y-%m-%d %H:%M:%S%.f"


@dataclass(frozen=True)
class Merge:
    """What happens to a row that is there already.

    ``compare``: columns that are set, and whose difference makes a change. ``stamp``: columns set along with a
    change. ``known``: of ``compare``, those in which a null never replaces a value. ``newest``: a column in which an
    older value loses, so that a late writer does not undo a newer one. All other columns keep their first value.
    """

    compare: tuple[str, ...]
    stamp: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    newest: str | None = None


def upsert(connection: Connection, table: Table, frame: pl.DataFrame, merge: Merge) -> int:
    """Insert or update every row of ``frame`` (keys unique); returns how many rows are new or differ now."""
    if frame.is_empty():
        return 0
    keys = [column.name for column in table.primary_key]
    if connection.dialect.name == "sqlite":
        values = ", ".join("?" for _ in frame.columns)
        sql = f"{_insert(table, frame.columns)} VALUES ({values}) {_conflict(table, keys, merge, 'IS NOT')}"
        return executemany(connection, sql, _tuples(frame))
    if _looks_new(connection, table, frame, keys) and _copied_straight(connection, table, frame):
        return frame.height
    return _merged(connection, table, frame, keys, merge)


def _looks_new(connection: Connection, table: Table, frame: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether none of a few rows is there yet: then most likely none is, as in a backfill."""
    if frame.height < _WORTH_TRYING:
        return False
    sample = frame.select(keys).gather_every(frame.height // _ASKED_FOR)
    rows = sample.iter_rows(named=True)
    # One look-up of a whole key each: for a list of keys the planner may read the table from end to end.
    there = or_(*(exists().where(*(table.c[key] == row[key] for key in keys)) for row in rows))
    return connection.execute(select(there)).scalar() is False


def _copied_straight(connection: Connection, table: Table, frame: pl.DataFrame) -> bool:
    """Add rows that are all new; where one is there already (the primary key says so), nothing happens."""
    cursor = _raw(connection).cursor()
    cursor.execute("SAVEPOINT straight")
    try:
        copy_in(cursor, f"{table.name} ({_list(frame.columns)})", frame)
    except psycopg.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT straight")
        return False
    cursor.execute("RELEASE SAVEPOINT straight")
    return True


def _merged(
    connection: Connection, table: Table, frame: pl.DataFrame, keys: Sequence[str], merge: Merge
) -> int:
    """Put the rows aside, and from there insert the new and update the changed ones; the rest is not touched."""
    stage = f"stage_{table.name}"
    columns, order = _list(frame.columns), ", ".join(f"s.{_name(key)}" for key in keys)
    cursor = _raw(connection).cursor()
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {table.name}) ON COMMIT DELETE ROWS")
    copy_in(cursor, f"{stage} ({columns})", frame)
    same_key = " AND ".join(f"t.{_name(key)} = s.{_name(key)}" for key in keys)
    due = _due(merge, "t", "s", "IS DISTINCT FROM")
    cursor.execute(  # the LIMIT keeps the planner, who knows nothing of our rows, to the primary key
        f"{_insert(table, frame.columns)} SELECT {_list(frame.columns, 's')} FROM {stage} s "  # noqa: S608
        f"LEFT JOIN LATERAL (SELECT * FROM {table.name} t WHERE {same_key} LIMIT 1) t ON TRUE "
        f"WHERE t.{_name(keys[0])} IS NULL OR ({due}) ORDER BY {order} "
        f"{_conflict(table, keys, merge, 'IS DISTINCT FROM')}"
    )
    changed = int(cursor.rowcount)
    cursor.execute(f"DELETE FROM {stage}")  # noqa: S608
    return changed


def update(connection: Connection, table: Table, frame: pl.DataFrame, keys: Sequence[str]) -> int:
    """Set the columns of ``frame`` on the rows its ``keys`` name; returns how many rows there were."""
    if frame.is_empty():
        return 0
    targets = [column for column in frame.columns if column not in keys]
    if connection.dialect.name == "sqlite":
        assignments = ", ".join(f"{_name(column)} = ?" for column in targets)
        condition = " AND ".join(f"{_name(key)} = ?" for key in keys)
        sql = f"UPDATE {table.name} SET {assignments} WHERE {condition}"  # noqa: S608
        return executemany(connection, sql, _tuples(frame.select(*targets, *keys)))
    stage = f"stage_{table.name}_update"
    cursor = _raw(connection).cursor()
    cursor.execute(
        f"CREATE TEMP TABLE {stage} ON COMMIT DROP AS SELECT {_list(frame.columns)} FROM {table.name} WITH NO DATA"  # noqa: S608
    )
    copy_in(cursor, f"{stage} ({_list(frame.columns)})", frame)
    assignments = ", ".join(f"{_name(column)} = s.{_name(column)}" for column in targets)
    condition = " AND ".join(f"t.{_name(key)} = s.{_name(key)}" for key in keys)
    cursor.execute(f"UPDATE {table.name} t SET {assignments} FROM {stage} s WHERE {condition}")  # noqa: S608
    changed = int(cursor.rowcount)
    cursor.execute(f"DROP TABLE {stage}")
    return changed


def executemany(connection: Connection, sql: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Run one prepared SQLite statement over many rows; returns how many rows it changed."""
    cursor = _raw(connection).cursor()
    try:
        cursor.executemany(sql, rows)
        return int(cursor.rowcount)
    finally:
        cursor.close()


def read(
    connection: Connection,
    table: Table,
    schema: pl.Schema,
    equal: Mapping[str, str],
    later: tuple[str, datetime] | None = None,
) -> pl.DataFrame:
    """The rows whose columns ``equal`` the given texts, in ``schema``, in no particular order.

    ``later``: only those in which an instant lies after the given one.
    """
    columns = list(schema)
    tests = [f"{_name(column)} = ?" for column in equal] + ([f"{_name(later[0])} > ?"] if later else [])
    values: tuple[Any, ...] = (*equal.values(), *([later[1]] if later else []))
    if connection.dialect.name == "sqlite":
        condition = " AND ".join(tests)
        query = f"SELECT {_list(columns)} FROM {table.name} WHERE {condition}"  # noqa: S608
        cursor = _raw(connection).cursor()
        try:
            rows = cursor.execute(query, tuple(map(_sqlite_text, values))).fetchall()
        finally:
            cursor.close()
        raw = pl.DataFrame(
            rows, schema={name: carrier(dtype) for name, dtype in schema.items()}, orient="row"
        )
        return raw.select(restored(name, dtype, "1") for name, dtype in schema.items())
    selected = ", ".join(
        f"{_name(name)} AT TIME ZONE 'UTC'" if isinstance(dtype, pl.Datetime) else _name(name)
        for name, dtype in schema.items()
    )
    condition = " AND ".join(tests).replace("?", "%s")
    buffer = io.BytesIO()
    copy = f"COPY (SELECT {selected} FROM {table.name} WHERE {condition}) TO STDOUT (FORMAT csv)"  # noqa: S608
    with _raw(connection).cursor().copy(copy, values) as stream:
        for block in stream:
            buffer.write(block)
    if not buffer.tell():
        return pl.DataFrame(schema=schema)
    buffer.seek(0)
    carriers = {name: pl.String if dtype == pl.Boolean else carrier(dtype) for name, dtype in schema.items()}
    raw = pl.read_csv(buffer, has_header=False, schema=carriers)
    return raw.select(restored(name, dtype, "t") for name, dtype in schema.items())


def _sqlite_text(value: Any) -> Any:
    """An instant as the text that SQLite keeps; anything else as it is."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def _raw(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _name(column: str) -> str:
    return f'"{column}"'


def _list(columns: Sequence[str], rows: str = "") -> str:
    return ", ".join(f"{rows}.{_name(column)}" if rows else _name(column) for column in columns)


def _insert(table: Table, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table.name} ({_list(columns)})"


def _conflict(table: Table, keys: Sequence[str], merge: Merge, differs: str) -> str:
    """What an INSERT does with a row that is there."""
    if not merge.compare:
        return f"ON CONFLICT ({_list(keys)}) DO NOTHING"
    here, new = table.name, "excluded"
    assignments = ", ".join(
        f"{_name(column)} = {_value(merge, column, here, new)}" for column in (*merge.compare, *merge.stamp)
    )
    return f"ON CONFLICT ({_list(keys)}) DO UPDATE SET {assignments} WHERE {_due(merge, here, new, differs)}"


def _value(merge: Merge, column: str, here: str, new: str) -> str:
    """What a column becomes, of a row ``here`` and its ``new`` version."""
    fresh = f"{new}.{_name(column)}"
    return f"COALESCE({fresh}, {here}.{_name(column)})" if column in merge.known else fresh


def _due(merge: Merge, here: str, new: str, differs: str) -> str:
    """Whether a row that is there is replaced by its new version."""
    if not merge.compare:
        return "FALSE"
    changed = " OR ".join(
        f"{here}.{_name(column)} {differs} {_value(merge, column, here, new)}" for column in merge.compare
    )
    if merge.newest is None:
        return f"({changed})"
    old, fresh = f"{here}.{_name(merge.newest)}", f"{new}.{_name(merge.newest)}"
    return f"({changed}) AND ({old} IS NULL OR {fresh} IS NULL OR {fresh} >= {old})"


def copy_in(cursor: Any, target: str, frame: pl.DataFrame) -> None:
    """The rows of a frame into ``target`` (a table and its columns) on PostgreSQL, by COPY."""
    with cursor.copy(f"COPY {target} FROM STDIN (FORMAT csv)") as stream:
        for part in frame.iter_slices(_AT_ONCE):
            stream.write(part.write_csv(include_header=False).encode())


def _tuples(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows as the driver takes them, never all of them at once."""
    for part in frame.iter_slices(_AT_ONCE):
        yield from for_sqlite(part).rows()


def for_sqlite(frame: pl.DataFrame) -> pl.DataFrame:
    """Instants, dates and decimals as the text that SQLite keeps."""

    def plain(name: str, dtype: pl.DataType) -> pl.Expr:
        if isinstance(dtype, pl.Datetime):
            return pl.col(name).dt.strftime(_TEXT_INSTANT)
        if dtype == pl.Date:
            return pl.col(name).dt.strftime("%Y-%m-%d")
        return pl.col(name).cast(pl.String) if dtype.is_decimal() else pl.col(name)

    return frame.select(plain(name, dtype) for name, dtype in frame.schema.items())


def carrier(dtype: pl.DataType) -> pl.DataType:
    """What a driver's value is held in before it becomes ``dtype``."""
    if dtype == pl.Boolean:
        return pl.Int64()
    return pl.String() if dtype.is_temporal() or dtype.is_decimal() else dtype


def restored(name: str, dtype: pl.DataType, true: str) -> pl.Expr:
    """A column back from what held it; ``true`` is how the database writes that."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime(_READ_INSTANT, time_unit="us").dt.replace_time_zone("UTC")
    if dtype == pl.Date:
        return column.str.to_date("%Y-%m-%d")
    if dtype == pl.Boolean:
        return column.cast(pl.String) == true
    return column.cast(dtype)
