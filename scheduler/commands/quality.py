"""``boardline quality``: how far the data can be trusted, and what to fix."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from connectors import files
from connectors.errors import ConfigurationError
from metrics.playbook import applied
from metrics.render.safe import plain
from pipeline.quality import report as quality_report
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import (
    AsOfOption,
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    QuietOption,
    VerboseOption,
    for_each,
    local,
    moment,
    path_of,
)

_SHOWN = 25
_GROUPS = ("owner", "field", "rule", "segment")
_COLUMNS = ("rule", "object", "external_id", "other_id", "owner", "message", "url", "first_seen")


def command(
    as_of: AsOfOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Count by owner, field, rule or segment.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write all findings there.", metavar="FILE", parser=path_of)
    ] = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Field completeness, cleanliness and the fix list, from the store."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet)
    if by is not None and by not in _GROUPS:
        raise ConfigurationError(f"--by: {by!r} is not known; it is one of {', '.join(_GROUPS)}")
    app = App.load(config, writes=False)
    companies = app.companies(company or ())
    app.open_store()
    documents, failures = for_each(companies, lambda settings: _one(app, settings, as_of, by))
    if csv_file is not None:
        _write_csv(csv_file, documents)
    if not json:
        for document in documents:
            _print(run, document, by, app.config.companies[document["company"]].zone)
    run.finish(companies, documents, failures)


def _one(app: App, company: CompanyConfig, as_of: str | None, by: str | None) -> dict[str, Any]:
    app.require_synced(company)
    return quality_report(app.store, applied(company), moment(as_of, company.zone), by=by).as_json()


def _print(run: Invocation, document: dict[str, Any], by: str | None, zone: ZoneInfo) -> None:
    out = run.out
    out.print(f"{document['company']}, as of {local(datetime.fromisoformat(document['as_of']), zone)}")
    completeness, score = document["completeness"], document["score"]
    out.print(f"  field completeness {'not computable' if completeness is None else f'{completeness:.1%}'}")
    out.print(f"  cleanliness        {'not computable' if score is None else f'{score:.1f} of 100'}")
    for reason in document["reasons"]:
        out.print(f"    {plain(reason, 300)}")
    fields = _table("field", "filled", "required", "complete")
    for row in document["fields"]:
        ratio = (
            "not visible" if not row["measurable"] else "—" if row["ratio"] is None else f"{row['ratio']:.1%}"
        )
        fields.add_row(f"{row['object']}.{row['field']}", str(row["filled"]), str(row["required"]), ratio)
    out.print(fields)
    if by is not None:
        groups = _table(by, "complete", "findings")
        for row in document["groups"]:
            ratio = "—" if row["ratio"] is None else f"{row['ratio']:.1%}"
            groups.add_row(plain(row["group"]), ratio, str(row["findings"]))
        out.print(groups)
    findings = _table("rule", "record", "owner", "what is wrong", "link")
    for row in document["findings"][:_SHOWN]:
        findings.add_row(
            row["rule"], row["external_id"], plain(row["owner"]), plain(row["message"]), row["url"] or ""
        )
    if document["findings"]:
        out.print(findings)
    if len(document["findings"]) > _SHOWN:
        out.print(f"  and {len(document['findings']) - _SHOWN} more; all of them with --csv FILE or --json")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in ("filled", "required", "complete") else "left")
    return table


def _write_csv(path: Path, documents: list[dict[str, Any]]) -> None:
    """All findings; a cell that a spreadsheet would take for a formula is made harmless."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(["company", *_COLUMNS])
    for document in documents:
        for finding in document["findings"]:
            cells = ("" if finding[column] is None else str(finding[column]) for column in _COLUMNS)
            rows.writerow([document["company"], *(plain(cell, 2000) for cell in cells)])
    files.write({path: written.getvalue().encode("utf-8-sig")}, "name another file with --csv")
