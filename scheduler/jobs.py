"""What the commands and the daemon both do: sync a company, build its report, post it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from connectors.errors import BoardlineError
from metrics import bi, deliver
from metrics.period import Calendar, month_last
from metrics.playbook import applied
from metrics.playbook import load as load_playbook
from metrics.report import BoardReport, build_report
from pipeline.failures import StoreError
from pipeline.mapping import behind
from pipeline.records import SourceInfo
from pipeline.sync import SyncSummary, sync_company
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.lock import exclusive

UNFINISHED: Final = ("pending", "failed")  # what a delivery is noted as while the next run is to try it again


class NotReadyError(BoardlineError):
    """The store does not hold the whole company yet."""


log = structlog.get_logger(__name__)


def sync(
    app: App,
    company: CompanyConfig,
    *,
    full: bool = False,
    since: datetime | None = None,
    only: Sequence[str] | None = None,
    stop: threading.Event | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> SyncSummary:
    """One pass over the company's CRM. Raises ``BoardlineError`` when it could not begin."""
    with exclusive(app.store, company.name, "sync"):
        keyed = app.with_key(company)
        source = app.open_source(company)
        try:
            summary = sync_company(
                app.store,
                source,
                keyed,
                full=full,
                since=since,
                only=only,
                stop=stop,
                on_progress=on_progress,
            )
        finally:
            source.close()
        if summary.status != "stopped":
            _renew_tables(app, company)
    log.info("sync finished", company=company.name, status=summary.status, changed=summary.changed)
    return summary


def _renew_tables(app: App, company: CompanyConfig) -> None:
    """Bring the tables for BI tools up to date; the next pass tries again where that is not possible."""
    try:
        playbook, now = load_playbook(company.playbook), datetime.now(UTC)
        app.store.again(
            "renewing the tables for BI tools", lambda: bi.refresh(app.store, applied(company), playbook, now)
        )
    except StoreError:
        raise
    except BoardlineError as error:
        log.warning("the tables for BI tools were not renewed", company=company.name, error=str(error))


def report(app: App, company: CompanyConfig, month: str, as_of: datetime) -> BoardReport:
    """The board report of a month from the store alone; no CRM is called."""
    return build_report(app.store, applied(company), month, as_of, load_playbook(company.playbook))


def post(
    app: App,
    company: CompanyConfig,
    board_report: BoardReport,
    names: Sequence[str],
    version: int = deliver.FIRST_VERSION,
) -> list[deliver.Delivery]:
    """Deliver a report to the named destinations, each at most once for this month and version.

    Raises ``NotReadyError`` while the CRM has not been read to its end (half a company is never posted), and for a
    month that was not over when it was last read, or that was read under another configuration.
    """
    info = app.store.source_info(company.name)
    if info is None or info.incomplete:
        raise NotReadyError(
            f"{company.name}: the CRM has not been read to its end yet, so nothing was posted; "
            "run `boardline sync --once` until it ends without an error, then post again"
        )
    _require_read(company, board_report, info)
    with exclusive(app.store, company.name, "report"):
        return deliver.deliver(app.store, company, board_report, app.destinations(names), version)


def _require_read(company: CompanyConfig, board_report: BoardReport, info: SourceInfo) -> None:
    calendar = Calendar(company.zone, board_report.known_at, company.fiscal_year_start_month)
    over = calendar.end_of(month_last(board_report.month))
    if board_report.known_at < over:
        raise NotReadyError(
            f"{company.name}: {board_report.month} was not over when the CRM was last read "
            f"({board_report.known_at:%Y-%m-%d %H:%M} UTC; it ends at {over:%Y-%m-%d %H:%M} UTC), so nothing was "
            "posted; run `boardline sync --once` after its end, then post again"
        )
    if changes := behind(info, company, company.fields.mapped()):
        raise NotReadyError(
            f"{company.name}: the configuration has changed since the CRM was last read ({'; '.join(changes)}), "
            "so nothing was posted; run `boardline sync --once`, then post again"
        )


def post_report(app: App, company: CompanyConfig, now: datetime) -> None:
    """The scheduled monthly report: of the last full month, to the configured destinations."""
    month = last_full_month(now, company)
    _log(company, month, post(app, company, report(app, company, month, now), company.report.destinations))


def unfinished(app: App, company: CompanyConfig) -> dict[tuple[str, int], list[str]]:
    """(month, version) -> the configured destinations whose delivery was begun and not ended, or failed.

    An unknown one is left out: something else stands where it should go, and a person decides.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for note in app.store.deliveries(company.name):
        if note.status in UNFINISHED and note.destination in company.report.destinations:
            found.setdefault((note.month, note.version), []).append(note.destination)
    return found


def finish_reports(app: App, company: CompanyConfig, now: datetime, *, but: str | None = None) -> None:
    """Deliver every unfinished report of the months it was about (except ``but``), with today's knowledge of them."""
    for (month, version), names in unfinished(app, company).items():
        if month == but:
            continue
        log.info("finishing a report that was not delivered", company=company.name, month=month, to=names)
        _log(company, month, post(app, company, report(app, company, month, now), names, version))


def _log(company: CompanyConfig, month: str, deliveries: Sequence[deliver.Delivery]) -> None:
    for delivery in deliveries:
        told = {"company": company.name, "month": month, "destination": delivery.destination}
        if delivery.problem is None:
            log.info("report delivered", **told, status=delivery.status, location=delivery.location)
        else:
            log.error("report not delivered", **told, status=delivery.status, error=str(delivery.problem))


def last_full_month(now: datetime, company: CompanyConfig) -> str:
    """The month before the one that it is now in the company's time zone."""
    first = now.astimezone(company.zone).date().replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def report_missed(app: App, company: CompanyConfig, due: datetime | None) -> bool:
    """Whether a report fell due while nobody ran: we were at work before then, and it was not posted since."""
    if due is None:
        return False
    first = app.store.first_sync(company.name)
    if first is None or first > due.astimezone(UTC):
        return False
    month = last_full_month(due, company)
    posted = {d.destination for d in app.store.deliveries(company.name, month) if d.status == "posted"}
    return not posted.issuperset(company.report.destinations)
