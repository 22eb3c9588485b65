"""``boardline status``: what ran, what runs next, and what was delivered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from pipeline.records import RunRecord
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.daemon import next_run
from scheduler.invocation import (
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    QuietOption,
    VerboseOption,
)

_RUNS = 200


def command(
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Last and next runs, how old the data is, and the deliveries, per company."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    app = App.load(config)
    documents = [_status(app, settings, datetime.now(UTC)) for settings in app.companies(company or ())]
    if json:
        run.print_json(documents)
        return
    for document in documents:
        _print(run, document)


def _status(app: App, company: CompanyConfig, now: datetime) -> dict[str, Any]:
    latest: dict[str, RunRecord] = {}
    for record in app.store.runs(company.name, _RUNS):  # newest first
        latest.setdefault(record.stream, record)
    synced = app.store.last_sync(company.name)
    report = company.schedule.board_report if company.report.destinations else None
    due = next_run(company.schedule.sync, company.zone, now, synced)
    return {
        "company": company.name,
        "last_sync": synced,
        "lag_seconds": round((now - synced).total_seconds()) if synced else None,
        "next_sync": due,
        "overdue": due is not None and due < now,
        "next_report": next_run(report, company.zone, now) if report else None,
        "streams": [
            {
                "stream": record.stream,
                "status": record.status,
                "finished_at": record.finished_at,
                "rows": record.rows,
                "changed": record.changed,
                "requests": record.requests,
                "error": record.error,
            }
            for record in latest.values()
        ],
        "deliveries": [
            {
                "month": delivery.month,
                "destination": delivery.destination,
                "status": delivery.status,
                "posted_at": delivery.posted_at,
                "location": delivery.location,
                "error": delivery.error,
            }
            for delivery in app.store.deliveries(company.name)
        ],
    }


def _print(run: Invocation, document: dict[str, Any]) -> None:
    out = run.out
    out.print(
        f"{document['company']}: last sync {_when(document['last_sync'])}, next {_when(document['next_sync'])}"
    )
    if document["overdue"]:
        out.print("  the next sync is overdue: is `boardline run` at work?")
    out.print(f"  next board report {_when(document['next_report'])}")
    table = Table(box=None, pad_edge=False)
    for name in ("stream", "status", "finished", "rows", "changed", "requests", "error"):
        table.add_column(name, justify="right" if name in ("rows", "changed", "requests") else "left")
    for item in document["streams"]:
        table.add_row(
            item["stream"],
            item["status"],
            _when(item["finished_at"]),
            str(item["rows"]),
            str(item["changed"]),
            str(item["requests"]),
            item["error"] or "",
        )
    if document["streams"]:
        out.print(table)
    for item in document["deliveries"]:
        where = item["location"] or item["error"] or ""
        out.print(f"  report {item['month']} to {item['destination']}: {item['status']} {where}")


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
