"""``boardline check``: is everything in place? Changes nothing, posts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from connectors.errors import BoardlineError
from connectors.source import Capabilities
from metrics.compute import registered
from metrics.playbook import load as load_playbook
from pipeline import database
from pipeline.store import Store
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
)
from scheduler.secrets import mask

_PRIVACY = {
    "full": "names, e-mails and phones of contacts and leads are kept as the CRM has them",
    "hashed": "names, e-mails and phones of contacts and leads are kept as keyed digests",
    "none": "names, e-mails and phones of contacts and leads are not kept; duplicate contacts cannot be found",
}


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. ``error`` None: it is in order, or only worth knowing (``note``)."""

    company: str
    what: str
    text: str
    error: BoardlineError | None = None
    note: bool = False


def command(
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check configuration, credentials, visible fields, store and destinations."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    app = App.load(config)
    lines = [Line("", "configuration", f"{app.path} is valid"), _store(app)]
    companies = app.companies(company or ())
    for settings in companies:
        lines += _company(app, settings)
    if json:
        run.print_document({"checks": [_as_json(line) for line in lines]})
    else:
        for line in lines:
            mark = "FAIL" if line.error else "note" if line.note else "ok  "
            if not quiet or line.error:
                run.out.print(
                    f"{mark}  {line.company + ': ' if line.company else ''}{line.what}: {line.text}"
                )
    raise typer.Exit(exit_status(_outcomes(lines, companies)))


def _outcomes(lines: Sequence[Line], companies: Sequence[CompanyConfig]) -> Iterator[BoardlineError | None]:
    """Every company's failures, or None where all is well: with what they share."""
    for company in companies:
        failed = [line.error for line in lines if line.error and line.company in ("", company.name)]
        if failed:
            yield from failed
        else:
            yield None


def _as_json(line: Line) -> dict[str, Any]:
    status = "failed" if line.error else "note" if line.note else "ok"
    return {"company": line.company or None, "what": line.what, "status": status, "text": line.text}


def _failed(company: str, what: str, error: BoardlineError) -> Line:
    return Line(company, what, mask(" ".join(str(error).split())), error)


def _store(app: App) -> Line:
    try:
        if file := database.missing_file(app.store_url):
            return Line("", "store", f"{file} will be created by the first sync", note=True)
        with Store.open(app.store_url, upgrade=False) as store:
            return Line("", "store", f"{store.place} opens, its schema is this program's")
    except BoardlineError as error:
        return _failed("", "store", error)


def _company(app: App, company: CompanyConfig) -> Iterator[Line]:
    name = company.name
    try:
        yield Line(name, "playbook", load_playbook(company.playbook).title)
    except BoardlineError as error:
        yield _failed(name, "playbook", error)
    try:
        app.with_key(company)
        yield Line(name, "privacy", _PRIVACY[company.privacy.contacts])
    except BoardlineError as error:
        yield _failed(name, "privacy", error)
    try:
        source = app.open_source(company)
    except BoardlineError as error:
        yield _failed(name, "CRM", error)
    else:
        try:
            yield from _crm(name, source.capabilities())
        except BoardlineError as error:
            yield _failed(name, "CRM", error)
        finally:
            source.close()
    for destination in company.report.destinations:
        try:
            opened = app.destinations([destination])[destination]
            yield Line(name, f"destination {destination}", opened.check())
        except BoardlineError as error:
            yield _failed(name, f"destination {destination}", error)
    if not company.report.destinations:
        yield Line(name, "destinations", "none: the monthly report is not posted anywhere", note=True)


def _crm(name: str, seen: Capabilities) -> Iterator[Line]:
    yield Line(name, "CRM", f"connected; home currency {seen.home_currency}")
    for stream, count in seen.records.items():
        yield Line(name, stream, f"{count:,} records")
    for note in seen.notes:
        yield Line(name, "CRM", note, note=True)
    needed = _needed()
    for table, fields in seen.fields.items():
        for column, state in fields.items():
            if state.state == "mapped":
                continue
            used = needed.get((table, column))
            if state.state == "hidden" or used:
                hidden = f"{state.crm_field or 'the field'} is not visible"
                why = hidden if state.state == "hidden" else "no field is mapped"
                cost = f"; {', '.join(used)} will say so" if used else ""
                remedy = f"; {state.remedy}" if state.remedy else ""
                yield Line(name, f"{table}.{column}", f"{why}{cost}{remedy}", note=True)
    yield Line(name, "history", f"the CRM keeps the past of {', '.join(sorted(seen.history)) or 'no field'}")


def _needed() -> dict[tuple[str, str], list[str]]:
    """(table, column) -> the KPIs that stand on it."""
    needed: dict[tuple[str, str], list[str]] = {}
    for kpi in registered().values():
        for table, column in kpi.requires:
            needed.setdefault((table, column), []).append(kpi.id)
    return needed
