"""``docs/schema.md``: the tables and views as a page for people, from the models and from a database they make."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Table, create_engine

from pipeline import dictionary, meanings, migrate, views
from pipeline.tables import METADATA

_INTRODUCTION = """\
# The store's tables and views

The same on SQLite and PostgreSQL. Read them with any BI tool over a read-only connection ([bi.md](bi.md) says how, with
the SQL for the questions a CRO asks first), or take them along as files with `boardline db export`.

**Stable names.** The names and meanings of tables, views and columns on this page stay. New ones may come; one that
has to go is announced in the changelog and stays for at least one more minor version. Views never change their grain.

**Conventions.** Every row begins with `company`, but in `erasures`, which is about the database files: companies never
mix, so ask for one at a time. Ids and words are text as the CRM has them. Money is an integer in the minor unit of the
`currency` beside it (cents), unless its unit says major. Instants are UTC with microseconds (SQLite: text
`YYYY-MM-DD HH:MM:SS.ffffff`); plain dates carry no time zone. `deleted_at` marks a record that is gone: add
`deleted_at IS NULL` to see what is there now. Truth values are 0 and 1 on SQLite.

**What to start from.** For numbers: `kpi_monthly`, `arr_movements`, `quality_monthly`. For deals: `pipeline_today` and
`deals_as_of`. The records themselves are what these are made of."""


def page() -> str:
    """The whole page. Views are read from a new database in memory, made as every store is made."""
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection, connection.begin():
            migrate.upgrade(connection, "a database in memory")
            parts = [_INTRODUCTION, "## How they refer to each other", _diagram(), _references_note()]
            parts += ["## Views", *(_view(connection, name) for name in views.VIEWS)]
            parts += ["## Tables", *(_table(METADATA.tables[name]) for name in sorted(METADATA.tables))]
    finally:
        engine.dispose()
    return "\n\n".join(parts)


def _references_note() -> str:
    return (
        "Within one company and CRM. Only snapshots and their parts are tied together by the database: a CRM may "
        "show a deal and hide its account, so join with LEFT JOIN. Tables without a line stand alone."
    )


def _diagram() -> str:
    lines = ["```mermaid", "erDiagram"]
    for name in sorted(METADATA.tables):
        keys = [column for column in METADATA.tables[name].primary_key.columns if column.name != "crm"]
        lines.append(f"    {name} {{")
        lines += [
            f"        {dictionary.types(column.type)[0].split('(')[0]} {column.name} PK" for column in keys
        ]
        lines.append("    }")
    lines += [f'    {parent} ||--o{{ {child} : "{column}"' for child, column, parent in meanings.REFERENCES]
    return "\n".join([*lines, "```"])


def _view(connection: Connection, name: str) -> str:
    rows = (
        (column, *dictionary.view_types(name, column)) for column in dictionary.view_columns(connection, name)
    )
    return "\n\n".join([f"### {name}", dictionary.about()[name], _rows(name, rows)])


def _table(table: Table) -> str:
    keys = ", ".join(f"`{column.name}`" for column in table.primary_key.columns)
    rows = ((column.name, *dictionary.types(column.type)) for column in table.columns)
    return "\n\n".join(
        [f"### {table.name}", dictionary.about()[table.name], f"Key: {keys}.", _rows(table.name, rows)]
    )


def _rows(name: str, columns: Iterator[tuple[str, str, str]]) -> str:
    lines = ["| column | SQLite | PostgreSQL | unit | meaning |", "|---|---|---|---|---|"]
    for column, on_sqlite, on_postgres in columns:
        found = dictionary.meaning(name, column)
        lines.append(f"| `{column}` | {on_sqlite} | {on_postgres} | {found.unit} | {found.text} |")
    return "\n".join(lines)
