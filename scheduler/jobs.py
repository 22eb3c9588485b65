"""What the commands and the daemon both do: sync a company, build its report, post it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from connectors.errors import BoardlineError
from metrics import bi, deliver
from metrics.playbook import load as load_playbook
from metrics.report import BoardReport, build_report
from pipeline.database import StoreError
from pipeline.sync import SyncSummary, sync_company
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.lock import exclusive


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
        source = app.open_source(company)
        try:
            summary = sync_company(
                app.store,
                source,
                company,
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
        bi.refresh(app.store, company, load_playbook(company.playbook), datetime.now(UTC))
    except StoreError:
        raise
    except BoardlineError as error:
        log.warning("the tables for BI tools were not renewed", company=company.name, error=str(error))


def report(app: App, company: CompanyConfig, month: str, as_of: datetime) -> BoardReport:
    """The board report of a month from the store alone; no CRM is called."""
    return build_report(app.store, company, month, as_of, load_playbook(company.playbook))


def post(
    app: App, company: CompanyConfig, board_report: BoardReport, names: Sequence[str]
) -> list[deliver.Delivery]:
    """Deliver a report to the named destinations, each at most once for this month.

    Raises ``NotReadyError`` while the CRM has not been read to its end: half a company is never posted.
    """
    info = app.store.source_info(company.name)
    if info is None or info.incomplete:
        raise NotReadyError(
            f"{company.name}: the CRM has not been read to its end yet, so nothing was posted; "
            "run `boardline sync --once` until it ends without an error, then post again"
        )
    with exclusive(app.store, company.name, "report"):
        return deliver.deliver(app.store, company, board_report, app.destinations(names))


def post_report(app: App, company: CompanyConfig, now: datetime) -> None:
    """The scheduled monthly report: of the last full month, to the configured destinations."""
    month = last_full_month(now, company)
    deliveries = post(app, company, report(app, company, month, now), company.report.destinations)
    for delivery in deliveries:
        log.info(
            "report delivered",
            company=company.name,
            month=month,
            destination=delivery.destination,
            status=delivery.status,
            location=delivery.location,
        )


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
