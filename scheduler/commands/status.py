"""``boardline status``: what ran, what runs next, and what was delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from rich.table import Table

from pipeline.records import DeliveryRecord, RunRecord
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
    for_each,
    local,
)
from scheduler.lock import held
from scheduler.standing import LastPass, advice, last_pass

_RUNS = 200
_When: TypeAlias = Callable[[datetime | None], str]


def command(
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Last and next runs, how old the data is, and the deliveries, per company."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    app = App.load(config, writes=False)
    companies = app.companies(company or ())
    there = app.open_store()
    now = datetime.now(UTC)
    documents, failures = for_each(companies, lambda settings: _status(app if there else None, settings, now))
    if not json:
        for document in documents:
            _print(run, document, app.config.companies[document["company"]].zone)
    run.finish(companies, documents, failures)


def _status(app: App | None, company: CompanyConfig, now: datetime) -> dict[str, Any]:
    """``app`` None: there is no store yet."""
    runs = app.store.runs(company.name, _RUNS) if app else []  # newest first
    info = app.store.source_info(company.name) if app else None
    complete_at = info.complete_at if info else None
    last = last_pass(runs, complete_at, lambda: held(app.store, company.name, "sync") if app else False)
    report = company.schedule.board_report if company.report.destinations else None
    due = next_run(company.schedule.sync, company.zone, now, runs[0].started_at if runs else None)
    return {
        "company": company.name,
        "last_sync": complete_at,
        "lag_seconds": round((now - complete_at).total_seconds()) if complete_at else None,
        "last_pass": _pass(last),
        "next_sync": due,
        "overdue": due is not None and due < now and (last is None or last.status != "running"),
        "next_report": next_run(report, company.zone, now) if report else None,
        "streams": _streams(runs, last),
        "history": _history(app, company),
        "deliveries": [_delivery(note) for note in (app.store.deliveries(company.name) if app else [])],
    }


def _history(app: App | None, company: CompanyConfig) -> list[dict[str, Any]]:
    """From when on the past of each field can be told."""
    if app is None:
        return []
    with app.store.reading() as reader:
        known = reader.coverage(company.name)
    return known.select("table", "field", "origin", "reliable_from", "reason").to_dicts()


def _pass(last: LastPass | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "status": last.status,
        "at": last.at,
        "stream": last.stream,
        "error": last.error,
        "remedy": last.remedy,
    }


def _streams(runs: Sequence[RunRecord], last: LastPass | None) -> list[dict[str, Any]]:
    """The latest run of each stream; one that is marked as running while nobody is at work was interrupted."""
    latest: dict[str, RunRecord] = {}
    for record in runs:
        latest.setdefault(record.stream, record)
    running = last.status if last and last.status in ("running", "unclear") else "interrupted"
    return [
        {
            "stream": record.stream,
            "status": running if record.status == "running" else record.status,
            "finished_at": record.finished_at,
            "rows": record.rows,
            "changed": record.changed,
            "requests": record.requests,
            "error": record.error,
        }
        for record in latest.values()
    ]


def _delivery(note: DeliveryRecord) -> dict[str, Any]:
    told = advice(note)
    return {
        "month": note.month,
        "destination": note.destination,
        "status": note.status,
        "posted_at": note.posted_at,
        "location": note.location,
        "error": note.error,
        "meaning": told.meaning,
        "remedy": told.remedy,
    }


def _print(run: Invocation, document: dict[str, Any], zone: ZoneInfo) -> None:
    out = run.out

    def when(moment: datetime | None, none: str = "never") -> str:
        return none if moment is None else local(moment, zone)

    out.print(
        f"{document['company']}: last complete sync {when(document['last_sync'])}, "
        f"next {when(document['next_sync'])}"
    )
    if document["last_pass"]:
        out.print(f"  last pass: {_told(document['last_pass'], when)}")
    if document["overdue"]:
        out.print("  the next sync is overdue: is `boardline run` at work?")
    out.print(f"  next board report {when(document['next_report'])}")
    table = Table(box=None, pad_edge=False)
    for name in ("stream", "status", "finished", "rows", "changed", "requests", "error"):
        table.add_column(name, justify="right" if name in ("rows", "changed", "requests") else "left")
    for item in document["streams"]:
        table.add_row(
            item["stream"],
            item["status"],
            when(item["finished_at"], "not finished"),
            str(item["rows"]),
            str(item["changed"]),
            str(item["requests"]),
            item["error"] or "",
        )
    if document["streams"]:
        out.print(table)
    for line in _pasts(document["history"], when):
        out.print(f"  {line}")
    for item in document["deliveries"]:
        where = item["location"] or item["error"] or ""
        out.print(f"  report {item['month']} to {item['destination']}: {item['status']} {where}")
        if item["remedy"]:
            out.print(f"    {item['meaning']}; {item['remedy']}")


def _pasts(history: Sequence[dict[str, Any]], when: _When) -> Iterator[str]:
    """``the past of deals: from the CRM: amount, stage; since 2026-11-22 05:14 UTC: arr, owner_id``."""
    for table in dict.fromkeys(item["table"] for item in history):
        groups: dict[str, list[str]] = {}
        for item in history:
            if item["table"] == table and item["origin"] != "none":
                since = item["reliable_from"]
                told = f"since {when(since)}" if since else "from the next complete sync on"
                groups.setdefault("from the CRM" if item["origin"] == "crm_history" else told, []).append(
                    item["field"]
                )
        if groups:
            yield f"the past of {table}: " + "; ".join(f"{k}: {', '.join(v)}" for k, v in groups.items())


_PASSES: Final = {
    "complete": "complete",
    "partial": "only some streams were read",
    "failed": "failed",
    "stopped": "was stopped before its end; the next one goes on from there",
    "running": "running",
    "interrupted": "was interrupted before its end; the next one goes on from there",
    "unclear": "is running or was interrupted; this user may not see which",
}


def _told(last: dict[str, Any], when: _When) -> str:
    stream = f" ({last['stream']})" if last["stream"] else ""
    problem = "; ".join(part for part in (last["error"], last["remedy"]) if part)
    return f"{_PASSES[last['status']]}{stream}, {when(last['at'])}{f': {problem}' if problem else ''}"
