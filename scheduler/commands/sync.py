"""``boardline sync``: bring the store up to date with the CRM."""

from __future__ import annotations

import signal
import threading
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.table import Table

from connectors.errors import BoardlineError, ConfigurationError
from pipeline.sync import CONNECT, SyncSummary
from scheduler import jobs, signals
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.daemon import Daemon
from scheduler.invocation import (
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    NoProgressOption,
    QuietOption,
    StoppedError,
    VerboseOption,
    error_document,
    exit_status,
    moment,
    names_of,
    print_error,
)
from scheduler.progress import sync_progress

_GOES_ON: Final = "stopped before its end; what was read is kept, and the next sync goes on from there"


def command(
    once: Annotated[
        bool, typer.Option("--once", help="One pass, then end; without it, sync on schedule.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Read again what changed since then.", metavar="DATE")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="Only these streams, with commas.", metavar="STREAM,...")
    ] = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    no_progress: NoProgressOption = False,
) -> None:
    """Pull what changed from the CRM into the store. Interrupted, it goes on where it stopped."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=no_progress)
    stop = threading.Event()
    if once:  # Ctrl-C does not wait for the end of a page
        signals.note(stop.set, [number for number in signals.ASKED if number != signal.SIGINT])
    app = App.load(config)
    companies = app.companies(company or ())
    if not once:
        if full or since is not None or only is not None:
            raise ConfigurationError(
                "--full, --since and --only need --once; a scheduled sync reads what changed"
            )
        Daemon(app, companies, reports=False).run()
        return
    if full and since is not None:
        raise ConfigurationError(
            "--full reads everything again and --since only what changed from then on; leave out one of them"
        )
    streams = None if only is None else names_of(only, "--only")
    starts = [_start(since, settings) for settings in companies]
    summaries: list[SyncSummary] = []
    failures: list[BoardlineError | None] = []
    try:
        for settings, start in zip(companies, starts, strict=True):
            if stop.is_set():
                break
            try:
                summary = _one(app, settings, run, full=full, since=start, only=streams, stop=stop)
            except BoardlineError as error:
                print_error(error, settings.name)
                failures.append(error)
                continue
            summaries.append(summary)
            failures.append(summary.error)
    except signals.Stopped as asked:
        raise signals.Stopped(asked.number, _GOES_ON) from None
    if len(failures) < len(companies) or any(summary.status == "stopped" for summary in summaries):
        stopped = StoppedError(_GOES_ON)
        print_error(stopped)
        failures.append(stopped)
    if json:
        status = exit_status(failures)
        first = next((failure for failure in failures if failure is not None), None)
        if first is not None and not summaries:
            run.print_document(error_document(first, status))
        else:
            run.print_document(
                {"runs": [item for summary in summaries for item in summary.as_json()["runs"]]}
            )
    else:
        _print(run, summaries)
    raise typer.Exit(exit_status(failures))


def _start(since: str | None, company: CompanyConfig) -> datetime | None:
    """``--since`` in the company's time zone; a date is its beginning."""
    if since is None:
        return None
    text = f"{since}T00:00:00" if len(since) == len("2026-01-31") else since
    return moment(text, company.zone, "--since")


def _one(
    app: App,
    company: CompanyConfig,
    run: Invocation,
    *,
    full: bool,
    since: datetime | None,
    only: tuple[str, ...] | None,
    stop: threading.Event,
) -> SyncSummary:
    with sync_progress(run, company.name) as on_progress:
        summary = jobs.sync(
            app, company, full=full, since=since, only=only, stop=stop, on_progress=on_progress
        )
    if summary.error is not None:
        print_error(summary.error, company.name)
    return summary


def _print(run: Invocation, summaries: list[SyncSummary]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("company", "stream", "status"):
        table.add_column(name)
    for name in ("rows", "changed", "deleted", "quarantined", "requests", "seconds"):
        table.add_column(name, justify="right")
    for summary in summaries:
        for item in summary.as_json()["runs"]:
            if item["stream"] == CONNECT:
                continue  # nothing was read; the error line says why
            counts = [str(item[key]) for key in ("rows", "changed", "deleted", "quarantined", "requests")]
            table.add_row(item["company"], item["stream"], item["status"], *counts, f"{item['seconds']:.1f}")
    if table.row_count and not run.quiet:
        run.out.print(table)
