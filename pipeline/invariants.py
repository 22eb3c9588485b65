"""What must be true of the rows beyond what the schema enforces, as SQL that both databases understand."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson
from sqlalchemy import Boolean, Connection, Table, Text, select, text

from connectors.schema import KEYS, TABLES
from pipeline import computed, slices
from pipeline.columns import ExactDecimal, Instant
from pipeline.tables import METADATA, table

# (rows that break it, what they are, what to do). Each query gives company and count.
_BROKEN: Final = (
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
        "SELECT company, COUNT(*) FROM deliveries WHERE status NOT IN ('pending', 'posted', 'unknown', 'failed') "
        "GROUP BY company",
        "{n} deliveries have a status that there is not",
        "restore the last backup that passes this check",
    ),
    (
        "SELECT company, COUNT(*) FROM {table} WHERE merged_into IS NOT NULL AND deleted_at IS NULL GROUP BY company",
        "{n} {table} were merged away and are not marked as gone",
        "run `boardline sync --once --full --company {company}`",
    ),
)
_LIKELY: Final = (
    "SELECT company, COUNT(*) FROM {table} WHERE probability < 0 OR probability > 1 GROUP BY company",
    "{n} probabilities of {table} are not between 0 and 1",
    "correct them in the CRM, or the field that `fields` names for them, and run "
    "`boardline sync --once --full --company {company}`",
)
_NOTES: Final = (
    (
        "SELECT c.company, COUNT(DISTINCT c.deal_id) FROM deal_changes c WHERE NOT EXISTS "
        "(SELECT 1 FROM deals d WHERE d.company = c.company AND d.crm = c.crm AND d.external_id = c.deal_id) "
        "GROUP BY c.company",
        "{company}: the history of {n} deals is kept whose record the CRM does not show",
    ),
    (
        "SELECT s.company, COUNT(*) FROM snapshots s WHERE NOT EXISTS "
        "(SELECT 1 FROM deliveries d WHERE d.company = s.company AND d.month = s.month AND d.snapshot = s.digest) "
        "GROUP BY s.company",
        "{company}: {n} snapshots of numbers are in no delivery: a baseline, not posted, or the note of it was removed",
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
_WITH_PROBABILITY: Final = tuple(name for name, schema in TABLES.items() if "probability" in schema)
_MERGING: Final = tuple(name for name, schema in TABLES.items() if "merged_into" in schema)
_RECORDS: Final = tuple(name for name in TABLES if KEYS[name] == ("external_id",))


def broken(connection: Connection) -> Iterator[tuple[str, str]]:
    """What is not true and should be, in words, each with its remedy."""
    for query, what, remedy in _BROKEN:
        yield from _told(connection, query, what, remedy, _MERGING if "{table}" in query else ("",))
    yield from _nobodys(connection)
    yield from _unknown_findings(connection)
    yield from _rates(connection)
    yield from _json(connection)
    if connection.dialect.name == "sqlite":
        wrong = [fault for each in METADATA.sorted_tables for fault in _wrong_kinds(connection, each)]
        yield from wrong
        if wrong:
            return  # what is of another kind lies between no bounds and adds up to nothing
    else:
        yield from _numbers_behind(connection)
        yield from _unfinished_indexes(connection)
    yield from _told(connection, *_LIKELY, _WITH_PROBABILITY)
    for company, what in computed.faults(connection):
        yield (
            f"{company}: {what}",
            f"run `boardline sync --once --company {company}`, which computes them anew",
        )


def _told(
    connection: Connection, query: str, what: str, remedy: str, tables: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for name in tables:
        for company, n in connection.execute(text(query.format(table=name))):
            named = {"company": company, "n": f"{n:,}", "table": name}
            yield f"{company}: {what.format(**named)}", remedy.format(**named)


def worth_knowing(connection: Connection) -> list[str]:
    """What is nothing to repair and good to know."""
    return [
        note.format(company=company, n=f"{n:,}")
        for query, note in _NOTES
        for company, n in connection.execute(text(query))
    ]


def _nobodys(connection: Connection) -> Iterator[tuple[str, str]]:
    """Rows of a company or CRM that was never read; a try to read it leaves a run and nothing else."""
    sources = table("sources")
    known = {(row.company, row.crm) for row in connection.execute(select(sources.c.company, sources.c.crm))}
    companies = {company for company, _ in known}
    for name in METADATA.tables:
        columns = [column for column in ("company", "crm") if column in table(name).c]
        if name in ("sources", "runs") or not columns:
            continue
        listed = ", ".join(columns)
        query = f"SELECT {listed}, COUNT(*) FROM {name} GROUP BY {listed} ORDER BY {listed}"  # noqa: S608
        for *whose, n in connection.execute(text(query)):
            if tuple(whose) not in known and not (columns == ["company"] and whose[0] in companies):
                told = " of a CRM ".join(map(str, whose))
                yield (
                    f"{n:,} rows of {name} belong to {told} that was never read",
                    "something else wrote to the store: restore the last backup that passes this check",
                )


def _rates(connection: Connection) -> Iterator[tuple[str, str]]:
    """Exchange rates that no amount can be multiplied by."""
    query = "SELECT company, currency, start_date, CAST(rate AS TEXT) FROM exchange_rates ORDER BY 1, 2, 3"
    wrong: dict[str, list[str]] = {}
    for company, currency, day, rate in connection.execute(text(query)):
        if rate is not None and not _positive(str(rate)):
            wrong.setdefault(str(company), []).append(f"{currency} from {day}: {rate}")
    for company, found in wrong.items():
        yield (
            f"{company}: {len(found):,} exchange rates are no positive numbers ({found[0]})",
            "correct them in the CRM and run `boardline sync --once`, which reads all of them",
        )


def _positive(rate: str) -> bool:
    try:
        number = Decimal(rate)
    except InvalidOperation:
        return False
    return number.is_finite() and number > 0


_OBJECTS: Final = {"cursors": ("cursor",), "sources": ("links", "fields"), "snapshots": ("definitions",)}
_LISTS: Final = {"sources": ("history", "notes")}
_PUBLISHED: Final = "restore the last backup that passes this check"
_TELLS_JSON: Final = 160_000  # the version of PostgreSQL from which on it does


def _json(connection: Connection) -> Iterator[tuple[str, str]]:
    """JSON that is none, where a program would read it."""
    for kind, columns in ((dict, _OBJECTS), (list, _LISTS)):
        for name, mine in columns.items():
            for column in mine:
                for company, held in connection.execute(select(table(name).c.company, table(name).c[column])):
                    if not _holds(held, kind):
                        yield f"{company}: {name}.{column} holds what is no JSON", _remedy(name, str(company))
    if connection.dialect.name == "sqlite":
        wrong = "CASE WHEN json_valid(custom) THEN json_type(custom) <> 'object' ELSE 1 END"
    elif int(connection.execute(text("SHOW server_version_num")).scalar_one()) >= _TELLS_JSON:
        wrong = "custom IS NOT JSON OBJECT"
    else:
        wrong = "custom NOT LIKE '{%}'"
    for name in (one for one in METADATA.tables if "custom" in table(one).c):
        query = f"SELECT company, COUNT(*) FROM {name} WHERE {wrong} GROUP BY company ORDER BY company"  # noqa: S608
        for company, n in connection.execute(text(query)):
            yield f"{company}: {n:,} custom fields of {name} are no JSON", _remedy(name, str(company))


def _remedy(name: str, company: str) -> str:
    return _PUBLISHED if name == "snapshots" else f"run `boardline sync --once --full --company {company}`"


def _holds(held: Any, kind: type) -> bool:
    try:
        return isinstance(orjson.loads(held), kind)
    except (orjson.JSONDecodeError, TypeError):
        return False


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


def _wrong_kinds(connection: Connection, each: Table) -> Iterator[tuple[str, str]]:
    """SQLite keeps any value in any column: those whose kind is not the column's."""
    tests = [f"SUM({_wrong(column.name, column.type)})" for column in each.columns]
    row = connection.execute(text(f"SELECT {', '.join(tests)} FROM {each.name}".replace(":", "\\:"))).one()  # noqa: S608
    for column, n in zip(each.columns, row, strict=True):
        if n:
            yield (
                f"{n:,} values of {each.name}.{column.name} are not of its kind ({column.type})",
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
