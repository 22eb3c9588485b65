"""A store with several companies' rows in every table, the awkward ones among them, for tests of the whole store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, MetaData, Table, insert, select

from connectors.schema import UTC as UTC_MOMENT
from pipeline import slices
from pipeline.tables import METADATA

COMPANIES: Final = ("acme", "globex", "Ünïcode & Söhne 'GmbH' 😀")
FIRST: Final = datetime(2020, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
TEXTS: Final = (
    "",
    "plain",
    "é€😀 \"quoted\", 'and', commas",
    "line\nbreak\r\ttab",
    "NULL",
    "\\N",
    "\\.",
    "t",
    "0",
)
WHOLES: Final = (2**63 - 1, -(2**63), 0, -1, 9_007_199_254_740_993)
REALS: Final = (0.1, -0.0, 1e308, 5e-324, 1 / 3)
DECIMALS: Final = (
    Decimal("1.234567890123"),
    Decimal("99999999999999999999999999.999999999999"),
    Decimal("-0.5"),
)


def fill(connection: Connection, tables: Sequence[Table], rows: int = 7) -> dict[str, int]:
    """Put ``rows`` rows of each company into every table; returns table -> rows."""
    counted = {}
    for table in tables:
        known = METADATA.tables[
            table.name
        ]  # the models' types, also for a table that is at an older revision
        target = known if len(known.columns) == len(table.columns) else _narrowed(known, table)
        values = [_row(target, company, n) for company in COMPANIES for n in range(rows)]
        connection.execute(insert(target), values)
        counted[str(table.name)] = len(values)
    return counted


def _narrowed(known: Table, table: Table) -> Table:
    narrow = known.to_metadata(MetaData())
    for column in list(narrow.columns):
        if column.name not in table.columns:
            narrow._columns.remove(column)
    return narrow


def _row(table: Table, company: str, n: int) -> dict[str, Any]:
    """Nulls where they may be in every third row; keys that differ; the first row of each company all null."""
    row: dict[str, Any] = {}
    for place, column in enumerate(table.columns):
        if column.name == "id":
            row[column.name] = COMPANIES.index(company) * 1000 + n + 1
        elif column.name == "company":
            row[column.name] = company
        elif column.nullable and (n == 0 or (n + place) % 3 == 0):
            row[column.name] = None
        else:
            row[column.name] = _value(column, company, n)
    return row


def _value(column: Any, company: str, n: int) -> Any:
    dtype = slices.dtype_of(column.type)
    unique = column.primary_key or column.unique
    if dtype.is_decimal():
        return DECIMALS[n % len(DECIMALS)]
    if dtype.is_integer():
        return n if unique else WHOLES[n % len(WHOLES)]
    if dtype.is_float():
        return REALS[n % len(REALS)]
    if dtype == slices.dtype_of(METADATA.tables["stages"].c.is_won.type):
        return n % 2 == 0
    if dtype.is_temporal():
        moment = FIRST + timedelta(days=n * 31, microseconds=n)
        return moment if dtype == UTC_MOMENT else date(1, 2, 28) + timedelta(days=n * 12_000)
    if column.name in ("cursor", "links", "fields", "custom"):
        return '{"a": "é"}'
    if column.name == "digest":
        return f"digest {n % 2}" if column.table.name.startswith("snapshot_") else f"digest {n}"
    if column.name == "month" and column.table.name.startswith("snapshot"):
        return "2026-10"
    return (
        f"{TEXTS[(n + len(column.name)) % len(TEXTS)]} {column.name} {n} of {company}"
        if unique
        else TEXTS[(n + len(column.name)) % len(TEXTS)]
    )


def contents(connection: Connection, tables: Sequence[Table]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables, as the models read them, in the order of their keys."""
    found = {}
    for table in tables:
        known = METADATA.tables[table.name]
        columns = [known.c[column.name] for column in table.columns]
        query = select(*columns).order_by(*(known.c[key.name] for key in table.primary_key.columns))
        found[str(table.name)] = sorted((tuple(row) for row in connection.execute(query)), key=repr)
    return found
