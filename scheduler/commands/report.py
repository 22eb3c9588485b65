"""``boardline report``: build the board report, write it, post it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors import files
from connectors.destination import file_stem
from connectors.errors import BoardlineError, ConfigurationError
from metrics import restatement
from metrics.board import BoardReport
from metrics.deliver import Delivery
from metrics.render import render_forms
from scheduler import jobs
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import (
    AsOfOption,
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    MonthOption,
    QuietOption,
    VerboseOption,
    for_each,
    moment,
    month_of,
    path_of,
    print_error,
)


def command(
    month: MonthOption = None,
    as_of: AsOfOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write all forms there.", metavar="DIR", parser=path_of)
    ] = None,
    post: Annotated[bool, typer.Option("--post", help="Deliver to the configured destinations.")] = False,
    to: Annotated[
        list[str] | None, typer.Option("--to", help="With --post: only there.", metavar="NAME")
    ] = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build the monthly board report from the store. Without --out or --post it is printed as text."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    if to and not post:
        raise ConfigurationError("--to needs --post; without it nothing is posted")
    if post and as_of:
        raise ConfigurationError("--as-of shows the past and is never posted; leave out --post, or --as-of")
    app = App.load(config, writes=post)
    companies = app.companies(company or ())
    app.open_store()
    undelivered: dict[str, BoardlineError | None] = {}

    def one(settings: CompanyConfig) -> dict[str, Any]:
        destinations = (to or settings.report.destinations) if post else None
        document, undelivered[settings.name] = _one(run, app, settings, month, as_of, out, destinations)
        return document

    documents, failures = for_each(companies, one)
    outcomes = zip(companies, failures, strict=True)
    run.finish(
        companies, documents, [failure or undelivered.get(settings.name) for settings, failure in outcomes]
    )


def _one(
    run: Invocation,
    app: App,
    company: CompanyConfig,
    month: str | None,
    as_of: str | None,
    out: Path | None,
    destinations: Any,
) -> tuple[dict[str, Any], BoardlineError | None]:
    app.require_synced(company)
    known_at = moment(as_of, company.zone)
    built = jobs.report(app, company, month_of(month, known_at, company.zone), known_at)
    document: dict[str, Any] = {
        "company": company.name,
        "month": built.month,
        "known_at": built.known_at,
        "headline": list(built.headline),
        "restatements": [restatement.as_json(item) for item in built.restatements],
        "files": [],
        "deliveries": [],
    }
    if out is not None:
        document["files"] = [str(path) for path in write(built, out)]
        if not run.json and not run.quiet:
            for path in document["files"]:
                run.out.print(path)
    error: BoardlineError | None = None
    if destinations is not None:
        deliveries = _post(run, app, company, built, destinations)
        document["deliveries"] = [delivery.as_json() for delivery in deliveries]
        error = next((delivery.problem for delivery in deliveries if delivery.problem), None)
    if out is None and destinations is None and not run.json:
        sys.stdout.write(render_forms(built)["txt"].decode())
    return document, error


def write(report: BoardReport, folder: Path) -> list[Path]:
    """Write every form of a report into a folder: all of them, or none. Raises as ``files.write``."""
    stem = file_stem(f"{report.company}-{report.month}")
    forms = {folder / f"{stem}.{suffix}": content for suffix, content in render_forms(report).items()}
    files.write(forms, "name another folder with --out", folder=folder)
    return list(forms)


def _post(
    run: Invocation, app: App, company: CompanyConfig, report: BoardReport, destinations: Any
) -> list[Delivery]:
    if not destinations:
        raise ConfigurationError(
            f"companies.{company.name}.report.destinations is empty; name one there, or with --to"
        )
    deliveries = jobs.post(app, company, report, list(destinations))
    for delivery in deliveries:
        if delivery.problem:
            print_error(delivery.problem, company.name)
        elif not run.json and not run.quiet:
            run.out.print(f"{delivery.destination}: {delivery.status} {delivery.location or ''}")
    return deliveries
