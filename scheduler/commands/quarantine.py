"""``boardline quarantine``: values that did not parse; what they are, what to do, and trying again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import polars as pl
import typer
from rich.table import Table

from connectors import registry
from connectors.errors import ConfigurationError
from connectors.schema import TABLES
from metrics.render.safe import plain
from pipeline import quarantine
from pipeline.load import renew_findings
from pipeline.records import SourceInfo
from pipeline.store import Reader
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import (
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    QuietOption,
    VerboseOption,
    exit_status,
    for_each,
    local,
)
from scheduler.lock import exclusive

_SHOWN = 50
_RAW = 60  # characters of a raw text in the list

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
)
TableOption = Annotated[str | None, typer.Option("--table", help="Only of this table, such as deals.")]
FieldOption = Annotated[str | None, typer.Option("--field", help="Only of this field, such as close_date.")]
RecordOption = Annotated[
    str | None, typer.Option("--record", help="Only of the record with this CRM id.", metavar="ID")
]


@app.callback()
def _quarantine() -> None:
    """Values that did not parse: list them, explain one, try again."""


@app.command(name="list")
def list_(
    table: TableOption = None,
    field: FieldOption = None,
    record: RecordOption = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """What is in quarantine, oldest reason first by table and record."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    _check_filter(table, field)
    application = App.load(config, writes=False)
    companies = application.companies(company or ())
    application.open_store()

    def one(settings: CompanyConfig) -> dict[str, Any]:
        with _synced(application, settings) as reader:
            found = _filtered(quarantine.entries(reader, settings.name), table, field, record)
        rows = [_as_json(row) for row in found.iter_rows(named=True)]
        return {"company": settings.name, "quarantined": rows}

    documents, failures = for_each(companies, one)
    if not json:
        for document in documents:
            _print_list(run, document, application.config.companies[document["company"]].zone)
    run.finish(companies, documents, failures)


@app.command()
def explain(
    what: Annotated[str, typer.Argument(help="The id from the list, or a table.", metavar="ID|TABLE")],
    record: Annotated[
        str | None, typer.Argument(help="With a table: the record's CRM id.", metavar="RECORD")
    ] = None,
    field: FieldOption = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """What was expected of a value, where it comes from, and what to change."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    if record is not None:
        _check_filter(what, field)
    elif what in TABLES:
        raise ConfigurationError(f"name the record too: boardline quarantine explain {what} RECORD")
    application = App.load(config, writes=False)
    companies = application.companies(company or ())
    application.open_store()

    def one(settings: CompanyConfig) -> list[dict[str, Any]]:
        with _synced(application, settings) as reader:
            found = _named(quarantine.entries(reader, settings.name), what, record, field)
            infos = _infos(reader, settings.name)
        return [_explained(settings, row, infos.get(row["crm"])) for row in found.iter_rows(named=True)]

    parts, failures = for_each(companies, one)
    documents = [document for part in parts for document in part]
    if not documents and not any(failures):
        told = what if record is None else f"{record} of {what}"
        raise ConfigurationError(
            f"there is nothing in quarantine under {told}; `boardline quarantine list` shows what there is"
        )
    if not json:
        for document in documents:
            _print_explained(run, document, application.config.companies[document["company"]].zone)
    elif documents:
        run.print_json(documents)
        raise typer.Exit(exit_status(failures))
    run.finish(companies, documents, failures)


@app.command()
def retry(
    table: TableOption = None,
    field: FieldOption = None,
    record: RecordOption = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read the kept texts again; what parses now is written into its record and leaves the quarantine."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    _check_filter(table, field)
    application = App.load(config)
    companies = application.companies(company or ())
    application.open_store()

    def one(settings: CompanyConfig) -> dict[str, Any]:
        application.require_synced(settings)
        with exclusive(application.store, settings.name, "sync"):
            results = _retry(application, settings, table, field, record)
        retried = [{**_as_json(one.entry), "outcome": one.outcome, "why": one.why} for one in results]
        return {"company": settings.name, "retried": retried}

    documents, failures = for_each(companies, one)
    if not json:
        for document in documents:
            _print_retried(run, document)
    run.finish(companies, documents, failures)


def _retry(
    application: App, company: CompanyConfig, table: str | None, field: str | None, record: str | None
) -> list[quarantine.Retried]:
    now = datetime.now(UTC)

    def parse(crm: str, name: str, column: str, raw: pl.Series, currency: pl.Series) -> pl.Series | None:
        return registry.source(crm).parse(name, column, raw, currency, company.timezone)

    with application.store.transaction() as tx:
        chosen = _filtered(quarantine.entries(tx, company.name), table, field, record)
        infos = _infos(tx, company.name)
        results = quarantine.retry(tx, company.name, chosen, infos, parse, now)
        restored = tuple(sorted({str(one.entry["table"]) for one in results if one.outcome == "restored"}))
        info = tx.source_info(company.name)
        if restored and info is not None:
            tx.mark_computed(company.name, info.source, None)  # the tables for BI tools are older now
            renew_findings(tx, company, info, restored, now)
    return results


@contextmanager
def _synced(application: App, company: CompanyConfig) -> Iterator[Reader]:
    """One state of the store, which has read this company."""
    application.require_synced(company)
    with application.store.reading() as reader:
        yield reader


def _infos(reader: Reader, company: str) -> dict[str, SourceInfo]:
    """CRM -> what it showed at the last sync."""
    crms = quarantine.entries(reader, company)["crm"].unique()
    return {crm: info for crm in crms if (info := reader.source_info(company, crm)) is not None}


def _check_filter(table: str | None, field: str | None) -> None:
    if table is not None and table not in TABLES:
        raise ConfigurationError(
            f"--table: there is no table {table!r}; known are {', '.join(sorted(TABLES))}"
        )
    if field is not None and not any(field in TABLES[name] for name in ([table] if table else TABLES)):
        where = f"{table} has" if table else "no table has"
        raise ConfigurationError(
            f"--field: {where} {'no' if table else 'a'} field {field!r}; see docs/schema.md"
        )


def _filtered(found: pl.DataFrame, table: str | None, field: str | None, record: str | None) -> pl.DataFrame:
    for column, value in (("table", table), ("field", field), ("external_id", record)):
        if value is not None:
            found = found.filter(pl.col(column) == value)
    return found


def _named(found: pl.DataFrame, what: str, record: str | None, field: str | None) -> pl.DataFrame:
    return found.filter(pl.col("id") == what) if record is None else _filtered(found, what, field, record)


def _as_json(row: Any) -> dict[str, Any]:
    shown = ("id", "crm", "table", "external_id", "field", "raw", "reason", "first_seen", "last_seen")
    return {name: (row[name] or None) if name in ("external_id", "field") else row[name] for name in shown}


def _explained(company: CompanyConfig, row: dict[str, Any], info: SourceInfo | None) -> dict[str, Any]:
    table, field = row["table"], row["field"]
    state = info.state(table, field) if info and field else None
    link = info.link(table, row["external_id"]) if info and row["external_id"] else None
    source = state.crm_field if state else None
    value = f"correct {source or field or 'the record'} in the CRM so that it is {quarantine.expected(table, field)}"
    mapped = field in TABLES.get(table, {}) and field not in ("external_id", "created_at", "modified_at")
    remap = f", or name another field in companies.{company.name}.fields.{table}.{field}" if mapped else ""
    return {
        "company": company.name,
        **_as_json(row),
        "expected": quarantine.expected(table, field),
        "crm_field": source,
        "what_to_do": f"{value}{remap}; the next sync takes it out of quarantine",
        "retry": quarantine.obstacle(row) or "boardline quarantine retry reads the text again",
        "url": link,
    }


def _print_explained(run: Invocation, document: dict[str, Any], zone: ZoneInfo) -> None:
    for name, value in document.items():
        if value is not None:
            text = local(value, zone) if isinstance(value, datetime) else str(value)
            run.out.print(f"{name.replace('_', ' '):>12}  {_line(text, 2000)}")
    run.out.print("")


def _print_list(run: Invocation, document: dict[str, Any], zone: ZoneInfo) -> None:
    rows = document["quarantined"]
    run.out.print(f"{document['company']}: {len(rows):,} in quarantine")
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "table", "field", "record", "reason", "raw", "first seen"):
        table.add_column(name)
    for row in rows[:_SHOWN]:
        raw = "(withheld)" if row["raw"] is None else _line(row["raw"], _RAW)
        table.add_row(
            row["id"],
            row["table"],
            row["field"] or "",
            row["external_id"] or "",
            _line(row["reason"]),
            raw,
            local(row["first_seen"], zone),
        )
    run.out.print(table)
    if len(rows) > _SHOWN:
        run.out.print(
            f"  and {len(rows) - _SHOWN:,} more; all of them with --json, fewer with --table or --field"
        )


def _print_retried(run: Invocation, document: dict[str, Any]) -> None:
    results = document["retried"]
    counts = Counter(one["outcome"] for one in results)
    words = {"restored": "written into their records", "superseded": "replaced by a newer value",
             "unreadable": "still not readable", "impossible": "cannot be read again here"}  # fmt: skip
    told = ", ".join(f"{counts[key]:,} {text}" for key, text in words.items() if counts[key])
    run.out.print(f"{document['company']}: {told or 'nothing to retry'}")
    left = [one for one in results if one["outcome"] in ("unreadable", "impossible")]
    reasons = Counter((one["table"], one["field"] or "", one["why"]) for one in left)
    for (table, field, why), number in sorted(reasons.items()):
        run.out.print(f"  {number:>6,}  {table}{'.' + field if field else ''}: {_line(str(why), 300)}")


def _line(text: str, longest: int = 160) -> str:
    """One harmless line; a terminal knows no formulas, so the text begins as it is."""
    shown = plain(text, longest)
    return shown if text.startswith("'") else shown.removeprefix("'")
