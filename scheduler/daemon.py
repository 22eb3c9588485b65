"""The daemon: every company's schedules in one process, stopped cleanly by SIGTERM or SIGINT.

The only module that knows APScheduler. Jobs live in memory; whether a report was already posted is
known by the store, so a restart neither forgets nor repeats one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connectors.errors import BoardlineError
from scheduler import jobs, signals
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.occurrence import Calendar
from scheduler.schedule import Every, Schedule, parse

log = structlog.get_logger(__name__)
_WORKERS = 4


class CalendarTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires when a schedule of days and times comes round."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The first occurrence at or after ``now``, and after ``previous``."""
        return self.calendar.next(now, previous)


def trigger(schedule: Schedule, zone: ZoneInfo) -> BaseTrigger:
    """The APScheduler trigger of a schedule in a time zone."""
    if isinstance(schedule, Every):
        return IntervalTrigger(seconds=schedule.interval.total_seconds(), timezone=zone)
    return CalendarTrigger(Calendar(schedule, zone))


def next_run(text: str, zone: ZoneInfo, now: datetime, last: datetime | None = None) -> datetime | None:
    """When a schedule fires next, for ``status``: after ``last`` where it has fired, so it may lie in the past."""
    fires: datetime | None = trigger(parse(text), zone).get_next_fire_time(last, last or now)
    return fires


class Daemon:
    """Runs the schedules of some companies until it is told to stop."""

    def __init__(self, app: App, companies: Sequence[CompanyConfig], *, reports: bool = True) -> None:
        self.app = app
        self.companies = companies
        self.reports = reports
        self.stop = threading.Event()
        self._busy = {company.name: threading.Lock() for company in companies}
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(_WORKERS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def run(self) -> None:
        """Block until SIGTERM, SIGINT or SIGHUP; a page that is being written is finished or left out whole."""
        signals.note(self.stop.set)
        _ = self.app.store  # fail now, not in the first job, if it cannot be opened
        for company in self.companies:
            self._schedule(company)
        self._scheduler.start()
        log.info("daemon started", companies=[company.name for company in self.companies])
        self.stop.wait()
        log.info("daemon stopping")
        self._scheduler.shutdown(wait=True)
        self.app.store.close()
        log.info("daemon stopped")

    def _schedule(self, company: CompanyConfig) -> None:
        now = datetime.now(UTC)
        self._add(company, "sync", self._sync, parse(company.schedule.sync), first=now)
        text = company.schedule.board_report
        if not self.reports or text is None or not company.report.destinations:
            return
        schedule = parse(text)
        missed = jobs.report_missed(self.app, company, _last_before(schedule, company.zone, now))
        self._add(company, "report", self._report, schedule, first=now if missed else None)
        if not missed and jobs.unfinished(self.app, company):
            self._scheduler.add_job(self._finish, args=[company], id=f"finish:{company.name}")

    def _add(
        self,
        company: CompanyConfig,
        kind: str,
        function: Callable[[CompanyConfig], None],
        schedule: Schedule,
        first: datetime | None,
    ) -> None:
        options: dict[str, Any] = {"next_run_time": first} if first else {}
        self._scheduler.add_job(
            function,
            trigger(schedule, company.zone),
            args=[company],
            id=f"{kind}:{company.name}",
            name=f"{kind} {company.name}",
            **options,
        )

    def _sync(self, company: CompanyConfig) -> None:
        lock = self._busy[company.name]
        if not lock.acquire(blocking=False):
            log.info(
                "sync skipped", company=company.name, reason="a report is being made, which syncs by itself"
            )
            return
        try:
            self._guarded("sync", company, lambda: self._pass(company))
        finally:
            lock.release()

    def _report(self, company: CompanyConfig) -> None:
        """The report that is due, and what an earlier run has left unfinished of other months."""
        now = datetime.now(UTC)
        month = jobs.last_full_month(now, company)
        self._after_sync(
            company,
            lambda: jobs.finish_reports(self.app, company, now, but=month),
            lambda: jobs.post_report(self.app, company, now),
        )

    def _finish(self, company: CompanyConfig) -> None:
        self._after_sync(company, lambda: jobs.finish_reports(self.app, company, datetime.now(UTC)))

    def _after_sync(self, company: CompanyConfig, *reports: Callable[[], object]) -> None:
        with self._busy[company.name]:
            self._guarded("sync", company, lambda: self._pass(company))
            for report in reports:
                if not self.stop.is_set():
                    self._guarded("report", company, report)

    def _pass(self, company: CompanyConfig) -> None:
        summary = jobs.sync(self.app, company, stop=self.stop)
        if summary.error is not None:
            raise summary.error

    def _guarded(self, kind: str, company: CompanyConfig, work: Callable[[], object]) -> None:
        """One company's trouble is logged and never reaches another's jobs."""
        try:
            work()
        except BoardlineError as error:
            log.error(f"{kind} failed", company=company.name, error=str(error), status=error.exit_status)
        except Exception:
            log.exception(f"{kind} failed unexpectedly", company=company.name)


def _last_before(schedule: Schedule, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The last moment a schedule should have fired; None for one that comes round at an interval anyway."""
    return None if isinstance(schedule, Every) else Calendar(schedule, zone).last(now)
