"""``boardline check``: is everything in place? Changes nothing, posts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import typer

from connectors.errors import BoardlineError
from connectors.source import Capabilities
from metrics import arr, inputs, unavailable, unread
from metrics.compute import registered
from metrics.facts import FALLBACK_CURRENCY, Facts
from metrics.inputs import InputFault, Known, Reading
from metrics.inputs.accounts import Accounts
from metrics.period import Calendar
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
    """Check configuration, credentials, visible fields, store, input files and destinations."""
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
    name, home = company.name, FALLBACK_CURRENCY
    try:
        yield Line(name, "playbook", load_playbook(company.playbook).title)
    except BoardlineError as error:
        yield _failed(name, "playbook", error)
    yield _revenue(company)
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
            seen = source.capabilities()
            home = seen.home_currency
            yield from _crm(name, seen)
        except BoardlineError as error:
            yield _failed(name, "CRM", error)
        finally:
            source.close()
    yield from _inputs(app, company, company.currency or home)
    for destination in company.report.destinations:
        try:
            opened = app.destinations([destination])[destination]
            yield Line(name, f"destination {destination}", opened.check())
        except BoardlineError as error:
            yield _failed(name, f"destination {destination}", error)
    if not company.report.destinations:
        yield Line(name, "destinations", "none: the monthly report is not posted anywhere", note=True)


_SOURCES: Final = {
    "field": "the deals' ARR field, else their amount ({})",
    "line_items": "the deals' recurring line items ({})",
    "contract": "the CRM's contracts ({})",
    "cpq": "the subscriptions of Salesforce CPQ ({})",
    "opening_arr": "the opening list alone",
}


def _revenue(company: CompanyConfig) -> Line:
    """Where ARR comes from; a list that nothing reads is worth a word."""
    settings = company.arr
    try:
        arr.check_settings(company)
        unavailable.check_settings(company)
    except BoardlineError as error:
        return _failed(company.name, "arr", error)
    source = f"from {_SOURCES[settings.source].format(settings.basis)}"
    if settings.deals_from is not None:
        source += f"; contracts that start before {settings.deals_from} from the opening list"
    unread = company.inputs.opening_arr is not None and not settings.reads_list
    if unread:
        source += "; the opening list is not read: set arr: deals_from, or source: opening_arr"
    return Line(company.name, "arr", source, note=unread)


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


def _inputs(app: App, company: CompanyConfig, currency: str) -> Iterator[Line]:
    """Every input file, read to its end; its customers against the accounts, where these were synced already."""
    now = datetime.now(UTC)
    reading = Reading(Calendar(company.zone, now, company.fiscal_year_start_month), currency)
    known = _accounts(app, company, now)
    missing = []
    for kind, path in company.inputs:
        if path is None:
            missing.append(kind)
            continue
        what = f"inputs.{kind}"
        try:
            read = inputs.load(kind, path, reading, known)
        except InputFault as fault:
            yield from (Line(company.name, what, text, fault) for text in _faults(fault))
        else:
            yield Line(company.name, what, _rows(read))
            yield from (Line(company.name, what, text, note=True) for text in _oddities(read))
            if kind == "targets" and known is not None:
                yield from (Line(company.name, what, text, note=True) for text in _unread(app, company, now))
    if missing:
        yield Line(
            company.name,
            "inputs",
            f"no file for {', '.join(missing)}; numbers that need one say so",
            note=True,
        )


def _accounts(app: App, company: CompanyConfig, now: datetime) -> Accounts | None:
    """Those of the store as it is; None where there are none yet, or where its own line tells what is wrong with it."""
    try:
        if database.missing_file(app.store_url):
            return None
        with Store.open(app.store_url, upgrade=False) as store:
            if store.source_info(company.name) is None:
                return None
            return Accounts.of(store.frame(company.name, "accounts"), now)
    except BoardlineError:
        return None


def _unread(app: App, company: CompanyConfig, now: datetime) -> Sequence[str]:
    """The targets that no number is held against, as far as the store can tell."""
    try:
        with Store.open(app.store_url, upgrade=False) as store:
            frames = store.frames(company.name, unread.TABLES)
            info = store.source_info(company.name)
        month = f"{now.astimezone(company.zone):%Y-%m}"
        return unread.targets(Facts(company, [month], now, frames, info))
    except BoardlineError as error:
        return (f"could not be compared with what was synced: {error}",)


def _faults(fault: InputFault) -> Iterator[str]:
    yield from (f"{fault.path}: {one}" for one in fault.faults)
    if more := fault.total - len(fault.faults):
        yield f"{fault.path}: and {more} more faults"


def _rows(read: Known) -> str:
    later = f"; {read.later:,} more count from their as_of on" if read.later else ""
    return f"{read.file}: {read.rows.height:,} figures{later}"


def _oddities(read: Known) -> Iterator[str]:
    """What is no fault, but worth a look."""
    yield from (text for text in (read.unmatched(), read.shared()) if text)


def _needed() -> dict[tuple[str, str], list[str]]:
    """(table, column) -> the KPIs that stand on it."""
    needed: dict[tuple[str, str], list[str]] = {}
    for kpi in registered().values():
        for table, column in kpi.requires:
            needed.setdefault((table, column), []).append(kpi.id)
    return needed
