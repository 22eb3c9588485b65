"""What must be true of the rows beyond what the schema enforces, as SQL that both databases understand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Boolean, Connection, Table, Text, text

from connectors.schema import KEYS, TABLES
from pipeline import slices
from pipeline.columns import ExactDecimal, Instant
from pipeline.tables import METADATA

# (rows that break it, what they are, what to do). Each query gives company and count.
_BROKEN: Final = (
    (
        "SELECT c.company, COUNT(*) FROM cursors c WHERE NOT EXISTS "
        "(SELECT 1 FROM sources s WHERE s.company = c.company AND s.crm = c.crm) GROUP BY c.company",
        "{n} cursors belong to no CRM that was ever read",
        "run `boardline sync --once --full --company {company}`",
    ),
    (
        "SELECT d.company, COUNT(*) FROM deliveries d WHERE d.snapshot IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM snapshots s WHERE s.company = d.company AND s.month = d.month AND s.digest = d.snapshot) "
        "GROUP BY d.company",
        "{n} deliveries name published numbers that are not there",
        "restore the last backup that passes this check",
    ),
    (
        "SELECT s.company, COUNT(*) FROM snapshots s WHERE NOT EXISTS "
        "(SELECT 1 FROM snapshot_values v "
        "WHERE v.company = s.company AND v.month = s.month AND v.digest = s.digest) GROUP BY s.company",
        "{n} snapshots of published numbers hold no number",
        "restore the last backup that passes this check",
    ),
    (
        "SELECT company, COUNT(*) FROM {table} WHERE merged_into IS NOT NULL AND deleted_at IS NULL GROUP BY company",
        "{n} {table} were merged away and are not marked as gone",
        "run `boardline sync --once --full --company {company}`",
    ),
)
_NOTES: Final = (
    (
        "SELECT c.company, COUNT(DISTINCT c.deal_id) FROM deal_changes c WHERE NOT EXISTS "
        "(SELECT 1 FROM deals d WHERE d.company = c.company AND d.crm = c.crm AND d.external_id = c.deal_id) "
        "GROUP BY c.company",
        "{company}: the history of {n} deals is kept whose record the CRM does not show",
    ),
    (
        "SELECT company, COUNT(*) FROM runs WHERE status = 'running' GROUP BY company",
        "{company}: {n} runs are under way, or were killed",
    ),
    (
        "SELECT company, COUNT(*) FROM deals WHERE amount IS NOT NULL AND currency IS NULL GROUP BY company",
        "{company}: {n} deals have an amount and no currency",
    ),
)
_MERGING: Final = tuple(name for name, schema in TABLES.items() if "merged_into" in schema)
_RECORDS: Final = tuple(name for name in TABLES if KEYS[name] == ("external_id",))


def broken(connection: Connection) -> Iterator[tuple[str, str]]:
    """What is not true and should be, in words, each with its remedy."""
    for query, what, remedy in _BROKEN:
        for name in _MERGING if "{table}" in query else ("",):
            for company, n in connection.execute(text(query.format(table=name))):
                named = {"company": company, "n": f"{n:,}", "table": name}
                yield f"{company}: {what.format(**named)}", remedy.format(**named)
    yield from _unknown_findings(connection)
    if connection.dialect.name == "sqlite":
        for table in METADATA.sorted_tables:
            yield from _wrong_kinds(connection, table)
    else:
        yield from _numbers_behind(connection)
        yield from _unfinished_indexes(connection)


def worth_knowing(connection: Connection) -> list[str]:
    """What is nothing to repair and good to know."""
    return [
        note.format(company=company, n=f"{n:,}")
        for query, note in _NOTES
        for company, n in connection.execute(text(query))
    ]


def _unknown_findings(connection: Connection) -> Iterator[tuple[str, str]]:
    """Open findings about records that are not in their table."""
    for name in _RECORDS:
        query = text(
            "SELECT f.company, COUNT(*) FROM findings f WHERE f.object = :name AND f.resolved_at IS NULL "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {name} r WHERE r.company = f.company AND r.crm = f.crm "
            "AND r.external_id = f.external_id) GROUP BY f.company"
        )
        for company, n in connection.execute(query, {"name": name}):
            yield (
                f"{company}: {n:,} open findings are about {name} that are not there",
                f"run `boardline sync --once --company {company}`, which judges anew",
            )


def _wrong_kinds(connection: Connection, table: Table) -> Iterator[tuple[str, str]]:
    """SQLite keeps any value in any column: those whose kind is not the column's."""
    tests = [f"SUM({_wrong(column.name, column.type)})" for column in table.columns]
    row = connection.execute(text(f"SELECT {', '.join(tests)} FROM {table.name}".replace(":", "\\:"))).one()  # noqa: S608
    for column, n in zip(table.columns, row, strict=True):
        if n:
            yield (
                f"{n:,} values of {table.name}.{column.name} are not of its kind ({column.type})",
                "something else wrote to the store: restore a backup, or run `boardline sync --once --full`",
            )


def _wrong(name: str, kind: object) -> str:
    column = f'"{name}"'
    stored = f"typeof({column})"
    if isinstance(kind, Instant):
        shape = "-".join(("[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2)) + " " + ":".join(("[0-9]" * 2,) * 3)
        return f"{column} IS NOT NULL AND ({stored} <> 'text' OR {column} NOT GLOB '{shape}.{'[0-9]' * 6}')"
    if isinstance(kind, Text | ExactDecimal):
        return f"{stored} NOT IN ('text', 'null')"
    if isinstance(kind, Boolean):
        return f"{column} IS NOT NULL AND ({stored} <> 'integer' OR {column} NOT IN (0, 1))"
    dtype = slices.dtype_of(kind)
    if dtype.is_integer():
        return f"{stored} NOT IN ('integer', 'null')"
    if dtype.is_float():
        return f"{stored} NOT IN ('real', 'integer', 'null')"
    return f"{column} IS NOT NULL AND ({stored} <> 'text' OR date({column}, '+0 days') IS NOT {column})"


def _numbers_behind(connection: Connection) -> Iterator[tuple[str, str]]:
    sequence = connection.execute(text("SELECT pg_get_serial_sequence('runs', 'id')")).scalar_one()
    query = f"SELECT (SELECT MAX(id) FROM runs), last_value, is_called FROM {sequence}"  # noqa: S608
    highest, last, called = connection.execute(text(query)).one()
    if highest is not None and (last < highest or (last == highest and not called)):
        yield (
            f"the next run would get number {last:,}, and runs up to {highest:,} are there",
            f"run this on the database: SELECT setval(pg_get_serial_sequence('runs', 'id'), {highest})",
        )


def _unfinished_indexes(connection: Connection) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_class t ON t.oid = i.indrelid WHERE NOT i.indisvalid AND t.relname = ANY(:names)"
    )
    for (name,) in connection.execute(text(query), {"names": sorted(METADATA.tables)}):
        yield f"the index {name} is not valid", f"run this on the database: REINDEX INDEX {name}"
