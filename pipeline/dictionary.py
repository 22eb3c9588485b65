"""The data dictionary: what each table, view and column means, for ``docs/schema.md`` and for BI tools.

On PostgreSQL the meanings are also comments in the database itself, written anew at each upgrade.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import polars as pl
from sqlalchemy import BigInteger, Boolean, Connection, Date, Double, Text, text
from sqlalchemy import inspect as look_into
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import SetColumnComment, SetTableComment
from sqlmodel import SQLModel

from connectors.schema import UTC
from pipeline import meanings, views
from pipeline.columns import Instant
from pipeline.tables import METADATA

DTYPES: Final[Mapping[str, pl.DataType]] = {
    "text": pl.String(),
    "whole": pl.Int64(),
    "real": pl.Float64(),
    "flag": pl.Boolean(),
    "day": pl.Date(),
    "instant": UTC,
}
_SQL: Final[Mapping[str, Any]] = {
    "text": Text(),
    "whole": BigInteger(),
    "real": Double(),
    "flag": Boolean(),
    "day": Date(),
    "instant": Instant(),
}
# What the columns of views are; those not named here are text. A test compares them with PostgreSQL's own word.
_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("amount", "arr", "probability"), "real"),
    **dict.fromkeys(("amount_minor", "arr_minor", "stage_order"), "whole"),
    **dict.fromkeys(("day", "close_date"), "day"),
    **dict.fromkeys(("refreshed_at", "complete_at", "created_at", "modified_at", "as_of"), "instant"),
    "is_open": "flag",
}


@dataclass(frozen=True)
class Meaning:
    """One line about a column, and its unit ('' for none)."""

    text: str
    unit: str = ""


def meaning(name: str, column: str) -> Meaning:
    """What a column of a table or view means; without words where nobody described it (a test looks for those)."""
    line = meanings.OF.get(name, {}).get(column) or meanings.COMMON.get(column, "")
    words, _, unit = line.partition(" | ")
    return Meaning(words, unit)


def kind(view: str, column: str) -> str:
    """What a view's column holds: text, whole, real, flag, day or instant."""
    del view
    return _KINDS.get(column, "text")


def view_columns(connection: Connection, view: str) -> list[str]:
    """The columns of a view as the database has it."""
    return [str(column["name"]) for column in look_into(connection).get_columns(view)]


def types(sql: Any) -> tuple[str, str]:
    """How a type is called on SQLite and on PostgreSQL."""
    return tuple(sql.compile(dialect=each.dialect()).lower() for each in (sqlite, postgresql))


def view_types(view: str, column: str) -> tuple[str, str]:
    """How a view's column is called on SQLite and on PostgreSQL; quotients are numeric on the latter."""
    on_sqlite, on_postgres = types(_SQL[kind(view, column)])
    return on_sqlite, "numeric" if column in ("amount", "arr") else on_postgres


@cache
def about() -> dict[str, str]:
    """Table or view -> what it is, its grain and conventions, as one paragraph."""
    found = {}
    for mapper in SQLModel._sa_registry.mappers:
        found[str(mapper.class_.__tablename__)] = _flat(mapper.class_.__doc__)
    for name, words in re.findall(r"^- ``(\w+)``: (.*(?:\n  .*)*)", views.__doc__ or "", re.MULTILINE):
        found[name] = _flat(words)
    return found


def comment(connection: Connection) -> None:
    """Write all meanings into a PostgreSQL database, where BI tools show them; SQLite has no place for them."""
    if connection.dialect.name != "postgresql":
        return
    for table in METADATA.sorted_tables:
        connection.execute(SetTableComment(table))
        for one in table.columns:
            connection.execute(SetColumnComment(one))
    for name in views.VIEWS:
        _say(connection, f"VIEW {name}", about()[name])
        for column in view_columns(connection, name):
            _say(connection, f'COLUMN {name}."{column}"', _in_one_line(meaning(name, column)))


def _say(connection: Connection, what: str, words: str) -> None:
    quoted = words.replace("'", "''").replace(":", "\\:")
    connection.execute(text(f"COMMENT ON {what} IS '{quoted}'"))


def _in_one_line(found: Meaning) -> str:
    return f"{found.text} [{found.unit}]" if found.unit else found.text


def _flat(words: str | None) -> str:
    return " ".join(inspect.cleandoc(words or "").split())


def _describe() -> None:
    """Have the models carry their meanings, so that a database with these comments is what the models say."""
    for table in METADATA.sorted_tables:
        table.comment = about()[table.name]
        for column in table.columns:
            column.comment = _in_one_line(meaning(table.name, column.name)) or None


_describe()
