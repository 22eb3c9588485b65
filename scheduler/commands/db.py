"""``boardline db``: the store itself: upgrade, check, backup, restore, export."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.table import Table

from connectors.errors import ConfigurationError
from pipeline import backup as backups
from pipeline import export as exports
from pipeline import inspection
from pipeline import restore as restores
from pipeline.store import Store
from scheduler.app import App
from scheduler.invocation import (
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    NoProgressOption,
    QuietOption,
    VerboseOption,
    names_of,
    path_of,
)
from scheduler.lock import exclusive
from scheduler.progress import sync_progress

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
)
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.callback()
def _db() -> None:
    """The store itself: upgrade, check, backup, restore, export. Safe while the daemon runs."""


@app.command()
def upgrade(
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring the store's schema to this program's, and mend its views and guards. No way back but a backup."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    with Store.at(App.load(config).store_url) as store:
        before, after = store.upgrade()
        mended = store.mend()
        place = store.place
    if json:
        run.print_json([{"place": place, "from": before, "to": after, "made_anew": mended}])
    elif not quiet:
        done = (
            f"its schema is {after} already; {', '.join(mended)} made anew"
            if mended
            else f"its schema is {after} already; nothing to do"
            if before == after
            else f"its schema was upgraded from {before} to {after}"
            if before
            else f"its tables were made (schema {after})"
        )
        run.out.print(f"{place}: {done}")


@app.command()
def check(
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Is the store whole? Changes nothing. Exit status 1 when something is wrong."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    with Store.at(App.load(config).store_url, writes=False) as store:
        found = inspection.inspect_store(store)
    if json:
        run.print_json([asdict(found)])
    else:
        _print(run, found)
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def backup(
    to: Annotated[Path, typer.Option("--to", help="The file to write.", metavar="FILE", parser=path_of)],
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    no_progress: NoProgressOption = False,
) -> None:
    """Write the whole store, as it is at one moment, into one SQLite file that is itself a store."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=no_progress)
    with (
        Store.at(App.load(config).store_url, writes=False) as store,
        sync_progress(run, "backup") as on_progress,
    ):
        done = backups.backup(store, to, force=force, on_progress=on_progress)
    if json:
        run.print_json(
            [{"path": str(done.path), "revision": done.revision, "rows": done.rows, "bytes": done.size}]
        )
    elif not quiet:
        run.out.print(
            f"{done.path}: {sum(done.rows.values()):,} rows, {done.size:,} bytes, schema {done.revision}; "
            "compared with the store and found equal"
        )


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `db backup` wrote.", metavar="FILE")],
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    no_progress: NoProgressOption = False,
) -> None:
    """Put a backup into the configured store, which must be empty: all of it, or nothing.

    SQLite or PostgreSQL: this is also the way to move from one to the other.
    """
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=no_progress)
    application = App.load(config)
    restores.check(file)  # before a store is made for it
    with application.store as store, ExitStack() as stack:
        for company in application.companies():
            stack.enter_context(exclusive(store, company.name, "sync"))
        with sync_progress(run, "restore") as on_progress:
            done = restores.restore(store, file, force=force, on_progress=on_progress)
        place = store.place
    if json:
        run.print_json([{"place": place, **asdict(done)}])
    elif not quiet:
        run.out.print(
            f"{place}: {sum(done.rows.values()):,} rows restored from {file} (schema {done.revision})"
            + (f"; {done.replaced:,} rows that stood there were replaced" if done.replaced else "")
        )


@app.command()
def export(
    out: Annotated[
        Path, typer.Option("--out", help="The folder to write into.", metavar="DIR", parser=path_of)
    ],
    form: Annotated[str, typer.Option("--format", help="parquet or csv")] = "parquet",
    only: Annotated[
        str | None, typer.Option("--only", help="Only these tables and views.", metavar="NAME,...")
    ] = None,
    day: Annotated[
        list[str] | None,
        typer.Option("--day", help=f"The day of {exports.BY_DAY}; repeatable.", metavar="YYYY-MM-DD"),
    ] = None,
    company: CompanyOption = None,
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    no_progress: NoProgressOption = False,
) -> None:
    """Write every table and view into a file of its own, all from one moment, with a manifest.json."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=no_progress)
    if form not in get_args(exports.Format):
        raise ConfigurationError(f"--format: {form!r} is not known; it is parquet or csv")
    wanted = exports.Wanted(
        names=() if only is None else names_of(only, "--only"),
        companies=tuple(company or ()),
        days=tuple(_day(text) for text in day or ()),
        format="csv" if form == "csv" else "parquet",
    )
    with (
        Store.at(App.load(config).store_url, writes=False) as store,
        sync_progress(run, "export") as on_progress,
    ):
        manifest = exports.export(store, out, wanted, force=force, on_progress=on_progress)
    if json:
        run.print_json([manifest])
        return
    if quiet:
        return
    rows = sum(entry["rows"] for entry in manifest["files"])
    run.out.print(f"{out}: {rows:,} rows in {len(manifest['files'])} files, and {exports.MANIFEST}")
    for entry in manifest["skipped"]:
        run.err.print(f"{entry['name']} was left out: {entry['reason']}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--day: {text!r} is no day; write it as 2026-06-30") from None


def _print(run: Invocation, found: inspection.Inspection) -> None:
    free = "" if found.free is None else f", {found.free:,} bytes free"
    out = run.out
    if not run.quiet:
        out.print(f"{found.place}: {found.database}, schema {found.revision}, {found.size:,} bytes{free}")
        table = Table(box=None, pad_edge=False)
        table.add_column("table")
        table.add_column("company")
        table.add_column("rows", justify="right")
        for name, companies in found.rows.items():
            for company, rows in companies.items():
                table.add_row(name, company, f"{rows:,}")
        if table.row_count:
            out.print(table)
        for note in found.notes:
            out.print(f"note: {note}")
    for fault in found.faults:
        out.print(f"fault: {fault.what}; {fault.remedy}")
    if not found.faults and not run.quiet:
        out.print("The store is whole.")
