"""Whole tables and views in slices: read and written in bounded memory, the same on both databases.

What ``bulk`` does for one page of one company, this does for everything there is: backups, exports, restores.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, Table
from sqlalchemy.types import BigInteger, Boolean, Date, DateTime, Float, Integer, Numeric, TypeDecorator

from connectors.schema import UTC
from pipeline import bulk
from pipeline.columns import ExactDecimal
from pipeline.failures import StoreError

ROWS: Final = 20_000  # in one slice


def schema_of(table: Table, columns: Sequence[str] | None = None) -> pl.Schema:
    """The columns of a table (or those named) as polars types."""
    names = [column.name for column in table.columns] if columns is None else columns
    return pl.Schema({name: dtype_of(table.c[name].type) for name in names})


def dtype_of(kind: Any) -> pl.DataType:
    if isinstance(kind, ExactDecimal):
        return pl.Decimal(38, 12)
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    for sql, dtype in (
        (DateTime, UTC),
        (Date, pl.Date()),
        (Boolean, pl.Boolean()),
        ((BigInteger, Integer), pl.Int64()),
        (Float, pl.Float64()),
        (Numeric, pl.Decimal(38, 12)),
    ):
        if isinstance(kind, sql):
            return dtype
    return pl.String()


def read(
    connection: Connection,
    name: str,
    schema: pl.Schema,
    within: Mapping[str, Sequence[str]] | None = None,
    rows: int = ROWS,
) -> Generator[pl.DataFrame, None, None]:
    """The rows of a table or view, slice by slice, in its own order. ``within``: column -> the texts it may have."""
    chosen = {column: list(texts) for column, texts in (within or {}).items()}
    values = [text for texts in chosen.values() for text in texts]
    sqlite = connection.dialect.name == "sqlite"
    condition = " AND ".join(
        f'"{column}" IN ({", ".join("?" if sqlite else "%s" for _ in texts)})'
        for column, texts in chosen.items()
    )
    where = f" WHERE {condition}" if condition else ""
    if sqlite:
        query = f"SELECT {_list(schema)} FROM {name}{where}"  # noqa: S608
        yield from _read_sqlite(connection, name, query, values, schema, rows)
    else:
        selected = ", ".join(
            f"\"{column}\" AT TIME ZONE 'UTC'" if isinstance(dtype, pl.Datetime) else f'"{column}"'
            for column, dtype in schema.items()
        )
        query = f"COPY (SELECT {selected} FROM {name}{where}) TO STDOUT (FORMAT csv)"  # noqa: S608
        yield from _read_postgres(connection, name, query, values, schema, rows)


def _read_sqlite(
    connection: Connection, name: str, query: str, values: Sequence[str], schema: pl.Schema, rows: int
) -> Generator[pl.DataFrame, None, None]:
    carriers = {column: bulk.carrier(dtype) for column, dtype in schema.items()}
    cursor = _driver(connection).cursor()
    try:
        cursor.execute(query, values)
        while fetched := cursor.fetchmany(rows):
            with _kinds(name):
                raw = pl.DataFrame(fetched, schema=carriers, orient="row")
                frame = raw.select(bulk.restored(column, dtype, "1") for column, dtype in schema.items())
            yield frame
    finally:
        cursor.close()


def _read_postgres(
    connection: Connection, name: str, query: str, values: Sequence[str], schema: pl.Schema, rows: int
) -> Generator[pl.DataFrame, None, None]:
    carriers = {
        column: pl.String() if dtype == pl.Boolean else bulk.carrier(dtype)
        for column, dtype in schema.items()
    }
    with _driver(connection).cursor() as cursor, cursor.copy(query, values) as copy:
        lines = iter(copy)  # the server sends one row in each message
        while block := b"".join(map(bytes, islice(lines, rows))):
            with _kinds(name):
                raw = pl.read_csv(io.BytesIO(block), has_header=False, schema=carriers)
                frame = raw.select(bulk.restored(column, dtype, "t") for column, dtype in schema.items())
            yield frame


@contextmanager
def _kinds(name: str) -> Iterator[None]:
    """SQLite keeps any value in any column; one that is not of its column's kind is no bug of ours."""
    try:
        yield
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise StoreError(
            f"{name}: it holds values that are not of their column's kind ({str(error).splitlines()[0]}); "
            "nothing of this step was kept, `boardline db check` says which"
        ) from error


def write(connection: Connection, name: str, slices: Iterable[pl.DataFrame]) -> int:
    """Add rows to a table that does not hold their keys; returns how many."""
    written = 0
    for frame in slices:
        if frame.is_empty():
            continue
        columns = _list(frame.schema)
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" for _ in frame.columns)
            sql = f"INSERT INTO {name} ({columns}) VALUES ({marks})"  # noqa: S608
            bulk.executemany(connection, sql, bulk.for_sqlite(frame).rows())
        else:
            with _driver(connection).cursor() as cursor:
                bulk.copy_in(cursor, f"{name} ({columns})", frame)
        written += frame.height
    return written


def _list(schema: pl.Schema) -> str:
    return ", ".join(f'"{name}"' for name in schema)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
